"""Text of a table: its separator, decimal sign, header and numbers, whoever wrote it."""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from grainscout.analysis.formats.files import intact, load_bytes, refuse_namesakes
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.units import si, split_name
from grainscout.records import FloatArray

_SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar", " ": "space"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?(\d+,?\d*|,\d+)([eEdD][+-]?\d+)?")
_FIGURES = re.compile(r"[+-]?[\d.,]*\d[\d.,]*([eEdD][+-]?\d+)?")
_NOTHING = {"", "nan", "na", "n/a", "#n/a", "null", "none", "-", "--", "inf", "-inf", "+inf"}
_COMMENT = ("#", "%", "!", "//", "*")
_TAIL = re.compile(r"^(.*?)(?:\s*[/,:]\s*|\s+in\s+|_|\s+)([^\s_/,:]+)$")


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One column: the label as it stands, name and unit in it, and its cells."""

    label: str
    name: str
    unit: str
    values: FloatArray  #: Not finite where a cell holds no number, (lines,)
    text: list[str]  #: The cells as they stand

    @property
    def numeric(self) -> bool:
        """Whether all cells are numbers or stand for none."""
        return bool((np.isfinite(self.values) | np.array([_none(t) for t in self.text])).all())


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Columns below a header, and the lines above it."""

    columns: list[Column]
    preamble: list[str]


def decoded(asked: Asked) -> str:
    """The text of a file in UTF-8 or UTF-16, else in Latin-1, which is noted."""
    data = load_bytes(asked.path)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16").replace("\u2212", "-")
        except UnicodeDecodeError as error:
            raise asked.fault("be UTF-16 text", str(error)) from error
    try:
        return data.decode("utf-8-sig").replace("\u2212", "-")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise asked.fault("be text", str(error)) from error
    text = data.decode("cp1252", errors="replace")
    asked.note("the text is not UTF-8: read as Windows text")
    return text


def parsed(text: str, asked: Asked) -> Table:
    """The table of a text; DataError names the file if a line is no line of a table."""
    with intact(asked.path, "table of numbers", csv.Error):
        return _parsed(text, asked)


def _parsed(text: str, asked: Asked) -> Table:
    """The table in a text; DataError says what it lacks."""
    if not text.endswith(("\n", "\r")):
        raise asked.fault("end with a complete line", repr(text[-20:]), "It may be truncated")
    raw = text.splitlines()
    while raw and (not raw[-1].strip() or raw[-1].lstrip().startswith(_COMMENT)):
        if raw.pop().strip():
            asked.note("comments below the table are left out")
    lines = [line for line in raw if line.strip()]
    separator, begin = _layout(asked, lines)
    if separator in ",;" and all(line.rstrip().endswith(separator) for line in lines[begin - 1 :]):
        raw = [line.rstrip().removesuffix(separator) for line in raw]
        lines = [line for line in raw if line.strip()]
    _one_block(asked, raw, lines[begin])
    comma = _decimal_comma(asked, lines[begin:], separator)
    head, units, preamble = _header(asked, lines[:begin], separator)
    body = [_cells(line, separator) for line in lines[begin:]]
    for i, cells in enumerate(body):
        if len(cells) != len(head):
            raise asked.fault(
                f"have {len(head)} columns in each line ({_SEPARATORS[separator]}-separated)",
                f"{len(cells)} in {lines[begin + i][:60]!r}",
            )
    columns = []
    for i, label in enumerate(head):
        cells = [row[i].strip() for row in body]
        name, unit = label_parts(label)
        columns.append(
            Column(
                label=label,
                name=name,
                unit=units[i] if units else unit,
                values=_values(cells, comma),
                text=cells,
            )
        )
    refuse_namesakes(asked.path, [c.name for c in columns])
    return Table(columns=columns, preamble=preamble)


def label_parts(label: str) -> tuple[str, str]:
    """Name and unit of a label: brackets, ``U/V``, ``Voltage, V``, ``current_nA``, ``I nA``."""
    name, unit = split_name(label)
    if unit:
        return name, unit
    match = _TAIL.match(name)
    if match and match[1]:
        factor, base = si(match[2])
        lower = re.fullmatch(r"[afpnuµμmk]?[avs]", match[2])
        if factor != 1.0 or base in ("V", "A", "s", "m", "a.u.", "Ohm", "S", "Hz") or lower:
            return match[1].strip(), match[2]
    return name, ""


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    cells = next(csv.reader(io.StringIO(line), delimiter=separator), [])
    # Instruments end their lines with a separator.
    return cells[:-1] if len(cells) > 1 and not cells[-1].strip() and separator == "\t" else cells


def _is_number(text: str, *, comma: bool) -> bool:
    plain = text.strip()
    return bool((_COMMA if comma else _NUMBER).fullmatch(plain))


def _none(text: str) -> bool:
    return text.strip().lower() in _NOTHING


def _is_data(cells: Sequence[str]) -> bool:
    """Whether two or more cells are numbers."""
    numbers = sum(bool(_FIGURES.fullmatch(c.strip())) for c in cells)
    return numbers >= 2 and numbers >= 0.5 * len(cells)


def _layout(asked: Asked, lines: Sequence[str]) -> tuple[str, int]:
    """The separator, and the first line of numbers."""
    best: tuple[int, str, int] | None = None
    for separator in _SEPARATORS:
        rows = [_cells(line, separator) for line in lines]
        data = [i for i, row in enumerate(rows) if len(row) > 1 and _is_data(row)]
        if not data:
            continue
        widths = [len(rows[i]) for i in data]
        usual = max(set(widths), key=widths.count)
        count = widths.count(usual)
        if best is None or count > best[0]:
            best = (count, separator, next(i for i in data if len(rows[i]) == usual))
    if best is None or len(lines) - best[2] < 2:
        raise asked.fault(
            "have a header line and two or more lines of numbers, separated by commas, semicolons, "
            "tabs or spaces",
            f"{len(lines)} lines, the first of them {lines[0][:60]!r}" if lines else "no lines",
        )
    return best[1], best[2]


def _one_block(asked: Asked, lines: Sequence[str], first: str) -> None:
    """Refuse a table that blank lines divide; a blank line after each line divides nothing."""
    body = [bool(line.strip()) for line in lines[lines.index(first) :]]
    while body and not body[-1]:
        body.pop()
    blocks = "".join("x" if full else " " for full in body).split()
    if len(blocks) > 1 and max(map(len, blocks)) > 1:
        raise asked.fault(
            "be one table",
            f"{len(blocks)} parts of up to {max(map(len, blocks))} lines between blank lines",
            "Join them with a column 'curve' that numbers the parts",
        )


def _decimal_comma(asked: Asked, lines: Sequence[str], separator: str) -> bool:
    """Whether numbers have a decimal comma; DataError where commas and points are mixed."""
    if separator == ",":
        return False
    comma, point = 0, 0
    for line in lines:
        for cell in _cells(line, separator):
            text = cell.strip()
            comma += "," in text and _is_number(text, comma=True)
            point += "." in text and _is_number(text, comma=False)
            if "," in text and "." in text and re.fullmatch(r"[\d.,+-]+", text):
                raise asked.fault("have numbers without marks of thousands", repr(text))
    if comma and point:
        raise asked.fault("have one decimal sign, a point or a comma", "both")
    return comma > 0


def _header(
    asked: Asked, lines: Sequence[str], separator: str
) -> tuple[list[str], list[str], list[str]]:
    """Labels, units of a line of their own (or none), and the lines above."""
    rows = [
        (i, [c.strip() for c in _cells(_bare(line), separator)]) for i, line in enumerate(lines)
    ]
    # What a data frame writes begins with a column without a name.
    usable = [(i, [row[0] or "index", *row[1:]]) for i, row in rows if row[1:] and all(row[1:])]
    if not usable:
        raise asked.fault(
            "have a header line that names its columns with their units, such as 'Voltage [V]' and "
            "'Current (nA)'",
            f"{lines[-1][:60]!r}" if lines else "numbers in the first line",
        )
    at, labels = usable[-1]
    units: list[str] = []
    if len(usable) > 1 and usable[-2][0] == at - 1 and len(usable[-2][1]) == len(labels):
        plain = [label.strip("[]()") for label in labels]
        if sum(si(p)[1] in ("V", "A", "s", "m") for p in plain) >= 2:
            units, labels, at = plain, usable[-2][1], at - 1
    above = list(lines[:at])
    if above:
        asked.note(f"{len(above)} lines above the header are kept in metadata['preamble']")
    return labels, units, above


def _bare(line: str) -> str:
    """A line without the mark of a comment."""
    text = line.strip("\r\n ")
    for mark in _COMMENT:
        if text.startswith(mark):
            return text.removeprefix(mark).lstrip()
    return text


def _values(cells: Sequence[str], comma: bool) -> FloatArray:
    """Numbers, times of day or dates in seconds; NaN for other cells."""
    values = np.array([_value(cell, comma) for cell in cells])
    if np.isnan(values).all() and not any(_none(c) for c in cells):
        moments = [_moment(cell) for cell in cells]
        if all(m is not None for m in moments):
            first = moments[0] or 0.0
            return np.array([(m or 0.0) - first for m in moments])
    return values


def _value(cell: str, comma: bool) -> float:
    if not _is_number(cell, comma=comma):
        return math.nan
    text = cell.strip().replace(",", ".") if comma else cell.strip()
    return float(text.replace("D", "e").replace("d", "e"))


def _moment(cell: str) -> float | None:
    """Seconds of a date with time, or of a time of day."""
    clock = re.fullmatch(r"(\d{1,2}):(\d{2}):(\d{2}(?:[.,]\d+)?)", cell.strip())
    if clock:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3].replace(",", "."))
    try:
        return datetime.fromisoformat(cell.strip()).timestamp()
    except ValueError:
        return None
