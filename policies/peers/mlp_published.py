"""The deep-kernel loop as published (Liu2023), a reference to compare with.

An equal implementation of AtomAI's ``dklGPR`` with gpytorch: a new model at every step, a network
of 1000–500–50–2 units on raw patches, its outputs scaled by one minimum and maximum to ±0.95 and
clamped there, KISS-GP on a 50 x 50 grid with a scaled RBF-ARD kernel, 200 cycles of Adam at 0.01,
targets scaled to 0..1 over the known ones. Its faults are kept. One of them: the interpolation grid follows the inputs, so that a prediction at one site
depends on which others are asked about in the same call.
"""

import sys
import warnings
from contextlib import AbstractContextManager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from grainscout.policies.models.mlp_dkl import device
from grainscout.policies.peers.surrogates import UnitTargetModel, raw_patches
from grainscout.records import FloatArray, IntArray, Scan

with warnings.catch_warnings():
    # Its linear_operator still compiles with torch.jit.script, which torch calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import gpytorch

WIDTHS, GRID, CYCLES, RATE = (1000, 500, 50, 2), 50, 200, 0.01


def _quiet() -> AbstractContextManager[Any]:
    """Sparse tensors of the interpolation are well formed. Torch warns unless told not to check."""
    checks: Any = torch.sparse.check_sparse_tensor_invariants
    context: AbstractContextManager[Any] = checks(enable=False)
    return context


class _Model(gpytorch.models.ExactGP):  # type: ignore[misc]
    """Network, bounds, KISS-GP."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        super().__init__(x, y, gpytorch.likelihoods.GaussianLikelihood())
        layers: list[torch.nn.Module] = []
        previous = x.shape[1]
        for width in WIDTHS:
            layers += [torch.nn.Linear(previous, width), torch.nn.ReLU()]
            previous = width
        self.network = torch.nn.Sequential(*layers[:-1])
        self.bounds = gpytorch.utils.grid.ScaleToBounds(-1.0, 1.0)
        self.mean_module = gpytorch.means.ConstantMean()
        self.covar_module = gpytorch.kernels.GridInterpolationKernel(
            gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel(ard_num_dims=WIDTHS[-1])),
            num_dims=WIDTHS[-1],
            grid_size=GRID,
        )

    def forward(self, x: Tensor) -> Any:
        """Prior at the scaled embedding."""
        z = self.bounds(self.network(x))
        return gpytorch.distributions.MultivariateNormal(self.mean_module(z), self.covar_module(z))


class PublishedLoop(UnitTargetModel):
    """The published loop on the patches of `window` pixels a side, trained for `cycles` at each fit.

    Known noise variances are ignored, as there.
    """

    at_once = sys.maxsize

    def __init__(
        self, scan: Scan, candidate_rows: IntArray, *, window: int = 16, cycles: int = CYCLES
    ) -> None:
        super().__init__(raw_patches(scan, window), candidate_rows)
        self._cycles, self._device = cycles, device()

    def _train_unit(self, x: NDArray[Any], y: FloatArray) -> Any:
        inputs, z = (torch.as_tensor(v).to(self._device, torch.float32) for v in (x, y))
        model = _Model(inputs, z).to(self._device)
        model.train()
        likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
        with _quiet():
            for _ in range(self._cycles):
                optimiser.zero_grad()
                loss = -likelihood(model(inputs), z)
                loss.backward()
                optimiser.step()
        model.eval()
        return model

    def _distribution(self, x: Any) -> Any:
        return self._model(x.to(self._device))

    def _posterior(self, x: NDArray[Any], *, joint: bool) -> tuple[FloatArray, FloatArray]:
        with _quiet(), gpytorch.settings.fast_pred_var(not joint):
            return super()._posterior(x, joint=joint)
