"""What is whole in an HDF5 file that ends too early. The library itself refuses to open it."""

import contextlib
import tempfile
from pathlib import Path

import h5py

from grainscout.analysis.formats.files import fault, load_head
from grainscout.records import DataError
from grainscout.records.encoding.hdf5 import LIBRARY_ERRORS, survived
from grainscout.records.files import regular

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
