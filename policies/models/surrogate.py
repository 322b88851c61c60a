"""The one interface between models and acquisitions.

A surrogate is bound to a *feature table*: one row for each pixel of the scan, so that any site can
be learnt from, and to a *pool*: the rows of the candidates, where it is asked.  Acquisitions know
only this protocol, never which engine stands behind it.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from grainscout.records import PackedState

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


class Surrogate(Protocol):
    """A model of one scalar target over the rows of a feature table."""

    @property
    def pool(self) -> Rows:
        """(c,) rows of the candidates."""

    @property
    def noise(self) -> float:
        """Variance of a measurement's noise, in the target's unit squared."""

    def fit(self, rows: Rows, y: Floats, noise: Floats | None = None) -> None:
        """Learn from all data so far.

        rows : (n,) rows of the table, repeats allowed;  y : (n,) targets;  noise : (n,) stated
        variance of each target; an engine may scale it as a whole and adds a learnt one.  Rows that begin with those of the last
        call may be taken as an update.  ConfigError if n = 0, the shapes differ or y is not finite.
        """

    def fork(self) -> Self:
        """A copy to fit ahead; it may not be used once this one is fitted again."""

    def predict(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noise-free target, (c,) each, over the pool."""

    def covariance(self, rows: Rows) -> Floats:
        """(c, k) posterior covariance of the pool with k rows of the table."""

    def joint(self, rows: Rows) -> tuple[Floats, Floats]:
        """Posterior mean (k,) and covariance (k, k) of k rows of the table."""

    def state(self) -> PackedState:
        """What `fit` on the same data cannot find again, for ``records.pack``."""

    def restore(self, state: PackedState, rows: Rows, y: Floats, noise: Floats | None) -> None:
        """Continue bit for bit from `state` and the data of the last `fit`."""
