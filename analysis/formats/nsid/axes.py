"""Main datasets of NSID files: their axes, and their values as rows and columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from grainscout.analysis.formats.files import fault
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture
from grainscout.analysis.formats.units import si
from grainscout.records import FloatArray
from grainscout.records.encoding.hdf5 import stored


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """One axis of a main dataset: values in SI, and whether it is swept."""

    name: str
    values: FloatArray
    unit: str
    spectral: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Main:
    """One main dataset: values as stored, its axes, quantity, unit and raw metadata, and the time of its sweep [s]."""

    values: FloatArray
    axes: tuple[Axis, ...]
    quantity: str
    unit: str
    metadata: dict[str, Any]
    seconds: float | None = None

    def axis(self, letter: str) -> int | None:
        """Number of the spatial axis x or y; None if there is none."""
        found = [
            i
            for i, a in enumerate(self.axes)
            if not a.spectral and a.name.lower().startswith(letter)
        ]
        return found[0] if len(found) == 1 else None

    @property
    def sweep(self) -> int | None:
        """Number of the axis that is swept in V; None if there is none."""
        found = [
            i
            for i, a in enumerate(self.axes)
            if a.unit == "V" and i not in (self.axis("x"), self.axis("y"))
        ]
        return found[-1] if found else None


def load_main(path: Path | str, item: h5py.Dataset) -> Main:
    """Load a main dataset with its axes; DataError if an axis has no scale."""
    labels = [text(v) for v in item.attrs.get("DIMENSION_LABELS", [])]
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
        factor, unit = si(text(scale.attrs.get("units", "")))
        kind = text(scale.attrs.get("dimension_type", "")).upper()
        axes.append(
            Axis(
                name=label,
                values=np.asarray(stored(path, scale), dtype=np.float64) * factor,
                unit=unit,
                spectral="SPECTRAL" in kind,
            )
        )
    factor, unit = si(text(item.attrs.get("units", "")))
    original = item.parent.get("original_metadata")
    attributes: Mapping[str, Any] = {} if original is None else original.attrs
    return Main(
        values=np.asarray(stored(path, item), dtype=np.float64) * factor,
        axes=tuple(axes),
        quantity=text(item.attrs.get("quantity", "")) or item.name.rsplit("/", 1)[-1],
        unit=unit,
        metadata={k: plain(v) for k, v in attributes.items()},
    )


def text(value: object) -> str:
    """An attribute as a text."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def plain(value: object) -> object:
    """An attribute as a plain value."""
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


def spread(
    asked: Asked, main: Main
) -> tuple[FloatArray, tuple[float, float] | None, tuple[float, float], str]:
    """Values as [row, column, ...], pixel size [m], origin [m] and how the axes run."""
    y, x = main.axis("y"), main.axis("x")
    spatial = [i for i, a in enumerate(main.axes) if not a.spectral and i != main.sweep]
    if (x is None and y is None and spatial) or any(i not in (x, y) for i in spatial):
        raise asked.fault(
            f"have two spatial axes, x and y, for {main.quantity}",
            ", ".join(a.name for a in main.axes),
        )
    rest = [i for i in range(main.values.ndim) if i not in (y, x)]
    values = main.values.transpose([i for i in (y, x) if i is not None] + rest)
    if y is None:
        values = values[None]
    if x is None:
        values = np.expand_dims(values, 1)
    steps: list[float | None] = []
    first: list[float] = []
    frame = ""
    for number, at in enumerate((y, x)):
        if at is None:
            steps.append(None)
            first.append(0.0)
            continue
        step, start = _step(asked, main.axes[at])
        if step is not None and step < 0 and number == 1:
            values, step, start = values[:, ::-1], -step, float(main.axes[at].values[-1])
            frame += "; x fell in the file: columns are in the order of rising x"
        elif step is not None and step < 0:
            step, start = -step, -start
            frame += "; y falls in the file: row 0 is its first, and y is -y of the file"
        steps.append(step)
        first.append(start)
    if steps == [None, None]:
        return values, None, (0.0, 0.0), frame
    size = (steps[0] or steps[1] or 1.0, steps[1] or steps[0] or 1.0)
    return values, size, (first[1], first[0]), frame


def _step(asked: Asked, axis: Axis) -> tuple[float | None, float]:
    """Step of an axis and its first value [m]; no step where there is one value or no length."""
    if axis.unit != "m":
        return None, 0.0
    if axis.values.size < 2:
        return None, float(axis.values[0]) if np.isfinite(axis.values).all() else 0.0
    steps = np.diff(axis.values)
    mean = float(steps.mean())
    if not (mean != 0 and np.abs(steps - mean).max() <= 1e-3 * abs(mean)):
        raise asked.fault(
            f"have even, rising or falling values along {axis.name}",
            f"steps of {steps.min():.4g} to {steps.max():.4g} m",
        )
    return mean, float(axis.values[0])


def pictures_of(asked: Asked, mains: Sequence[Main]) -> tuple[list[Picture], str]:
    """Images and how their axes run. A phase image takes its lengths from one with the same numbers."""
    lengths = next((m for m in mains if all(a.unit == "m" for a in m.axes)), None)
    pictures, frames = [], []
    for main in mains:
        alike = lengths is not None and all(
            a.values.shape == b.values.shape and np.allclose(a.values, b.values, rtol=1e-6)
            for a, b in zip(main.axes, lengths.axes, strict=True)
        )
        placed = replace(main, axes=lengths.axes) if alike and lengths is not None else main
        values, size, origin, frame = spread(asked, placed)
        frames.append(frame)
        pictures.append(
            Picture(
                name=main.quantity, values=values, unit=main.unit, pixel_size=size, origin=origin
            )
        )
    return pictures, frames[0] if frames else ""
