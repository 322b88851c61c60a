"""Incremental reading of a journal that is being written."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grainscout.analysis.curves.archetypes import classify
from grainscout.analysis.curves.descriptors import describe_target
from grainscout.analysis.curves.quality_of_run import with_quality
from grainscout.experiment.outcomes import ATTACHED
from grainscout.journal import Event, Header, Journal, Request, is_locked
from grainscout.journal.models import Retraction
from grainscout.records import BoolArray, FloatArray, IntArray, Outcome, Proposal, Quality, Site

#: How many of the newest curves a snapshot holds.
NEWEST = 6
_AT_ONCE = 500
_PACE_OVER = 30
_BLOCK = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """State of a journal with n outcomes, m curves."""

    header: Header  #: Header of the journal
    sites: IntArray  #: Rows and columns of all outcomes, (n, 2)
    status: NDArray[np.str_]  #: Status of each outcome, (n,)
    attached: BoolArray  #: True for curves that were not measured in this run, (n,)
    finished: FloatArray  #: End of each measurement on the microscope's clock [s], (n,)
    curve_of: IntArray  #: Outcome of each curve, (m,)
    value: FloatArray  #: Target of each curve in `unit`, NaN if the curve does not give it, (m,)
    unit: str  #: Unit of the target
    archetype: NDArray[np.uint8]  #: Index of the archetype of each curve, or UNKNOWN, (m,)
    quality: Sequence[Quality | None]  #: Verdict on each curve, None if it was not judged
    #: Mean pairwise distance of the curves so far, over their rms current, (m,)
    diversity: FloatArray
    newest: Sequence[Outcome]  #: The last outcomes
    failures: Sequence[Outcome]  #: All failed outcomes
    waiting: Sequence[Proposal]  #: Proposals without an outcome
    asked: Sequence[Request]  #: Requests that the run has not handled yet
    events: Sequence[Event]  #: All events
    claimed: bool  #: True if a process runs the experiment
    seen: float  #: Time of the last outcome [s since 1970]
    pace: float | None  #: Recent wall time of a measurement [s]


class Reader:
    """Incremental reader of a journal that another process writes.

    It closes the journal after each read: a run that ends while somebody reads cannot fold SQLite's
    side files into the journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with Journal.read(path) as journal:
            self.header = journal.header()
        self._signature: tuple[tuple[int, int], ...] = ()
        self._rows: list[tuple[Site, str, bool, float]] = []  # site, status, attached, finished
        self._curves: list[tuple[int, float, int]] = []  # outcome, value, archetype
        self._quality: list[Quality | None] = []
        self._taken_out = 0  # retractions that were applied
        self._unit = ""
        self._diversity = RunningDiversity()
        self._newest: list[Outcome] = []
        self._failures: list[Outcome] = []
        self._events: list[Event] = []
        self._arrivals: list[tuple[float, int]] = []  # (wall time [s since 1970], outcomes)

    def changed(self) -> bool:
        """True if the files changed since the last update."""
        return self._signature_now() != self._signature

    def update(self) -> Snapshot:
        """Read the new rows."""
        signature = self._signature_now()  # before reading: later rows are read next time
        with Journal.read(self.path) as journal:
            while new := journal.outcomes(len(self._rows), _AT_ONCE):
                self._add(new)
            self._events += journal.events(len(self._events))
            self._take_out(journal.retractions())
            waiting, asked = journal.proposals(waiting=True), journal.requests()
        self._signature = signature
        seen, pace = self._times()
        sites, status, attached, finished = (
            zip(*self._rows, strict=True) if self._rows else [()] * 4
        )
        curve_of, value, archetype = zip(*self._curves, strict=True) if self._curves else [()] * 3
        return Snapshot(
            header=self.header,
            sites=np.array(sites, np.int64).reshape(-1, 2),
            status=np.array(status, np.str_),
            attached=np.array(attached, bool),
            finished=np.array(finished),
            curve_of=np.array(curve_of, np.int64),
            value=np.array(value),
            unit=self._unit,
            archetype=np.array(archetype, np.uint8),
            quality=tuple(self._quality),
            diversity=self._diversity.trace(),
            newest=tuple(self._newest),
            failures=tuple(self._failures),
            waiting=waiting,
            asked=asked,
            events=tuple(self._events),
            claimed=is_locked(self.path),
            seen=seen,
            pace=pace,
        )

    def outcome(self, number: int) -> Outcome | None:
        """Read one outcome by its number from 0."""
        with Journal.read(self.path) as journal:
            outcomes = journal.outcomes(number, 1) if number >= 0 else []
        if not outcomes:
            return None
        return with_quality(outcomes, self.header.problem, neighbours=False)[0]

    def _take_out(self, retractions: Sequence[Retraction]) -> None:
        """Mark curves that were taken out since they were read."""
        new, self._taken_out = retractions[self._taken_out :], len(retractions)
        place = {number: k for k, (number, *_) in enumerate(self._curves)}
        first = len(self._rows) - len(self._newest)
        for retraction in new:
            if retraction.outcome not in place:
                continue
            k, recent = place[retraction.outcome], retraction.outcome - first
            self._quality[k] = retraction.verdict(self._quality[k])
            if recent >= 0:
                newest = self._newest[recent]
                self._newest[recent] = replace(newest, quality=self._quality[k])

    def _add(self, outcomes: Sequence[Outcome]) -> None:
        first = len(self._rows)
        self._rows += [(o.site, o.status, o.message == ATTACHED, o.finished) for o in outcomes]
        outcomes = with_quality(outcomes, self.header.problem, neighbours=False)
        self._quality += [o.quality for o in outcomes if o.curve is not None]
        self._newest = [*self._newest, *outcomes][-NEWEST:]
        self._failures += [o for o in outcomes if o.status == "failed"]
        curves = {first + k: o.curve for k, o in enumerate(outcomes) if o.curve is not None}
        if not curves:
            return
        problem = self.header.problem
        current = np.array([c.current for c in curves.values()])
        saturated = np.array([c.saturated for c in curves.values()])
        described = describe_target(problem, current, saturated)
        value = np.where(described.valid, described.value, np.nan).tolist()
        archetype = classify(problem.waveform.voltage, current, saturated).tolist()
        self._curves += zip(curves, value, archetype, strict=True)
        self._unit = described.unit
        self._diversity.add(current)

    def _signature_now(self) -> tuple[tuple[int, int], ...]:
        return tuple((s.st_mtime_ns, s.st_size) for s in self._stats())

    def _times(self) -> tuple[float, float | None]:
        """Time of the last outcome, and recent pace."""
        count = len(self._rows)
        if not self._arrivals:  # it came before we looked: no later than the file's last change
            began, before = self._began()
            last = max((s.st_mtime for s in self._stats()), default=began)
            self._arrivals = [(began, before)] + [(max(last, began), count)] * (count > before)
        elif count > self._arrivals[-1][1]:
            self._arrivals = [*self._arrivals, (time.time(), count)][-_PACE_OVER:]
        steps = np.diff(np.array(self._arrivals), axis=0)
        # The median leaves out a pause in between.
        pace = float(np.median(steps[:, 0] / steps[:, 1])) if len(steps) else None
        return self._arrivals[-1][0], pace

    def _began(self) -> tuple[float, int]:
        """Time and number of outcomes at the last start."""
        for event in reversed(self._events):
            if event.kind in ("start", "resume"):
                done = int(event.detail.get("outcomes", 0))
                return datetime.fromisoformat(event.wall).timestamp(), done
        return datetime.fromisoformat(self.header.created).timestamp(), 0

    def _stats(self) -> list[os.stat_result]:
        """Stats of the journal and SQLite's side file."""
        stats = []
        for file in (self.path, self.path.with_name(self.path.name + "-wal")):
            with suppress(FileNotFoundError):
                stats.append(file.stat())
        return stats


class RunningDiversity:
    """Mean pairwise distance of curves, by scalar products, updated curve by curve."""

    def __init__(self) -> None:
        self._curves = np.empty((0, 0))
        self._squares = np.empty(0)
        self._count = 0
        self._sums: list[float] = []

    def add(self, current: FloatArray) -> None:
        """Add curves (k, samples) [A], lost samples as 0."""
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
        """Add the distances of new curves from earlier ones."""
        near = self._squares[first:end, None] + self._squares[:end]
        near -= 2.0 * (self._curves[first:end] @ self._curves[:end].T)
        distance = np.sqrt(np.fmax(near, 0.0) / self._curves.shape[1])
        before = np.arange(end) < np.arange(first, end)[:, None]
        so_far = self._sums[-1] if self._sums else 0.0
        self._sums += (so_far + np.cumsum((distance * before).sum(axis=1))).tolist()

    def trace(self) -> FloatArray:
        """Diversity after each curve (m,); 0 for the first."""
        m = self._count
        if not m:
            return np.zeros(0)
        rms = np.sqrt(self._squares.sum() / (m * self._curves.shape[1]))
        pairs = np.arange(m) * np.arange(1, m + 1) / 2
        return np.array(self._sums) / np.fmax(pairs, 1.0) / (rms or 1.0)
