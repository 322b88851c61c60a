"""The one interface between models and acquisitions.

A surrogate is bound to a *feature table*: one row for each pixel of the scan, so that any site can
be learnt from, and to a *pool*: the rows of the candidates, where it is asked.  Acquisitions know
only this protocol, never which engine stands behind it.
"""

from __future__ import annotations

from typing import Protocol, Self

from grainscout.records import PackedState
from grainscout.records.arrays import FloatArray, IntArray


class Surrogate(Protocol):
    """A model of one scalar target over the rows of a feature table."""

    @property
    def pool(self) -> IntArray:
        """(c,) rows of the candidates."""

    @property
    def noise(self) -> float:
        """Variance of a measurement's noise, in the target's unit squared."""

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """Learn from all data so far.

        rows : (n,) rows of the table, repeats allowed;  y : (n,) targets;  noise : (n,) stated
        variance of each target; an engine may scale it as a whole and adds a learnt one.  IntArray that begin with those of the last
        call may be taken as an update.  ConfigError if n = 0, the shapes differ or y is not finite.
        """

    def fork(self) -> Self:
        """A copy to fit ahead; it may not be used once this one is fitted again."""

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the noise-free target, (c,) each, over the pool."""

    def covariance(self, rows: IntArray) -> FloatArray:
        """(c, k) posterior covariance of the pool with k rows of the table."""

    def joint(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Posterior mean (k,) and covariance (k, k) of k rows of the table."""

    def state(self) -> PackedState:
        """What `fit` on the same data cannot find again, for ``records.pack``."""

    def restore(
        self, state: PackedState, rows: IntArray, y: FloatArray, noise: FloatArray | None
    ) -> None:
        """Continue bit for bit from `state` and the data of the last `fit`."""
