"""Kriging: a Gaussian process on the sites' positions, blind to the image."""

from __future__ import annotations

from dataclasses import dataclass

from grainscout.policies.models.engines import KERNELS
from grainscout.policies.models.features import coordinates
from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.surrogate import Surrogate
from grainscout.policies.strategies.dkl import DKL
from grainscout.policies.validation import check_choice


@dataclass(kw_only=True)
class Kriging(DKL):
    """The options of ``"dkl"``, but the features of a site are its coordinates.

    What a map of the target gives without any use of the image: the baseline of every claim that
    structure predicts function.  ``engine`` is ``"matern"`` (5/2) or ``"rbf"``; ``features``,
    ``window`` and ``components`` only matter to the shown image novelty.
    """

    engine: str = "matern"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("engine", self.engine, ("matern", "rbf"))

    @property
    def surrogate(self) -> Surrogate:
        """The model, made when it is first needed."""
        if self._surrogate is None:
            scan, sites = self.problem.scan, self.problem.candidates
            pool = scan.flat(sites)
            self._surrogate = GaussianProcess(
                coordinates(scan),
                pool,
                KERNELS[self.engine],
                growth=self.refit_growth,
                robust=self.robust,
            )
        return self._surrogate
