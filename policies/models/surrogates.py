"""The interface between models and acquisitions, and the closed-form kernels by name.

A surrogate is bound to a *feature table*: one row for each pixel of the scan, so that any site can
be learnt from. It predicts at its *candidate rows*. Acquisitions know only this protocol.
"""

from typing import Protocol, Self

from grainscout.policies.models.kernels import ArcCosine, Kernel, Stationary
from grainscout.records import FloatArray, IntArray, PackedState, PolicyError

KERNELS: dict[str, Kernel] = {
    "nngp": ArcCosine(depth=2),
    "rbf": Stationary(name="rbf"),
    "matern": Stationary(name="matern"),
}
SURROGATES = ("nngp", "mlp", "mlp-published", "rbf", "matern")


class Surrogate(Protocol):
    """A model of one scalar target over the rows of a feature table."""

    @property
    def candidate_rows(self) -> IntArray:
        """(c,) rows of the candidates."""

    @property
    def noise(self) -> float:
        """Variance of a measurement's noise, in the target's unit squared."""

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """Learn from all data so far.

        `rows` (n,) of the table may repeat, and `noise` (n,) is the stated variance of each target
        `y`. A surrogate may scale it as a whole and adds a learnt one. Data that begin with those
        of the last call may be taken as an update. ConfigError if n = 0, the shapes differ or `y`
        is not finite.
        """

    def fork(self) -> Self:
        """A copy to fit ahead. It may not be used once this one is fitted again."""

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (c,) of the noise-free target at the candidates."""

    def covariance(self, rows: IntArray) -> FloatArray:
        """(c, k) posterior covariance of the candidates with k rows of the table."""

    def joint(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Posterior mean (k,) and covariance (k, k) of k rows of the table."""

    def state(self) -> PackedState:
        """All that `fit` on the same data cannot find again, for ``records.pack``."""

    def restore(
        self, state: PackedState, rows: IntArray, y: FloatArray, noise: FloatArray | None
    ) -> None:
        """Continue bit for bit from `state` and the data of the last `fit`."""


def not_fitted() -> PolicyError:
    """The error of a prediction before any data."""
    return PolicyError("the surrogate must be fitted before it predicts; it has no data yet")
