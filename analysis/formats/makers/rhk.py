"""Files of RHK (``.sm4``): pages of images and of spectra.

A tree of objects (type, offset, size) leads to each page's header, strings and integers (RHK
Technology, "SM4 file format"; the same in Gwyddion and spym). A value is integer x scale + offset;
rows run up where the y scale is positive, and columns to the left where the x scale is negative.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from grainscout.analysis.formats.files import MOST_PIXELS, load_bytes
from grainscout.analysis.formats.grids import Grid, arranged
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture
from grainscout.analysis.formats.units import si
from grainscout.records import FloatArray, Recording, Scan

_INDEX, _ARRAY, _HEADER, _DATA, _PLACES, _STRINGS = 1, 2, 3, 4, 8, 10
_IMAGE, _LINES, _IV = 0, 1, 7
FRAME = "x = X, y = -Y of the instrument (its Y points up, rows run down the picture)"
#: Page header: sizes and types, least and largest value, scales and offsets, counts, spare bytes.
_PAGE = struct.Struct("<2H3I2i6I2i11f4I64x")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Page:
    """One page: its values [line, point] in SI, its scales, and where its spectra lie [m]."""

    kind: int
    line_type: int
    backward: bool
    name: str
    unit: str
    values: FloatArray
    axis_unit: str
    scale: tuple[float, float]
    offset: tuple[float, float]
    period: float
    places: FloatArray | None


def load_sm4(asked: Asked) -> Scan | Recording:
    """The images of an RHK file, or its current-voltage spectra with the images around them."""
    pages = list(_pages(asked, load_bytes(asked.path)))
    pictures = [_picture(p) for p in pages if p.kind == _IMAGE]
    sweeps = [p for p in pages if p.kind == _LINES and p.line_type == _IV and p.axis_unit == "V"]
    left = [p.name for p in pages if p.kind != _IMAGE and p not in sweeps]
    if left:
        asked.note(f"neither images nor spectra over a bias, and left out: {', '.join(left)}")
    if not pictures and not sweeps:
        raise asked.fault("hold images or spectra over a bias", ", ".join(left) or "no page")
    grids = [
        Grid(
            name=p.name,
            values=p.values[:, None],
            voltage=p.offset[0] + p.scale[0] * np.arange(p.values.shape[1], dtype=np.float64),
            unit=p.unit,
            seconds=abs(p.period) * (p.values.shape[1] - 1) or None,
        )
        for p in sweeps
    ]
    places = next((p.places for p in sweeps if p.places is not None), None)
    if grids and places is None:
        asked.note("no positions are recorded: the spectra are put side by side, 1 nm apart")
        places = np.column_stack(
            [np.arange(len(grids[0].values)) * 1e-9, np.zeros(len(grids[0].values))]
        )
        pictures = []
    metadata = {"source": "RHK", "frame": FRAME}
    return arranged(asked, pictures, grids, metadata, positions=places)


def _objects(data: bytes, at: int, count: int) -> dict[int, tuple[int, int]]:
    """Offset and size of each type of object in a list."""
    found = struct.iter_unpack("<3I", data[at : at + 12 * count])
    return {kind: (offset, size) for kind, offset, size in found}


def _pages(asked: Asked, data: bytes) -> Iterator[_Page]:
    (size,) = struct.unpack_from("<H", data, 0)
    count, objects = struct.unpack_from("<2I", data, 2 + 36)
    tree = _objects(data, size + 2, objects)
    at = tree[_INDEX][0]
    count, inner = struct.unpack_from("<2I", data, at)
    at = _objects(data, at + 16, inner)[_ARRAY][0]
    for _ in range(min(count, 4096)):
        kind, _source, objects = struct.unpack_from("<3I", data, at + 16)
        at += 32
        tree = _objects(data, at, objects)
        at += 12 * objects
        if kind in (_IMAGE, _LINES):
            yield _page(asked, data, kind, tree)
        else:
            asked.note(f"a page of type {kind} is left out")


def _page(asked: Asked, data: bytes, kind: int, tree: dict[int, tuple[int, int]]) -> _Page:
    head = tree[_HEADER][0]
    numbers = _PAGE.unpack_from(data, head)
    line_type, columns, rows, direction = numbers[4], numbers[7], numbers[8], numbers[10]
    floats = numbers[15:26]
    x_scale, y_scale, z_scale, _, x, y, z, period = floats[:8]
    inner = _objects(data, head + _PAGE.size, numbers[-1])
    start, _ = tree[_DATA]
    if not 0 < rows * columns <= MOST_PIXELS or start + 4 * rows * columns > len(data):
        raise asked.fault(
            f"hold {rows} x {columns} values of a page",
            f"{len(data) - start} bytes",
            "It is truncated",
        )
    texts = _strings(data, *inner[_STRINGS], numbers[1]) if _STRINGS in inner else []
    label, x_unit, z_unit = (texts[k] if k < len(texts) else "" for k in (0, 7, 9))
    factor, unit = si(z_unit)
    length, axis_unit = si(x_unit)
    raw = np.frombuffer(data, "<i4", rows * columns, start).reshape(rows, columns)
    places = None
    if _PLACES in inner and kind == _LINES:
        table = np.frombuffer(data, "<f4", 7 * rows, inner[_PLACES][0]).reshape(rows, 7)
        places = table[:, 1:3].astype(np.float64) * [1.0, -1.0]
    return _Page(
        kind=kind,
        line_type=line_type,
        backward=direction == 1,
        name=label or "page",
        unit=unit,
        values=(raw * np.float64(z_scale) + z) * factor,
        axis_unit=axis_unit,
        scale=(x_scale * length, y_scale * length),
        offset=(x * length, y * length),
        period=period,
        places=places,
    )


def _strings(data: bytes, at: int, size: int, count: int) -> list[str]:
    found, end = [], at + size
    for _ in range(count):
        if at + 2 > end:
            break
        (length,) = struct.unpack_from("<H", data, at)
        found.append(data[at + 2 : at + 2 + 2 * length].decode("utf-16-le", "replace").rstrip("\0"))
        at += 2 + 2 * length
    return found


def _picture(page: _Page) -> Picture:
    values, (x, y), (dx, dy) = page.values, page.offset, page.scale
    if dx < 0:
        values, x = values[:, ::-1], x + dx * (values.shape[1] - 1)
    if dy > 0:
        values, y = values[::-1], y + dy * (values.shape[0] - 1)
    return Picture(
        name=page.name + (" backward" if page.backward else ""),
        values=values,
        unit=page.unit,
        pixel_size=(abs(dy), abs(dx)) if page.axis_unit == "m" else None,
        origin=(x, -y),
    )
