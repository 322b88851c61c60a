"""Sound rows of a damaged journal: those whose own checksum is right."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainscout.journal.models import Header
from grainscout.journal.rows import header_from, outcome_from, proposal_from
from grainscout.journal.schema import TABLES
from grainscout.journal.schema import sound as is_sound
from grainscout.journal.sqlite_pages import Record, read_records
from grainscout.records import DataError, Outcome, Proposal


@dataclass(frozen=True, kw_only=True, eq=False)
class Salvaged:
    """The sound rows of a journal, damaged or not."""

    header: Header | None  #: None if any part of it is damaged
    #: By number, the order of their commits, each exactly as it was committed
    outcomes: Mapping[int, Outcome]
    #: Numbers that are missing among them, or are damaged. An outcome cut off at the end leaves no
    #: number. Its proposal, if left, is among `unanswered`
    lost: Sequence[int]
    unanswered: Sequence[Proposal]  #: Proposals without an outcome here: lost, or never measured


def salvage(path: Path) -> Salvaged:
    """Read all sound rows of a journal and its -wal. Neither is ever written.

    A value is returned only if its row's checksum, over all of the row, is right. A file that is
    no journal gives nothing.

    Parameters
    ----------
    path : path
        The journal's file.

    Raises
    ------
    OSError
        If the file cannot be read at all.
    """
    sound: dict[str, dict[Any, tuple[Any, ...]]] = {name: {} for name in TABLES}
    damaged: set[int] = set()
    for record in read_records(path):
        rows = list(_readings(record))
        for table, row in rows:
            sound[table].setdefault(row[0], row)
        if not rows and len(record.fields) == len(TABLES["outcomes"]) + 1:
            damaged.add(record.rowid)
    outcomes, header = {}, None
    for number, row in sorted(sound["outcomes"].items()):
        with suppress(DataError):  # the curve has a checksum of its own
            outcomes[number] = outcome_from(row)
    with suppress(DataError):
        header = header_from(dict(sound["header"].values()))
    proposals = []
    for _, row in sorted(sound["proposals"].items()):
        with suppress(DataError):
            proposals.append(proposal_from(row))
    answered = {o.proposal_id for o in outcomes.values()}
    gaps = set(range(max(outcomes, default=-1) + 1)) - set(outcomes)
    # A damaged row's number may itself be damaged: only those that the run can have had count.
    most = max(len(proposals), max(outcomes, default=0)) + 1
    return Salvaged(
        header=header,
        outcomes=outcomes,
        lost=sorted(gaps | {n for n in damaged - set(outcomes) if 0 <= n <= most}),
        unanswered=[p for p in proposals if p.id not in answered],
    )


def hint(path: Path) -> str:
    """The remedy for a damaged journal, to be added to an error."""
    try:
        rescued = salvage(path)
    except OSError:
        return ""
    if not rescued.outcomes:
        ours = rescued.header is not None or rescued.unanswered
        return ". No outcome in it can be salvaged" if ours else ""
    return (
        f". {len(rescued.outcomes)} of its outcomes can be salvaged: "
        f"grainscout export --salvage {path} OUT.h5"
    )


def _readings(record: Record) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The table that a record is a sound row of, and its values without the checksum."""
    for table, columns in TABLES.items():
        if len(record.fields) != len(columns) + 1:
            continue
        *stored, digest = record.fields
        row = [
            float(v) if " REAL" in column and isinstance(v, int) else v  # SQLite shortens 2.0 to 2
            for v, column in zip(stored, columns, strict=True)
        ]
        if "INTEGER PRIMARY KEY" in columns[0]:
            row[0] = record.rowid
        if is_sound(table, row, digest):
            yield table, tuple(row)
