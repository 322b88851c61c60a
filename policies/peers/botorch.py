"""BoTorch's models in the place of the surrogate of ``"dkl"``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.models.surrogates import Surrogate
from grainscout.policies.parts.roles import Model, RunContext
from grainscout.policies.parts.standard import ImageFeatures
from grainscout.policies.peers.surrogates import NEVER, PeerModel
from grainscout.policies.recipe import Recipe
from grainscout.records import FloatArray


class BoTorchSurrogate(PeerModel):
    """SingleTaskGP with its own priors and fit; float64."""

    robust = False

    def _train(self, x: NDArray[Any], y: FloatArray) -> Any:
        import torch
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.robust_relevance_pursuit_model import (
            RobustRelevancePursuitSingleTaskGP,
        )
        from gpytorch.mlls import ExactMarginalLogLikelihood

        data = torch.as_tensor(x), torch.as_tensor(y)[:, None]
        if self.robust:  # its own default expects no outlier among fewer than five, and fails
            expected = max(1.0, 0.2 * len(y))
            model = RobustRelevancePursuitSingleTaskGP(
                *data, outcome_transform=None, prior_mean_of_support=expected
            )
        else:
            model = SingleTaskGP(*data, outcome_transform=None)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return model


class RobustBoTorchSurrogate(BoTorchSurrogate):
    """SingleTaskGP that finds outliers by relevance pursuit (Ament et al. 2024)."""

    robust = True

    def _learnt_noise(self) -> Any:
        return self._model.likelihood.noise_covar.base_noise.noise.detach().mean()


@dataclass(frozen=True, kw_only=True)
class BoTorchModel(Model):
    """SingleTaskGP on features between 0 and 1."""

    outliers: bool = False  #: Expect outliers and find them

    def make(self, run: RunContext) -> Surrogate:
        """The peer's model."""
        table = run.table().astype(np.float64)
        low, span = table.min(0), np.ptp(table, axis=0)
        kind = RobustBoTorchSurrogate if self.outliers else BoTorchSurrogate
        return kind((table - low) / np.where(span > 0, span, 1.0), run.candidate_rows)


peer_botorch = Recipe(
    "PeerBoTorch",
    """BoTorch's SingleTaskGP on principal components of the patches; otherwise as ``"dkl"``.""",
    features=ImageFeatures(features="pca", components=10),
    model=BoTorchModel(),
    never=NEVER,
)

peer_botorch_robust = Recipe(
    "PeerBoTorchRobust",
    """BoTorch's robust SingleTaskGP (relevance pursuit); otherwise as ``"peer-botorch"``.""",
    features=ImageFeatures(features="pca", components=10),
    model=BoTorchModel(outliers=True),
    never=NEVER,
)
