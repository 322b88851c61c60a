"""What the built-in policies share; third parties need not use it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.spatial import cKDTree

from grainscout.policies.observations import Archive, Ledger
from grainscout.policies.validation import check_choice, check_count
from grainscout.records import Outcome, PackedState, PolicyError, Problem, Proposal, Site
from grainscout.records.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from grainscout.analysis.curves.descriptors import Described

_FORMAT = 1
_FEW = 8  # points up to which a search beats the making of a tree


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """What ``_choose`` answers: k candidates, best first, and what the policy thinks of them.

    index : (k,) distinct open candidates;  prediction, uncertainty : (k,) mean and standard
    deviation of the target;  scores : name -> (k,).  A NaN is left out of the proposal.
    """

    index: IntArray
    prediction: FloatArray | None = None
    uncertainty: FloatArray | None = None
    scores: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(kw_only=True)
class CandidatePolicy:
    """A policy over the problem's candidate sites; subclasses say which one in ``_choose``.

    Options
    -------
    retries : how often a site may be proposed again after a failed or aborted measurement.
    revisits : how often a site may be proposed again after a successful one.

    A subclass finds ``self.problem``, ``self.rng`` and ``self.ledger`` ready in ``_begin`` (called
    by ``reset``) and ``_choose``, and lists further attributes that decide what it does next in
    ``_carried`` (plain values and arrays, stored and restored with the state).
    """

    retries: int = 0
    revisits: int = 0

    _carried: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_count("retries", self.retries)
        check_count("revisits", self.revisits)

    # ---- for subclasses -------------------------------------------------------------------
    def _begin(self) -> None:
        """Prepare for a new problem."""

    def _choose(self, n: int, open_: IntArray) -> Choice:
        """At most `n` of the open candidates; 1 <= n <= len(open_)."""
        raise PolicyError(f"{type(self).__name__} must say what to measure in _choose")

    def _told(self, outcomes: Sequence[Outcome]) -> None:
        """New outcomes are in the ledger."""

    @property
    def ledger(self) -> Ledger:
        """Candidates, what became of them, and the curves; PolicyError before ``reset``."""
        ledger: Ledger | None = getattr(self, "_ledger", None)
        if ledger is None:
            raise PolicyError(
                f"{type(self).__name__} must be reset with a problem before it is used"
            )
        return ledger

    @property
    def problem(self) -> Problem:
        """The problem of the last ``reset``."""
        return self.ledger.problem

    @property
    def archive(self) -> Archive:
        """The measured curves."""
        return self.ledger.archive

    # ---- the protocol ---------------------------------------------------------------------
    def reset(self, problem: Problem, *, rng: np.random.Generator) -> None:
        """Begin a new experiment on `problem` with randomness from `rng` only."""
        self._ledger = Ledger(problem)
        self.rng = rng
        self._begin()

    def ask(self, n: int = 1) -> list[Proposal]:
        """Up to `n` different open sites; empty when none is left."""
        check_count("ask(n): n", n, low=1)
        open_ = self.ledger.open(retries=self.retries, revisits=self.revisits)
        if open_.size == 0:
            return []
        choice = self._choose(min(n, open_.size), open_)
        index = choice.index[:n]
        ids = self.ledger.propose(index)
        return [
            Proposal(
                id=ids[k],
                site=Site(*map(int, self.problem.candidates[i])),
                prediction=_number(choice.prediction, k),
                uncertainty=_number(choice.uncertainty, k),
                scores={
                    name: v for name, a in choice.scores.items() if (v := _number(a, k)) is not None
                },
            )
            for k, i in enumerate(index)
        ]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Book outcomes; PolicyError, with nothing booked, for a repeat or a wrong voltage axis."""
        self.ledger.record(outcomes)
        self._told(outcomes)

    def state(self) -> PackedState:
        """All that decides what comes next, generator included."""
        return {
            "format": _FORMAT,
            "policy": type(self).__qualname__,
            "options": repr(self._options()),
            "problem": self.ledger.fingerprint,
            "rng": dict(self.rng.bit_generator.state),
            "ledger": self.ledger.state(),
            "own": {name: getattr(self, name) for name in self._all_carried()},
        }

    def restore(self, state: PackedState) -> None:
        """Continue from `state`; PolicyError if it is of another policy, version or problem."""
        for key, mine in (
            ("format", _FORMAT),
            ("policy", type(self).__qualname__),
            ("options", repr(self._options())),
            ("problem", self.ledger.fingerprint),
        ):
            if state.get(key) != mine:
                raise PolicyError(
                    f"a {type(self).__name__} state must have {key} {mine!r}; got "
                    f"{state.get(key)!r}. It can only be restored into the policy and on the "
                    "problem that it came from"
                )
        kind = state["rng"]["bit_generator"]
        if kind != type(self.rng.bit_generator).__name__:
            raise PolicyError(
                f"the state's generator is {kind}; reset gave {type(self.rng.bit_generator).__name__}"
            )
        self.rng.bit_generator.state = state["rng"]
        self.ledger.restore(state["ledger"])
        for name in self._all_carried():
            setattr(self, name, state["own"][name])

    def _all_carried(self) -> list[str]:
        return [name for c in type(self).__mro__ for name in c.__dict__.get("_carried", ())]

    def _options(self) -> dict[str, object]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}


@dataclass(kw_only=True)
class SeededPolicy(CandidatePolicy):
    """A policy that measures `seed_points` sites first and speaks through ``_select`` afterwards.

    Options
    -------
    seed_points : number of curves before the model speaks (S26: 10; S23: 1).
    seed_design : ``"random"``, or ``"latin"`` (a Latin square, so that they are spread).
    """

    seed_points: int = 10
    seed_design: str = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("seed_points", self.seed_points, low=1)
        check_choice("seed_design", self.seed_design, ("random", "latin"))

    _carried: ClassVar[tuple[str, ...]] = ("_seeds",)

    def _select(self, n: int, open_: IntArray) -> Choice:
        """As ``_choose``, once at least one curve is in the archive."""
        raise PolicyError(f"{type(self).__name__} must say what to measure in _select")

    def described(self) -> Described:
        """The problem's target of every curve in the archive: value, sigma, valid, censored."""
        from grainscout.analysis.curves.descriptors import describe_target

        return describe_target(self.problem, self.archive.current, self.archive.saturated)

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

    def _choose(self, n: int, open_: IntArray) -> Choice:
        missing = self.seed_points - len(self.ledger) - int(self.ledger.pending.sum())
        if missing > 0:
            n = min(n, missing)
        elif len(self.ledger) > 0:
            return self._select(n, open_)
        planned = self._seeds[np.isin(self._seeds, open_)][:n]
        # Where planned sites failed, random ones take their place.
        rest = np.setdiff1d(open_, planned)
        return Choice(
            index=np.append(planned, self.rng.choice(rest, n - planned.size, replace=False))
        )


def nearest_sites(candidates: IntArray, open_: IntArray, points: FloatArray) -> IntArray:
    """(k,) distinct open candidates, each the nearest one left to a point of the unit square.

    points : (k, 2), scaled to the bounding box of all candidates;  k <= len(open_).
    """
    low, high = candidates.min(0), candidates.max(0)
    # A target half-way between two pixels goes to the lower one, always: grids stay regular.
    targets = low - 0.5 + points * (high - low + 1) - 1e-6
    if len(targets) <= _FEW:
        left = open_.copy()
        for k, target in enumerate(targets):
            near = int(((candidates[left[k:]] - target) ** 2).sum(1).argmin())
            # The chosen move to the front in the order of the points.
            left[k], left[k + near] = left[k + near], left[k]
        return left[: len(targets)]
    tree, taken = cKDTree(candidates[open_]), dict[int, None]()
    for target in targets:
        k = 1
        while True:
            found = np.atleast_1d(tree.query(target, k=k)[1])
            free = [int(i) for i in found if int(i) not in taken]
            if free:
                taken[free[0]] = None
                break
            k = min(2 * k, len(open_))
    return open_[list(taken)]


def _number(values: FloatArray | None, k: int) -> float | None:
    if values is None or not math.isfinite(values[k]):
        return None
    return float(values[k])
