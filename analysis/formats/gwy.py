"""Gwyddion containers (``.gwy``), read and written with numpy alone.

A file is ``GWYP`` and one serialised object: its class, the size of its body and components of a
name, a type letter and a value (Gwyddion user guide, "Gwyddion Native Data File Format"; all numbers
little endian).
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats.files import MOST_PIXELS, fault, fresh_file, load_bytes
from grainscout.analysis.formats.grids import Grid, arranged
from grainscout.analysis.formats.metadata import from_json, to_json
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, chosen_again, cut_off, scan_of
from grainscout.analysis.formats.units import si
from grainscout.records import DataError, FloatArray, Recording, Scan

_MAGIC = b"GWYP"
_ATOMS = {"b": "u1", "c": "S1", "i": "<i4", "q": "<i8", "d": "<f8"}
_ARRAYS = {"C": "S1", "I": "<i4", "Q": "<i8", "D": "<f8"}
FRAME = "x along the columns, y along the rows, as Gwyddion shows the picture"

#: A deserialised object: its class in "__class__" and its components by name.
GwyObject = dict[str, Any]


class _Reader:
    """Walks through the bytes and never past the end of the object that it is in."""

    def __init__(self, path: Path | str, data: bytes) -> None:
        self.path, self.data, self.at = path, data, len(_MAGIC)
        self.cut = False  # the file ends within its container

    def fail(self, expected: str, found: str) -> DataError:
        return fault(
            self.path, expected, f"{found} at byte {self.at}", "It is truncated or damaged"
        )

    def text(self, end: int) -> str:
        stop = self.data.find(b"\0", self.at, end)
        if stop < 0:
            raise self.fail("have a terminated text", "none")
        value = self.data[self.at : stop].decode("utf-8", errors="replace")
        self.at = stop + 1
        return value

    def numbers(self, kind: str, count: int, end: int) -> np.ndarray[Any, Any]:
        dtype = np.dtype(kind)
        if count > 1 and self._ends(end):
            count = min(count, (end - self.at) // dtype.itemsize)
        if count * dtype.itemsize > end - self.at:
            raise self.fail(
                f"hold {count} values of {dtype.itemsize} bytes", f"{end - self.at} bytes"
            )
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += values.nbytes
        return values

    def object(self, end: int, depth: int = 0) -> GwyObject:
        if depth > 20:
            raise self.fail("nest its objects at most 20 deep", "more")
        name = self.text(end)
        size = int(self.numbers("<u4", 1, end)[0])
        if size > end - self.at:
            self.cut |= depth == 0 and end > self.at
            if not self._ends(end):
                raise self.fail(f"hold the {size} bytes of a {name}", f"{end - self.at} bytes")
        stop = min(self.at + size, end)
        value: GwyObject = {"__class__": name}
        while self.at < stop:
            try:
                key = self.text(stop)
                letter = chr(self.numbers("u1", 1, stop)[0])
                value[key] = self.component(letter, stop, depth)
            except DataError:
                if not self._ends(stop):
                    raise
                self.at = stop  # what is whole is kept
        return value

    def _ends(self, stop: int) -> bool:
        """Whether the file is cut off, and an object ends only because the file does."""
        return self.cut and stop == len(self.data)

    def component(self, letter: str, stop: int, depth: int) -> Any:
        if letter == "o":
            return self.object(stop, depth + 1)
        if letter == "s":
            return self.text(stop)
        if letter in _ATOMS:
            value = self.numbers(_ATOMS[letter], 1, stop)[0]
            return value.item()
        if letter in "CIQDSO":
            count = int(self.numbers("<u4", 1, stop)[0])
            if letter in _ARRAYS:
                return self.numbers(_ARRAYS[letter], count, stop)
            if count > stop - self.at:
                raise self.fail(f"hold {count} texts or objects", f"{stop - self.at} bytes")
            if letter == "S":
                return [self.text(stop) for _ in range(count)]
            return [self.object(stop, depth + 1) for _ in range(count)]
        raise self.fail("have components of a known type", repr(letter))


def load_container(path: Path | str) -> tuple[GwyObject, bool]:
    """The container as nested dictionaries, and whether the file ends within it."""
    data = load_bytes(path)
    if not data.startswith(_MAGIC):
        raise fault(path, "be a Gwyddion file (GWYP)", repr(data[:4]))
    reader = _Reader(path, data)
    value = reader.object(len(data))
    if reader.at != len(data) or value["__class__"] != "GwyContainer":
        raise reader.fail("be one GwyContainer", f"{value['__class__']}")
    return value, reader.cut


def load_gwy(asked: Asked) -> Scan | Recording:
    """Read images by their titles, their masks, and volumes or spectra over a voltage as curves."""
    container, cut = load_container(asked.path)
    if cut:
        container = {k: v for k, v in container.items() if _is_whole(asked, k, v)}
        asked.cut = asked.cut or {"": ("a container without its end", None)}
    keys = sorted(
        (k for k, v in container.items() if _is_image(k, v, "data")),
        key=lambda k: int(k.split("/")[1]),
    )
    pictures: list[Picture] = []
    titles: dict[str, str] = {}
    meta: dict[str, Any] = {}
    own = None
    for key in keys:
        number = key.split("/")[1]
        title = str(container.get(f"{key}/title", ""))
        name, count = title or f"image {number}", 2
        while name in titles:
            name, count = f"{title or f'image {number}'} {count}", count + 1
        titles[name] = title
        pictures.append(_picture(asked, key, name, container[key], cut=cut))
        mask = container.get(f"/{number}/mask")
        if isinstance(mask, dict) and mask.get("__class__") == "GwyDataField":
            masked = _picture(asked, f"/{number}/mask", f"{name} mask", mask, cut=cut)
            pictures.append(masked)
        entries = container.get(f"/{number}/meta", {})
        if isinstance(entries, dict) and entries:
            meta[name] = {k: v for k, v in entries.items() if k != "__class__"}
            own = own or meta[name].get("grainscout")
    if own is not None:
        # What a picture cannot hold (the angle, metadata, every digit) travels as JSON.
        kept = from_json(own)
        kept["origin"] = tuple(kept["origin"])
        if not cut:
            channels = {p.name: p.values for p in pictures}
            units = {p.name: p.unit for p in pictures if p.unit}
            return chosen_again(asked, Scan(channels=channels, units=units, **kept))
        pictures = [replace(p, origin=kept["origin"], angle=kept["angle"]) for p in pictures]
    metadata = {"source": "Gwyddion", "frame": FRAME, "titles": titles, "meta": meta}
    volumes = [_volume(k, v) for k, v in _objects(container, "/brick/", "GwyBrick")]
    grids = [g for g in volumes if g is not None]
    if grids:
        return arranged(asked, pictures, grids, metadata)
    spectra = [v for _, v in _objects(container, "/sps/", "GwySpectra")]
    positions, curves = _spectra(asked, spectra, pictures)
    if curves:
        return arranged(asked, pictures, curves, metadata, positions=positions)
    if not pictures:
        raise asked.fault(
            "hold images, or curves over a voltage in V",
            ", ".join(container) or "nothing",
            "It is truncated" if cut else "",
        )
    return scan_of(asked, pictures, metadata)


def _objects(container: GwyObject, start: str, kind: str) -> Iterator[tuple[str, GwyObject]]:
    """Objects of a kind, with their titles."""
    for key, value in container.items():
        if key.startswith(start) and isinstance(value, dict) and value["__class__"] == kind:
            yield str(container.get(f"{key}/title", value.get("title", kind))), value


def _units(item: GwyObject, letter: str) -> tuple[float, str]:
    """Factor and SI unit of an axis of an object."""
    return si(str(item.get(f"si_unit_{letter}", {}).get("unitstr", "")))


def _volume(title: str, brick: GwyObject) -> Grid | None:
    """A volume over a voltage as a grid of curves; None for another one."""
    depth, rows, columns = brick["zres"], brick["yres"], brick["xres"]
    line = brick.get("calibration")
    if line is not None:
        factor, unit = _units(line, "y")
        z = line["data"] * factor
    else:
        factor, unit = _units(brick, "z")
        step = brick["zreal"] / depth
        z = (brick.get("zoff", 0.0) + np.arange(depth) * step) * factor
    if unit != "V":
        return None
    scale, base = _units(brick, "w")
    length, meter = _units(brick, "x")
    size = (brick["yreal"] / rows * length, brick["xreal"] / columns * length)
    return Grid(
        name=title,
        values=np.moveaxis(brick["data"].reshape(depth, rows, columns), 0, 2) * scale,
        voltage=z,
        unit=base,
        pixel_size=size if meter == "m" else None,
        origin=(
            brick.get("xoff", 0.0) * length + size[1] / 2,
            brick.get("yoff", 0.0) * length + size[0] / 2,
        ),
    )


def _spectra(
    asked: Asked, spectra: Sequence[GwyObject], pictures: Sequence[Picture]
) -> tuple[FloatArray, list[Grid]]:
    """Positions (n, 2) [m], counted from the image's corner, and curves that share them."""
    positions = np.zeros((0, 2))
    grids: list[Grid] = []
    base = next((p for p in pictures if p.pixel_size is not None), None)
    corner = (0.0, 0.0)
    if base is not None and base.pixel_size is not None:
        corner = (base.origin[0] - base.pixel_size[1] / 2, base.origin[1] - base.pixel_size[0] / 2)
    for k, item in enumerate(spectra):
        lines, name = item.get("data", ()), str(item.get("title", f"spectra {k}"))
        factor, unit = _units(lines[0], "x") if lines else (1.0, "")
        if unit != "V" or len({line["res"] for line in lines}) != 1:
            asked.note(f"{name} are not over one voltage: left out")
            continue
        length, _ = _units(item, "xy")
        places = np.reshape(item["coords"], (-1, 2)) * length + corner
        if grids and (places.shape != positions.shape or not np.allclose(places, positions)):
            asked.note(f"{name} are at other points: left out")
            continue
        positions, first = places, lines[0]
        scale, base_unit = _units(first, "y")
        step = first["real"] / first["res"]
        grids.append(
            Grid(
                name=name,
                values=np.array([line["data"] for line in lines])[:, None] * scale,
                voltage=(first.get("off", 0.0) + np.arange(first["res"]) * step) * factor,
                unit=base_unit,
            )
        )
    return positions, grids


def _is_image(key: str, value: object, last: str) -> bool:
    parts = key.split("/")
    return (
        len(parts) == 3
        and parts[1].isdigit()
        and parts[2] == last
        and isinstance(value, dict)
        and value["__class__"] == "GwyDataField"
    )


def _is_whole(asked: Asked, key: str, value: object) -> bool:
    """False for an object that the file cuts off, unless some lines of a picture are there."""
    item = value if isinstance(value, dict) else {}
    kind, data = item.get("__class__"), item.get("data", ())
    whole = True
    if kind == "GwyDataField":
        whole = np.size(data) > 0
    elif kind == "GwyBrick":
        whole = np.size(data) == math.prod(item.get(k, 0) for k in ("xres", "yres", "zres"))
    elif kind == "GwySpectra":
        sizes = [(np.size(line.get("data", ())), line.get("res")) for line in data]
        whole = "coords" in item and bool(sizes) and all(n == res for n, res in sizes)
    if not whole:
        asked.cut[key] = (f"a part of {key}", None)
    return whole


def _picture(asked: Asked, key: str, name: str, field: GwyObject, *, cut: bool) -> Picture:
    """A data field in SI units; without a pixel size if the file gives no length."""
    missing = [k for k in ("xres", "yres", "xreal", "yreal", "data") if k not in field]
    if missing:
        raise asked.fault(f"have {', '.join(missing)} in {key}", "none")
    rows, columns = field["yres"], field["xres"]
    values = field["data"]
    if cut and 0 < values.size < rows * columns <= MOST_PIXELS:
        cut_off(asked, name, values.size // columns, (rows, columns))
        values = np.pad(values, (0, rows * columns - values.size), constant_values=np.nan)
    if (
        min(rows, columns) < 1
        or not isinstance(values, np.ndarray)
        or values.size != rows * columns
    ):
        raise asked.fault(
            f"hold an image of {rows} x {columns} in {key}", f"{np.size(values)} values"
        )
    factor, unit = si(str(field.get("si_unit_xy", {}).get("unitstr", "")))
    z_factor, z_unit = si(str(field.get("si_unit_z", {}).get("unitstr", "")))
    wide, high, x, y = (
        float(field.get(k, 0.0)) * factor for k in ("xreal", "yreal", "xoff", "yoff")
    )
    sized = unit == "m" and wide > 0 and high > 0
    step = (high / rows, wide / columns) if sized else None
    return Picture(
        name=name,
        values=values.astype(np.float64).reshape(rows, columns) * z_factor,
        unit=z_unit,
        pixel_size=step,
        origin=(0.0, 0.0) if step is None else (x + step[1] / 2, y + step[0] / 2),
    )


def write_gwy(scan: Scan, path: Path | str, *, overwrite: bool = False) -> None:
    """Write all channels of a scan; `read` gives them back with units, axes and metadata.

    The format has no place for curves: a recording's ``scan`` can be written, its curves go to
    `write_nsid` or `write_csv`.  Rotated scans keep their angle in the metadata.
    """
    if not isinstance(scan, Scan):
        raise DataError(
            f"write_gwy needs a Scan; got a {type(scan).__name__}. The format holds images only: "
            "write its .scan, or use write_nsid"
        )
    rows, columns = scan.shape
    kept = to_json(
        {
            "pixel_size": scan.pixel_size,
            "origin": scan.origin,
            "angle": scan.angle,
            "metadata": scan.metadata,
        }
    )
    parts: dict[str, Any] = {}
    for k, (name, image) in enumerate(scan.channels.items()):
        parts[f"/{k}/data"] = _serialised(
            "GwyDataField",
            {
                "xres": columns,
                "yres": rows,
                "xreal": columns * scan.pixel_size[1],
                "yreal": rows * scan.pixel_size[0],
                "xoff": scan.origin[0] - scan.pixel_size[1] / 2,
                "yoff": scan.origin[1] - scan.pixel_size[0] / 2,
                "si_unit_xy": _serialised("GwySIUnit", {"unitstr": "m"}),
                "si_unit_z": _serialised("GwySIUnit", {"unitstr": scan.units.get(name, "")}),
                "data": image,
            },
        )
        parts[f"/{k}/data/title"] = name
        parts[f"/{k}/meta"] = _serialised("GwyContainer", {"grainscout": kept})
    with fresh_file(path, overwrite=overwrite) as partial:
        partial.write_bytes(_MAGIC + _serialised("GwyContainer", parts))


def _serialised(name: str, parts: Mapping[str, Any]) -> bytes:
    """A Gwyddion object of texts, numbers, arrays and objects."""
    body = b""
    for key, value in parts.items():
        if isinstance(value, bytes):
            item = b"o" + value
        elif isinstance(value, str):
            item = b"s" + value.encode() + b"\0"
        elif isinstance(value, int):
            item = struct.pack("<ci", b"i", value)
        elif isinstance(value, float):
            item = struct.pack("<cd", b"d", value)
        else:
            item = struct.pack("<cI", b"D", value.size) + value.astype("<f8").tobytes()
        body += key.encode() + b"\0" + item
    return name.encode() + b"\0" + struct.pack("<I", len(body)) + body
