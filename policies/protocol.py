"""The protocol of policies and its optional capabilities.

A policy is any object with ``reset``, ``ask`` and ``tell``. It need not inherit from anything.
The optional protocols are detected with :func:`~grainscout.records.supports.supports`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from grainscout.records import FloatArray, Outcome, Problem, Proposal
from grainscout.records.supports import SupportsState as SupportsState


@runtime_checkable
class Policy(Protocol):
    """Proposes sites and learns from outcomes."""

    def reset(self, problem: Problem, *, rng: np.random.Generator) -> None:
        """Begin a new experiment. All randomness must come from `rng`."""

    def ask(self, n: int = 1) -> list[Proposal]:
        """Up to `n` different sites to measure. An empty list means nothing is left to learn."""

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Take new outcomes, in any order, also of sites never proposed (measured by hand)."""


@runtime_checkable
class SupportsPredict(Protocol):
    """A policy with a model of the target."""

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the target, (n_candidates,) each, in the target's unit.

        The standard deviation is that of the noise-free target. PolicyError before any outcome.
        """


@runtime_checkable
class SupportsExplain(Protocol):
    """A policy that can explain its choice."""

    def explain(self) -> Mapping[str, FloatArray]:
        """Named maps of the scan's shape, NaN where there is no candidate: mean, uncertainty, ..."""


@runtime_checkable
class SupportsExpectedGain(Protocol):
    """A policy that knows what more curves would bring."""

    def expected_gain(self, curves: int) -> float:
        """Relative fall, 0 to 1, of the integrated deviation by the best next curves; 1 at first."""


@runtime_checkable
class SupportsRetract(Protocol):
    """A policy that can forget a curve."""

    def retract(self, outcomes: Sequence[Outcome]) -> None:
        """Forget the curves of these outcomes, which it was told before. Their sites stay measured."""


# Earlier names.
Predicts = SupportsPredict
Stateful = SupportsState
Explains = SupportsExplain
