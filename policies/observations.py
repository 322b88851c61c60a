"""Observations of a policy: available, pending, measured and failed sites, and the curves."""

import bisect
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from grainscout.records.arrays import BoolArray, FloatArray, IntArray
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import PolicyError
from grainscout.records.problem import Outcome, Problem

# Of the peak: a real instrument reports the voltage that it applied, not the one asked for.
_VOLTAGE_TOLERANCE = 0.02
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Observations:
    """All measured curves, ordered independently of the order of ``tell``."""

    sites: IntArray  #: Rows and columns, (n, 2)
    index: IntArray  #: Candidate of each curve, -1 where the site is none, (n,)
    visit: IntArray  #: Number of earlier measurements of the site, (n,)
    current: FloatArray  #: Currents [A], (n, samples)
    saturated: BoolArray  #: Samples at the amplifier's rail, (n, samples)
    started: FloatArray  #: Time of the measurement [s], (n,)
    derived: list[dict[str, Any]] | None = None  #: Results of :meth:`each`, one mapping a curve

    def __len__(self) -> int:
        return len(self.index)

    def each(self, key: str, function: Callable[[FloatArray, BoolArray], T]) -> list[T]:
        """``function(current, saturated)`` of every curve, computed once a curve under `key`."""
        derived = [{} for _ in self.index] if self.derived is None else self.derived
        for known, current, saturated in zip(derived, self.current, self.saturated, strict=True):
            if key not in known:
                known[key] = function(current, saturated)
        return [known[key] for known in derived]


class ObservationHistory:
    """Proposals and outcomes at a problem's candidates, with `visits`, `failures` and `pending` of each."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        sites = problem.candidates
        distinct = len(np.unique(problem.scan.flat(sites)))
        if distinct != len(sites):
            raise PolicyError(
                f"Problem candidates must be distinct sites; got {len(sites)} of which "
                f"{len(sites) - distinct} are repeats"
            )
        self.visits = np.zeros(len(sites), np.int64)
        self.failures = np.zeros(len(sites), np.int64)
        self.pending = np.zeros(len(sites), np.int64)
        self.proposed: list[int] = []  # candidate index of proposal k
        self._answered: set[int] = set()
        self._asks = 0
        self._keys: list[tuple[int, int, int, int, float]] = []
        self._curves: list[tuple[FloatArray, BoolArray, dict[str, Any]]] = []
        self._observations: Observations | None = None

    def available(self, *, retries: int = 0, revisits: int = 0) -> IntArray:
        """Candidates that may be proposed now, ascending."""
        usable = (self.pending == 0) & (self.visits <= revisits) & (self.failures <= retries)
        return np.flatnonzero(usable)

    open = available  # the former name

    def propose(self, indices: Iterable[int]) -> list[str]:
        """Mark candidates as pending and give their new proposal ids."""
        self._asks += 1
        ids = []
        for index in indices:
            ids.append(f"p{len(self.proposed):04d}")
            self.proposed.append(int(index))
            self.pending[index] += 1
        return ids

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Record new outcomes. PolicyError, with none recorded, if one of them cannot be used."""
        answers = [self._check(o) for o in outcomes]
        repeated = [k for k in answers if k is not None and answers.count(k) > 1]
        if repeated:
            raise PolicyError(f"tell must get each outcome once; p{repeated[0]:04d} came twice")
        for outcome, answer in zip(outcomes, answers, strict=True):
            if answer is not None:
                self._answered.add(answer)
                self.pending[self.proposed[answer]] -= 1
            index = int(self.problem.index_of([outcome.site])[0])
            if index >= 0:
                counts = self.failures if outcome.curve is None else self.visits
                counts[index] += 1
            if outcome.usable and outcome.curve is not None:
                row, column = map(int, outcome.site)
                key = (self._asks, row, column, int(outcome.visit), float(outcome.started))
                at = bisect.bisect_right(self._keys, key)
                self._keys.insert(at, key)
                self._curves.insert(at, (outcome.curve.current, outcome.curve.saturated, {}))
                self._observations = None

    def retract(self, outcomes: Iterable[Outcome]) -> None:
        """Forget the curves of outcomes that were recorded. Their sites stay measured."""
        gone = {(*map(int, o.site), int(o.visit), float(o.started)) for o in outcomes}
        kept = [k for k, key in enumerate(self._keys) if key[1:] not in gone]
        self._keys = [self._keys[k] for k in kept]
        self._curves = [self._curves[k] for k in kept]
        self._observations = None

    def _check(self, outcome: Outcome) -> int | None:
        problem = self.problem
        if not problem.scan.contains(outcome.site):
            raise PolicyError(
                f"an outcome's site must lie on the {problem.scan.shape} scan; got "
                f"{tuple(outcome.site)}"
            )
        if outcome.curve is not None:
            wanted, found = problem.waveform.voltage, outcome.curve.voltage
            tolerance = _VOLTAGE_TOLERANCE * problem.waveform.peak
            if found.shape != wanted.shape or not (abs(found - wanted) <= tolerance).all():
                raise PolicyError(
                    f"an outcome's curve must be on the problem's voltage axis ({wanted.size} "
                    f"samples, within {tolerance:.3g} V); got {found.size} samples from "
                    f"{found.min():g} to {found.max():g} V at site {tuple(outcome.site)}. Resample "
                    "or leave out curves of another waveform"
                )
        # An id that was never given here belongs to a point from elsewhere.
        name = outcome.proposal_id or ""
        number = int(name[1:]) if name[:1] == "p" and name[1:].isdecimal() else -1
        if not 0 <= number < len(self.proposed) or f"p{number:04d}" != name:
            return None
        if number in self._answered:
            raise PolicyError(f"tell must get each outcome once; {name} was recorded before")
        return number

    def __len__(self) -> int:
        """Number of measured curves."""
        return len(self._keys)

    @property
    def observations(self) -> Observations:
        """The measured curves: ordered by the ask that they came after, then by site and visit."""
        if self._observations is None:
            samples = len(self.problem.waveform)
            n = len(self._keys)
            sites = np.array([k[1:3] for k in self._keys], np.int64).reshape(n, 2)
            self._observations = Observations(
                sites=sites,
                index=self.problem.index_of(sites),
                visit=np.array([k[3] for k in self._keys], np.int64),
                current=np.array([c for c, _, _ in self._curves]).reshape(n, samples),
                saturated=np.array([s for _, s, _ in self._curves], bool).reshape(n, samples),
                started=np.array([k[4] for k in self._keys], np.float64),
                derived=[known for _, _, known in self._curves],
            )
        return self._observations

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the problem (images, candidates, waveform, target, light): whose state it is."""
        problem, digest = self.problem, hashlib.sha256()
        for name, image in sorted(problem.scan.channels.items()):
            digest.update(name.encode() + image.tobytes())
        digest.update(problem.candidates.tobytes() + problem.waveform.key.encode())
        digest.update(f"{problem.scan.shape} {problem.target} {problem.light}".encode())
        return digest.hexdigest()[:16]

    def state(self) -> PackedState:
        """Everything recorded so far, for ``records.pack``."""
        observations = self.observations
        return {
            "asks": self._asks,
            "batch": np.array([k[0] for k in self._keys], np.int64),
            "sites": observations.sites,
            "visit": observations.visit,
            "started": observations.started,
            "current": observations.current,
            "saturated": observations.saturated,
            "proposed": np.array(self.proposed, np.int64),
            "answered": np.array(sorted(self._answered), np.int64),
            "failed": np.flatnonzero(self.failures),
            "failures": self.failures[self.failures > 0],
            "visited": np.flatnonzero(self.visits),
            "visits": self.visits[self.visits > 0],
        }

    def restore(self, state: PackedState) -> None:
        """Continue from `state`, of a history of the same problem."""
        self._asks = int(state["asks"])
        self.proposed = [int(i) for i in state["proposed"]]
        self._answered = {int(i) for i in state["answered"]}
        self._keys = [
            (int(b), int(s[0]), int(s[1]), int(v), float(t))
            for b, s, v, t in zip(
                state["batch"], state["sites"], state["visit"], state["started"], strict=True
            )
        ]
        self._curves = [
            (current, saturated, {})
            for current, saturated in zip(state["current"], state["saturated"], strict=True)
        ]
        self._observations = None
        self.visits[:] = 0
        index = self.observations.index
        if "visits" in state:  # more than there are curves, where some were unusable
            self.visits[state["visited"]] = state["visits"]
        else:
            np.add.at(self.visits, index[index >= 0], 1)
        self.failures[:] = 0
        self.failures[state["failed"]] = state["failures"]
        self.pending[:] = 0
        unanswered = [i for k, i in enumerate(self.proposed) if k not in self._answered]
        np.add.at(self.pending, np.array(unanswered, np.int64), 1)
