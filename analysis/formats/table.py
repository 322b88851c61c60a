"""A table of voltages and currents as curves: which column is what, which lines are one curve."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grainscout.analysis.formats.files import MOST_PIXELS, fault, intact
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import grid_scan
from grainscout.analysis.formats.recordings import current_channels, recording_of
from grainscout.analysis.formats.table_text import Column, Table, decoded, parsed
from grainscout.analysis.formats.units import si, si_as
from grainscout.records import Waveform
from grainscout.records.arrays import FloatArray, IntArray
from grainscout.records.recording import Recording, Traces

#: What a column is, by its name in lower case.
_WORDS = {
    "row": r"row|line|zeile|iy|y[_ ]?(index|pixel|px)|row[_ ]?(index|number|no)",
    "column": r"column|col|spalte|ix|x[_ ]?(index|pixel|px)|col(umn)?[_ ]?(index|number|no)",
    "x": r"x|x[_ ]?(pos|position|coordinate|coord)\.?|pos(ition)?[_ ]?x",
    "y": r"y|y[_ ]?(pos|position|coordinate|coord)\.?|pos(ition)?[_ ]?y",
    "curve": r"(curve|site|spot|point|device|pixel|sample|contact|location|iv|spectrum|position|id|"
    r"index|label|name)([_ ]?(id|index|number|no|nr|name|#))?\.?|#|no\.?|nr\.?|n",
    "cycle": r"(cycle|loop|repeat|repetition|sweep|run|scan|pass|trace)([_ ]?(id|index|number|no|nr))?"
    r"\.?",
    "time": r"t|time|zeit|temps|elapsed|elapsed[_ ]?time|time[_ ]?elapsed|time ?stamp|timestamp|"
    r"date|datetime|date[_ ]?time|clock|relative[_ ]?time|test[_ ]?time",
    "voltage": r".*(voltage|bias|spannung|volt|tension).*|v|u|ch\d+ v|v[_ ]?(set|meas|source|tip|"
    r"sample|applied|s|m|dc|in|out)|vsource|vmeas|vset|uset",
    "current": r".*(current|strom|courant|curr).*|i|i[_ ]?(meas|tip|sample|c|d|m|dc|in|out)|imeas|"
    r"i[_ ]?\d+|ch\d+ i",
}
_UNITS = {"x": "m", "y": "m", "time": "s", "voltage": "V", "current": "A"}
#: Largest spread of measured voltages from curve to curve, as a share of their range.
_READBACK = 0.01
#: Seconds a sample where no column says it.
_STEP = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class _Roles:
    """Columns by what they are, with the factor to SI; others are kept as they are."""

    found: dict[str, tuple[Column, float]]
    currents: dict[str, tuple[Column, float]]
    voltages: dict[str, tuple[Column, float]]
    others: list[Column]

    def values(self, role: str) -> FloatArray | None:
        """A column's numbers in SI; None if there is no such column."""
        if role not in self.found:
            return None
        column, factor = self.found[role]
        return column.values * factor


def read_table(asked: Asked, text: str) -> Recording:
    """A plain table as a recording; see `read_csv`."""
    table = parsed(asked.path, text, asked)
    with intact(asked.path, "table of currents and voltages"):
        roles = _roles(asked, table)
        return _recording(asked, table, roles)


def read_csv_traces(path: Path | str) -> Traces:
    """All columns of a plain table, in SI units."""
    asked = Asked(path, {})
    table = parsed(path, decoded(path, asked), asked)
    for column in table.columns:
        if not column.numeric:
            raise fault(path, f"have a number at {column.name!r}", repr(_wrong(column)))
    factors = {c.name: si(c.unit) for c in table.columns}
    columns = {c.name: c.values * factors[c.name][0] for c in table.columns}
    time = next(
        (c.name for c in table.columns if _role(c) == "time" and factors[c.name][1] == "s"), None
    )
    return Traces(
        channels=columns,
        units={n: u for n, (_, u) in factors.items() if u},
        time=np.arange(len(next(iter(columns.values()))), dtype=np.float64) * _STEP
        if time is None
        else columns[time],
        metadata={"source": "CSV"},
    )


def _role(column: Column) -> str | None:
    """What a column is by its name and unit; None if neither says."""
    name = re.sub(r"\s+", " ", column.name.strip().lower())
    for role, words in _WORDS.items():
        if re.fullmatch(words, name):
            wanted = _UNITS.get(role)
            if role in ("voltage", "current", "time") and column.unit:
                # "Scan (V)" and the like are told by their unit.
                return role if si_as(column.unit, str(wanted)) is not None else None
            if role in ("x", "y") and not column.unit:
                return {"x": "column", "y": "row"}[role]
            if role == "cycle" and column.unit:
                continue
            return role
    if column.unit and si(column.unit)[1] == "s":
        return "time"
    if column.unit and si(column.unit)[1] in ("A", "V"):
        return {"A": "current", "V": "voltage"}[si(column.unit)[1]]
    return None


def _wrong(column: Column) -> str:
    return next(t for t, v in zip(column.text, column.values, strict=True) if not np.isfinite(v))


def _roles(asked: Asked, table: Table) -> _Roles:
    path = asked.path
    found: dict[str, tuple[Column, float]] = {}
    currents: dict[str, tuple[Column, float]] = {}
    voltages: dict[str, tuple[Column, float]] = {}
    others: list[Column] = []
    for column in table.columns:
        role = _role(column)
        if role is None:
            others.append(column)
            continue
        if role not in ("curve",) and not column.numeric:
            raise fault(path, f"have a number at {column.name!r}", repr(_wrong(column)))
        unit = _UNITS.get(role)
        factor = 1.0
        if unit is not None:
            is_clock = role == "time" and not _plain_numbers(column)
            known = 1.0 if is_clock else si_as(column.unit, unit)
            if known is None:
                raise fault(
                    path,
                    f"give {column.name!r} with its unit (columns need their units), such as "
                    f"'{column.name} [{ {'m': 'um', 's': 's', 'V': 'V', 'A': 'nA'}[unit] }]'",
                    f"{column.label!r}",
                )
            factor = known
        store = {"current": currents, "voltage": voltages}.get(role)
        if store is not None:
            store[column.name] = (column, factor)
        elif role in found:
            raise fault(
                path,
                f"have one column for the {role}",
                f"{found[role][0].label!r}, {column.label!r}",
            )
        else:
            found[role] = (column, factor)
    if not voltages or not currents:
        raise fault(
            path,
            "have a voltage and a current column with their units, such as 'Voltage [V]' and "
            "'Current [nA]'",
            ", ".join(f"{c.name} [{c.unit}]" for c in table.columns),
        )
    _understood(asked, others)
    return _Roles(found=found, currents=currents, voltages=voltages, others=others)


def _plain_numbers(column: Column) -> bool:
    return not any(
        ":" in text or text.count("-") > 1 for text in column.text[:3] if "e" not in text
    )


def _understood(asked: Asked, others: Sequence[Column]) -> None:
    """Refuse columns that may divide the lines into curves; note the others."""
    for column in others:
        cells = column.text
        changes = [i for i in range(1, len(cells)) if cells[i] != cells[i - 1]]
        parts = len(changes) + 1
        divides = (
            1 < parts <= len(cells) / 3
            or (not column.numeric and len(set(cells)) > 1)
            or (1 < len(set(cells)) <= len(cells) / 3 and _whole(column.values))
        )
        if divides:
            raise fault(
                asked.path,
                "have columns that are understood: voltage, current, time, row, column, x, y, curve "
                "or cycle, each with its unit",
                f"{column.label!r}, which may divide the lines into curves",
                "Rename the column or leave it out",
            )
        asked.note(f"column {column.label!r} is kept in metadata['channels'] and not used")


def _whole(values: FloatArray) -> bool:
    return bool(np.isfinite(values).all() and (values == np.round(values)).all())


def _recording(asked: Asked, table: Table, roles: _Roles) -> Recording:
    path = asked.path
    pairs = current_channels(
        asked, dict.fromkeys(roles.currents, "A"), what="a current column with its unit"
    )
    voltage = _voltage(asked, roles)
    sites, size, origin, frame = _sites(asked, roles, len(voltage))
    order, count, kept = _curves(asked, sites, roles)
    unique = np.unique(sites, axis=0)[kept] if len(sites) else sites
    volts = voltage[order]
    if not np.isfinite(volts).all():
        raise fault(path, "have a voltage in each line", "lines without one")
    spread = float(np.abs(volts - volts.mean(axis=0)).max())
    if spread > max(_READBACK * float(np.ptp(volts)), 1e-9):
        raise fault(
            path,
            "have the same voltages at each site, to 1 % of their range",
            f"different ones, by up to {spread:.3g} V",
        )
    axis = volts[0] if spread <= 1e-9 else volts.mean(axis=0)
    if spread > 1e-9:
        asked.note(
            f"measured voltages differ from site to site by up to {spread:.2g} V: their mean is the "
            "sweep, and they are kept in metadata['voltage']"
        )
    parts = [
        roles.currents[n][0].values[order] * roles.currents[n][1]
        for pair in pairs
        for n in pair
        if n is not None
    ]
    clock = _clock(asked, roles, order, count)
    if len(parts) > 1:  # forward and backward columns beside each other
        back = [b is not None for _, b in pairs]
        turned = [j for has in back for j in ([False, True] if has else [False])]
        axis, clock = _beside(axis, clock, turned)
        parts = [p[:, ::-1] if t else p for p, t in zip(parts, turned, strict=True)]
    values = np.concatenate(parts, axis=1)
    extent = unique.max(axis=0) + 1
    if np.prod(extent.astype(float)) > MOST_PIXELS:
        raise fault(
            path,
            f"have rows and columns of a picture of at most {MOST_PIXELS} pixels",
            " x ".join(f"{v:g}" for v in extent),
        )
    image = np.zeros((int(extent[0]), int(extent[1])))
    image[unique[:, 0], unique[:, 1]] = 1.0
    asked.note("no image was recorded: policies see where curves were recorded instead")
    return recording_of(
        asked,
        grid_scan(
            asked,
            {"recorded": (image, "")},
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
            **({"voltage": volts} if spread > 1e-9 else {}),
            **(
                {"channels": {c.label: c.values[order] for c in roles.others if c.numeric}}
                if roles.others
                else {}
            ),
        },
    )


def _voltage(asked: Asked, roles: _Roles) -> FloatArray:
    """The voltage column; the one that was set, where one was also measured."""
    names = list(roles.voltages)
    if len(names) > 1:
        applied = [
            n
            for n in names
            if re.search(r"set|source|appl|program|nominal|calc|force|output", n.lower())
        ]
        if len(applied) != 1:
            raise fault(
                asked.path,
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


def _clock(asked: Asked, roles: _Roles, order: IntArray, count: int) -> FloatArray:
    """(count,) times [s] of a curve's samples."""
    time = roles.values("time")
    if time is None:
        asked.note("no time is recorded: 1 ms a sample is assumed")
        return np.arange(count, dtype=np.float64) * _STEP
    clocks = time[order]
    return np.asarray(clocks[0] - clocks[0, 0])


def _beside(
    axis: FloatArray, clock: FloatArray, turned: Sequence[bool]
) -> tuple[FloatArray, FloatArray]:
    """Voltages and times of columns that stand beside each other and follow in time."""
    step = float(clock[-1] - clock[0]) / max(clock.size - 1, 1)
    length = float(clock[-1]) + step
    volts = np.concatenate([axis[::-1] if t else axis for t in turned])
    return volts, np.concatenate([clock + i * length for i in range(len(turned))])


def _sites(
    asked: Asked, roles: _Roles, lines: int
) -> tuple[IntArray, tuple[float, float], tuple[float, float], str]:
    """Row and column of each line, pixel size [m], origin [m], and the frame in words."""
    path = asked.path
    pixel_nm = asked.take("pixel_nm")
    size = (1e-9, 1e-9) if pixel_nm is None else (pixel_nm * 1e-9, pixel_nm * 1e-9)
    row, column = roles.values("row"), roles.values("column")
    x, y = roles.values("x"), roles.values("y")
    zero = np.zeros(lines)
    if row is not None or column is not None:
        raw = np.column_stack([zero if row is None else row, zero if column is None else column])
        if not (np.isfinite(raw).all() and (raw >= 0).all() and (raw == np.round(raw)).all()):
            raise fault(path, "have whole numbers >= 0 as row and column", "others")
        if (raw > MOST_PIXELS).any():
            raise fault(
                path,
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
        return _placed(asked, zero if x is None else x, zero if y is None else y)
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


def _placed(
    asked: Asked, x: FloatArray, y: FloatArray
) -> tuple[IntArray, tuple[float, float], tuple[float, float], str]:
    """Rows and columns of positions on a grid with sides along x and y."""
    indices, steps, first = [], [], []
    for letter, values in (("y", y), ("x", x)):
        if not np.isfinite(values).all():
            raise fault(asked.path, f"have a position {letter} in each line", "lines without one")
        step = _grid_step(values)
        start = float(values.min())
        at = np.round((values - start) / step) if step else np.zeros(values.size)
        off = np.abs(values - start - at * (step or 0.0)).max()
        if step and off > 0.1 * step:
            raise fault(
                asked.path,
                f"have positions {letter} on an even grid, to a tenth of its step",
                f"a deviation of {off:.3g} m from steps of {step:.3g} m",
                "Give row and column instead",
            )
        if at.max() > MOST_PIXELS:
            raise fault(
                asked.path, f"have at most {MOST_PIXELS} pixels", f"{at.max():.3g} along {letter}"
            )
        indices.append(at.astype(np.int64))
        steps.append(step)
        first.append(start)
    size = (steps[0] or steps[1] or 1e-9, steps[1] or steps[0] or 1e-9)
    if 0.0 in steps:
        asked.note("a line of positions: its pixels are taken to be square")
    frame = "x along the columns, y along the rows, as the table's positions say"
    return np.column_stack(indices), size, (first[1], first[0]), frame


def _grid_step(values: FloatArray) -> float:
    """Step of positions that are read back with some noise; 0 where all are one."""
    levels = np.unique(values)
    gaps = np.diff(levels)
    if gaps.size == 0:
        return 0.0
    # Gaps of the noise are far smaller than those of the grid.
    wide = gaps[gaps > 0.2 * gaps.max()]
    step = float(np.median(wide))
    for _ in range(2):  # a missing row makes a gap of two steps
        whole = np.round(wide / step)
        good = whole >= 1
        step = float(np.sum(wide[good]) / np.sum(whole[good])) if good.any() else step
    span = float(levels[-1] - levels[0])
    return span / max(round(span / step), 1)


def _curves(asked: Asked, sites: IntArray, roles: _Roles) -> tuple[IntArray, int, IntArray]:
    """(curves, samples) line numbers, the samples of a curve, and which sites are kept."""
    path = asked.path
    unique, inverse, counts = np.unique(sites, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.ravel()
    lines = np.arange(len(sites))
    cycle = roles.found.get("cycle")
    chosen = asked.take("cycle") if cycle is not None else None
    if cycle is not None:
        labels = list(dict.fromkeys(cycle[0].text))
        if chosen is not None:
            if not 0 <= chosen < len(labels):
                raise fault(path, f"have cycle {chosen}", f"{len(labels)} cycles, from 0 on")
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
    if odd.size > max(1, 0.1 * len(counts)) or usual < 2:
        raise fault(path, "have as many samples at each site", f"{counts.min()} to {counts.max()}")
    if odd.size:
        asked.note(
            f"{odd.size} of {len(counts)} sites have {counts[odd].min()} to {counts[odd].max()} "
            f"samples instead of {usual}: left out"
        )
    kept = np.flatnonzero(counts == usual)
    grouped = np.argsort(inverse, kind="stable")
    ends = np.cumsum(counts)
    order = np.array([lines[grouped[ends[k] - usual : ends[k]]] for k in kept])
    return order, usual, kept
