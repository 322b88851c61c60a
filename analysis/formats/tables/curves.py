"""A table of voltages and currents as curves: which column is what, which lines are one curve."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grainscout.analysis.formats.files import MOST_PIXELS, fault
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import grid_scan
from grainscout.analysis.formats.places import placed, recorded_pixels
from grainscout.analysis.formats.recordings import current_channels, recording_of
from grainscout.analysis.formats.tables.roles import Roles, role_of, roles_of, wrong_cell
from grainscout.analysis.formats.tables.text import Table, decoded, parsed
from grainscout.analysis.formats.units import si
from grainscout.records import FloatArray, IntArray, Recording, Traces, Waveform

#: Largest spread of measured voltages from curve to curve, as a share of their range.
_READBACK = 0.01
#: Seconds a sample where no column says it.
_STEP = 1e-3


def read_table(asked: Asked, text: str) -> Recording:
    """A plain table as a recording; see `read_csv`."""
    table = parsed(text, asked)
    return _recording(asked, table, roles_of(asked, table))


def read_csv_traces(path: Path | str) -> Traces:
    """All columns of a plain table, in SI units."""
    asked = Asked(path, {})
    table = parsed(decoded(asked), asked)
    for column in table.columns:
        if not column.numeric:
            raise fault(path, f"have a number at {column.name!r}", repr(wrong_cell(column)))
    factors = {c.name: si(c.unit) for c in table.columns}
    columns = {c.name: c.values * factors[c.name][0] for c in table.columns}
    time = next(
        (c.name for c in table.columns if role_of(c) == "time" and factors[c.name][1] == "s"), None
    )
    return Traces(
        channels=columns,
        units={n: u for n, (_, u) in factors.items() if u},
        time=np.arange(len(next(iter(columns.values()))), dtype=np.float64) * _STEP
        if time is None
        else columns[time],
        metadata={"source": "CSV"},
    )


def _recording(asked: Asked, table: Table, roles: Roles) -> Recording:
    pairs = current_channels(
        asked, dict.fromkeys(roles.currents, "A"), what="a current column with its unit"
    )
    voltage = _voltage(asked, roles)
    sites, size, origin, frame = sites_of(asked, roles, len(voltage))
    order, kept = _curves(asked, sites, roles)
    unique = np.unique(sites, axis=0)[kept] if len(sites) else sites
    volts = voltage[order]
    if not np.isfinite(volts).all():
        raise asked.fault("have a voltage in each line", "lines without one")
    axis, measured = _common_axis(asked, volts)
    parts = [
        roles.currents[n][0].values[order] * roles.currents[n][1]
        for pair in pairs
        for n in pair
        if n is not None
    ]
    clock = _clock(asked, roles, order, axis)
    if len(parts) > 1:  # forward and backward columns beside each other
        back = [b is not None for _, b in pairs]
        turned = [j for has in back for j in ([False, True] if has else [False])]
        axis, clock = _beside(axis, clock, turned)
        parts = [p[:, ::-1] if t else p for p, t in zip(parts, turned, strict=True)]
    values = np.concatenate(parts, axis=1)
    return recording_of(
        asked,
        grid_scan(
            asked,
            {"recorded": (recorded_pixels(asked, unique), "")},
            pixel_size=size,
            origin=origin,
            metadata={"source": "CSV", "frame": frame},
        ),
        unique,
        Waveform(voltage=axis, time=clock, kind="recorded"),
        values,
        metadata={
            "source": "CSV",
            "time": "recorded"
            if "time" in roles.found
            else "not recorded; 1 ms a sample is assumed",
            "pixel_size": "recorded" if "x" in roles.found else "not recorded; 1 nm is assumed",
            **({"preamble": table.preamble} if table.preamble else {}),
            **({"voltage": volts} if measured else {}),
            **(
                {"channels": {c.label: c.values[order] for c in roles.others if c.numeric}}
                if roles.others
                else {}
            ),
        },
    )


def _common_axis(asked: Asked, volts: FloatArray) -> tuple[FloatArray, bool]:
    """The sweep (s,) of all sites [V], and whether it is the mean of measured biases (n, s)."""
    spread = float(np.abs(volts - volts.mean(axis=0)).max())
    if spread > max(_READBACK * float(np.ptp(volts)), 1e-9):
        raise asked.fault(
            "have the same voltages at each site, to 1 % of their range",
            f"different ones, by up to {spread:.3g} V",
            "Are voltage and current interchanged?" if np.abs(volts).max() < 1e-6 else "",
        )
    axis = volts[0] if spread <= 1e-9 else volts.mean(axis=0)
    if spread > 1e-9:
        asked.note(
            f"measured voltages differ from site to site by up to {spread:.2g} V: their mean is the "
            "sweep, and they are kept in metadata['voltage']"
        )
    return axis, spread > 1e-9


def _voltage(asked: Asked, roles: Roles) -> FloatArray:
    """The voltage column; the one that was set, where one was also measured."""
    names = list(roles.voltages)
    if len(names) > 1:
        applied = [
            n
            for n in names
            if re.search(r"set|source|appl|program|nominal|calc|force|output", n.lower())
        ]
        if len(applied) != 1:
            raise asked.fault(
                "have one voltage column, or one that says it is the source",
                ", ".join(roles.voltages[n][0].label for n in names),
                "Rename the one that was applied to 'Voltage set [V]'",
            )
        asked.note(
            f"{applied[0]!r} is the sweep; {', '.join(n for n in names if n != applied[0])}"
            " is not used"
        )
        names = applied
    column, factor = roles.voltages[names[0]]
    return column.values * factor


def _clock(asked: Asked, roles: Roles, order: IntArray, volts: FloatArray) -> FloatArray:
    """(s,) times [s] of a curve's samples."""
    time = roles.values("time")
    if time is None:
        asked.note("no time is recorded: 1 ms a sample is assumed")
        if 0.25 < (np.diff(volts) == 0).mean() < 1:
            asked.note(
                "voltages repeat from line to line, taken as held: if the lines were sorted by "
                "voltage, they are no sweep any more"
            )
        return np.arange(volts.size, dtype=np.float64) * _STEP
    clocks = time[order] - time[order][:, :1]
    if not np.isfinite(clocks).all():
        raise asked.fault("have a time in each line", "lines without one")
    if (wrong := np.argwhere(np.diff(clocks, axis=1) <= 0)).size:
        row, at = wrong[0]
        found = f"{clocks[row, at]:g}, {clocks[row, at + 1]:g} s in curve {row + 1}"
        raise asked.fault("have times that increase in a curve", found)
    apart = float(np.abs(clocks - clocks[0]).max())
    if apart > _READBACK * clocks[0, -1]:
        asked.note(f"times of curves differ by up to {apart:.3g} s: those of the first are used")
    return np.asarray(clocks[0])


def _beside(
    axis: FloatArray, clock: FloatArray, turned: Sequence[bool]
) -> tuple[FloatArray, FloatArray]:
    """Voltages and times of columns that stand beside each other and follow in time."""
    step = float(clock[-1] - clock[0]) / max(clock.size - 1, 1)
    length = float(clock[-1]) + step
    volts = np.concatenate([axis[::-1] if t else axis for t in turned])
    return volts, np.concatenate([clock + i * length for i in range(len(turned))])


def _curves(asked: Asked, sites: IntArray, roles: Roles) -> tuple[IntArray, IntArray]:
    """(curves, samples) line numbers, and which sites are kept."""
    unique, inverse, counts = np.unique(sites, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.ravel()
    lines = np.arange(len(sites))
    cycle = roles.found.get("cycle")
    curve = roles.found.get("curve")
    if cycle is None and curve is not None:
        pairs = {(int(k), text) for k, text in zip(inverse, curve[0].text, strict=True)}
        # Curves that positions do not tell apart are sweeps of one site.
        cycle = curve if len(unique) < len(pairs) <= len(sites) / 2 else None
    chosen = asked.take("cycle") if cycle is not None else None
    if cycle is not None:
        labels = list(dict.fromkeys(cycle[0].text))
        if chosen is not None:
            if not 0 <= chosen < len(labels):
                raise asked.fault(f"have cycle {chosen}", f"{len(labels)} cycles, from 0 on")
            lines = np.array([i for i in lines if cycle[0].text[i] == labels[chosen]])
            inverse = inverse[lines]
            counts = np.bincount(inverse, minlength=len(unique))
        elif len(labels) > 1:
            asked.note(
                f"{len(labels)} sweeps in column {cycle[0].label!r}: one after the other in time; "
                "one alone with cycle"
            )
    usual = int(np.bincount(counts).argmax()) if len(counts) else 0
    odd = np.flatnonzero(counts != usual)
    few = odd.size > 0.1 * len(counts) and (odd.size > 1 or len(counts) < 4)
    if few or usual < 2:
        raise asked.fault("have as many samples at each site", f"{counts.min()} to {counts.max()}")
    if odd.size:
        asked.note(
            f"{odd.size} of {len(counts)} sites have {counts[odd].min()} to {counts[odd].max()} "
            f"samples instead of {usual}: left out"
        )
    kept = np.flatnonzero(counts == usual)
    grouped = np.argsort(inverse, kind="stable")
    ends = np.cumsum(counts)
    order = np.array([lines[grouped[ends[k] - usual : ends[k]]] for k in kept])
    return order, kept


def sites_of(
    asked: Asked, roles: Roles, lines: int
) -> tuple[IntArray, tuple[float, float], tuple[float, float], str]:
    """Row and column of each line, pixel size [m], origin [m], and the frame in words."""
    pixel_nm = asked.take("pixel_nm")
    size = (1e-9, 1e-9) if pixel_nm is None else (pixel_nm * 1e-9, pixel_nm * 1e-9)
    row, column = roles.values("row"), roles.values("column")
    x, y = roles.values("x"), roles.values("y")
    zero = np.zeros(lines)
    if row is not None or column is not None:
        raw = np.column_stack([zero if row is None else row, zero if column is None else column])
        if not (np.isfinite(raw).all() and (raw >= 0).all() and (raw == np.round(raw)).all()):
            raise asked.fault("have whole numbers >= 0 as row and column", "others")
        if (raw > MOST_PIXELS).any():
            raise asked.fault(
                f"have rows and columns of a picture of at most {MOST_PIXELS} pixels",
                f"{raw.max():g}",
            )
        if x is not None or y is not None:
            asked.note("row and column decide; x and y are not used")
        elif pixel_nm is None:
            asked.note("no pixel size is recorded: 1 nm is assumed")
        return raw.astype(np.int64), size, (0.0, 0.0), "rows and columns as the table says"
    if x is not None or y is not None:
        asked.take("pixel_nm")
        return placed(asked, zero if x is None else x, zero if y is None else y)
    if "curve" in roles.found:
        labels = roles.found["curve"][0].text
        names = list(dict.fromkeys(labels))
        index = {name: i for i, name in enumerate(names)}
        number = np.array([index[label] for label in labels], dtype=np.int64)
        if len(names) > 1 and len(names) == lines:
            asked.note(f"column {roles.found['curve'][0].label!r} counts the lines: not used")
            number[:] = 0
        else:
            asked.note(
                f"{len(names)} curves without positions: put side by side in one row of pixels"
            )
        return np.column_stack([np.zeros_like(number), number]), size, (0.0, 0.0), "no positions"
    return np.zeros((lines, 2), np.int64), size, (0.0, 0.0), "one site"
