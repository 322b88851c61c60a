"""Curves of any format as one recording: on a grid or at points, with the images under them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, grid_scan, scan_of
from grainscout.analysis.formats.places import placed, recorded_pixels
from grainscout.analysis.formats.recordings import (
    current_channels,
    is_backward,
    is_derived,
    plain_name,
    recording_of,
    stand_in,
)
from grainscout.analysis.formats.topography import named, topography
from grainscout.records import DataError, FloatArray, IntArray, Recording, Scan, Waveform


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Curves of one quantity over a voltage, at the pixels of a grid."""

    name: str  #: As the file calls the quantity
    #: In the SI unit; not finite where nothing was recorded. Row 0 is the top of the picture,
    #: (rows, columns, samples)
    values: FloatArray
    voltage: FloatArray  #: In the order of time [V], (samples,)
    unit: str = ""  #: SI unit, empty where the file says none
    #: Row step and column step [m]; None where the file says none
    pixel_size: tuple[float, float] | None = None
    origin: tuple[float, float] = (0.0, 0.0)  #: X and y of the centre of pixel (0, 0) [m]
    angle: float = 0.0  #: Rotation of the grid [rad]
    #: Time from the first sample to the last [s]; None where the file does not say it
    seconds: float | None = None


def arranged(
    asked: Asked,
    pictures: Sequence[Picture],
    grids: Sequence[Grid],
    metadata: Mapping[str, Any],
    *,
    positions: FloatArray | None = None,
) -> Scan | Recording:
    """The grids, one after the other in time, over the pictures; a scan without grids."""
    if not grids:
        return scan_of(asked, pictures, metadata)
    chosen = _cycles(asked, grids)
    main = chosen[0][0]
    left = [g.name for g in grids if not any(g in pair for pair in chosen)]
    if left:
        asked.note(f"other curves, left out (choose one with current): {', '.join(left)}")
    voltage, current = _in_time(chosen)
    unit = main.unit or "a.u."
    if positions is None:
        scan = _scan_under(asked, pictures, main, current, unit, metadata)
        recorded = np.isfinite(current).any(axis=2)
        sites, lacking = np.argwhere(recorded), int((~recorded).sum())
        current = current[recorded]
        if lacking:
            asked.note(f"{lacking} of {recorded.size} points hold no curve: left out")
    else:
        scan, sites, kept = _scan_around(asked, pictures, positions, metadata)
        current = current[kept, 0]
    seconds = [g.seconds for pair in chosen for g in pair if g is not None]
    known = [s for s in seconds if s is not None]
    assumed = len(known) < len(seconds)
    if assumed:
        asked.note("the time of a sample is not recorded: a sweep of 1 s is assumed")
    total = float(len(chosen)) if assumed else sum(known)
    return recording_of(
        asked,
        scan,
        sites,
        Waveform(voltage=voltage, time=np.linspace(0.0, total, voltage.size), kind="recorded"),
        current,
        unit=unit,
        metadata={
            **metadata,
            "quantity": main.name,
            **({"time": "not recorded; a sweep of 1 s is assumed"} if assumed else {}),
        },
    )


def _in_time(chosen: Sequence[tuple[Grid, Grid | None]]) -> tuple[FloatArray, FloatArray]:
    """Voltages (samples,) and values (rows, columns, samples) of sweeps one after the other."""
    volts: list[FloatArray] = []
    values: list[FloatArray] = []
    for pair in chosen:
        for part in pair:
            if part is not None:
                axis, curves = part.voltage, part.values
                # A backward sweep may be stored in the order of the forward one.
                if part is pair[1] and np.allclose(axis, volts[-1]):
                    axis, curves = axis[::-1], curves[..., ::-1]
                volts.append(axis)
                values.append(curves)
    return np.concatenate(volts), np.concatenate(values, axis=2)


def _cycles(asked: Asked, grids: Sequence[Grid]) -> list[tuple[Grid, Grid | None]]:
    """The forward and backward grids to use, in the order of time."""
    by_name = {g.name: g for g in grids}
    if asked.take("current") is None:
        amperes = [g for g in grids if g.unit == "A" and not is_derived(g.name)]
        if len(amperes) == 2 and _reverse_of(*amperes):
            return [(amperes[0], amperes[1])]
        if len(grids) == 1 and (amperes or grids[0].unit != "A"):
            return [(grids[0], None)]
        if len(grids) == 2 and not amperes and _reverse_of(*grids):
            return [(grids[0], grids[1])]
    units = {name: g.unit for name, g in by_name.items()}
    pairs = current_channels(asked, units, what="a current in A, or curves of one quantity")
    return [(by_name[f], None if b is None else by_name[b]) for f, b in pairs]


def _reverse_of(first: Grid, second: Grid) -> bool:
    """Whether the second is the sweep back of the first, by its name or its voltages."""
    a, b = first.voltage, second.voltage
    if first.values.shape != second.values.shape:
        return False
    turned = np.allclose(a, b[::-1]) and not np.allclose(a, b)
    alike = plain_name(first.name) == plain_name(second.name)
    return turned or (alike and is_backward(second.name) and np.allclose(a, b))


def _scan_under(
    asked: Asked,
    pictures: Sequence[Picture],
    main: Grid,
    current: FloatArray,
    unit: str,
    metadata: Mapping[str, Any],
) -> Scan:
    """The images on the pixels of a grid of curves, the one that policies see first."""
    same = [p for p in pictures if p.values.shape == current.shape[:2]]
    others = [p.label for p in pictures if p.values.shape != current.shape[:2]]
    if others:
        asked.note(f"images on other pixels than the curves, left out: {', '.join(others)}")
    pixel_nm = asked.take("pixel_nm")
    size = main.pixel_size if pixel_nm is None else (pixel_nm * 1e-9, pixel_nm * 1e-9)
    if size is None:
        if current.shape[:2] != (1, 1):
            raise asked.fault(
                "have axes x and y in m", "none", "Give the size of a pixel: pixel_nm"
            )
        size = (1e-9, 1e-9)
    if same:
        images = _ordered(asked, same)
    else:
        image, name = stand_in(asked, current, unit)
        images = {name: (image, unit)}
    return grid_scan(
        asked, images, pixel_size=size, origin=main.origin, angle=main.angle, metadata=metadata
    )


def _ordered(asked: Asked, pictures: Sequence[Picture]) -> dict[str, tuple[FloatArray, str]]:
    """Images and units by name, the one that policies see first and, in metres, as the height."""
    wanted = asked.take("channel")
    best = topography(pictures) if wanted in (None, "height") else named(pictures, wanted)
    if wanted is not None and best is None:
        raise DataError(
            f"{asked.path}: channel must be one of {'; '.join(p.label for p in pictures)}; got "
            f"{wanted!r}"
        )
    height = best is not None and best.unit == "m"
    ordered = sorted(pictures, key=lambda p: p is not best)
    return {"height" if height and p is best else p.name: (p.values, p.unit) for p in ordered}


def _scan_around(
    asked: Asked, pictures: Sequence[Picture], positions: FloatArray, metadata: Mapping[str, Any]
) -> tuple[Scan, IntArray, IntArray]:
    """The scan that holds points, their pixels, and which of them are kept."""
    base = topography(pictures) or (pictures[0] if pictures else None)
    if base is None or base.pixel_size is None:
        sites, size, origin, frame = placed(asked, positions[:, 0], positions[:, 1])
        images = {"recorded": (recorded_pixels(asked, sites), "")}
        scan = grid_scan(
            asked, images, pixel_size=size, origin=origin, metadata={**metadata, "frame": frame}
        )
    else:
        x, y = (positions - base.origin).T
        cos, sin = np.cos(base.angle), np.sin(base.angle)
        along = np.column_stack([cos * y - sin * x, cos * x + sin * y])  # down, across
        sites = np.round(along / base.pixel_size).astype(np.int64)
        scan = grid_scan(
            asked,
            _ordered(asked, [p for p in pictures if p is base or p.fits(base)]),
            pixel_size=base.pixel_size,
            origin=base.origin,
            angle=base.angle,
            metadata=metadata,
        )
    inside = np.asarray(((sites >= 0) & (sites < scan.shape)).all(axis=1))
    _, first = np.unique(sites, axis=0, return_index=True)
    kept = np.array([i for i in np.sort(first) if inside[i]], dtype=np.int64)
    if not kept.size:
        raise asked.fault("hold a curve within its image", f"{len(sites)} outside")
    if kept.size < len(sites):
        asked.note(
            f"{len(sites) - kept.size} of {len(sites)} curves lie outside the image or on a pixel "
            "that has one: left out"
        )
    return scan, sites[kept], kept
