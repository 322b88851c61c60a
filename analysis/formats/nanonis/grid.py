"""Nanonis grids of spectra (``.3ds``).

A file is a text header up to ``:HEADER_END:``, then one block of big-endian float32 per point: the
parameters named in the header and then each channel's sweep. Points run along the fast axis and
lines run *up* the frame. Where the file records X and Y of each point, these decide.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grainscout.analysis.formats.files import MOST_PIXELS, load_bytes, refuse_namesakes
from grainscout.analysis.formats.nanonis.segments import Segments, time_of, voltage_of
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import grid_scan
from grainscout.analysis.formats.recordings import current_channels, joined, recording_of, stand_in
from grainscout.analysis.formats.units import si, split_name
from grainscout.records import BoolArray, FloatArray, Recording, Waveform

_END = b":HEADER_END:"
FRAME = "x = X, y = -Y of the instrument (its Y points up, rows run down the picture)"


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the points of a grid lie: pixel (0, 0), steps, angle, and whether lines run up."""

    pixel_size: tuple[float, float]
    origin: tuple[float, float]
    angle: float
    upwards: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class _Points:
    """The complete lines of a grid: parameters (n,) and sweeps (n, points) by name."""

    header: Mapping[str, str]
    rows: int
    lines: int
    columns: int
    recorded: BoolArray
    parameters: Mapping[str, FloatArray]
    sweeps: Mapping[str, FloatArray]


def load_3ds(asked: Asked) -> Recording:
    """Read a grid of sweeps: forward then backward in one curve, segments (MLS) with their times.

    Its ``metadata`` holds "header", "parameters" (name -> (n,)), other "channels" (name -> (n, samples))
    and, as (line, column), points without data ("unrecorded") and those of an unfinished line ("left_out").
    """
    return _grid(asked, _points(asked, load_bytes(asked.path)))


def _points(asked: Asked, data: bytes) -> _Points:
    end = data.find(_END)
    if end < 0 or not data.startswith(b"Grid dim="):
        raise asked.fault("be a Nanonis grid, from 'Grid dim' to ':HEADER_END:'", repr(data[:20]))
    header = _header(asked, data[:end].decode("latin-1"))
    columns, rows = _dimensions(asked, header)
    names = _list(header, "Fixed parameters") + _list(header, "Experiment parameters")
    channels = _list(header, "Channels")
    refuse_namesakes(asked.path, [split_name(label)[0] for label in channels])
    points = int(_need(asked, header, "Points"))
    stored = int(_need(asked, header, "# Parameters (4 byte)"))
    if stored < len(names) or points < 2 or not channels:
        raise asked.fault(
            "have at least 2 points, a channel and as many parameters as it names",
            f"{points} points, {len(channels)} channels, {stored} parameters, {len(names)} names",
        )
    table, recorded, lines = _table(
        asked, data[end + len(_END) :], (rows, columns), stored + points * len(channels)
    )
    return _Points(
        header=header,
        rows=rows,
        lines=lines,
        columns=columns,
        recorded=recorded,
        parameters={name: table[:, i] for i, name in enumerate(names)},
        sweeps={
            name: table[:, stored + i * points : stored + (i + 1) * points]
            for i, name in enumerate(channels)
        },
    )


def _table(
    asked: Asked, body: bytes, shape: tuple[int, int], width: int
) -> tuple[FloatArray, BoolArray, int]:
    """Numbers of the complete lines, which points were recorded, and the number of lines."""
    rows, columns = shape
    body = body.removeprefix(b"\r").removeprefix(b"\n")
    count, rest = divmod(len(body), 4 * width)
    if not 0 < count <= rows * columns or (rest and count == rows * columns):
        raise asked.fault(
            f"hold up to {rows * columns} points of {4 * width} bytes each",
            f"{len(body)} bytes: {count} points and {rest} bytes",
            "The file is truncated or its header is of another file",
        )
    if rest:
        asked.note(f"the file ends within point {count + 1} of {rows * columns}: it is left out")
        body = body[: 4 * width * count]
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        table = np.frombuffer(body, ">f4").reshape(count, width).astype(np.float64)
    recorded = np.zeros(rows * columns, bool)
    # A grid that was stopped ends early, or is filled up with zeros or NaN to its full size.
    recorded[:count] = ~((table == 0) | np.isnan(table)).all(axis=1)
    whole = recorded.reshape(rows, columns).all(axis=1)
    lines = rows if whole.all() else int(np.flatnonzero(~whole)[0])
    if lines == 0:
        raise asked.fault(
            f"hold at least one complete line of {columns} points",
            f"{int(recorded.sum())} points of an unfinished grid of {rows} x {columns}",
        )
    if lines < rows:
        left = int(recorded[lines * columns :].sum())
        asked.note(
            f"an unfinished grid: {rows * columns} points planned, {int(recorded.sum())} recorded; "
            f"{lines} complete lines are used, {left} recorded points are left out and "
            f"{int((~recorded).sum())} are missing"
        )
    return table[: lines * columns], recorded.reshape(rows, columns), lines


def _grid(asked: Asked, points: _Points) -> Recording:
    header, lines, columns = points.header, points.lines, points.columns
    layout = _layout(asked, points)
    waveform, current, unit, used = _sweep(asked, points)
    numbers = np.arange(lines * columns).reshape(lines, columns)
    order = (numbers[::-1] if layout.upwards else numbers).ravel()
    current = current[order]
    base = {"source": "Nanonis 3ds", "frame": FRAME, "header": header}
    images = {
        name: (points.parameters[label][order].reshape(lines, columns), "m")
        for label, name in (("Z (m)", "height"),)
        if label in points.parameters
    }
    wanted = asked.take("channel")
    if wanted not in (None, "height", "Z", "Z (m)"):
        raise asked.fault("hold the image that channel names, or none", f"{wanted!r}, and only Z")
    if not images:
        image, name = stand_in(asked, current.reshape(lines, columns, -1), unit)
        images = {name: (image, unit)}
    scan = grid_scan(
        asked,
        images,
        pixel_size=layout.pixel_size,
        origin=layout.origin,
        angle=layout.angle,
        metadata=base,
    )
    metadata: dict[str, Any] = {
        **base,
        "parameters": {k: v[order] for k, v in points.parameters.items()},
        "channels": {k: v[order] for k, v in points.sweeps.items() if k not in used},
        "curves": sorted(used),
        "unrecorded": np.argwhere(~points.recorded),
        "left_out": np.argwhere(points.recorded[lines:]) + np.array([lines, 0]),
    }
    sites = np.argwhere(np.ones((lines, columns), bool))
    return recording_of(asked, scan, sites, waveform, current, unit=unit, metadata=metadata)


def _header(asked: Asked, text: str) -> dict[str, str]:
    header: dict[str, str] = {}
    last = ""
    for line in filter(str.strip, text.splitlines()):
        key, equals, value = line.partition("=")
        if equals:
            header[last := key.strip()] = value.strip().strip('"')
        elif header:  # a comment of several lines
            header[last] += "\n" + line.strip('"')
        else:
            raise asked.fault("have lines 'key=value' in its header", repr(line[:60]))
    return header


def _need(asked: Asked, header: Mapping[str, str], key: str) -> float:
    if key not in header:
        raise asked.fault(f"have {key!r} in its header", f"only {', '.join(header)}")
    value = asked.number(key, header[key])
    if not 0 <= value < 1e9 or value != int(value):
        raise asked.fault(f"have a count at {key!r}", header[key])
    return value


def _list(header: Mapping[str, str], key: str) -> list[str]:
    return [name.strip() for name in header.get(key, "").split(";") if name.strip()]


def _dimensions(asked: Asked, header: Mapping[str, str]) -> tuple[int, int]:
    try:
        columns, rows = (int(part) for part in header["Grid dim"].split("x"))
    except ValueError as error:
        raise asked.fault("have 'Grid dim' such as 30 x 30", repr(header["Grid dim"])) from error
    if min(columns, rows) < 1 or columns * rows > MOST_PIXELS:
        raise asked.fault(f"have between 1 and {MOST_PIXELS} points", header["Grid dim"])
    return columns, rows


def _layout(asked: Asked, points: _Points) -> _Layout:
    """From the recorded X and Y; without them from 'Grid settings', with lines that run up."""
    lines, columns = points.lines, points.columns
    first, along, down = _planned(asked, points)
    fast, slow = along, -down
    known = [points.parameters.get(f"{axis} (m)") for axis in "XY"]
    if known[0] is not None and known[1] is not None and max(lines, columns) > 1:
        measured = np.column_stack([known[0], -known[1]])
        if np.isfinite(measured).all() and np.ptp(measured, axis=0).any():
            first, fast, slow = _fitted(asked, measured, lines, columns)
        else:
            asked.note("X and Y are not recorded at all points: the grid's settings are used")
    if not slow.any() and fast.any():
        length = float(np.hypot(*down)) or float(np.hypot(*fast))
        slow = np.array([fast[1], -fast[0]]) * length / float(np.hypot(*fast))
    if not fast.any() and slow.any():
        length = float(np.hypot(*along)) or float(np.hypot(*slow))
        fast = np.array([-slow[1], slow[0]]) * length / float(np.hypot(*slow))
    if lines * columns == 1:
        fast, slow = np.array([1e-9, 0.0]), np.array([0.0, 1e-9])
    if not fast.any():
        raise asked.fault(
            "have 'Grid settings' with centre x; y; width; height [m]; angle [deg], or X and Y",
            repr(points.header.get("Grid settings", "")),
        )
    if min(lines, columns) == 1 and not (along.any() and down.any()):
        asked.note("a line of points: its pixels are taken to be square")
    upwards = bool(fast[0] * slow[1] - fast[1] * slow[0] < 0)
    top = first + slow * (lines - 1) if upwards else first
    return _Layout(
        pixel_size=(float(np.hypot(*slow)), float(np.hypot(*fast))),
        origin=(float(top[0]), float(top[1])),
        angle=math.atan2(fast[1], fast[0]),
        upwards=upwards,
    )


def _planned(asked: Asked, points: _Points) -> tuple[FloatArray, FloatArray, FloatArray]:
    """First point, step along a line, step to the line below, as 'Grid settings' say."""
    text = points.header.get("Grid settings", "")
    parts = [asked.number("Grid settings", p) for p in text.split(";") if p]
    single = (points.columns == 1, points.rows == 1)
    usable = len(parts) == 5 and math.isfinite(sum(parts))
    sizes = parts[2:4] if usable else []
    if not usable or any(s <= 0 and not one for s, one in zip(sizes, single, strict=True)):
        if "X (m)" not in points.parameters or "Y (m)" not in points.parameters:
            raise asked.fault(
                "have 'Grid settings' with centre x; y; width; height [m]; angle [deg]", repr(text)
            )
        return np.zeros(2), np.zeros(2), np.zeros(2)
    angle = math.radians(parts[4])
    fast = np.array([math.cos(angle), math.sin(angle)]) * parts[2] / points.columns
    down = np.array([-math.sin(angle), math.cos(angle)]) * parts[3] / points.rows
    centre = np.array([parts[0], -parts[1]])
    first = centre - fast * (points.columns - 1) / 2 + down * (points.rows - 1) / 2
    return first, fast, down


def _fitted(
    asked: Asked, measured: FloatArray, lines: int, columns: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """First point, step along a line and step from line to line that fit the recorded places."""
    line, column = np.divmod(np.arange(lines * columns), columns)
    used = [1] * (columns > 1) + [2] * (lines > 1)
    design = np.column_stack([np.ones(line.size), column, line]).astype(np.float64)[:, [0, *used]]
    fit, *_ = np.linalg.lstsq(design, measured, rcond=None)
    error = float(np.abs(measured - design @ fit).max())
    steps = {0: fit[0], 1: np.zeros(2), 2: np.zeros(2)}
    steps.update(zip(used, fit[1:], strict=True))
    sizes = [float(np.hypot(*steps[i])) for i in used]
    skew = abs(float(steps[1] @ steps[2])) / max(math.prod(sizes), 1e-300)
    if not (error < 0.5 * min(sizes) and skew < 0.02):
        raise asked.fault(
            "have X and Y on a rectangular grid, each within half a step",
            f"a deviation of {error:.3g} m for a step of {min(sizes):.3g} m, and axes "
            f"{math.degrees(math.acos(min(skew, 1.0))):.1f} degrees apart",
        )
    return steps[0], steps[1], steps[2]


def _sweep(asked: Asked, points: _Points) -> tuple[Waveform, FloatArray, str, set[str]]:
    """The waveform, curves (n, samples), their unit, and the channels that they came from."""
    header = points.header
    signal, unit = split_name(header.get("Sweep Signal", ""))
    scale, base = si(unit)
    if base != "V":
        raise asked.fault(
            "hold a 'Current (A)' over a sweep signal in V",
            f"{', '.join(points.sweeps)} over {header.get('Sweep Signal', 'nothing')!r}",
        )
    labels = {split_name(label)[0]: label for label in points.sweeps}
    units = {name: si(split_name(label)[1])[1] for name, label in labels.items()}
    cycles = current_channels(asked, units, what=f"a current in A over {signal}")
    count = next(iter(points.sweeps.values())).shape[1]
    segments = Segments.of(asked, header)
    voltage = (
        _even_voltage(asked, header, points.parameters, count) * scale
        if segments is None
        else voltage_of(asked, segments, count)
    )
    step = sum(
        float(np.nanmedian(points.parameters[k]))
        for k in ("Settling time (s)", "Integration time (s)")
        if k in points.parameters
    )
    volts, values = joined(
        voltage,
        [
            (points.sweeps[labels[f]], None if b is None else points.sweeps[labels[b]])
            for f, b in cycles
        ],
    )
    factor = si(split_name(labels[cycles[0][0]])[1])[0]
    backward = [back for _, b in cycles for back in ([False] if b is None else [False, True])]
    time = time_of(asked, segments, count, step, backward)
    waveform = Waveform(voltage=volts, time=time, kind=f"{signal} sweep")
    used = {labels[n] for pair in cycles for n in pair if n is not None}
    return waveform, values * factor, units[cycles[0][0]] or "a.u.", used


def _even_voltage(
    asked: Asked, header: Mapping[str, str], parameters: Mapping[str, FloatArray], count: int
) -> FloatArray:
    if header.get("Filetype", "Linear").strip().upper() == "MLS":
        raise asked.fault(
            "have the table of its segments ('Segment Start (V), ...')", "Filetype=MLS alone"
        )
    ends = []
    for key in ("Sweep Start", "Sweep End"):
        values = parameters.get(key)
        if values is None or not np.isfinite(values).all() or np.ptp(values) > 1e-6:
            raise asked.fault(
                f"have one {key!r} [V] for all points",
                "none" if values is None else f"{values.min():g} to {values.max():g} V",
            )
        ends.append(float(values[0]))
    if ends[0] == ends[1]:
        raise asked.fault(
            "sweep a voltage between 'Sweep Start' and 'Sweep End'",
            f"{ends[0]:g} V at both",
            "A sweep of several segments needs its table 'Segment Start (V), ...'",
        )
    return np.linspace(ends[0], ends[1], count)
