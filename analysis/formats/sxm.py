"""Nanonis images (``.sxm``): a text header up to ``:SCANIT_END:``, then big-endian float32 frames.

A frame holds its lines in the order of scanning, so an upward scan begins with the bottom line, and a
backward frame holds each line as it was scanned, from the right to the left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from grainscout.analysis.formats.files import fault, intact, load_bytes, number, si
from grainscout.analysis.formats.nanonis import FRAME
from grainscout.records import Scan

SXM = b":NANONIS_VERSION:"
_END = b":SCANIT_END:"
_DATA = b"\x1a\x04"  # the two bytes before the first frame
_NAMES = {"Z": "height", "Current": "current"}
#: What a channel's direction says -> the frames that are stored, forward first.
_FRAMES = {"both": ("", " backward"), "forward": ("",), "backward": (" backward",)}


def read_sxm(path: Path | str) -> Scan:
    """All channels of a Nanonis image, the right way round whatever way they were scanned.

    "height" is Z [m] and "current" the current [A], forward; other channels keep their names, and
    backward ones end in " backward".  An aborted image is cropped to its complete lines;
    ``metadata`` says how many lines were "unrecorded", and keeps the "header".
    """
    data = load_bytes(path)
    with intact(path, "Nanonis image"):
        return _scan(path, data)


def _scan(path: Path | str, data: bytes) -> Scan:
    end = data.find(_END)
    begin = data.find(_DATA, end, end + len(_END) + 16)
    if not data.startswith(SXM) or end < 0 or begin < 0:
        raise fault(path, "be a Nanonis image with ':SCANIT_END:' before its data", repr(data[:20]))
    header = _header(path, data[:end].decode("latin-1"))
    if not header.get("SCANIT_TYPE", "").split() == ["FLOAT", "MSBFIRST"]:
        raise fault(path, "hold FLOAT MSBFIRST data", repr(header.get("SCANIT_TYPE", "nothing")))
    pixels = _numbers(path, header, "SCAN_PIXELS", 2)
    if any(v != int(v) or not 1 <= v <= 32768 for v in pixels):
        raise fault(path, "have 1 to 32768 pixels and lines", header["SCAN_PIXELS"])
    columns, rows = (int(v) for v in pixels)
    names = _channels(path, header)
    body = data[begin + len(_DATA) :]
    if len(body) != 4 * columns * rows * len(names):
        raise fault(
            path,
            f"hold {len(names)} frames of {columns} x {rows} float32",
            f"{len(body)} bytes",
            "The file is truncated or its header is of another file",
        )
    with np.errstate(invalid="ignore"):  # there is a NaN that warns when it is widened
        frames = np.frombuffer(body, ">f4").reshape(len(names), rows, columns).astype(np.float64)
    direction = header.get("SCAN_DIR", "").strip()
    if direction not in ("up", "down"):
        raise fault(path, "have been scanned up or down", repr(direction))
    up = direction == "up"
    known = np.asarray(np.isfinite(frames).all(axis=(0, 2)))
    lines = rows if known.all() else int(np.flatnonzero(~known)[0])
    if lines == 0 or known[lines:].any():
        raise fault(
            path, "hold complete lines from the first one on", f"{known.sum()} of {rows} lines"
        )
    images = {}
    for (name, _), frame in zip(names.items(), frames[:, :lines], strict=True):
        image = frame[::-1] if up else frame
        images[name] = image[:, ::-1] if name.endswith(_FRAMES["both"][1]) else image
    wide, high = _numbers(path, header, "SCAN_RANGE", 2)
    x, y = _numbers(path, header, "SCAN_OFFSET", 2)
    angle = math.radians(_numbers(path, header, "SCAN_ANGLE", 1)[0])  # clockwise, as it is here
    along = np.array([math.cos(angle), math.sin(angle)]) * wide / columns
    down = np.array([-math.sin(angle), math.cos(angle)]) * high / rows
    top = rows - lines if up else 0  # the first line that is kept
    first = np.array([x, -y]) - along * (columns - 1) / 2 + down * (top - (rows - 1) / 2)
    return Scan(
        channels=images,
        units={name: unit for name, unit in names.items() if unit},
        pixel_size=(high / rows, wide / columns),
        origin=(float(first[0]), float(first[1])),
        angle=angle,
        metadata={
            "source": "Nanonis sxm",
            "frame": FRAME,
            "header": header,
            "direction": direction,
            "unrecorded": rows - lines,
        },
    )


def _header(path: Path | str, text: str) -> dict[str, str]:
    """Keys between colons, and all the lines below each."""
    header: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith(":") and line.rstrip().endswith(":") and len(line.rstrip()) > 2:
            key = line.strip()[1:-1]
            if key in header:
                raise fault(path, "have each key once in its header", repr(key))
            header[key] = ""
        else:
            header[key] = f"{header[key]}\n{line}" if header[key] else line
    return header


def _numbers(path: Path | str, header: Mapping[str, str], key: str, count: int) -> list[float]:
    values = [number(path, key, part) for part in header.get(key, "").split()]
    if len(values) != count or not all(map(math.isfinite, values)):
        raise fault(
            path, f"have {count} finite numbers at {key!r}", repr(header.get(key, "nothing"))
        )
    return values


def _channels(path: Path | str, header: Mapping[str, str]) -> dict[str, str]:
    """Name and SI unit of each frame, in their order in the file."""
    lines = [line.split("\t") for line in header.get("DATA_INFO", "").splitlines() if line.strip()]
    table = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    if len(table) < 2 or table[0][:4] != ["Channel", "Name", "Unit", "Direction"]:
        raise fault(path, "have DATA_INFO with Channel, Name, Unit, Direction", f"{table[:1]}")
    names: dict[str, str] = {}
    for row in table[1:]:
        _, name, unit, direction = row[:4]
        factor, base = si(unit)
        if factor != 1.0 or direction not in _FRAMES:
            raise fault(
                path,
                "have channels in SI units, scanned forward, backward or both",
                f"{name!r} in {unit!r}, {direction!r}",
            )
        for suffix in _FRAMES[direction]:
            full = _NAMES.get(name, name) + suffix
            if full in names:
                raise fault(path, "have each channel once", repr(full))
            names[full] = base
    return names
