"""Active learning with a structured GP: physical causes as the mean, a kernel for the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grainscout.microstructure.features import Microstructure, microstructure
from grainscout.policies.models.engines import KERNELS
from grainscout.policies.models.features import coordinates
from grainscout.policies.models.kernels import Kernel
from grainscout.policies.models.structure_means import HYPOTHESES, GrainEffect, film_model
from grainscout.policies.models.structured_gp import StructuredGP
from grainscout.policies.models.surrogate import Surrogate
from grainscout.policies.strategies.dkl import DKL
from grainscout.policies.validation import check_choice, check_number
from grainscout.records import ConfigError, PolicyError
from grainscout.records.arrays import FloatArray

_RESIDUALS = ("features", "position")
_NUISANCES = ("none", "drift", "wear", "both")


@dataclass(kw_only=True)
class StructuredBase(DKL):
    """What policies with physical means share.

    Options
    -------
    residual : what the causes leave is smooth in ``"position"`` (kriging with external drift;
        engine ``"matern"`` or ``"rbf"``) or in the image ``"features"`` (as in ``"dkl"``; engine
        ``"nngp"``, too).
    nuisance : what the target may depend on beside the site: ``"none"``, ``"drift"`` (linear in
        time), ``"wear"`` (logarithm of the number of curves) or ``"both"``.
    groove_scale : width of the grooves that are taken for boundaries [pixels].
    """

    engine: str = "matern"
    residual: str = "position"
    nuisance: str = "drift"
    groove_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("residual", self.residual, _RESIDUALS)
        engines = tuple(KERNELS) if self.residual == "features" else ("matern", "rbf")
        check_choice(f"engine with residual {self.residual!r}", self.engine, engines)
        check_choice("nuisance", self.nuisance, _NUISANCES)
        check_number("groove_scale", self.groove_scale, low=0.3, high=100.0, unit="pixels")

    def _begin(self) -> None:
        super()._begin()
        self._found: Microstructure | None = None

    @property
    def microstructure(self) -> Microstructure:
        """What the image shows, estimated when it is first needed."""
        if self._found is None:
            self._found = microstructure(self.problem.scan, self.groove_scale)
        return self._found

    def _make(self, causes: tuple[str, ...]) -> StructuredGP:
        """The structured GP of these causes."""
        model, covariates = film_model(causes, self.microstructure)
        scan = self.problem.scan
        table = self._table(self.features) if self.residual == "features" else coordinates(scan)
        kernel: Kernel = KERNELS[self.engine]
        if {"grain", "all"} & set(causes):
            label = self.microstructure.label.reshape(-1, 1).astype(np.float32)
            table, kernel = np.hstack([table, label]), GrainEffect(inner=kernel)
        return StructuredGP(
            table,
            covariates,
            self._pool,
            kernel,
            model,
            growth=self.refit_growth,
            seed=self._weights_seed,
            nuisance=None if self.nuisance == "none" else self._disturbances,
        )

    def explain(self) -> dict[str, FloatArray]:
        """Maps of what it thinks now, with the microstructure that it takes the image to show."""
        at = (self.problem.candidates[:, 0], self.problem.candidates[:, 1])
        found = self.microstructure
        return {
            **super().explain(),
            "grain": self.problem.as_map(found.label[at].astype(np.float64)),
            "boundary_distance": self.problem.as_map(found.boundary[at]),
            "junction_distance": self.problem.as_map(found.junction[at]),
            "asymmetry": self.problem.as_map(found.asymmetry[at]),
        }

    def _disturbances(self) -> FloatArray:
        """(n, r) what belongs to the measurements that can be learnt from, in the data's order."""
        archive, budget, cost = self.archive, self.problem.budget, self.problem.cost
        curves = budget.curves or 200
        span = budget.seconds or curves * float(cost.seconds(0.0))
        rank = np.argsort(np.argsort(archive.started, kind="stable"), kind="stable")
        columns = {
            "drift": [archive.started / span],
            "wear": [np.log1p(rank) / np.log1p(curves)],
        }
        columns["both"] = columns["drift"] + columns["wear"]
        use, _, _ = self._described.of(archive)
        return np.column_stack(columns[self.nuisance])[use]


@dataclass(kw_only=True)
class Structured(StructuredBase):
    """The options of ``"dkl"``, with a prior mean that is linear in physical causes.

    Options
    -------
    causes : comma-separated from ``constant, boundary, junction, asymmetry, topography, grain`` or
        ``all``: what the target may depend on (functions of the image, see ``_film_means``; with
        ``grain`` every grain has a level of its own, too).
    """

    causes: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_causes("causes", self.causes)

    @property
    def surrogate(self) -> Surrogate:
        """The structured GP, made when it is first needed."""
        if self._surrogate is None:
            self._surrogate = self._make(check_causes("causes", self.causes))
        return self._surrogate

    def causes_found(self) -> dict[str, tuple[float, float]]:
        """Cause -> (mean, standard deviation) of its coefficient, in the target's unit.

        The change of the target per standard deviation of the cause over the image.  PolicyError
        before any outcome.
        """
        model = self._learn(only_look=True) if len(self.ledger) else None
        if not isinstance(model, StructuredGP):
            raise PolicyError("causes_found needs at least one curve with a usable target")
        mean, std = model.coefficients()
        return {
            n: (float(m), float(s)) for n, m, s in zip(model.mean.names, mean, std, strict=True)
        }


def check_causes(option: str, text: object) -> tuple[str, ...]:
    """The names in a comma-separated list of causes; ConfigError for an unknown one or none."""
    if not isinstance(text, str):
        raise ConfigError(
            f"{option} must be a comma-separated list from {', '.join(HYPOTHESES)}; got {text!r}"
        )
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        check_choice(f"each of {option}", name, HYPOTHESES)
    return names
