"""Active learning with a structured GP: physical causes as the mean, a kernel for the rest."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from grainscout.microstructure.features import StructureFeatures, structure_features
from grainscout.policies.models.features import coordinates
from grainscout.policies.models.kernels import Kernel
from grainscout.policies.models.structure_means import HYPOTHESES, GrainEffect, film_model
from grainscout.policies.models.structured_gp import StructuredGP
from grainscout.policies.models.surrogates import KERNELS, Surrogate
from grainscout.policies.parts.roles import Maps, Model, RunContext
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records import ConfigError, FloatArray, one_of

_RESIDUALS = ("features", "position")
_NUISANCES = ("none", "drift", "wear", "both")
#: Options of ``"dkl"`` that do nothing with a structured GP.
NEVER = ("position", "robust")


@dataclass(frozen=True, kw_only=True)
class StructuredModel(Model):
    """A structured GP of physical causes. Subclasses say which."""

    #: Kernel of the residual. ``"nngp"`` is for the residual ``"features"`` only.
    engine: str = "matern"
    #: Hyper-parameters are refitted when the data have grown by this fraction.
    refit_growth: float = option(0.2, low=0.0)
    #: The rest that the causes leave is smooth over the plane (kriging with external drift) or in
    #: the image features (as in ``"dkl"``).
    residual: str = option("position", choices=_RESIDUALS)
    #: Influence on the target beside the site: linear in time, or in the logarithm of the number of
    #: curves.
    nuisance: str = option("drift", choices=_NUISANCES)
    #: Width over which curvature, slope and thickness are taken [pixels].
    groove_scale: float = option(1.0, low=0.3, high=100.0, unit="pixels")

    def __post_init__(self) -> None:
        super().__post_init__()
        engines = tuple(KERNELS) if self.residual == "features" else ("matern", "rbf")
        one_of(f"engine with residual {self.residual!r}", self.engine, engines)

    def of_causes(self, run: RunContext, causes: tuple[str, ...]) -> StructuredGP:
        """The structured GP of these causes."""
        shown = self._microstructure(run)
        model, covariates = film_model(causes, shown)
        table = run.table() if self.residual == "features" else coordinates(run.problem.scan)
        kernel: Kernel = KERNELS[self.engine]
        if {"grain", "all"} & set(causes):
            label = shown.label.reshape(-1, 1).astype(np.float32)
            table, kernel = np.hstack([table, label]), GrainEffect(inner=kernel)
        return StructuredGP(
            table,
            covariates,
            run.candidate_rows,
            kernel,
            model,
            growth=self.refit_growth,
            seed=run.weights_seed,
            robust=run.defaults >= 3,
            nuisance=None if self.nuisance == "none" else partial(self._disturbances, run),
        )

    def _microstructure(self, run: RunContext) -> StructureFeatures:
        return run.memo(
            "microstructure", lambda: structure_features(run.problem.scan, scale=self.groove_scale)
        )

    def maps(self, run: RunContext) -> Maps:
        """The microstructure that the image is taken to show."""
        sites, shown = run.problem.candidates, self._microstructure(run)
        at = (sites[:, 0], sites[:, 1])
        return {
            "grain": shown.label[at].astype(np.float64),
            "boundary_distance": shown.boundary[at],
            "junction_distance": shown.junction[at],
            "asymmetry": shown.asymmetry[at],
        }

    def _disturbances(self, run: RunContext) -> FloatArray:
        """(n, r) nuisances of the measurements that can be learnt from, in the data's order."""
        observations, budget, cost = run.observations, run.problem.budget, run.problem.cost
        curves = budget.curves or 200
        span = budget.seconds or curves * float(cost.seconds(0.0))
        started = observations.started
        rank = np.argsort(np.argsort(started, kind="stable"), kind="stable")
        drift, wear = started / span, np.log1p(rank) / np.log1p(curves)
        columns = {"drift": [drift], "wear": [wear], "both": [drift, wear]}[self.nuisance]
        return np.column_stack(columns)[run.described.of(observations)[0]]


@dataclass(frozen=True, kw_only=True)
class CausalModel(StructuredModel):
    """One structured GP."""

    #: Comma-separated from ``constant, boundary, junction, asymmetry, topography, grain`` or
    #: ``all``: functions of the image (``models.structure_means``) on which the target may depend.
    #: With ``grain``, every grain has a level of its own, too.
    causes: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_causes("causes", self.causes)

    def make(self, run: RunContext) -> Surrogate:
        """The structured GP."""
        return self.of_causes(run, check_causes("causes", self.causes))


def check_causes(option: str, text: object) -> tuple[str, ...]:
    """The names in a comma-separated list of causes. ConfigError for an unknown one or none."""
    if not isinstance(text, str):
        raise ConfigError(
            f"{option} must be a comma-separated list from {', '.join(HYPOTHESES)}; got {text!r}"
        )
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        one_of(f"each of {option}", name, HYPOTHESES)
    return names


structured_gp = Recipe(
    "Structured",
    """A GP whose prior mean is linear in physical causes; otherwise as ``"dkl"``.""",
    uses_budget=True,
    model=CausalModel(),
    never=NEVER,
)
