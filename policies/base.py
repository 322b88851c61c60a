"""Bookkeeping and seed points that the built-in policies share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.spatial import cKDTree

from grainscout.policies.observations import ObservationHistory, Observations
from grainscout.policies.validation import check_count, check_options, option
from grainscout.records.arrays import FloatArray, IntArray
from grainscout.records.encoding.packing import PackedState, pack, unpack
from grainscout.records.errors import PolicyError
from grainscout.records.problem import Outcome, Problem, Proposal
from grainscout.records.scan import Site

if TYPE_CHECKING:
    from grainscout.analysis.curves.descriptors import Described

_FORMAT = 1
_FEW = 8  # points up to which a search beats the making of a tree


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Candidates that a policy selects, best first."""

    index: IntArray  #: (k,) distinct available candidates
    #: prediction, uncertainty: (k,) mean and standard deviation of the target, in its unit. A NaN
    #: is left out of the proposal.
    prediction: FloatArray | None = None
    uncertainty: FloatArray | None = None
    #: (k,) further numbers about each candidate, by name.
    scores: Mapping[str, FloatArray] = field(default_factory=dict)


#: The former name.
Choice = Selection


@dataclass(kw_only=True)
class CandidatePolicy:
    """A policy over the problem's candidate sites.

    A subclass says what to measure in ``_choose``. It may prepare a run in ``_begin``, which
    ``reset`` calls, and look at new outcomes in ``_told``. It finds ``self.problem``, ``self.rng``,
    ``self.history`` and ``self.observations`` ready. Further attributes that decide what it does
    next are listed in ``_carried``: plain values and arrays, stored and restored with the state.
    """

    #: How often a site may be proposed again after a failed or aborted measurement.
    retries: int = option(0)
    revisits: int = option(0)  #: How often a site may be proposed again after a successful one

    _carried: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_options(self)

    def _begin(self) -> None:
        """Prepare for a new problem."""

    def _choose(self, n: int, available: IntArray) -> Selection:
        """At most `n` of the available candidates, 1 <= n <= len(available)."""
        raise PolicyError(f"{self._title} must say what to measure in _choose")

    def _told(self, outcomes: Sequence[Outcome]) -> None:
        """New outcomes are in the history."""

    @property
    def history(self) -> ObservationHistory:
        """Candidates, their proposals and outcomes. PolicyError before ``reset``."""
        history: ObservationHistory | None = getattr(self, "_history", None)
        if history is None:
            raise PolicyError(f"{self._title} must be reset with a problem before it is used")
        return history

    @property
    def observations(self) -> Observations:
        """The measured curves."""
        return self.history.observations

    @property
    def problem(self) -> Problem:
        """The problem of the last ``reset``."""
        return self.history.problem

    # Former names, for policies of third parties.
    ledger = history
    archive = observations

    def reset(self, problem: Problem, *, rng: np.random.Generator) -> None:
        """Begin a new experiment on `problem` with randomness from `rng` only."""
        self._history = ObservationHistory(problem)
        self.rng = rng
        self._begin()

    def ask(self, n: int = 1) -> list[Proposal]:
        """Up to `n` different available sites, none when none is left."""
        check_count("ask(n): n", n, low=1)
        available = self.history.available(retries=self.retries, revisits=self.revisits)
        if available.size == 0:
            return []
        selection = self._next(min(n, available.size), available)
        index = selection.index[:n]
        ids = self.history.propose(index)
        return [
            Proposal(
                id=ids[k],
                site=Site(*map(int, self.problem.candidates[i])),
                prediction=_number(selection.prediction, k),
                uncertainty=_number(selection.uncertainty, k),
                scores={
                    name: value
                    for name, values in selection.scores.items()
                    if (value := _number(values, k)) is not None
                },
            )
            for k, i in enumerate(index)
        ]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes. PolicyError, with none recorded, for a repeat or a wrong voltage axis."""
        self.history.record(outcomes)
        self._told(outcomes)

    def retract(self, outcomes: Sequence[Outcome]) -> None:
        """Forget the curves of outcomes that were told before."""
        self.history.retract(outcomes)
        state = unpack(pack(self.state()))
        self.reset(self.problem, rng=self.rng)  # nothing that was computed from them is left
        self.restore(state)

    def state(self) -> PackedState:
        """All that decides what comes next, generator included."""
        return {
            "format": _FORMAT,
            "policy": self._title,
            "options": repr(self._options()),
            "problem": self.history.fingerprint,
            "rng": dict(self.rng.bit_generator.state),
            "ledger": self.history.state(),
            "own": {name: getattr(self, name) for name in self._all_carried()},
        }

    def restore(self, state: PackedState) -> None:
        """Continue from `state`. PolicyError if it is of another policy, version or problem."""
        self._check_origin(state)
        self.rng.bit_generator.state = state["rng"]
        self.history.restore(state["ledger"])
        for name in self._all_carried():
            setattr(self, name, state["own"][name])

    def _check_origin(self, state: PackedState) -> None:
        # A state of before may have options that were taken away because they never acted.
        before = str(state.get("options")).replace("Knowledge(", "TransferData(")
        options = self._options()
        pairs = (f"{name!r}: {value!r}" for name, value in options.items())
        same = all(f"{pair}, " in before or f"{pair}}}" in before for pair in pairs)
        for key, mine, other in (
            ("format", _FORMAT, state.get("format")),
            ("policy", self._title, state.get("policy")),
            ("options", repr(options), repr(options) if same else before),
            ("problem", self.history.fingerprint, state.get("problem")),
        ):
            if other != mine:
                raise PolicyError(
                    f"a {self._title} state must have {key} {mine!r}; got {other!r}. It can only be "
                    "restored into the policy and on the problem that it came from"
                )
        generator, wanted = type(self.rng.bit_generator).__name__, state["rng"]["bit_generator"]
        if wanted != generator:
            raise PolicyError(f"the state's generator is {wanted}; reset gave {generator}")

    def _next(self, n: int, available: IntArray) -> Selection:
        """The next candidates, seed points included."""
        return self._choose(n, available)

    @property
    def _title(self) -> str:
        """Name of the policy in states and messages."""
        return type(self).__qualname__

    def _all_carried(self) -> list[str]:
        return [name for c in type(self).__mro__ for name in c.__dict__.get("_carried", ())]

    def _options(self) -> dict[str, object]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}


@dataclass(kw_only=True)
class SeededPolicy(CandidatePolicy):
    """A policy that measures seed points before it chooses.

    A subclass says in ``_choose`` what to measure once at least one curve is there.
    """

    #: Number of curves before the first choice (Gong2026: 10, Liu2023: 1).
    seed_points: int = option(10, low=1)
    #: ``"latin"`` spreads the seed points as a Latin square.
    seed_design: str = option("random", choices=("random", "latin"))

    _carried: ClassVar[tuple[str, ...]] = ("_seeds",)

    def described(self) -> Described:
        """The problem's target of every curve: value, sigma, valid, censored."""
        from grainscout.analysis.curves.descriptors import describe_target

        observations = self.observations
        return describe_target(self.problem, observations.current, observations.saturated)

    def reset(self, problem: Problem, *, rng: np.random.Generator) -> None:
        """Begin a new experiment on `problem` with randomness from `rng` only."""
        self._seeds = np.zeros(0, np.int64)
        super().reset(problem, rng=rng)
        if self.seed_design == "latin":
            every = np.arange(len(problem.candidates))
            k = min(self.seed_points, len(every))
            strata = np.column_stack([rng.permutation(k), rng.permutation(k)])
            points = (strata + rng.random((k, 2))) / k
            self._seeds = nearest_sites(problem.candidates, every, points)

    def _next(self, n: int, available: IntArray) -> Selection:
        missing = self.seed_points - len(self.history) - int(self.history.pending.sum())
        if missing > 0:
            n = min(n, missing)
        elif len(self.history) > 0:
            return self._choose(n, available)
        planned = self._seeds[np.isin(self._seeds, available)][:n]
        # Where planned sites failed, random ones take their place.
        rest = np.setdiff1d(available, planned)
        return Selection(
            index=np.append(planned, self.rng.choice(rest, n - planned.size, replace=False))
        )

    def _choose(self, n: int, available: IntArray) -> Selection:
        former = getattr(self, "_select", None)  # the name of this method in older subclasses
        if former is None:
            return super()._choose(n, available)
        selection: Selection = former(n, available)
        return selection


def nearest_sites(candidates: IntArray, available: IntArray, points: FloatArray) -> IntArray:
    """(k,) distinct candidates, nearest to points that are scaled to the candidates' bounding box."""
    low, high = candidates.min(0), candidates.max(0)
    # A target half-way between two pixels goes to the lower one, always: grids stay regular.
    targets = low - 0.5 + points * (high - low + 1) - 1e-6
    if len(targets) <= _FEW:
        left = available.copy()
        for k, target in enumerate(targets):
            near = int(((candidates[left[k:]] - target) ** 2).sum(1).argmin())
            # The chosen move to the front in the order of the points.
            left[k], left[k + near] = left[k + near], left[k]
        return left[: len(targets)]
    tree, taken = cKDTree(candidates[available]), dict[int, None]()
    for target in targets:
        k = 1
        while True:
            near_ones = np.atleast_1d(tree.query(target, k=k)[1])
            free = [int(i) for i in near_ones if int(i) not in taken]
            if free:
                taken[free[0]] = None
                break
            k = min(2 * k, len(available))
    return available[list(taken)]


def _number(values: FloatArray | None, k: int) -> float | None:
    if values is None or not math.isfinite(values[k]):
        return None
    return float(values[k])
