"""NSID HDF5 (sidpy, pyNSID, DTMicroscope), read with h5py alone: images and grids of curves.

NSID stores [x, y, ...] and labels its axes; the labels decide, so x becomes the column and y the
row.  pyNSID writes y in the order of the picture, from the top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from grainscout.analysis.formats.files import fault, intact, load_head, si
from grainscout.analysis.formats.igor import common_names
from grainscout.analysis.formats.nsid_writer import FORMAT, read_own
from grainscout.records import Scan, Waveform
from grainscout.records.arrays import FloatArray
from grainscout.records.hdf5 import LIBRARY_ERRORS, refuse_elsewhere, stored, survived
from grainscout.records.recording import Recording

_MAGIC = b"\x89HDF\r\n\x1a\n"
FRAME = "the scan's own frame: x along the columns, y along the rows, as the file's axes say"


@dataclass(frozen=True, kw_only=True)
class _Axis:
    name: str
    values: FloatArray
    unit: str
    spectral: bool


@dataclass(frozen=True, kw_only=True)
class _Main:
    """One main dataset: values as stored, its axes, quantity, unit and raw metadata."""

    values: FloatArray
    axes: tuple[_Axis, ...]
    quantity: str
    unit: str
    metadata: dict[str, Any]


def read_nsid(path: Path | str) -> Scan | Recording:
    """Images (a Scan of all of them) or a grid of curves over voltage (a Recording).

    A file that `write_nsid` wrote comes back as it was.  In another one, image channels are named
    by their quantity ("HeightRetrace" is "height"); a grid without an image gets one channel, the
    response at the sweep's first sample, and, as NSID records no sample times, one second a sweep
    (``metadata["time"]`` says so).  ``metadata["channels"]`` or ``["original"]`` keeps the raw
    metadata.
    """
    head = load_head(path)
    if not head.startswith(_MAGIC):
        raise fault(path, "be an HDF5 file", repr(head[:8]))
    survived(path, read_hdf5)  # one changed byte can send the HDF5 library into an endless loop
    return read_hdf5(path)


def read_hdf5(path: Path | str) -> Scan | Recording:
    """`read_nsid` of an HDF5 file that is trusted not to hang the library."""
    with intact(path, "HDF5 file", *LIBRARY_ERRORS, AttributeError, MemoryError):
        with h5py.File(path, "r") as file:
            refuse_elsewhere(path, file)
            if FORMAT in file.attrs:
                return read_own(path, file)
            mains = _mains(path, file)
        grids = [m for m in mains if any(a.spectral for a in m.axes)]
        return _recording(path, grids) if grids else _images(path, mains)


def _mains(path: Path | str, file: h5py.File) -> list[_Main]:
    found: list[_Main] = []

    def visit(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and "data_type" in item.attrs and item.ndim > 1:
            found.append(_main(path, item))

    file.visititems(visit)
    if not found:
        raise fault(path, "hold NSID main datasets (with a 'data_type')", "none")
    return found


def _main(path: Path | str, item: h5py.Dataset) -> _Main:
    labels = [_text(v) for v in item.attrs.get("DIMENSION_LABELS", [])]
    if len(labels) != item.ndim:
        raise fault(path, f"label the {item.ndim} dimensions of {item.name}", f"{labels}")
    axes = []
    for i, label in enumerate(labels):
        scales = item.dims[i]
        scale = scales[0] if len(scales) else item.parent.get(label)
        if not isinstance(scale, h5py.Dataset) or scale.shape != (item.shape[i],):
            raise fault(
                path, f"have a scale of {item.shape[i]} values for {item.name}, {label}", "none"
            )
        factor, unit = si(_text(scale.attrs.get("units", "")))
        kind = _text(scale.attrs.get("dimension_type", "")).upper()
        axes.append(
            _Axis(
                name=label,
                values=np.asarray(stored(path, scale), dtype=np.float64) * factor,
                unit=unit,
                spectral="SPECTRAL" in kind,
            )
        )
    factor, unit = si(_text(item.attrs.get("units", "")))
    original = item.parent.get("original_metadata")
    attributes: Mapping[str, Any] = {} if original is None else original.attrs
    return _Main(
        values=np.asarray(stored(path, item), dtype=np.float64) * factor,
        axes=tuple(axes),
        quantity=_text(item.attrs.get("quantity", "")) or item.name.rsplit("/", 1)[-1],
        unit=unit,
        metadata={k: _plain(v) for k, v in attributes.items()},
    )


def _text(value: object) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _plain(value: object) -> object:
    """An attribute as a plain value."""
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


def _picture(path: Path | str, main: _Main) -> tuple[FloatArray, tuple[_Axis, _Axis]]:
    """Values as [row, column, ...] and the (y, x) axes."""
    spatial = [i for i, a in enumerate(main.axes) if not a.spectral]
    by_name = {main.axes[i].name.lower()[:1]: i for i in spatial}
    if len(spatial) != 2 or set(by_name) != {"x", "y"}:
        raise fault(
            path,
            f"have two spatial axes, x and y, for {main.quantity}",
            ", ".join(a.name for a in main.axes),
        )
    rest = [i for i in range(main.values.ndim) if i not in spatial]
    order = (by_name["y"], by_name["x"], *rest)
    return main.values.transpose(order), (main.axes[by_name["y"]], main.axes[by_name["x"]])


def _step(path: Path | str, axis: _Axis) -> float:
    if axis.unit != "m" or axis.values.size < 2:
        raise fault(path, f"have an axis {axis.name} of two or more values in m", f"{axis.unit!r}")
    steps = np.diff(axis.values)
    mean = float(steps.mean())
    if not (mean > 0 and np.abs(steps - mean).max() <= 1e-3 * mean):
        raise fault(
            path,
            f"have even, rising values along {axis.name}",
            f"steps of {steps.min():.4g} to {steps.max():.4g} m",
        )
    return mean


def _images(path: Path | str, mains: list[_Main]) -> Scan:
    pictures = [(m, *_picture(path, m)) for m in mains]
    # A known writer gives the axes of a phase image the unit of its values ("deg"): the lengths come
    # from a channel that has them, and the numbers must agree.
    reference = next((axes for _, _, axes in pictures if all(a.unit == "m" for a in axes)), None)
    if reference is None:
        raise fault(path, "have axes in m", ", ".join(a.unit for a in pictures[0][2]))
    names = [m.quantity for m in mains]
    ours = common_names(names)
    if len(set(names)) != len(names):
        raise fault(path, "name its channels differently", ", ".join(names))
    for main, image, axes in pictures:
        if any(
            a.values.shape != r.values.shape or not np.allclose(a.values, r.values, rtol=1e-6)
            for a, r in zip(axes, reference, strict=True)
        ):
            raise fault(path, "have all images on one grid", f"{main.quantity} of {image.shape}")
    return Scan(
        channels={ours[m.quantity]: image for m, image, _ in pictures},
        units={ours[m.quantity]: m.unit for m in mains if m.unit},
        pixel_size=(_step(path, reference[0]), _step(path, reference[1])),
        origin=(float(reference[1].values[0]), float(reference[0].values[0])),
        metadata={
            "source": "NSID",
            "frame": FRAME,
            "channel_names": {v: k for k, v in ours.items()},
            "original": mains[0].metadata,
        },
    )


def _recording(path: Path | str, grids: list[_Main]) -> Recording:
    if len(grids) != 1 or len(grids[0].axes) != 3:
        raise fault(
            path, "hold one grid of curves", f"{len(grids)}, the first of {len(grids[0].axes)} axes"
        )
    main = grids[0]
    curves, (y, x) = _picture(path, main)
    sweep = next(a for a in main.axes if a.spectral)
    if sweep.unit != "V":
        raise fault(path, "have curves over a voltage in V", f"{sweep.name} [{sweep.unit}]")
    name = "current" if main.unit == "A" else main.quantity.lower()
    rows, columns, samples = curves.shape
    return Recording(
        scan=Scan(
            channels={name: curves[:, :, 0]},
            units={name: main.unit} if main.unit else {},
            pixel_size=(_step(path, y), _step(path, x)),
            origin=(float(x.values[0]), float(y.values[0])),
            metadata={"source": "NSID", "frame": FRAME},
        ),
        sites=np.argwhere(np.ones((rows, columns), bool)),
        waveform=Waveform(
            voltage=sweep.values, time=np.linspace(0.0, 1.0, samples), kind="recorded"
        ),
        current=curves.reshape(-1, samples),
        unit=main.unit or "a.u.",
        metadata={
            "source": "NSID",
            "frame": FRAME,
            "time": "not recorded; a sweep of 1 s is assumed",
            "quantity": main.quantity,
            "original": main.metadata,
        },
    )
