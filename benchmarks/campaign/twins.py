"""Twins: the same policy without what a claim says that it uses."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from grainscout.policies import Policy
from grainscout.records import Outcome, Problem, Proposal

#: "shuffled": each curve that it is told is that of a random one of the sites measured so far.
#: "prior only": it is told that every measurement failed, so prior and image alone choose.
Twin = Literal["shuffled", "prior only"]
TWINS: tuple[Twin, ...] = get_args(Twin)
#: Policies that learn from no curve, or are controls themselves, have none.
_PLAIN = ("random", "grid", "sobol", "farthest-point")
UNTAUGHT = (*_PLAIN, "structure-only", "stratified-random", "shuffled-dkl", "oracle")


class TwinPolicy:
    """A policy that is told something else. It has no map of its own."""

    def __init__(self, policy: Policy, twin: Twin) -> None:
        self._policy = policy
        self._change: Callable[[Outcome], Outcome] = (
            self._shuffled if twin == "shuffled" else _failed
        )
        self._usable: list[Outcome] = []

    def reset(self, problem: Problem, *, rng: np.random.Generator) -> None:
        """Begin as the policy itself would."""
        self._usable = []
        self._policy.reset(problem, rng=rng)

    def ask(self, n: int = 1) -> list[Proposal]:
        """The sites of the policy."""
        return self._policy.ask(n)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Tell it the changed outcomes."""
        self._policy.tell([self._change(o) if o.usable else o for o in outcomes])

    def _shuffled(self, outcome: Outcome) -> Outcome:
        self._usable.append(outcome)
        k = len(self._usable)
        other = self._usable[int(np.random.default_rng([31, k]).integers(k))]
        return replace(outcome, curve=other.curve, status=other.status, quality=other.quality)


def _failed(outcome: Outcome) -> Outcome:
    return replace(outcome, curve=None, status="failed", quality=None, message="not told")
