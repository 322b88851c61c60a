"""HDF5 files, read with h5py alone: NSID, USID, NeXus data, TopoStats and our own films.

Every layout is brought to main datasets with labelled axes. The labels decide, so x becomes the column
and y the row. Where y falls along the file, it points up: row 0 is the file's first y all the same,
and our y, which grows with the row, is -y.
"""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from grainscout.analysis.formats.files import fault, intact, load_head
from grainscout.analysis.formats.grids import Grid, arranged
from grainscout.analysis.formats.nsid.axes import Main, load_main, pictures_of, spread
from grainscout.analysis.formats.nsid.foreign import (
    film_mains,
    nexus_mains,
    topostats_mains,
    usid_mains,
)
from grainscout.analysis.formats.nsid.writer import FORMAT, read_own
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.recordings import own_export
from grainscout.records import DataError, FloatArray, Recording, Scan, regular
from grainscout.records.encoding.hdf5 import LIBRARY_ERRORS, refuse_elsewhere, survived

FRAME = "the scan's own frame: x along the columns, y along the rows, as the file's axes say"


def load_hdf5(asked: Asked) -> Scan | Recording:
    """Images as a scan, or curves over voltage as a recording, with their raw metadata ("original")."""
    refuse_truncated(asked.path)
    # One changed byte can send the HDF5 library into an endless loop.
    survived(asked.path, read_hdf5)
    return read_hdf5(asked.path, asked)


def read_hdf5(path: Path | str, asked: Asked | None = None) -> Scan | Recording:
    """`load_hdf5` of a file that is trusted not to hang the library."""
    asked = asked or Asked(path, {})
    with intact(path, "HDF5 file", *LIBRARY_ERRORS), h5py.File(path, "r") as file:
        refuse_elsewhere(path, file)
        if FORMAT in file.attrs:
            return own_export(asked, read_own(path, file))
        for source, find in _LAYOUTS.items():
            mains = find(asked, file)
            if mains:
                return _arranged(asked, source, _named(mains))
        raise asked.fault(
            f"hold main datasets of {', '.join(_LAYOUTS)}",
            f"none, with {', '.join(file) or 'nothing'} at its root",
        )


def _nsid_mains(asked: Asked, file: h5py.File) -> list[Main]:
    mains: list[Main] = []
    faults: list[DataError] = []

    def visit(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and "data_type" in item.attrs and item.ndim > 0:
            try:
                mains.append(load_main(asked.path, item))
            except DataError as error:
                faults.append(error)

    file.visititems(visit)
    if faults and not mains:
        raise faults[0]
    for error in faults:
        asked.note(f"left out: {str(error).removeprefix(f'{asked.path}: ')}")
    return mains


_LAYOUTS: dict[str, Callable[[Asked, h5py.File], list[Main]]] = {
    "NSID": _nsid_mains,
    "USID": usid_mains,
    "NeXus": nexus_mains,
    "TopoStats": topostats_mains,
    "Grainscout film": film_mains,
}


def _named(mains: Sequence[Main]) -> list[Main]:
    """The main datasets with names that are all different."""
    names = [m.quantity for m in mains]
    return [
        replace(m, quantity=q if (n := names[:i].count(q)) == 0 else f"{q} {n + 1}")
        for i, (m, q) in enumerate(zip(mains, names, strict=True))
    ]


def _arranged(asked: Asked, source: str, mains: Sequence[Main]) -> Scan | Recording:
    grids = [m for m in mains if m.sweep is not None]
    images = [m for m in mains if len(m.axes) == 2 and m not in grids]
    rest = [m.quantity for m in mains if m not in grids and m not in images]
    if rest:
        asked.note(f"neither images nor curves over a voltage, and left out: {', '.join(rest)}")
    if not grids and not images:
        raise asked.fault(
            "hold images over x and y, or curves over a voltage in V",
            "; ".join(
                f"{m.quantity} over {', '.join(f'{a.name} [{a.unit}]' for a in m.axes)}"
                for m in mains
            ),
        )
    pictures, frame = pictures_of(asked, images)
    if not grids and asked.take("pixel_nm") is None and all(p.pixel_size is None for p in pictures):
        units = ", ".join(a.unit or "no unit" for a in images[0].axes)
        raise asked.fault("have axes in m", units, "Give the size of a pixel in nm: pixel_nm")
    spreads = [_grid(asked, m) for m in grids]
    frame = spreads[0][1] if grids else frame
    metadata = {"source": source, "frame": FRAME + frame, "original": (grids or images)[0].metadata}
    return arranged(asked, pictures, [g for g, _ in spreads], metadata)


def _grid(asked: Asked, main: Main) -> tuple[Grid, str]:
    """A main dataset as a grid, and how its axes run."""
    values, size, origin, frame = spread(asked, main)
    voltage, curves = _in_time(asked, main, values)
    grid = Grid(
        name=main.quantity,
        values=curves,
        voltage=voltage,
        unit=main.unit,
        pixel_size=size,
        origin=origin,
        seconds=main.seconds,
    )
    return grid, frame


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


#: Where a superblock of each version has the file's length.
_LENGTH_AT = {0: 40, 1: 44, 2: 28, 3: 28}
_DAMAGED = (ValueError, KeyError, *LIBRARY_ERRORS)
_DEEPEST = 20  # groups in groups
_MOST = 1 << 30  # bytes of a file that is looked into


def refuse_truncated(path: Path | str) -> None:
    """DataError for a file that is shorter than it says, with the datasets that are whole."""
    head, size = load_head(path, 96), regular(path).stat().st_size
    at = _LENGTH_AT.get(head[8] if len(head) > 8 else -1)
    length = 0 if at is None else int.from_bytes(head[at : at + 8], "little")
    if length <= size:
        return
    names = _whole(path, size, length) if length <= _MOST else []
    usable = f"Whole are {', '.join(names)}" if names else "No dataset is known to be whole"
    raise fault(path, f"hold {length} bytes", f"{size}", f"It is truncated. {usable}")


def _whole(path: Path | str, size: int, length: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        filled = Path(folder) / f"{size}.h5"
        with filled.open("wb") as file:
            file.write(regular(path).read_bytes())
            file.truncate(length)
        try:
            survived(filled, whole_datasets)
            return whole_datasets(filled)
        except (DataError, *_DAMAGED):
            return []


def whole_datasets(filled: Path) -> list[str]:
    """Datasets of which every byte lies below the number in the file's name."""
    size, names = int(filled.stem), []

    def visit(group: h5py.Group, depth: int = 0) -> None:
        for name in list(group):
            with contextlib.suppress(*_DAMAGED):
                item = group[name]
                if isinstance(item, h5py.Group) and depth < _DEEPEST:
                    visit(item, depth + 1)
                elif isinstance(item, h5py.Dataset) and 0 < _end(item) <= size:
                    names.append(item.name.strip("/"))

    with h5py.File(filled, "r") as file:
        visit(file)
    return names


def _end(item: h5py.Dataset) -> int:
    """The byte after the last one of a dataset; 0 if it stores none of its own."""
    if item.chunks is None:
        at = item.id.get_offset()
        return 0 if at is None else int(at + item.id.get_storage_size())
    chunks = (item.id.get_chunk_info(k) for k in range(item.id.get_num_chunks()))
    return max((int(chunk.byte_offset + chunk.size) for chunk in chunks), default=0)
