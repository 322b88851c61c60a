"""Curiosity: measure where a structure-to-spectrum model is expected to be wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from grainscout.policies.acquisition import Belief
from grainscout.policies.base import Choice
from grainscout.policies.models.engines import KERNELS
from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.kernels import Kernel
from grainscout.policies.novelty import filled
from grainscout.policies.strategies.model_policy import ModelPolicy, Targets
from grainscout.policies.validation import check_count, check_number
from grainscout.records import PolicyError
from grainscout.records.arrays import FloatArray, IntArray

_RIDGES = np.logspace(-4, 0.5, 10)  # noise variances relative to the kernel's
_FLOOR = 1e-3  # least error, relative to the spread of the curves: the noise decides below


@dataclass(kw_only=True)
class Curiosity(ModelPolicy):
    """Goes from filling the space of patches to where whole curves are hard to predict.

    After Vatsavai et al. 2025:  a = (1 - w) e / mean(e) + w l / mean(l)  with w = exp(-decay t / T),
    e the expected error of a model that predicts the curve from the patch, and
    l = 1 / sum_i (1 / |z - z_i|) the distance to the visited patches; t of T curves are done, and
    the means are over the open candidates.  The published models are two networks; here the curve
    is predicted by a deep-kernel ridge regression, its errors at the visited sites are its
    leave-one-out residuals in closed form (Rasmussen & Williams, eq. 5.12), and the surrogate
    learns their logarithm.

    Options
    -------
    decay : lambda of the formula (published: 2).
    horizon : T, number of curves; 0 takes the budget's, or 200 if it limits no number.
    """

    decay: float = 2.0
    horizon: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("decay", self.decay, low=0.0)
        check_count("horizon", self.horizon)

    def _acquisition(self) -> str:
        return "curiosity"

    def _data(self) -> Targets:
        curves, usable = filled(self.archive.current)
        rows = self._archive_rows()[usable]
        if len(rows) < 3:
            return rows[:0], np.zeros(0), np.zeros(0)
        x = self._table(self.features)[rows].astype(np.float64)
        error = held_out_errors(x, curves[usable], KERNELS["nngp"])
        return rows, np.log(error), np.zeros(len(rows))

    def _gain(self, name: str, belief: Belief) -> FloatArray:
        table = self._table(self.features)
        visited = np.append(self._archive_rows(), self._pool[belief.imagined])
        with np.errstate(divide="ignore"):
            nearness = (1.0 / cdist(table[self._pool], table[visited])).sum(1)
        distance = 1.0 / nearness
        error = np.exp(belief.mean)
        total = self.horizon or self.problem.budget.curves or 200
        weight = math.exp(-self.decay * len(self.ledger) / total)
        parts = [
            share * values / (float(values[belief.open_].mean()) or 1.0)
            for share, values in ((1.0 - weight, error), (weight, distance))
        ]
        return np.asarray(parts[0] + parts[1])

    def _select(self, n: int, open_: IntArray) -> Choice:
        choice = super()._select(n, open_)
        if choice.prediction is None:
            return choice
        scores = {**choice.scores, "log_error": choice.prediction}
        return Choice(index=choice.index, scores=scores)

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the problem's target, (n_candidates,) each.

        A model of its own, from the same features; PolicyError while no curve has a usable target.
        """
        use, y, noise = self._described.of(self.archive)
        if len(y) == 0:
            raise PolicyError(
                f"Curiosity can predict {self._described.name} once a curve has a usable value; it "
                f"was told {len(self.ledger)} curves"
            )
        beside = GaussianProcess(self._table(self.features), self._pool, KERNELS["nngp"])
        beside.fit(self._archive_rows()[use], y, noise)
        return beside.predict()

    def explain(self) -> dict[str, FloatArray]:
        """Maps of what it thinks now, with the expected error of the curve, relative to its spread."""
        maps = super().explain()
        model = self._learn(only_look=True)
        if model is not None:
            maps["expected_error"] = self.problem.as_map(np.exp(model.predict()[0]))
        return maps


def held_out_errors(x: FloatArray, curves: FloatArray, kernel: Kernel) -> FloatArray:
    """(n,) rms leave-one-out error of each curve, predicted from (n, d) features of the others.

    curves : (n, samples).  In units of the rms deviation of the curves from their mean, at least
    1e-3.  The ridge is the one of ten that makes the sum of squared errors least.
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
    for ridge in _RIDGES * scale:
        weight = 1.0 / (np.maximum(values, 0.0) + ridge)
        # Residual of the prediction without the curve itself: [A^-1 y]_i / [A^-1]_ii.
        residual = (vectors * weight) @ projected / ((vectors**2) @ weight)[:, None]
        error = np.sqrt(np.mean(residual**2, axis=1))
        if best is None or (error**2).sum() < (best**2).sum():
            best = error
    return np.maximum(best if best is not None else np.zeros(len(y)), _FLOOR)
