"""Main datasets of HDF5 layouts other than NSID: USID, NeXus data, TopoStats and our own films."""

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from grainscout.analysis.formats.nsid.axes import Axis, Main, plain, text
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.units import si
from grainscout.records import DataError
from grainscout.records.encoding.hdf5 import stored

_KINDS = ("Position", "Spectroscopic")


def usid_mains(asked: Asked, file: h5py.File) -> list[Main]:
    """USID: positions down, steps across; lacking points are NaN, real fields are datasets."""
    mains: list[Main] = []

    def visit(name: str, item: object) -> None:
        needed = [f"{kind}_{part}" for kind in _KINDS for part in ("Indices", "Values")]
        if not isinstance(item, h5py.Dataset) or not set(needed) <= set(item.attrs):
            return
        linked = {key: file[item.attrs[key]] for key in needed}
        raw = stored(asked.path, item, tables=True)
        fields = raw.dtype.names or ("",)
        for field in fields:
            values = raw[field] if field else raw
            if values.dtype.kind not in "biuf":
                asked.note(f"{name} {field} holds no real numbers: left out")
                continue
            label = text(item.attrs.get("quantity", "")) or name.rsplit("/", 1)[-1]
            mains.append(_usid(asked, linked, values, f"{label} {field}".strip(), item))

    file.visititems(visit)
    return mains


def _usid(
    asked: Asked, linked: dict[str, h5py.Dataset], values: NDArray[Any], label: str, item: Any
) -> Main:
    axes: list[Axis] = []
    places: list[list[NDArray[Any]]] = []
    for kind in _KINDS:
        indices = np.atleast_2d(stored(asked.path, linked[f"{kind}_Indices"]))
        levels = np.atleast_2d(stored(asked.path, linked[f"{kind}_Values"]))
        if kind == "Position":
            indices, levels = indices.T, levels.T
        attributes = linked[f"{kind}_Values"].attrs
        names, units = ([text(v) for v in attributes[k]] for k in ("labels", "units"))
        if indices.shape != levels.shape or not len(indices) == len(names) == len(units):
            raise asked.fault(f"label the {kind.lower()} dimensions of {label}", f"{names}")
        found: list[NDArray[Any]] = []
        for name, unit, index, level in zip(names, units, indices, levels, strict=True):
            _, first, at = np.unique(index, return_index=True, return_inverse=True)
            if first.size == 1 and kind == "Spectroscopic" and len(names) > 1:
                continue
            factor, base = si(unit)
            short = {"row": "y", "col": "x"}.get(name.lower()[:3], name)
            steps = level[first].astype(np.float64) * factor
            axes.append(Axis(name=short, values=steps, unit=base, spectral=kind != "Position"))
            found.append(at.ravel())
        places.append(found)
    shape = (places[0][0].size, places[1][0].size)
    if values.shape != shape:
        raise asked.fault(f"hold {shape[0]} x {shape[1]} values of {label}", f"{values.shape}")
    cube = np.full([a.values.size for a in axes], np.nan)
    cube[(*(at[:, None] for at in places[0]), *(at[None] for at in places[1]))] = values
    factor, unit = si(text(item.attrs.get("units", "")))
    keep = [i for i, a in enumerate(axes) if a.values.size > 1 or not a.spectral]
    return Main(
        values=cube.reshape([axes[i].values.size for i in keep]) * factor,
        axes=tuple(axes[i] for i in keep),
        quantity=label,
        unit=unit,
        metadata={k: plain(v) for k, v in item.parent.parent.attrs.items()},
    )


def nexus_mains(asked: Asked, file: h5py.File) -> list[Main]:
    """Signals of all NXdata groups, over the axes that they name."""
    mains: list[Main] = []

    def visit(name: str, item: object) -> None:
        if not isinstance(item, h5py.Group) or text(item.attrs.get("NX_class", "")) != "NXdata":
            return
        signal, axes = text(item.attrs.get("signal", "")), item.attrs.get("axes", ())
        names = [text(v) for v in np.atleast_1d(axes)]
        try:
            mains.append(_nexus(asked, item, signal, names))
        except DataError as error:
            asked.note(f"{name} is left out: {str(error).removeprefix(f'{asked.path}: ')}")

    file.visititems(visit)
    return mains


def _nexus(asked: Asked, group: h5py.Group, signal: str, names: list[str]) -> Main:
    data = group.get(signal)
    if not isinstance(data, h5py.Dataset) or data.ndim != len(names):
        raise asked.fault("name its signal and an axis for each dimension", f"{names}")
    axes = []
    for i, name in enumerate(names):
        scale = group.get(name)
        if not isinstance(scale, h5py.Dataset) or scale.shape != (data.shape[i],):
            raise asked.fault(f"have {data.shape[i]} values of the axis {name}", "none")
        factor, unit = si(text(scale.attrs.get("units", "")))
        values = np.asarray(stored(asked.path, scale), np.float64) * factor
        axes.append(
            Axis(
                name=name,
                values=values,
                unit=unit,
                spectral=unit == "V" or name.lower()[:1] not in ("x", "y"),
            )
        )
    factor, unit = si(text(data.attrs.get("units", "")))
    return Main(
        values=np.asarray(stored(asked.path, data), np.float64) * factor,
        axes=tuple(axes),
        quantity=text(data.attrs.get("long_name", signal)),
        unit=unit,
        metadata={},
    )


def topostats_mains(asked: Asked, file: h5py.File) -> list[Main]:
    """The image of a ``.topostats`` file, in nm, as TopoStats levelled it."""
    image, scale = file.get("image"), file.get("pixel_to_nm_scaling")
    if not isinstance(image, h5py.Dataset) or not isinstance(scale, h5py.Dataset):
        return []
    step = float(np.ravel(stored(asked.path, scale))[0]) * 1e-9
    asked.note("TopoStats has levelled and filtered this image")
    return [_height(np.asarray(stored(asked.path, image), np.float64) * 1e-9, (step, step))]


def film_mains(asked: Asked, file: h5py.File) -> list[Main]:
    """The surface of a film of ``grainscout simulate``, and nothing of its truth."""
    if text(file.attrs.get("format", "")) != "grainscout film":
        return []
    measured = "measured" in file
    image = stored(asked.path, file["measured" if measured else "structure/height"])
    if not measured:
        asked.note("a simulated film: its true surface, without tip, drift and noise")
    row, column = stored(asked.path, file["structure/pixel_size"])
    return [_height(image, (float(row), float(column)))]


def _height(values: NDArray[Any], steps: tuple[float, float]) -> Main:
    axes = tuple(
        Axis(name=name, values=np.arange(count) * step, unit="m", spectral=False)
        for name, count, step in zip("yx", values.shape, steps, strict=True)
    )
    return Main(values=values, axes=axes, quantity="height", unit="m", metadata={})
