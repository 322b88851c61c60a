"""Controls: a policy's claim stands only against these, on the same films with the same noise.

"It finds boundaries" may also be true of a policy that never looks at its measurements
(:class:`FeatureFarthestPoint`, ``shuffled-dkl``) or that has no model (:class:`StratifiedRandom`).
The :class:`Oracle` is the other end of the scale: what could be reached if everything were known.
"""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from grainscout.microstructure.features import structure_features
from grainscout.policies.base import CandidatePolicy, Selection
from grainscout.policies.models.features import FEATURES, check_window, feature_table
from grainscout.policies.strategies.space_filling import FarthestPoint
from grainscout.policies.validation import option
from grainscout.records.arrays import AnyFloatArray, BoolArray, FloatArray, IntArray
from grainscout.records.errors import ConfigError, PolicyError


@dataclass(kw_only=True)
class FeatureFarthestPoint(FarthestPoint):
    """Always the site whose surroundings differ most from all measured ones.

    Farthest point in the space of image features. The curves are never looked at.
    """

    features: str = option("jets", choices=FEATURES)  #: Features as in ``"dkl"``
    window: int = option(16, low=1)  #: Side of the patch [pixels]
    components: int = option(24, low=1)  #: Number of principal components

    def _begin(self) -> None:
        super()._begin()
        check_window(self.window, self.problem.scan.shape)
        self._table = feature_table(
            self.problem.scan, kind=self.features, window=self.window, components=self.components
        )

    def _coordinates(self, sites: IntArray) -> AnyFloatArray:
        return self._table[self.problem.scan.flat(sites)]


@dataclass(kw_only=True)
class StratifiedRandom(CandidatePolicy):
    """Random sites, a fixed share of them where the image shows a boundary."""

    #: Probability of a site at a boundary. Where one stratum is used up, the other gives.
    share: float = option(0.5, low=0.0, high=1.0)
    #: Distance from a boundary's pixels up to which a site is at it [pixels].
    scale: float = option(1.5, low=0.3, high=100.0, unit="pixels")

    def _begin(self) -> None:
        near = structure_features(self.problem.scan).boundary <= self.scale
        self._near = near[tuple(self.problem.candidates.T)]

    def _choose(self, n: int, available: IntArray) -> Selection:
        inside = self._near[available]
        strata = {True: available[inside], False: available[~inside]}
        chosen = np.empty(n, np.int64)
        for k in range(n):
            wanted = bool(self.rng.random() < self.share)
            stratum = wanted if strata[wanted].size else not wanted
            at = int(self.rng.integers(strata[stratum].size))
            chosen[k] = strata[stratum][at]
            strata[stratum] = np.delete(strata[stratum], at)
        return Selection(index=chosen)

    def explain(self) -> dict[str, FloatArray]:
        """1 where the image shows a boundary, elsewhere 0."""
        return {"boundary": self.problem.as_map(self._near.astype(np.float64))}


@dataclass(kw_only=True, eq=False)
class Oracle(CandidatePolicy):
    """Knows the truth: an upper bound, never a competitor."""

    #: (n_candidates,) true value of each candidate, in the problem's order. NaN where there is none
    #: (those come last). A comparison gives it: without it the oracle can be made and checked, but
    #: not reset.
    truth: FloatArray | None = None
    #: ``"spread"`` is always the value farthest from all measured ones: the range of outcomes in
    #: the fewest curves. ``"largest"`` is descending. With ``"classes"`` the values are labels: one
    #: of each, rarest first, then another of each.
    aim: str = option("spread", choices=("spread", "largest", "classes"))

    uses_truth: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        given = np.zeros(0) if self.truth is None else np.array(self.truth, np.float64)
        if given.ndim != 1 or np.isinf(given).any():
            raise ConfigError(
                "truth must be one number (or NaN) for each candidate; got shape "
                f"{given.shape} with {int(np.isinf(given).sum())} infinite values"
            )
        self._values = given

    def _begin(self) -> None:
        if len(self._values) != len(self.problem.candidates):
            raise PolicyError(
                f"truth must have one value for each of the {len(self.problem.candidates)} "
                f"candidates; got {'none' if self.truth is None else len(self._values)}"
            )

    def _choose(self, n: int, available: IntArray) -> Selection:
        known = ~np.isnan(self._values)
        done = (self.history.visits > 0) | (self.history.pending > 0)
        chosen: list[int] = []
        for _ in range(n):
            gain = np.where(known, self._gain(done & known), -np.inf)[available]
            tied = available[gain == gain.max()]
            index = int(self.rng.choice(tied))
            chosen.append(index)
            done[index] = True
            available = available[available != index]
        index_ = np.array(chosen, np.int64)
        return Selection(index=index_, prediction=self._values[index_])

    def _gain(self, done: BoolArray) -> FloatArray:
        """(n_candidates,) gain of the true value of each beside those that are done."""
        if self.aim == "largest":
            return self._values
        if self.aim == "classes":
            labels, which, size = np.unique(self._values, return_inverse=True, return_counts=True)
            found = np.bincount(which[done], minlength=len(labels))
            # Fewest measured first, and among those the rarest.
            order = -found.astype(np.float64) - size / (size.max() + 1)
            return np.asarray(order[which])
        if not done.any():
            return self._values
        values = np.sort(self._values[done])
        above = np.searchsorted(values, self._values).clip(max=len(values) - 1)
        below = np.maximum(above - 1, 0)
        nearest = np.minimum(abs(self._values - values[above]), abs(self._values - values[below]))
        return np.asarray(nearest)

    def _options(self) -> dict[str, object]:
        return {**super()._options(), "truth": hashlib.sha256(self._values.tobytes()).hexdigest()}
