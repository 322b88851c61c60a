"""Nanonis images (``.sxm``): a text header up to ``:SCANIT_END:``, then big-endian float32 frames.

A frame holds its lines in the order of scanning, so an upward scan begins with the bottom line, and a
backward frame holds each line as it was scanned, from the right to the left.
"""

import math
from collections.abc import Mapping

import numpy as np

from grainscout.analysis.formats.files import load_bytes
from grainscout.analysis.formats.nanonis.grid import FRAME
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, frame, scan_of
from grainscout.analysis.formats.units import si
from grainscout.records import FloatArray, Scan

SXM = b":NANONIS_VERSION:"
_END = b":SCANIT_END:"
_DATA = b"\x1a\x04"  # the two bytes before the first frame
#: What a channel's direction says -> the frames that are stored, forward first.
_FRAMES = {"both": ("", " backward"), "forward": ("",), "backward": (" backward",)}


def load_sxm(asked: Asked) -> Scan:
    """All channels of a Nanonis image, upright; "height" [m] and "current" [A] are the first pass."""
    path = asked.path
    data = load_bytes(path)
    end = data.find(_END)
    begin = data.find(_DATA, end, end + len(_END) + 16)
    if not data.startswith(SXM) or end < 0 or begin < 0:
        raise asked.fault("be a Nanonis image with ':SCANIT_END:' before its data", repr(data[:20]))
    header = _header(asked, data[:end].decode("latin-1"))
    direction = header.get("SCAN_DIR", "").strip()
    if direction not in ("up", "down"):
        raise asked.fault("have been scanned up or down", repr(direction))
    images, units = _images(asked, header, data[begin + len(_DATA) :], upwards=direction == "up")
    rows, columns = next(iter(images.values())).shape
    wide, high = _numbers(asked, header, "SCAN_RANGE", 2)
    x, y = _numbers(asked, header, "SCAN_OFFSET", 2)
    angle = math.radians(_numbers(asked, header, "SCAN_ANGLE", 1)[0])  # clockwise, as it is here
    along = np.array([math.cos(angle), math.sin(angle)]) * wide / columns
    down = np.array([-math.sin(angle), math.cos(angle)]) * high / rows
    first = np.array([x, -y]) - along * (columns - 1) / 2 - down * (rows - 1) / 2
    pictures = [
        Picture(
            name=name,
            values=image[:, ::-1] if name.endswith(_FRAMES["both"][1]) else image,
            unit=units[name],
            pixel_size=(high / rows, wide / columns),
            origin=(float(first[0]), float(first[1])),
            angle=angle,
        )
        for name, image in images.items()
    ]
    return scan_of(
        asked,
        pictures,
        {"source": "Nanonis sxm", "frame": FRAME, "header": header, "direction": direction},
    )


def _images(
    asked: Asked, header: Mapping[str, str], body: bytes, *, upwards: bool
) -> tuple[dict[str, FloatArray], dict[str, str]]:
    """Image of each frame, top line first, and its SI unit; NaN where the file has ended."""
    if not header.get("SCANIT_TYPE", "").split() == ["FLOAT", "MSBFIRST"]:
        raise asked.fault("hold FLOAT MSBFIRST data", repr(header.get("SCANIT_TYPE", "nothing")))
    pixels = _numbers(asked, header, "SCAN_PIXELS", 2)
    if any(v != int(v) or not 1 <= v <= 32768 for v in pixels):
        raise asked.fault("have 1 to 32768 pixels and lines", header["SCAN_PIXELS"])
    columns, rows = (int(v) for v in pixels)
    names, size = _channels(asked, header), 4 * columns * rows
    if len(body) > size * len(names):
        expected = f"hold {len(names)} frames of {columns} x {rows} float32"
        raise asked.fault(expected, f"{len(body)} bytes", "Its header is of another file")
    images = {}
    for k, (name, (_, factor)) in enumerate(names.items()):
        lines = frame(asked, name, body, k * size, ">f4", (rows, columns), upwards=upwards)
        images[name] = lines * factor
    return images, {name: unit for name, (unit, _) in names.items()}


def _header(asked: Asked, text: str) -> dict[str, str]:
    """Keys between colons, and all the lines below each."""
    header: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith(":") and line.rstrip().endswith(":") and len(line.rstrip()) > 2:
            key = line.strip()[1:-1]
            if key in header:
                raise asked.fault("have each key once in its header", repr(key))
            header[key] = ""
        else:
            header[key] = f"{header[key]}\n{line}" if header[key] else line
    return header


def _numbers(asked: Asked, header: Mapping[str, str], key: str, count: int) -> list[float]:
    values = [asked.number(key, part) for part in header.get(key, "").split()]
    if len(values) != count or not all(map(math.isfinite, values)):
        raise asked.fault(
            f"have {count} finite numbers at {key!r}", repr(header.get(key, "nothing"))
        )
    return values


def _channels(asked: Asked, header: Mapping[str, str]) -> dict[str, tuple[str, float]]:
    """Name of each frame, in their order in the file, with its SI unit and the factor to it."""
    lines = [line.split("\t") for line in header.get("DATA_INFO", "").splitlines() if line.strip()]
    table = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    if len(table) < 2 or table[0][:4] != ["Channel", "Name", "Unit", "Direction"]:
        raise asked.fault("have DATA_INFO with Channel, Name, Unit, Direction", f"{table[:1]}")
    names: dict[str, tuple[str, float]] = {}
    for row in table[1:]:
        name, unit, direction = row[1:4] if len(row) > 3 else ("", "", "")
        if direction not in _FRAMES:
            raise asked.fault(
                "have channels with a unit, scanned forward, backward or both",
                f"{name!r} in {unit!r}, {direction!r}",
            )
        for suffix in _FRAMES[direction]:
            full = name + suffix
            if full in names:
                raise asked.fault("have each channel once", repr(full))
            factor, base = si(unit)
            names[full] = (base, factor)
    return names
