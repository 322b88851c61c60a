"""Dual-novelty active learning: look for new curves where the image is new (Gong2026)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.acquisition import ACQUISITIONS, Posterior
from grainscout.policies.novelty import METRICS, SPECTRAL, filled, spectral_novelty
from grainscout.policies.parts.roles import Acquisition, Maps, RunContext, Target, TrainingData
from grainscout.policies.parts.standard import ImageFeatures, KernelModel
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records import ConfigError, FloatArray, IntArray

_GATES = ("product", "quantile", "probability", "none")
_WANTED = ("ucb", "ei", "thompson", "max-uncertainty")


@dataclass(frozen=True, kw_only=True)
class SpectralNovelty(Target):
    """Novelty of the curve at each site.

    Curves of which over half was lost are left out.
    """

    score_names: ClassVar[tuple[str, ...]] = ("novelty", "novelty_std")

    #: Novelty of a curve: mean distance to all others, mean distance to the nearest
    #: `spectral_neighbours`, distance to the mean curve, or error of a reconstruction of rank
    #: `spectral_neighbours`.
    spectral: str = option("mean", choices=SPECTRAL)
    #: Number of nearest curves, or rank of the reconstruction.
    spectral_neighbours: int = option(5, low=1)
    #: Distance of two curves. ``"split"`` weights amplitude and shape.
    metric: str = option("correlation", choices=METRICS)
    #: Weight of the shape in ``"split"``, 0 to 1. The amplitude has the rest.
    shape_weight: float = option(0.5, low=0.0, high=1.0)
    #: Score all curves anew at each step, or a curve once, against those before it.
    novelty: str = option("refreshed", choices=("refreshed", "frozen"))

    def data(self, run: RunContext) -> TrainingData:
        """Novelty of the usable curves."""
        curves, usable = filled(run.observations.current)
        score = spectral_novelty(
            curves[usable],
            kind=self.spectral,
            metric=self.metric,
            neighbours=self.spectral_neighbours,
            shape_weight=self.shape_weight,
            frozen_after=run.seed_points if self.novelty == "frozen" else None,
        )
        return TrainingData(run.rows[usable], score, np.zeros(len(score)))

    def maps(self, mean: FloatArray, std: FloatArray) -> Maps:
        """Expected novelty and its standard deviation."""
        return {"spectral_novelty": mean, "spectral_novelty_std": std}


@dataclass(frozen=True, kw_only=True)
class GatedNovelty(Acquisition):
    """An acquisition of the spectral novelty, gated by the image novelty."""

    shown: ClassVar[str] = "combined"

    acquisition: str = option("ucb", choices=_WANTED)  #: Gain of the spectral novelty
    beta: float = option(2.0, low=0.0)  #: Weight of the uncertainty in ``ucb``
    #: Margin of ``ei``, relative to the spread of the measured novelties.
    xi: float = option(0.01, low=0.0)
    #: Space of the image novelty: jets, or principal components of the patches.
    image: str = option("invariant", choices=("invariant", "patch"))
    #: Number of nearest visited patches whose mean distance counts.
    image_neighbours: int = option(1, low=1)
    #: ``"product"`` of the two maps, each scaled to 0..1 over the available candidates.
    #: ``"quantile"``: only candidates above the `quantile` of image novelty. ``"probability"``: a
    #: candidate passes with a probability equal to the rank of its image novelty.
    gate: str = option("product", choices=_GATES)
    #: Share of the available candidates that the gate ``"quantile"`` closes, 0 to 1.
    quantile: float = option(0.5, low=0.0, high=1.0)

    def begin(self, run: RunContext) -> None:
        """Check that there are image features."""
        if not isinstance(run.features, ImageFeatures):
            raise ConfigError(
                f"features must be of the image; {type(run.features).__name__} have no novelty"
            )

    def settings(self) -> dict[str, Any]:
        """Options of the posterior."""
        return {"beta": self.beta, "xi": self.xi}

    def image_space(self, run: RunContext) -> tuple[NDArray[np.float32], int]:
        """Jets or principal components, with the options of the features."""
        kind = "jets" if self.image == "invariant" else "pca"
        features = run.features
        if isinstance(features, ImageFeatures):
            features = replace(features, features=kind)
        return features.table(run.problem.scan), self.image_neighbours

    def plan(self, run: RunContext) -> tuple[str, Callable[[Posterior], FloatArray]]:
        """The gated acquisition."""
        return self.acquisition, lambda posterior: self._gain(run, posterior)

    def _gain(self, run: RunContext, posterior: Posterior) -> FloatArray:
        gain = ACQUISITIONS[self.acquisition](posterior)
        if self.gate == "none":
            return gain
        image, available = run.image_novelty(posterior.imagined), posterior.available
        known = available[np.isfinite(gain[available])]
        out = np.full(len(gain), -np.inf)
        if self.gate == "product":
            out[known] = _unit(gain[known]) * _unit(image[available])[np.isin(available, known)]
            return out
        if self.gate == "quantile":
            passed = known[image[known] >= np.quantile(image[known], self.quantile)]
        else:
            rank = np.argsort(np.argsort(image[known])) / max(len(known) - 1, 1)
            passed = known[posterior.rng.random(len(known)) <= rank]
        out[passed] = gain[passed]
        return out

    def scores(self, run: RunContext, index: IntArray) -> Maps:
        """Image novelty of the chosen candidates."""
        return {"image_novelty": run.image_novelty()[index]}


def _unit(values: FloatArray) -> FloatArray:
    """Scaled to 0..1. Ones where all are equal, so that the other map decides."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.ones(len(values))


dual_novelty = Recipe(
    "DualNovelty",
    """Learns how new the curve at each site would be, and measures where the patch is new as well.

    Whole curves are the observations. The prediction of the problem's target is beside, for
    comparison, and takes no part in the choice. The defaults were chosen by a study on simulated
    films (``docs/decisions``).
    """,
    features=ImageFeatures(features="both"),
    model=KernelModel(position=False),
    target=SpectralNovelty(),
    acquisition=GatedNovelty(),
    never=("neighbours",),
)
