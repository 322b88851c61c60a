"""Nanonis spectroscopy: grids (``.3ds``) and single curves (``.dat``).

A ``.3ds`` file is a text header up to ``:HEADER_END:``, then one block of big-endian float32 per
point: the parameters named in the header and then each channel's sweep.  Points run along the fast
axis and lines run *up* the frame; where the file records X and Y of each point, these decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats.files import (
    MOST_PIXELS,
    fault,
    intact,
    load_bytes,
    number,
    si,
    split_name,
)
from grainscout.records import Scan, Waveform
from grainscout.records.arrays import FloatArray
from grainscout.records.recording import Recording, Traces, find_rails

_END = b":HEADER_END:"
FRAME = "x = X, y = -Y of the instrument (its Y points up, rows run down the picture)"


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the points of a grid lie: pixel (0, 0), steps, angle, and whether lines run up."""

    pixel_size: tuple[float, float]
    origin: tuple[float, float]
    angle: float
    upwards: bool


def read_3ds(path: Path | str, *, rail: float | None = None) -> Recording:
    """A Nanonis grid of current-bias sweeps.

    Channel "height" is the topography Z [m], if recorded (else "current", at the sweep's first
    sample).  A backward sweep, if recorded, follows the forward one in the same curve.  rail [A]: as
    in `find_rails`.  ``metadata``: "header", "parameters" (name -> (n,) of each site), "channels"
    (name -> (n, samples) of the other channels) and, for an aborted grid, "unrecorded" and
    "left_out": the points (line, column) in the order of the recording that hold no data, and those
    that do but belong to an unfinished line, which the scan cannot show.
    """
    data = load_bytes(path)
    with intact(path, "Nanonis grid"):
        return _grid(path, data, rail)


def _grid(path: Path | str, data: bytes, rail: float | None) -> Recording:
    end = data.find(_END)
    if end < 0 or not data.startswith(b"Grid dim="):
        raise fault(path, "be a Nanonis grid, from 'Grid dim' to ':HEADER_END:'", repr(data[:20]))
    header = _header(path, data[:end].decode("latin-1"))
    columns, rows = _dimensions(path, header)
    names = _list(header, "Fixed parameters") + _list(header, "Experiment parameters")
    channels = _list(header, "Channels")
    points = int(_need(path, header, "Points"))
    stored = int(_need(path, header, "# Parameters (4 byte)"))
    if stored < len(names) or points < 2 or not channels:
        raise fault(
            path,
            "have at least 2 points, a channel and as many parameters as it names",
            f"{points} points, {len(channels)} channels, {stored} parameters, {len(names)} names",
        )
    width = stored + points * len(channels)
    body = data[end + len(_END) :].removeprefix(b"\r").removeprefix(b"\n")
    count, rest = divmod(len(body), 4 * width)
    if rest or not 0 < count <= rows * columns:
        raise fault(
            path,
            f"hold up to {rows * columns} points of {4 * width} bytes each",
            f"{len(body)} bytes: {count} points and {rest} bytes",
            "The file is truncated or its header is of another file",
        )
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        table = np.frombuffer(body, ">f4").reshape(count, width).astype(np.float64)
    recorded = np.zeros(rows * columns, bool)
    # A grid that was stopped ends early, or is filled up with zeros or NaN to its full size.
    recorded[:count] = ~((table == 0) | np.isnan(table)).all(axis=1)
    lines = (
        int(np.flatnonzero(~recorded.reshape(rows, columns).all(axis=1))[0])
        if (not recorded.all())
        else rows
    )
    if lines == 0:
        raise fault(
            path, "hold at least one complete line of points", f"{int(recorded.sum())} points"
        )
    kept = table[: lines * columns]
    parameters = {name: kept[:, i] for i, name in enumerate(names)}
    sweeps = {
        name: kept[:, stored + i * points : stored + (i + 1) * points]
        for i, name in enumerate(channels)
    }
    layout = _layout(path, header, parameters, (rows, lines, columns))
    waveform, current, used = _sweep(path, header, parameters, sweeps)
    numbers = np.arange(lines * columns).reshape(lines, columns)
    order = (numbers[::-1] if layout.upwards else numbers).ravel()
    z = parameters.get("Z (m)")
    name, image = ("height", z) if z is not None else ("current", current[:, 0])
    rest_of_grid = np.argwhere(recorded.reshape(rows, columns)[lines:])
    scan = Scan(
        channels={name: image[order].reshape(lines, columns)},
        units={name: "m" if name == "height" else "A"},
        pixel_size=layout.pixel_size,
        origin=layout.origin,
        angle=layout.angle,
        metadata={"source": "Nanonis 3ds", "frame": FRAME, "header": header},
    )
    grid = np.argwhere(np.ones((lines, columns), bool))
    metadata: dict[str, Any] = {
        "source": "Nanonis 3ds",
        "frame": FRAME,
        "header": header,
        "parameters": {k: v[order] for k, v in parameters.items()},
        "channels": {k: v[order] for k, v in sweeps.items() if k not in used},
        "unrecorded": np.argwhere(~recorded.reshape(rows, columns)),
        "left_out": rest_of_grid + np.array([lines, 0]),
    }
    return Recording(
        scan=scan,
        sites=grid,
        waveform=waveform,
        current=current[order],
        saturated=find_rails(current[order], rail=rail),
        metadata=metadata,
    )


def _header(path: Path | str, text: str) -> dict[str, str]:
    header: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise fault(path, "have lines 'key=value' in its header", repr(line[:60]))
        header[key.strip()] = value.strip().strip('"')
    return header


def _need(path: Path | str, header: Mapping[str, str], key: str) -> float:
    if key not in header:
        raise fault(path, f"have {key!r} in its header", f"only {', '.join(header)}")
    value = number(path, key, header[key])
    if not 0 <= value < 1e9 or value != int(value):
        raise fault(path, f"have a count at {key!r}", header[key])
    return value


def _list(header: Mapping[str, str], key: str) -> list[str]:
    return [name.strip() for name in header.get(key, "").split(";") if name.strip()]


def _dimensions(path: Path | str, header: Mapping[str, str]) -> tuple[int, int]:
    try:
        columns, rows = (int(part) for part in header["Grid dim"].split("x"))
    except ValueError as error:
        raise fault(path, "have 'Grid dim' such as 30 x 30", repr(header["Grid dim"])) from error
    if min(columns, rows) < 1 or columns * rows > MOST_PIXELS:
        raise fault(path, f"have between 1 and {MOST_PIXELS} points", header["Grid dim"])
    return columns, rows


def _layout(
    path: Path | str,
    header: Mapping[str, str],
    parameters: Mapping[str, FloatArray],
    shape: tuple[int, int, int],
) -> _Layout:
    """From the recorded X and Y; without them from 'Grid settings', with lines that run up."""
    rows, lines, columns = shape
    parts = [
        number(path, "Grid settings", p) for p in header.get("Grid settings", "").split(";") if p
    ]
    if len(parts) != 5 or not (math.isfinite(sum(parts)) and parts[2] > 0 and parts[3] > 0):
        raise fault(
            path,
            "have 'Grid settings' with centre x; y; width; height [m]; angle [deg]",
            repr(header.get("Grid settings", "")),
        )
    x, y, wide, high = parts[0], -parts[1], parts[2], parts[3]
    angle = math.radians(parts[4])
    fast = np.array([math.cos(angle), math.sin(angle)]) * wide / columns
    down = np.array([-math.sin(angle), math.cos(angle)]) * high / rows
    first = np.array([x, y]) - fast * (columns - 1) / 2 + down * (rows - 1) / 2
    slow = -down
    if "X (m)" in parameters and "Y (m)" in parameters and min(lines, columns) > 1:
        measured = np.column_stack([parameters["X (m)"], -parameters["Y (m)"]])
        line, column = np.divmod(np.arange(lines * columns), columns)
        design = np.column_stack([np.ones(line.size), column, line]).astype(np.float64)
        fit, *_ = np.linalg.lstsq(design, measured, rcond=None)
        error = float(np.abs(measured - design @ fit).max())
        first, fast, slow = fit
        step = min(float(np.hypot(*fast)), float(np.hypot(*slow)))
        skew = abs(float(fast @ slow)) / max(float(np.hypot(*fast) * np.hypot(*slow)), 1e-300)
        if not (error < 0.5 * step and skew < 0.02):
            raise fault(
                path,
                "have X and Y on a rectangular grid, each within half a step",
                f"a deviation of {error:.3g} m for a step of {step:.3g} m, and axes "
                f"{math.degrees(math.acos(min(skew, 1.0))):.1f} degrees apart",
            )
        angle = math.atan2(fast[1], fast[0])
    upwards = bool(fast[0] * slow[1] - fast[1] * slow[0] < 0)
    top = first + slow * (lines - 1) if upwards else first
    return _Layout(
        pixel_size=(float(np.hypot(*slow)), float(np.hypot(*fast))),
        origin=(float(top[0]), float(top[1])),
        angle=angle,
        upwards=upwards,
    )


def _sweep(
    path: Path | str,
    header: Mapping[str, str],
    parameters: Mapping[str, FloatArray],
    sweeps: Mapping[str, FloatArray],
) -> tuple[Waveform, FloatArray, set[str]]:
    """The waveform, the current (n, samples) and the names of the channels that it came from."""
    signal, unit = split_name(header.get("Sweep Signal", ""))
    if unit != "V" or "Current (A)" not in sweeps:
        raise fault(
            path,
            "hold a 'Current (A)' over a sweep signal in V",
            f"{', '.join(sweeps)} over {header.get('Sweep Signal', 'nothing')!r}",
        )
    current = sweeps["Current (A)"]
    points = current.shape[1]
    ends = []
    for key in ("Sweep Start", "Sweep End"):
        values = parameters.get(key)
        if values is None or not np.isfinite(values).all() or np.ptp(values) > 1e-6:
            raise fault(
                path,
                f"have one {key!r} [V] for all points",
                "none" if values is None else f"{values.min():g} to {values.max():g} V",
            )
        ends.append(float(values[0]))
    voltage = np.linspace(ends[0], ends[1], points)
    used = {"Current (A)"}
    backward = next((k for k in ("Current [bwd] (A)", "Current (A) [bwd]") if k in sweeps), None)
    if backward is not None:
        voltage = np.concatenate([voltage, voltage[::-1]])
        current = np.concatenate([current, sweeps[backward][:, ::-1]], axis=1)
        used.add(backward)
    step = sum(
        float(np.median(parameters[k]))
        for k in ("Settling time (s)", "Integration time (s)")
        if k in parameters
    )
    return _timed(path, voltage, step, signal), current, used


def _timed(path: Path | str, voltage: FloatArray, step: float, signal: str) -> Waveform:
    if not (math.isfinite(step) and step > 0):
        raise fault(
            path,
            "have 'Settling time (s)' and 'Integration time (s)' that add up to > 0",
            f"{step}",
        )
    return Waveform(
        voltage=voltage,
        time=np.arange(voltage.size, dtype=np.float64) * step,
        kind=f"{signal} sweep",
    )


def read_dat_traces(path: Path | str) -> Traces:
    """All columns of a Nanonis ``.dat`` spectrum, with the header as it was."""
    text = load_bytes(path).decode("latin-1")
    head, marker, table = text.partition("[DATA]")
    lines = [line for line in table.splitlines() if line.strip()]
    if not marker or not head.startswith("Experiment") or len(lines) < 3:
        raise fault(
            path, "be a Nanonis spectrum: 'Experiment', '[DATA]', names and values", repr(text[:40])
        )
    if not table.endswith("\n"):
        raise fault(path, "end with a complete line", f"{lines[-1][-20:]!r}", "It is truncated")
    header = {}
    for line in head.splitlines():
        key, _, value = line.partition("\t")
        if key.strip():
            header[key.strip()] = value.strip()
    labels = [label for label in lines[0].split("\t") if label.strip()]
    rows = []
    for line in lines[1:]:
        cells = [cell for cell in line.split("\t") if cell.strip()]
        if len(cells) != len(labels):
            raise fault(path, f"have {len(labels)} columns in each line", f"{len(cells)}")
        rows.append([number(path, label, c) for label, c in zip(labels, cells, strict=True)])
    columns = np.array(rows).T
    units, channels = {}, {}
    for label, column in zip(labels, columns, strict=True):
        name, unit = split_name(label)
        factor, units[name] = si(unit)
        channels[name] = column * factor
    step = sum(
        number(path, k, header[k])
        for k in ("Settling time (s)", "Integration time (s)")
        if k in header
    )
    if not step > 0:
        raise fault(
            path, "have 'Settling time (s)' and 'Integration time (s)'", f"{step} s together"
        )
    return Traces(
        channels=channels,
        units=units,
        time=np.arange(columns.shape[1], dtype=np.float64) * step,
        metadata={"source": "Nanonis dat", "header": header},
    )


def read_dat(path: Path | str, *, rail: float | None = None) -> Recording:
    """A Nanonis ``.dat`` bias spectrum as a recording of one site on a scan of one pixel.

    The backward sweep, if recorded, follows the forward one.  The pixel is at the recorded X and Y
    with the recorded Z as its height; its size of 1 nm means nothing.  All columns are in
    ``metadata["channels"]``.
    """
    traces = read_dat_traces(path)
    header = traces.metadata["header"]
    bias = next((n for n in ("Bias calc", "Bias") if traces.units.get(n) == "V"), None)
    if bias is None or traces.units.get("Current") != "A":
        raise fault(
            path,
            "have the columns 'Bias calc (V)' or 'Bias (V)', and 'Current (A)'",
            ", ".join(traces.channels),
        )
    voltage, current = traces.channel(bias), traces.channel("Current")
    if traces.units.get("Current [bwd]") == "A":
        voltage = np.concatenate([voltage, voltage[::-1]])
        current = np.concatenate([current, traces.channel("Current [bwd]")[::-1]])
    missing = [k for k in ("X (m)", "Y (m)", "Z (m)") if k not in header]
    if missing:
        raise fault(path, "have X, Y and Z in its header", f"no {', '.join(missing)}")
    x, y, z = (number(path, k, header[k]) for k in ("X (m)", "Y (m)", "Z (m)"))
    with intact(path, "Nanonis spectrum"):
        return Recording(
            scan=Scan(
                channels={"height": np.array([[z]])},
                units={"height": "m"},
                pixel_size=(1e-9, 1e-9),
                origin=(x, -y),
                metadata={"source": "Nanonis dat", "frame": FRAME},
            ),
            sites=np.zeros((1, 2), np.int64),
            waveform=_timed(path, voltage, float(traces.time[1]), "Bias"),
            current=current[None],
            saturated=find_rails(current[None], rail=rail),
            metadata={**traces.metadata, "frame": FRAME, "channels": dict(traces.channels)},
        )
