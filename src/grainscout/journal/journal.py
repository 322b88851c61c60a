"""The journal of a run: writing and reading."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from grainscout.journal.delta_log import DeltaLog
from grainscout.journal.lock import locked
from grainscout.journal.models import Batch, Event, Header, Request, Retraction
from grainscout.journal.rows import (
    event_from,
    header_from,
    header_values,
    outcome_from,
    outcome_row,
    proposal_from,
    proposal_row,
    request_from,
)
from grainscout.journal.salvaging import hint
from grainscout.journal.schema import (
    UNREADABLE,
    Damaged,
    as_kept,
    connect,
    create,
    row_digest,
    sound,
    torn,
)
from grainscout.records import DataError, JournalError, Outcome, PackedState, Proposal, pack, unpack

_T = TypeVar("_T")
_Row = TypeVar("_Row")


class Journal:
    """The file of one run, a context manager.

    Open it with `create`, `open` or `read`.

    Raises
    ------
    JournalError
        For a file that exists (`create`), is missing, foreign, of another version or damaged.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, *, readonly: bool = False) -> None:
        self.path = path
        self._db = db
        self._readonly = readonly
        self._writing = False
        self._locked = False
        #: The microscope's state as it is in the file. None: not read yet.
        self._log: DeltaLog | None = None

    @classmethod
    def create(
        cls, path: str | Path, header: Header, microscope: PackedState | None = None
    ) -> Self:
        """A new journal, in the place of no other.

        A process that is killed here leaves a whole journal, or one that says it is empty.

        Parameters
        ----------
        path : path
            A new file.
        header : Header
            Definition of the run.
        microscope : dict, optional
            State of the microscope after the scan, from which a run that is killed before its
            first measurement is resumed.
        """
        path = Path(path)
        journal = cls(path, create(path))
        try:
            for key, value in header_values(header).items():
                insert(journal._db, "header", key, value)
            log = journal._record_state(journal._db, -1, microscope)
            journal._db.execute("COMMIT")
            journal._log = log
        except sqlite3.Error as error:
            journal._db.close()
            raise JournalError(f"journal {path} could not be written: {error}") from error
        return journal

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """An existing journal, to be continued. Commits torn by a power cut become an event."""
        path = Path(path)
        lost = torn(path) if path.is_file() else 0
        journal = cls(path, _trusted(path))
        if lost:
            journal.record_event("torn", commits=lost)
        return journal

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """An existing journal, to be read. Another process may write it meanwhile."""
        return cls(Path(path), _trusted(Path(path), readonly=True), readonly=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Fold SQLite's side files into it, if no other process runs it."""
        if not self._readonly:
            with suppress(JournalError), self.locked():
                pass  # folded at its end
        self._db.close()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one process that runs this experiment. JournalError if another is.

        Requests (`request`) may still come from anywhere. A second lock within the first does
        nothing.
        """
        if self._locked:
            yield
            return
        with locked(self.path):
            self._locked = True
            self._log = None  # another process may have gone on with it meanwhile
            try:
                yield
            finally:
                self._locked = False
                # While locked: the lock's file distinguishes a killed run from a copy without its -wal.
                with suppress(*UNREADABLE):
                    self._db.execute("PRAGMA journal_mode = DELETE")
                    self._writing = False

    claimed = locked  # the former name

    def record_batch(self, number: int, proposals: Sequence[Proposal], decision_s: float) -> None:
        """Commit the proposals of one ask, before the first is measured.

        This commit outlives the process but does not wait for the disk. The next outcome's does.
        """
        with self._commit(durable=False) as db:
            insert(db, "batches", number, float(decision_s))
            first = _next(db, "proposals")
            for k, proposal in enumerate(proposals):
                insert(db, "proposals", *proposal_row(proposal, first + k, number))

    def record_outcome(
        self, batch: int, outcome: Outcome, microscope: PackedState | None = None
    ) -> None:
        """Commit an outcome and the microscope's state after it, in one transaction."""
        with self._commit() as db:
            insert(db, "outcomes", *outcome_row(outcome, _next(db, "outcomes"), batch))
            log = self._record_state(db, batch, microscope)
        self._log = log  # it is in the file now

    def record_microscope(self, state: PackedState) -> None:
        """Commit the microscope's state before the first measurement."""
        with self._commit() as db:
            log = self._record_state(db, -1, state)
        self._log = log

    def record_policy(self, batch: int, state: PackedState) -> None:
        """Commit the policy's state after the outcomes of `batch`."""
        with self._commit() as db:
            insert(db, "checkpoints", "policy", batch, pack(state), instead=True)

    def record_event(self, kind: str, clock_s: float = 0.0, **detail: Any) -> None:
        """Commit an event with a detail of plain JSON values."""
        with self._commit() as db:
            row = (_next(db, "events"), float(clock_s), _wall(), kind, json.dumps(detail))
            insert(db, "events", *row)

    def request(self, kind: str, **detail: Any) -> None:
        """Leave a request to the running experiment, from any process."""
        with self._commit() as db:
            row = (_next(db, "requests"), _wall(), kind, json.dumps(detail), 0)
            insert(db, "requests", *row)

    def handled(self, request: Request) -> None:
        """Commit that a request was done. No resume does it again."""
        with self._commit() as db:
            (row,) = self._rows("requests", "WHERE number = ?", request.number)
            insert(db, "requests", *row[:-1], 1, instead=True)

    def header(self) -> Header:
        """Definition of the run."""
        values = dict(self._rows("header"))
        missing = {"problem", "config", "seed", "versions", "created"} - set(values)
        if missing:
            raise self._damaged(f"it lacks {', '.join(sorted(missing))}")
        return self._made(header_from, values)

    def count(self) -> int:
        """Number of outcomes."""
        try:
            return _next(self._db, "outcomes")
        except UNREADABLE as error:
            raise self._damaged(f"it could not be read: {error}") from error

    def outcomes(self, first: int = 0, count: int = -1) -> list[Outcome]:
        """`count` outcomes in the order of their commits, from number `first` on. -1 for all.

        Curves that were taken out again have a verdict that says so.
        """
        outcomes = [outcome for _, outcome in self._outcomes(first, count)]
        for retraction in self.retractions():
            if 0 <= (k := retraction.outcome - first) < len(outcomes):
                outcomes[k] = retraction.applied(outcomes[k])
        return outcomes

    def retractions(self) -> list[Retraction]:
        """Curves that a person took out again, in order."""
        asked = self._rows("events", "WHERE kind = 'request' ORDER BY number")
        details = [self._made(event_from, row).detail for row in asked]
        return [
            Retraction(outcome=d["outcome"], reason=d["reason"], before=d["before"])
            for d in details
            if d.get("asked") == "retract" and "refused" not in d
        ]

    def as_told(self, number: int) -> Outcome | None:
        """Outcome `number` as the policy was told it. None if there is none."""
        return next((outcome for _, outcome in self._outcomes(number, 1)), None)

    def proposals(self, *, waiting: bool = False) -> list[Proposal]:
        """Proposals in the order of asking: all, or those without an outcome."""
        return [proposal for _, proposal in self._proposals(waiting)]

    def batches(self) -> list[Batch]:
        """All asks in order."""
        proposals: dict[int, list[Proposal]] = {}
        for number, proposal in self._proposals():
            proposals.setdefault(number, []).append(proposal)
        outcomes: dict[int, list[Outcome]] = {}
        for number, outcome in self._outcomes():
            outcomes.setdefault(number, []).append(outcome)
        return [
            Batch(
                number=number,
                proposals=proposals.get(number, []),
                outcomes=outcomes.get(number, []),
                decision_s=decision_s,
            )
            for number, decision_s in self._counted("batches")
        ]

    def checkpoint(self, kind: str) -> tuple[int, PackedState] | None:
        """Last batch and state of ``"policy"`` or ``"microscope"``, if any."""
        if kind == "microscope":
            batch, log = self._delta_log()
            return None if log.state is None else (batch, log.state)
        for _, batch, blob in self._rows("checkpoints", "WHERE kind = ?", kind):
            return int(batch), self._made(unpack, blob)
        return None

    def requests(self) -> list[Request]:
        """Requests that wait, in order."""
        waiting = self._rows("requests", "WHERE handled = 0 ORDER BY number")
        return [self._made(request_from, row) for row in waiting]

    def events(self, first: int = 0) -> list[Event]:
        """Events in order, from number `first` on."""
        return [self._made(event_from, row) for row in self._counted("events", first)]

    def _delta_log(self) -> tuple[int, DeltaLog]:
        batch, log = -1, DeltaLog()
        for row in self._counted("microscope"):
            number, batch, blob = row
            log = self._made(partial(log.after, number), blob)
        return batch, log

    def _record_state(
        self, db: sqlite3.Connection, batch: int, state: PackedState | None
    ) -> DeltaLog | None:
        if state is None:
            return self._log
        log = self._delta_log()[1] if self._log is None else self._log
        number, blob = log.row(state)
        if number == 0:
            db.execute("DELETE FROM microscope")
        insert(db, "microscope", number, batch, blob)
        return log.after(number, blob)

    def _proposals(self, waiting: bool = False) -> Iterator[tuple[int, Proposal]]:
        known = "(SELECT proposal_id FROM outcomes WHERE proposal_id IS NOT NULL)"
        waits = f"WHERE id NOT IN {known} ORDER BY number"
        for row in self._rows("proposals", waits) if waiting else self._counted("proposals"):
            yield int(row[2]), self._made(proposal_from, row)

    def _outcomes(self, first: int = 0, count: int = -1) -> Iterator[tuple[int, Outcome]]:
        for row in self._counted("outcomes", first, count):
            yield int(row[1]), self._made(outcome_from, row)

    @contextmanager
    def _commit(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        try:
            if not self._writing:  # a file that is only read stays as it is
                self._db.execute("PRAGMA journal_mode = WAL")  # readable while it is written
                self._writing = True
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise
        except UNREADABLE as error:
            raise JournalError(f"journal {self.path} could not be written: {error}") from error

    def _rows(self, table: str, where: str = "", *values: object) -> list[tuple[Any, ...]]:
        """Rows of a table, without their checksums. JournalError if one is wrong."""
        try:
            rows = self._db.execute(f"SELECT * FROM {table} {where}", values).fetchall()
        except UNREADABLE as error:
            raise self._damaged(f"it could not be read: {error}") from error
        for *row, digest in rows:
            if not sound(table, row, digest):
                raise self._damaged(f"the checksum of a row of its {table} does not match")
        return [row[:-1] for row in rows]

    def _counted(self, table: str, first: int = 0, count: int = -1) -> list[tuple[Any, ...]]:
        """Rows of a table from number `first` on. JournalError if one is missing."""
        rows = self._rows(table, "WHERE number >= ? ORDER BY number LIMIT ?", first, count)
        for expected, row in enumerate(rows, first):
            if row[0] != expected:
                raise self._damaged(f"its {table} lack number {expected}")
        return rows

    def _made(self, make: Callable[[_Row], _T], row: _Row) -> _T:
        try:
            return make(row)
        except DataError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> JournalError:
        return JournalError(f"journal {self.path} is damaged: {what}{hint(self.path)}")


def _trusted(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    try:
        return connect(path, readonly=readonly)
    except Damaged as error:
        raise JournalError(f"{error}{hint(path)}") from error


def _wall() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _next(db: sqlite3.Connection, table: str) -> int:
    (largest,) = db.execute(f"SELECT max(number) FROM {table}").fetchone()
    return 0 if largest is None else int(largest) + 1


def insert(db: sqlite3.Connection, table: str, *row: object, instead: bool = False) -> None:
    """Insert a row with its checksum, or replace one."""
    verb = "INSERT OR REPLACE" if instead else "INSERT"
    places = ", ".join("?" * (len(row) + 1))
    kept = [as_kept(value) for value in row]
    db.execute(f"{verb} INTO {table} VALUES ({places})", (*kept, row_digest(table, *kept)))
