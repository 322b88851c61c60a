"""The journal object."""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grainscout.journal._claim import claim
from grainscout.journal._codec import curve_from, curve_state, problem_from, problem_state
from grainscout.journal._schema import connect, row_digest
from grainscout.records import (
    DataError,
    JournalError,
    Outcome,
    PackedState,
    Problem,
    Proposal,
    Site,
    pack,
    unpack,
)

_PACKAGES = ("grainscout", "numpy", "scipy", "torch", "gpytorch", "scikit-image")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Header:
    """What a run is: its problem, its resolved configuration, its seed and the versions.

    config : plain JSON values; two headers with equal config, seed and problem are one experiment.
    """

    problem: Problem
    config: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str] = field(default_factory=package_versions)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The proposals of one ask, and the outcomes recorded for them so far.

    decision_s : seconds that the policy took to decide.
    """

    number: int
    proposals: Sequence[Proposal]
    outcomes: Sequence[Outcome]
    decision_s: float

    @property
    def complete(self) -> bool:
        """Whether each proposal has its outcome; then all of them are told."""
        return {p.id for p in self.proposals} <= {o.proposal_id for o in self.outcomes}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something worth knowing later: a start, a fault, an interruption, the end."""

    clock_s: float
    wall: str
    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks of a running experiment; see ``experiment.REQUESTS``."""

    number: int
    kind: str
    detail: Mapping[str, Any]


class Journal:
    """One run's file.  Open it with `create`, `open` or `read`; use it as a context manager.

    Raises JournalError for a file that exists (`create`), is missing, foreign, of another version
    or damaged.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._writing = False
        self._claimed = False

    @classmethod
    def create(cls, path: str | Path, header: Header) -> Self:
        """A new journal; never overwrites."""
        path = Path(path)
        journal = cls(path, connect(path, create=True))
        values = {
            "problem": pack(problem_state(header.problem)),
            "config": json.dumps(header.config, sort_keys=True).encode(),
            "seed": str(header.seed).encode(),
            "versions": json.dumps(dict(header.versions)).encode(),
            "created": header.created.encode(),
        }
        with journal._commit() as db:
            db.executemany(
                "INSERT INTO header VALUES (?, ?, ?)",
                [(k, v, row_digest(k, v)) for k, v in values.items()],
            )
        return journal

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """An existing journal, to go on with."""
        return cls(Path(path), connect(Path(path)))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """An existing journal, to look at; may be written by another process meanwhile."""
        return cls(Path(path), connect(Path(path), readonly=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and fold SQLite's side files into it, if nobody else has it open."""
        if self._writing:
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Be the one process that runs this experiment; JournalError if another is.

        Requests (`request`) may still come from anywhere.  Within a claim a second one is nothing new.
        """
        if self._claimed:
            yield
            return
        with claim(self.path):
            self._claimed = True
            try:
                yield
            finally:
                self._claimed = False

    # Writing ------------------------------------------------------------------------------------

    def record_batch(self, number: int, proposals: Sequence[Proposal], decision_s: float) -> None:
        """Commit the proposals of one ask, before the first of them is measured.

        This commit outlives the process but does not wait for the disk: the next outcome's does.
        """
        with self._commit(durable=False) as db:
            db.execute("INSERT INTO batches VALUES (?, ?)", (number, decision_s))
            for position, p in enumerate(proposals):
                row = (
                    *(p.id, number, position, int(p.site[0]), int(p.site[1])),
                    *(_number(p.prediction), _number(p.uncertainty)),
                    json.dumps({k: float(v) for k, v in p.scores.items()}),
                )
                db.execute(
                    "INSERT INTO proposals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, row_digest(*row)),
                )

    def record_outcome(
        self, batch: int, outcome: Outcome, microscope: PackedState | None = None
    ) -> None:
        """Commit an outcome and the state that it left the microscope in, in one transaction."""
        curve = None if outcome.curve is None else pack(curve_state(outcome.curve))
        with self._commit() as db:
            number = db.execute("SELECT count(*) FROM outcomes").fetchone()[0]
            row = (
                *(number, batch, outcome.proposal_id, int(outcome.site[0]), int(outcome.site[1])),
                *(outcome.status, int(outcome.visit), float(outcome.started)),
                *(float(outcome.finished), outcome.message, curve),
            )
            db.execute(
                f"INSERT INTO outcomes VALUES ({', '.join('?' * 12)})", (*row, row_digest(*row))
            )
            if microscope is not None:
                _keep(db, "microscope", batch, microscope)

    def record_microscope(self, state: PackedState) -> None:
        """Commit the state of the microscope before the first measurement."""
        with self._commit() as db:
            _keep(db, "microscope", -1, state)

    def record_policy(self, batch: int, state: PackedState) -> None:
        """Commit the state of the policy after it was told the outcomes of `batch`."""
        with self._commit() as db:
            _keep(db, "policy", batch, state)

    def record_event(self, kind: str, clock_s: float = 0.0, **detail: Any) -> None:
        """Commit an event; the detail must be plain JSON values."""
        wall = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._commit() as db:
            db.execute(
                "INSERT INTO events (clock_s, wall, kind, detail) VALUES (?, ?, ?, ?)",
                (clock_s, wall, kind, json.dumps(detail)),
            )

    def request(self, kind: str, **detail: Any) -> None:
        """Ask something of the experiment that writes this journal; from any process."""
        wall = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._commit() as db:
            db.execute(
                "INSERT INTO requests (wall, kind, detail) VALUES (?, ?, ?)",
                (wall, kind, json.dumps(detail)),
            )

    def handled(self, request: Request) -> None:
        """Commit that a request was done, so that no resume does it again."""
        with self._commit() as db:
            db.execute("UPDATE requests SET handled = 1 WHERE number = ?", (request.number,))

    # Reading ------------------------------------------------------------------------------------

    def header(self) -> Header:
        """What the run is."""
        rows = {k: (v, d) for k, v, d in self._rows("SELECT key, value, digest FROM header")}
        missing = {"problem", "config", "seed", "versions", "created"} - set(rows)
        if missing:
            raise JournalError(f"journal {self.path} lacks {', '.join(sorted(missing))}")
        for key, (value, digest) in rows.items():
            self._verify(digest, key, value)
        return Header(
            problem=problem_from(self._unpack(rows["problem"][0])),
            config=json.loads(rows["config"][0]),
            seed=int(rows["seed"][0]),
            versions=json.loads(rows["versions"][0]),
            created=rows["created"][0].decode(),
        )

    def outcomes(self, first: int = 0, count: int = -1) -> list[Outcome]:
        """Outcomes in the order of their commits, from number `first` on; all if `count` is -1."""
        return [outcome for _, outcome in self._outcomes(first, count)]

    def proposals(self, *, waiting: bool = False) -> list[Proposal]:
        """All proposals in the order of asking; with `waiting` those without an outcome yet."""
        return [proposal for _, proposal in self._proposals(waiting)]

    def batches(self) -> list[Batch]:
        """All asks in order, each with its proposals and the outcomes recorded for it."""
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
            for number, decision_s in self._rows(
                "SELECT batch, decision_s FROM batches ORDER BY batch"
            )
        ]

    def checkpoint(self, kind: str) -> tuple[int, PackedState] | None:
        """(batch, state) last stored for ``"policy"`` or ``"microscope"``, if any."""
        for batch, blob in self._rows(
            "SELECT batch, state FROM checkpoints WHERE kind = ?", (kind,)
        ):
            return int(batch), self._unpack(blob)
        return None

    def requests(self) -> list[Request]:
        """Requests that were not handled yet, in order."""
        return [
            Request(number=number, kind=kind, detail=json.loads(detail))
            for number, kind, detail in self._rows(
                "SELECT number, kind, detail FROM requests WHERE handled = 0 ORDER BY number"
            )
        ]

    def events(self, first: int = 0) -> list[Event]:
        """Events in order, without the `first` ones."""
        return [
            Event(clock_s=clock, wall=wall, kind=kind, detail=json.loads(detail))
            for clock, wall, kind, detail in self._rows(
                "SELECT clock_s, wall, kind, detail FROM events ORDER BY number LIMIT -1 OFFSET ?",
                (first,),
            )
        ]

    def _proposals(self, waiting: bool = False) -> Iterator[tuple[int, Proposal]]:
        known = "(SELECT proposal_id FROM outcomes WHERE proposal_id IS NOT NULL)"
        which = f"WHERE id NOT IN {known}" if waiting else ""
        for *row, digest in self._rows(f"SELECT * FROM proposals {which} ORDER BY batch, position"):
            self._verify(digest, *row)
            id_, batch, _, r, c, prediction, uncertainty, scores = row
            yield (
                int(batch),
                Proposal(
                    id=id_,
                    site=Site(r, c),
                    prediction=prediction,
                    uncertainty=uncertainty,
                    scores=json.loads(scores),
                ),
            )

    def _outcomes(self, first: int = 0, count: int = -1) -> Iterator[tuple[int, Outcome]]:
        query = "SELECT * FROM outcomes WHERE number >= ? ORDER BY number LIMIT ?"
        for *row, digest in self._rows(query, (first, count)):
            self._verify(digest, *row)
            _, batch, proposal_id, r, c, status, visit, started, finished, message, curve = row
            yield (
                int(batch),
                Outcome(
                    site=Site(r, c),
                    status=status,
                    curve=None if curve is None else curve_from(self._unpack(curve)),
                    proposal_id=proposal_id,
                    started=started,
                    finished=finished,
                    visit=visit,
                    message=message,
                ),
            )

    # Plumbing -----------------------------------------------------------------------------------

    @contextmanager
    def _commit(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        try:
            if not self._writing:  # a file that is only looked at stays as it is
                self._db.execute("PRAGMA journal_mode = WAL")  # readable while it is written
                self._writing = True
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"journal {self.path} could not be written: {error}") from error

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"journal {self.path} could not be read: {error}") from error

    def _verify(self, digest: str, *values: object) -> None:
        if row_digest(*values) != digest:
            raise JournalError(f"journal {self.path} is damaged: a row's checksum does not match")

    def _unpack(self, blob: bytes) -> PackedState:
        try:
            return unpack(blob)
        except DataError as error:
            raise JournalError(f"journal {self.path} is damaged: {error}") from error


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _keep(db: sqlite3.Connection, kind: str, batch: int, state: PackedState) -> None:
    db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (kind, batch, pack(state)))
