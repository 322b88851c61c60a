"""Curiosity: measure where a structure-to-spectrum model is expected to be wrong."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.spatial.distance import cdist

from grainscout.policies.acquisition import Posterior
from grainscout.policies.models.kernels import Kernel
from grainscout.policies.models.surrogates import KERNELS
from grainscout.policies.novelty import filled
from grainscout.policies.parts.roles import Acquisition, Maps, RunContext, Target, TrainingData
from grainscout.policies.parts.standard import ImageFeatures, KernelModel
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records import FloatArray

RIDGES = np.logspace(-4, 0.5, 10)  # noise variances relative to the kernel's
_FLOOR = 1e-3  # least error, relative to the spread of the curves: the noise decides below


@dataclass(frozen=True, kw_only=True)
class HeldOutError(Target):
    """Logarithm of the error of a model that predicts whole curves from the patch.

    The curve is predicted by a deep-kernel ridge regression. Its errors at the visited sites are
    its leave-one-out residuals in closed form (Rasmussen & Williams, eq. 5.12).
    """

    score_names: ClassVar[tuple[str, ...]] = ("log_error",)

    def data(self, run: RunContext) -> TrainingData:
        """Log errors of the usable curves, once there are three."""
        curves, usable = filled(run.observations.current)
        rows = run.rows[usable]
        if len(rows) < 3:
            return TrainingData(rows[:0], np.zeros(0), np.zeros(0))
        x = run.table()[rows].astype(np.float64)
        error = held_out_errors(x, curves[usable], KERNELS["nngp"])
        return TrainingData(rows, np.log(error), np.zeros(len(rows)))

    def maps(self, mean: FloatArray, std: FloatArray) -> Maps:
        """The expected error of the curve, relative to the spread of the curves."""
        return {"expected_error": np.exp(mean)}


@dataclass(frozen=True, kw_only=True)
class Curiosity(Acquisition):
    """From the distance to the visited patches to the expected error."""

    decay: float = option(2.0, low=0.0)  #: Lambda of the formula (published: 2)
    #: T, the number of curves. 0 takes the budget's, or 200 if it limits no number.
    horizon: int = option(0)

    def plan(self, run: RunContext) -> tuple[str, Callable[[Posterior], FloatArray]]:
        """The published formula."""
        return "curiosity", lambda posterior: self._gain(run, posterior)

    def _gain(self, run: RunContext, posterior: Posterior) -> FloatArray:
        table, rows = run.table(), run.candidate_rows
        visited = np.append(run.rows, rows[posterior.imagined])
        with np.errstate(divide="ignore"):
            nearness = (1.0 / cdist(table[rows], table[visited])).sum(1)
        distance = 1.0 / nearness
        error = np.exp(posterior.mean)
        total = self.horizon or run.problem.budget.curves or 200
        weight = math.exp(-self.decay * len(run.history) / total)
        parts = [
            share * values / (float(values[posterior.available].mean()) or 1.0)
            for share, values in ((1.0 - weight, error), (weight, distance))
        ]
        return np.asarray(parts[0] + parts[1])


def held_out_errors(x: FloatArray, curves: FloatArray, kernel: Kernel) -> FloatArray:
    """(n,) rms leave-one-out error of each curve, predicted from (n, d) features of the others.

    curves : (n, samples). In units of the rms deviation of the curves from their mean, at least
    1e-3. The ridge is the one of ten that makes the sum of squared errors least.
    """
    y = curves - curves.mean(0)
    spread = float(np.sqrt(np.mean(y**2)))
    if spread == 0:
        return np.full(len(y), _FLOOR)
    gram, _ = kernel.gram(kernel.prepare(x), kernel.prior[:, 0])
    values, vectors = np.linalg.eigh(gram)
    scale = float(np.mean(np.diagonal(gram)))
    projected = vectors.T @ (y / spread)
    best: FloatArray | None = None
    for ridge in RIDGES * scale:
        weight = 1.0 / (np.maximum(values, 0.0) + ridge)
        # Residual of the prediction without the curve itself: [A^-1 y]_i / [A^-1]_ii.
        residual = (vectors * weight) @ projected / ((vectors**2) @ weight)[:, None]
        error = np.sqrt(np.mean(residual**2, axis=1))
        if best is None or (error**2).sum() < (best**2).sum():
            best = error
    return np.maximum(best if best is not None else np.zeros(len(y)), _FLOOR)


curiosity = Recipe(
    "Curiosity",
    """Goes from filling the space of patches to where whole curves are hard to predict.

    After Vatsavai et al. 2025: a = (1 - w) e / mean(e) + w l / mean(l) with w = exp(-decay t / T),
    e the expected error of a model that predicts the curve from the patch, and
    l = 1 / sum_i (1 / abs(z - z_i)) the distance to the visited patches. Of T curves t are done, and
    the means are over the available candidates. The published models are two networks. Here the
    surrogate learns the logarithm of held-out errors.
    """,
    uses_budget=True,
    features=ImageFeatures(features="jets"),
    model=KernelModel(position=False),
    target=HeldOutError(),
    acquisition=Curiosity(),
    never=("beta", "xi", "neighbours"),
)
