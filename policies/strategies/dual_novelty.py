"""Dual-novelty active learning: look for new curves where the image is new (S26)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grainscout.policies.acquisition import ACQUISITIONS, Belief
from grainscout.policies.base import Choice
from grainscout.policies.models.engines import KERNELS
from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.novelty import METRICS, SPECTRAL, filled, spectral_novelty
from grainscout.policies.strategies.model_policy import ModelPolicy, Targets
from grainscout.policies.validation import check_choice, check_count, check_number
from grainscout.records import PolicyError
from grainscout.records.arrays import FloatArray, IntArray

_GATES = ("product", "quantile", "probability", "none")
_WANTED = ("ucb", "ei", "thompson", "max-uncertainty")


@dataclass(kw_only=True)
class DualNovelty(ModelPolicy):
    """Learns how new the curve at each site would be, and measures where the patch is new as well.

    The defaults were chosen by a study on simulated films (``docs/decisions``).

    Options
    -------
    spectral : novelty of a curve: ``"mean"`` distance to all others, ``"nearest"`` (mean of
        `spectral_neighbours`), ``"mean-curve"`` or ``"reconstruction"`` (rank `spectral_neighbours`).
    spectral_neighbours : nearest curves, or rank of the reconstruction.
    metric : ``"l2"``, ``"correlation"`` or ``"split"`` (amplitude and shape, see `shape_weight`).
    shape_weight : weight of the shape in ``"split"``, 0 to 1; the amplitude has the rest.
    novelty : ``"refreshed"`` scores all curves anew at each step; ``"frozen"`` scores a curve once,
        against those before it.
    image : novelty of a patch in ``"invariant"`` (jets) or ``"patch"`` space (principal components);
        the mean distance to the `image_neighbours` nearest visited ones.
    image_neighbours : nearest visited patches that count.
    gate : ``"product"`` of the two maps, each scaled to 0..1 over the open candidates;
        ``"quantile"``: only candidates above the `quantile` of image novelty;  ``"probability"``:
        a candidate passes with a probability equal to the rank of its image novelty;  ``"none"``.
    quantile : share of the open candidates that the gate ``"quantile"`` closes, 0 to 1.
    acquisition : on the spectral novelty: ``"ucb"``, ``"ei"``, ``"thompson"``, ``"max-uncertainty"``.

    Whole curves are the observations: `predict` learns the problem's target beside, for comparison,
    and takes no part in the choice.  Curves of which over half was lost are left out.
    """

    features: str = "both"
    spectral: str = "mean"
    metric: str = "correlation"
    spectral_neighbours: int = 5
    shape_weight: float = 0.5
    novelty: str = "refreshed"
    image: str = "invariant"
    image_neighbours: int = 1
    gate: str = "product"
    quantile: float = 0.5
    acquisition: str = "ucb"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("spectral", self.spectral, SPECTRAL)
        check_choice("metric", self.metric, METRICS)
        check_count("spectral_neighbours", self.spectral_neighbours, low=1)
        check_number("shape_weight", self.shape_weight, low=0.0, high=1.0)
        check_choice("novelty", self.novelty, ("refreshed", "frozen"))
        check_choice("image", self.image, ("invariant", "patch"))
        check_count("image_neighbours", self.image_neighbours, low=1)
        check_choice("gate", self.gate, _GATES)
        check_number("quantile", self.quantile, low=0.0, high=1.0)
        check_choice("acquisition", self.acquisition, _WANTED)

    # ---- what it learns -------------------------------------------------------------------
    def _acquisition(self) -> str:
        return self.acquisition

    def _data(self) -> Targets:
        curves, usable = filled(self.archive.current)
        score = spectral_novelty(
            curves[usable],
            kind=self.spectral,
            metric=self.metric,
            neighbours=self.spectral_neighbours,
            shape_weight=self.shape_weight,
            frozen_after=self.seed_points if self.novelty == "frozen" else None,
        )
        return self._archive_rows()[usable], score, np.zeros(len(score))

    # ---- where it measures ----------------------------------------------------------------
    def _patch_space(self) -> tuple[str, int]:
        return ("jets" if self.image == "invariant" else "pca"), self.image_neighbours

    def _gain(self, name: str, belief: Belief) -> FloatArray:
        gain = ACQUISITIONS[name](belief)
        if self.gate == "none":
            return gain
        image = self.image_novelty(belief.imagined)
        open_ = belief.open_
        known = open_[np.isfinite(gain[open_])]
        out = np.full(len(gain), -np.inf)
        if self.gate == "product":
            out[known] = _unit(gain[known]) * _unit(image[open_])[np.isin(open_, known)]
            return out
        if self.gate == "quantile":
            passed = known[image[known] >= np.quantile(image[known], self.quantile)]
        else:
            rank = np.argsort(np.argsort(image[known])) / max(len(known) - 1, 1)
            passed = known[belief.rng.random(len(known)) <= rank]
        out[passed] = gain[passed]
        return out

    def _select(self, n: int, open_: IntArray) -> Choice:
        choice = super()._select(n, open_)
        if choice.prediction is None or choice.uncertainty is None:
            return choice
        return Choice(
            index=choice.index,
            scores={
                **choice.scores,
                "novelty": choice.prediction,
                "novelty_std": choice.uncertainty,
                "image_novelty": self.image_novelty()[choice.index],
            },
        )

    # ---- what it shows --------------------------------------------------------------------
    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the problem's target, (n_candidates,) each.

        A model of its own, from the same features; PolicyError while no curve has a usable target.
        """
        use, y, noise = self._described.of(self.archive)
        if len(y) == 0:
            raise PolicyError(
                f"DualNovelty can predict {self._described.name} once a curve has a usable value; "
                f"it was told {len(self.ledger)} curves"
            )
        beside = GaussianProcess(self._table(self.features), self._pool, KERNELS["nngp"])
        beside.fit(self._archive_rows()[use], y, noise)
        return beside.predict()

    def explain(self) -> dict[str, FloatArray]:
        """Maps of what it thinks now; ``combined`` is what the last proposal was chosen by.

        ``mean`` and ``uncertainty`` are of the problem's target, where any curve has a usable one.
        """
        model = self._learn(only_look=True) if len(self.ledger) else None
        if model is None:
            raise PolicyError("DualNovelty can explain itself once it was told a usable curve")
        novelty, spread = model.predict()
        maps = {
            "spectral_novelty": novelty,
            "spectral_novelty_std": spread,
            "image_novelty": self.image_novelty(),
        }
        if self._described.of(self.archive)[0].any():
            maps["mean"], maps["uncertainty"] = self.predict()
        if self._shown is not None:
            maps["combined"] = np.where(np.isfinite(self._shown), self._shown, np.nan)
        return {name: self.problem.as_map(values) for name, values in maps.items()}


def _unit(values: FloatArray) -> FloatArray:
    """Scaled to 0..1; ones where all are equal, so that the other map decides."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.ones(len(values))
