"""What each column of a table is: voltage, current, time, place, curve or cycle."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.recordings import is_derived
from grainscout.analysis.formats.tables.text import Column, Table
from grainscout.analysis.formats.units import si, si_as
from grainscout.records import FloatArray

#: What a column is, by its name in lower case.
_WORDS = {
    "row": r"row|line|zeile|iy|y[_ ]?(index|pixel|px)|row[_ ]?(index|number|no)",
    "column": r"column|col|spalte|ix|x[_ ]?(index|pixel|px)|col(umn)?[_ ]?(index|number|no)",
    "x": r"x|x[_ ]?(pos|position|coordinate|coord)\.?|pos(ition)?[_ ]?x",
    "y": r"y|y[_ ]?(pos|position|coordinate|coord)\.?|pos(ition)?[_ ]?y",
    "curve": r"(curve|site|spot|point|device|pixel|sample|contact|location|iv|spectrum|position|id|"
    r"index|label|name|measurement|file|grid ?point)([_ ]?(id|index|number|no|nr|name|#))?\.?|#|no\.?|nr\.?|n",
    "cycle": r"(cycle|loop|repeat|repetition|sweep|run|scan|pass|trace)([_ ]?(id|index|number|no|nr|#))?"
    r"\.?",
    "time": r"t|time|zeit|temps|elapsed|elapsed[_ ]?time|time[_ ]?elapsed|time ?stamp|timestamp|"
    r"date|datetime|date[_ ]?time|clock|relative[_ ]?time|test[_ ]?time",
    "voltage": r".*(voltage|bias|spannung|volt|tension).*|v|u|ch\d+ v|v[_ ]?(set|meas|source|tip|"
    r"sample|applied|s|m|dc|in|out)|vsource|vmeas|vset|uset",
    "current": r".*(current|strom|courant|curr).*|i|i[_ ]?(meas|tip|sample|c|d|m|dc|in|out)|imeas|"
    r"i[_ ]?\d+|ch\d+ i",
}
_UNITS = {"x": "m", "y": "m", "time": "s", "voltage": "V", "current": "A"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Roles:
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


def role_of(column: Column) -> str | None:
    """What a column is by its name and unit; None if neither says."""
    name = re.sub(r"[\s-]+", " ", column.name.strip().lower())
    if is_derived(name):
        return None
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


def wrong_cell(column: Column) -> str:
    """The first cell of a column that is no number."""
    return next(t for t, v in zip(column.text, column.values, strict=True) if not np.isfinite(v))


def roles_of(asked: Asked, table: Table) -> Roles:
    """Find what each column is; DataError for one that may divide the lines and is not understood."""
    found: dict[str, tuple[Column, float]] = {}
    currents: dict[str, tuple[Column, float]] = {}
    voltages: dict[str, tuple[Column, float]] = {}
    others: list[Column] = []
    for column in table.columns:
        role = role_of(column)
        if role is None:
            others.append(column)
            continue
        if role not in ("curve",) and not column.numeric:
            raise asked.fault(f"have a number at {column.name!r}", repr(wrong_cell(column)))
        unit = _UNITS.get(role)
        factor = 1.0
        if unit is not None:
            is_clock = role == "time" and not _plain_numbers(column)
            known = 1.0 if is_clock else si_as(column.unit, unit)
            if known is None:
                raise asked.fault(
                    f"give {column.name!r} with its unit (columns need their units), such as "
                    f"'{column.name} [{ {'m': 'um', 's': 's', 'V': 'V', 'A': 'nA'}[unit] }]'",
                    f"{column.label!r}",
                )
            factor = known
        store = {"current": currents, "voltage": voltages}.get(role)
        if store is not None:
            store[column.name] = (column, factor)
        elif role in found:
            both = (found[role][0], column)
            counters = [c for c in both if role == "curve" and _counts_lines(c)]
            if len(counters) != 1:
                labels = f"{both[0].label!r}, {both[1].label!r}"
                raise asked.fault(f"have one column for the {role}", labels)
            asked.note(f"column {counters[0].label!r} counts the lines: not used")
            if counters[0] is both[0]:
                found[role] = (column, factor)
        else:
            found[role] = (column, factor)
    if not voltages or not currents:
        raise asked.fault(
            "have a voltage and a current column with their units, such as 'Voltage [V]' and "
            "'Current [nA]'",
            ", ".join(f"{c.name} [{c.unit}]" for c in table.columns),
            "A logarithm or a size does not say the current, nor its error"
            if any(is_derived(c.name) for c in table.columns)
            else "",
        )
    _understood(asked, others)
    return Roles(found=found, currents=currents, voltages=voltages, others=others)


def _counts_lines(column: Column) -> bool:
    """Whether a column numbers the lines, of the table or of each curve."""
    return column.numeric and float((np.diff(column.values) == 1).mean()) > 0.5


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
            raise asked.fault(
                "have columns that are understood: voltage, current, time, row, column, x, y, curve "
                "or cycle, each with its unit",
                f"{column.label!r}, which may divide the lines into curves",
                "Rename the column or leave it out",
            )
        asked.note(f"column {column.label!r} is kept in metadata['channels'] and not used")


def _whole(values: FloatArray) -> bool:
    return bool(np.isfinite(values).all() and (values == np.round(values)).all())
