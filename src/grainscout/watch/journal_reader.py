"""The journal, read bit by bit while another process writes it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grainscout.analysis.curves.archetypes import classify
from grainscout.analysis.curves.descriptors import describe_target
from grainscout.experiment.outcomes import ATTACHED
from grainscout.journal import Event, Header, Journal, Request, is_claimed
from grainscout.records import Outcome, Proposal
from grainscout.records.arrays import BoolArray, FloatArray, IntArray

#: How many of the newest curves a snapshot holds.
NEWEST = 6
_AT_ONCE = 500
_PACE_OVER = 30
_BLOCK = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """A run as the journal tells it at one moment; n outcomes, m of them with a curve.

    sites (n, 2), status (n,), attached (n,) (not measured in this run) and finished (n,) [s] are of all
    outcomes;  curve_of (m,) says which have a curve;  value (m,) of the target, NaN where the curve does not tell it;  kind
    (m,) archetype index or UNKNOWN;  diversity (m,) mean pairwise distance over the rms current.
    newest : the last outcomes;  failures : all failed ones;  waiting : proposals without an outcome;  asked : requests that were
    not obeyed yet.
    claimed : whether a process runs the experiment;  seen : when the last outcome came [s since 1970];
    pace : seconds of wall time a measurement, of late, if known.
    """

    header: Header
    sites: IntArray
    status: NDArray[np.str_]
    attached: BoolArray
    finished: FloatArray
    curve_of: IntArray
    value: FloatArray
    unit: str
    kind: NDArray[np.uint8]
    diversity: FloatArray
    newest: Sequence[Outcome]
    failures: Sequence[Outcome]
    waiting: Sequence[Proposal]
    asked: Sequence[Request]
    events: Sequence[Event]
    claimed: bool
    seen: float
    pace: float | None


class Reader:
    """Keeps what was read, opens the journal for the rest, and lets go of it at once.

    Letting go matters: a run that ends while somebody reads cannot fold SQLite's side files into
    the journal.  Raises JournalError as ``Journal.read`` does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with Journal.read(path) as journal:
            self.header = journal.header()
        self._sign: tuple[object, ...] = ()
        self._sites: list[tuple[int, int]] = []
        self._status: list[str] = []
        self._attached: list[bool] = []
        self._finished: list[float] = []
        self._curve_of: list[int] = []
        self._value: list[float] = []
        self._unit = ""
        self._kind: list[int] = []
        self._spread = Spread()
        self._newest: list[Outcome] = []
        self._failures: list[Outcome] = []
        self._events: list[Event] = []
        self._arrivals: list[tuple[float, int]] = []  # (wall time [s since 1970], outcomes)

    def changed(self) -> bool:
        """Whether there may be something new; two looks at the file's date, no look inside."""
        return self._signature() != self._sign

    def update(self) -> Snapshot:
        """Read what is new."""
        sign = self._signature()  # before the reading: what comes meanwhile is read next time
        with Journal.read(self.path) as journal:
            while new := journal.outcomes(len(self._sites), _AT_ONCE):
                self._take(new)
            self._events += journal.events(len(self._events))
            waiting, asked = journal.proposals(waiting=True), journal.requests()
        self._sign = sign
        seen, pace = self._times()
        return Snapshot(
            header=self.header,
            sites=np.array(self._sites, np.int64).reshape(-1, 2),
            status=np.array(self._status, np.str_),
            attached=np.array(self._attached, bool),
            finished=np.array(self._finished),
            curve_of=np.array(self._curve_of, np.int64),
            value=np.array(self._value),
            unit=self._unit,
            kind=np.array(self._kind, np.uint8),
            diversity=self._spread.trace(),
            newest=tuple(self._newest),
            failures=tuple(self._failures),
            waiting=waiting,
            asked=asked,
            events=tuple(self._events),
            claimed=is_claimed(self.path),
            seen=seen,
            pace=pace,
        )

    def outcome(self, number: int) -> Outcome | None:
        """One outcome with its curve, if there is one of that number."""
        with Journal.read(self.path) as journal:
            found = journal.outcomes(number, 1) if number >= 0 else []
        return found[0] if found else None

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        first = len(self._sites)
        for outcome in outcomes:
            self._sites.append((int(outcome.site[0]), int(outcome.site[1])))
            self._status.append(outcome.status)
            self._attached.append(outcome.message == ATTACHED)
            self._finished.append(outcome.finished)
        self._newest = [*self._newest, *outcomes][-NEWEST:]
        self._failures += [o for o in outcomes if o.status == "failed"]
        curves = {first + k: o.curve for k, o in enumerate(outcomes) if o.curve is not None}
        if not curves:
            return
        problem = self.header.problem
        voltage = problem.waveform.voltage
        current = np.array([c.current for c in curves.values()])
        saturated = np.array([c.saturated for c in curves.values()])
        found = describe_target(problem, current, saturated)
        self._curve_of += curves
        self._value += np.where(found.valid, found.value, np.nan).tolist()
        self._unit = found.unit
        self._kind += classify(voltage, current, saturated).tolist()
        self._spread.add(current)

    def _signature(self) -> tuple[object, ...]:
        return tuple((s.st_mtime_ns, s.st_size) for s in self._stats())

    def _times(self) -> tuple[float, float | None]:
        """When the last outcome came, and the usual time from one to the next, of late."""
        count = len(self._sites)
        if not self._arrivals:  # it came before we looked: no later than the file's last change
            began, before = self._began()
            last = max((s.st_mtime for s in self._stats()), default=began)
            self._arrivals = [(began, before)] + [(max(last, began), count)] * (count > before)
        elif count > self._arrivals[-1][1]:
            self._arrivals = [*self._arrivals, (time.time(), count)][-_PACE_OVER:]
        steps = np.diff(np.array(self._arrivals), axis=0)
        # The median: a pause in between does not count.
        return self._arrivals[-1][0], float(np.median(steps[:, 0] / steps[:, 1])) if len(
            steps
        ) else None

    def _began(self) -> tuple[float, int]:
        """When the running stretch began [s since 1970], and how many outcomes there were then."""
        for event in reversed(self._events):
            if event.kind in ("start", "resume"):
                done = int(event.detail.get("outcomes", 0))
                return datetime.fromisoformat(event.wall).timestamp(), done
        return datetime.fromisoformat(self.header.created).timestamp(), 0

    def _stats(self) -> list[os.stat_result]:
        """Of the journal and of the file that SQLite keeps beside it, which comes and goes."""
        found = []
        for file in (self.path, self.path.with_name(self.path.name + "-wal")):
            with suppress(FileNotFoundError):
                found.append(file.stat())
        return found


class Spread:
    """The mean pairwise distance of curves, as each comes; ``benchmarks`` scores the same measure.

    Distances come from scalar products, which is many times as fast and off by 1e-8 of a curve at most.
    """

    def __init__(self) -> None:
        self._curves = np.empty((0, 0))
        self._squares = np.empty(0)
        self._count = 0
        self._sums: list[float] = []

    def add(self, current: FloatArray) -> None:
        """More curves (k, s) [A]; lost samples count as no current."""
        new = np.where(np.isfinite(current), current, 0.0)
        start, self._count = self._count, self._count + len(new)
        if self._count > len(self._curves):  # room for twice as many: few copies
            grown = np.empty((2 * self._count, new.shape[1]))
            grown[:start] = self._curves[:start] if start else 0.0
            self._curves = grown
        self._curves[start : self._count] = new
        self._squares = np.append(self._squares, (new**2).sum(axis=1))
        for first in range(start, self._count, _BLOCK):
            self._measure(first, min(first + _BLOCK, self._count))

    def _measure(self, first: int, end: int) -> None:
        """Add the distances of curves `first` to `end` from all before each."""
        near = self._squares[first:end, None] + self._squares[:end]
        near -= 2.0 * (self._curves[first:end] @ self._curves[:end].T)
        apart = np.sqrt(np.fmax(near, 0.0) / self._curves.shape[1])
        before = np.arange(end) < np.arange(first, end)[:, None]
        so_far = self._sums[-1] if self._sums else 0.0
        self._sums += (so_far + np.cumsum((apart * before).sum(axis=1))).tolist()

    def trace(self) -> FloatArray:
        """(m,) after each curve; 0 for the first."""
        m = self._count
        if not m:
            return np.zeros(0)
        rms = np.sqrt(self._squares.sum() / (m * self._curves.shape[1]))
        pairs = np.arange(m) * np.arange(1, m + 1) / 2
        return np.array(self._sums) / np.fmax(pairs, 1.0) / (rms or 1.0)
