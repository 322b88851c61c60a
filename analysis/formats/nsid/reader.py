"""NSID HDF5 (sidpy, pyNSID, DTMicroscope), read with h5py alone: images and grids of curves.

NSID stores [x, y, ...] and labels its axes; the labels decide, so x becomes the column and y the
row. pyNSID writes y in the order of the picture, from the top. Where y falls along the file, it
points up: row 0 is the file's first y all the same, and our y, which grows with the row, is -y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import h5py
import numpy as np

from grainscout.analysis.formats.files import fault, intact, load_head
from grainscout.analysis.formats.nsid.axes import Main, load_main, pictures_of, spread
from grainscout.analysis.formats.nsid.writer import FORMAT, read_own
from grainscout.analysis.formats.options import Asked, ReadOptions
from grainscout.analysis.formats.pictures import grid_scan, scan_of
from grainscout.analysis.formats.recordings import (
    current_channels,
    is_backward,
    own_export,
    plain_name,
    recording_of,
    stand_in,
)
from grainscout.analysis.formats.topography import named, topography
from grainscout.records import DataError, Scan, Waveform
from grainscout.records.arrays import FloatArray
from grainscout.records.encoding.hdf5 import LIBRARY_ERRORS, refuse_elsewhere, survived
from grainscout.records.recording import Recording

_MAGIC = b"\x89HDF\r\n\x1a\n"
FRAME = "the scan's own frame: x along the columns, y along the rows, as the file's axes say"


def read_nsid(path: Path | str, **options: Unpack[ReadOptions]) -> Scan | Recording:
    """Read images (a Scan of all of them) or a grid of curves over voltage (a Recording).

    A file that `write_nsid` wrote comes back as it was. In another one, image channels are named by
    their quantity; images on the same pixels as a grid of curves are its scan. Forward and backward
    sweeps, and cycles, follow one another in time. As NSID records no sample times, one second a
    sweep is taken (``metadata["time"]`` says so). ``metadata["original"]`` keeps the raw metadata.
    """
    head = load_head(path)
    if not head.startswith(_MAGIC):
        raise fault(path, "be an HDF5 file", repr(head[:8]))
    survived(path, read_hdf5)  # one changed byte can send the HDF5 library into an endless loop
    return read_hdf5(path, **options)


def read_hdf5(path: Path | str, **options: Unpack[ReadOptions]) -> Scan | Recording:
    """`read_nsid` of an HDF5 file that is trusted not to hang the library."""
    asked = Asked(path, options)
    with intact(path, "HDF5 file", *LIBRARY_ERRORS, AttributeError, MemoryError):
        with h5py.File(path, "r") as file:
            refuse_elsewhere(path, file)
            if FORMAT in file.attrs:
                return own_export(asked, read_own(path, file), "an export of Grainscout")
            mains = _mains(asked, file)
        grids = [m for m in mains if m.sweep is not None]
        images = [m for m in mains if len(m.axes) == 2 and m not in grids]
        rest = [m.quantity for m in mains if m not in grids and m not in images]
        if rest:
            asked.note(f"neither images nor curves over a voltage, and left out: {', '.join(rest)}")
        if not grids and not images:
            raise fault(
                path,
                "hold images over x and y, or curves over a voltage in V",
                "; ".join(
                    f"{m.quantity} over {', '.join(f'{a.name} [{a.unit}]' for a in m.axes)}"
                    for m in mains
                ),
            )
        result = _recording(asked, grids, images) if grids else _images(asked, images)
    asked.refuse_idle("a grid of curves" if grids else "NSID images")
    return result


def _mains(asked: Asked, file: h5py.File) -> list[Main]:
    mains: list[Main] = []
    faults: list[DataError] = []

    def visit(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and "data_type" in item.attrs and item.ndim > 0:
            try:
                mains.append(load_main(asked.path, item))
            except DataError as error:
                faults.append(error)

    file.visititems(visit)
    if not mains:
        if faults:
            raise faults[0]
        raise fault(asked.path, "hold NSID main datasets (with a 'data_type')", "none")
    for error in faults:
        asked.note(f"left out: {str(error).removeprefix(f'{asked.path}: ')}")
    names = [m.quantity for m in mains]
    return [
        replace(m, quantity=q if (n := names[:i].count(q)) == 0 else f"{q} {n + 1}")
        for i, (m, q) in enumerate(zip(mains, names, strict=True))
    ]


def _images(asked: Asked, mains: Sequence[Main]) -> Scan:
    pictures, frame = pictures_of(asked, mains)
    if asked.take("pixel_nm") is None and all(p.pixel_size is None for p in pictures):
        units = ", ".join(a.unit or "no unit" for a in mains[0].axes)
        raise fault(asked.path, "have axes in m", units, "Give the size of a pixel in nm: pixel_nm")
    return scan_of(
        asked,
        pictures,
        {"source": "NSID", "frame": FRAME + frame, "original": mains[0].metadata},
    )


def _recording(asked: Asked, grids: Sequence[Main], images: Sequence[Main]) -> Recording:
    chosen = _cycles(asked, grids)
    main = chosen[0][0]
    volts: list[FloatArray] = []
    values: list[FloatArray] = []
    for forward, backward in chosen:
        for part in (forward, backward):
            if part is not None:
                grid, size, origin, frame = spread(asked, part)
                axis, curves = _in_time(asked, part, grid)
                # A backward sweep may be stored in the order of the forward one.
                if part is backward and np.allclose(axis, volts[-1]):
                    axis, curves = axis[::-1], curves[..., ::-1]
                volts.append(axis)
                values.append(curves)
    left = [m.quantity for m in grids if not any(m in pair for pair in chosen)]
    if left:
        asked.note(f"other curves, left out (choose one with current): {', '.join(left)}")
    current = np.concatenate(values, axis=2)
    pixel_nm = asked.take("pixel_nm")
    if pixel_nm is not None:
        size = (pixel_nm * 1e-9, pixel_nm * 1e-9)
    if size is None:
        if current.shape[:2] != (1, 1):
            raise fault(
                asked.path, "have axes x and y in m", "none", "Give the size of a pixel: pixel_nm"
            )
        size = (1e-9, 1e-9)
    unit = main.unit or "a.u."
    metadata = {"source": "NSID", "frame": FRAME + frame}
    scan = grid_scan(
        asked,
        _under(asked, images, current, unit),
        pixel_size=size,
        origin=origin,
        metadata=metadata,
    )
    voltage = np.concatenate(volts)
    asked.note("the time of a sample is not recorded: a sweep of 1 s is assumed")
    return recording_of(
        asked,
        scan,
        np.argwhere(np.ones(current.shape[:2], bool)),
        Waveform(
            voltage=voltage, time=np.linspace(0.0, len(chosen), voltage.size), kind="recorded"
        ),
        current.reshape(-1, voltage.size),
        unit=unit,
        metadata={
            **metadata,
            "time": "not recorded; a sweep of 1 s is assumed",
            "quantity": main.quantity,
            "original": main.metadata,
        },
    )


def _cycles(asked: Asked, grids: Sequence[Main]) -> list[tuple[Main, Main | None]]:
    """The forward and backward grids to use, in the order of time."""
    by_name = {m.quantity: m for m in grids}
    if asked.take("current") is None:
        amperes = [m for m in grids if m.unit == "A"]
        if len(amperes) == 2 and _reverse_of(*amperes):
            return [(amperes[0], amperes[1])]
        if len(grids) == 1:
            return [(grids[0], None)]
        if len(grids) == 2 and not amperes and _reverse_of(*grids):
            return [(grids[0], grids[1])]
    units = {name: m.unit for name, m in by_name.items()}
    pairs = current_channels(asked, units, what="a current in A, or curves of one quantity")
    return [(by_name[f], None if b is None else by_name[b]) for f, b in pairs]


def _reverse_of(first: Main, second: Main) -> bool:
    """Whether the second is the sweep back of the first, by its name or its voltages."""
    a, b = (m.axes[m.sweep or 0].values for m in (first, second))
    if a.shape != b.shape or first.values.shape != second.values.shape:
        return False
    turned = np.allclose(a, b[::-1]) and not np.allclose(a, b)
    alike = plain_name(first.quantity) == plain_name(second.quantity)
    return turned or (alike and is_backward(second.quantity) and np.allclose(a, b))


def _in_time(asked: Asked, main: Main, grid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Voltages (samples,) and values [row, column, sample], cycles one after the other."""
    rest = [i for i in range(len(main.axes)) if i not in (main.axis("y"), main.axis("x"))]
    sweep = rest.index(main.sweep or 0)
    values = np.moveaxis(grid, 2 + sweep, -1)
    others = [main.axes[i] for i in rest if i != main.sweep]
    voltage = main.axes[main.sweep or 0].values
    shape = tuple(a.values.size for a in others)
    cycle = asked.take("cycle") if others else None
    values = values.reshape(*values.shape[:2], -1, voltage.size)
    if cycle is not None:
        if not 0 <= cycle < values.shape[2]:
            raise DataError(f"{asked.path}: cycle must be 0 to {values.shape[2] - 1}; got {cycle}")
        values = values[:, :, cycle : cycle + 1]
    elif others:
        names = " and ".join(a.name for a in others)
        asked.note(
            f"{int(np.prod(shape))} sweeps along {names}: one after the other in time; one alone "
            "with cycle"
        )
    count = values.shape[2]
    return np.tile(voltage, count), values.reshape(*values.shape[:2], -1)


def _under(
    asked: Asked, images: Sequence[Main], current: FloatArray, unit: str
) -> dict[str, tuple[FloatArray, str]]:
    """Images on the pixels of a grid of curves, the one that policies see first."""
    pictures, _ = pictures_of(asked, images)
    shape = current.shape[:2]
    same = [p for p in pictures if p.values.shape == shape]
    others = [p.label for p in pictures if p.values.shape != shape]
    if others:
        asked.note(f"images on other pixels than the curves, left out: {', '.join(others)}")
    wanted = asked.take("channel") if same else None
    best = topography(same) if wanted in (None, "height") else named(same, wanted)
    if wanted is not None and best is None:
        raise DataError(
            f"{asked.path}: channel must be one of {'; '.join(p.label for p in same)}; got "
            f"{wanted!r}"
        )
    if not same:
        image, name = stand_in(asked, current, unit)
        return {name: (image, unit)}
    same.sort(key=lambda p: p is not best)
    height = best is not None and best.unit == "m"
    return {"height" if height and p is best else p.name: (p.values, p.unit) for p in same}
