"""The deep-kernel loop as published (Liu2023), a reference to compare with.

An equal implementation of AtomAI's ``dklGPR`` with gpytorch: a new model at every step, a network
of 1000–500–50–2 units on raw patches, its outputs scaled by one minimum and maximum to ±0.95 and
clamped there, KISS-GP on a 50 x 50 grid with a scaled RBF-ARD kernel, 200 cycles of Adam at 0.01,
targets scaled to 0..1 over the known ones. Its faults are kept. One of them: the interpolation grid follows the inputs, so that a prediction at one site
depends on which others are asked about in the same call.
"""

from __future__ import annotations

import copy
import warnings
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from grainscout.policies.models.features import check_window, patches
from grainscout.policies.models.likelihood import check_data
from grainscout.policies.models.mlp_dkl import device
from grainscout.policies.models.surrogates import not_fitted
from grainscout.records import PackedState, Scan
from grainscout.records.arrays import FloatArray, IntArray

with warnings.catch_warnings():
    # Its linear_operator still compiles with torch.jit.script, which torch calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import gpytorch

WIDTHS, GRID, CYCLES, RATE, SEED = (1000, 500, 50, 2), 50, 200, 0.01, 42


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


class PublishedLoop:
    """A `Surrogate` of patches of the height. Every fit starts anew and ignores known noise variances."""

    def __init__(
        self, scan: Scan, candidate_rows: IntArray, *, window: int = 16, cycles: int = CYCLES
    ) -> None:
        check_window(window, scan.shape)
        self._image = scan.channels.get("height", next(iter(scan.channels.values())))
        self._window, self._cycles = window, cycles
        self.candidate_rows = np.asarray(candidate_rows, np.int64)
        self._device = device()
        self._model: _Model | None = None
        self._low, self._span = 0.0, 1.0
        self._all = self._inputs(self.candidate_rows)

    @property
    def noise(self) -> float:
        """Learnt variance of the noise, in the target's unit squared."""
        return float(self._need_fit().likelihood.noise.detach()) * self._span**2

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """See the protocol."""
        check_data(rows, y, noise)
        self._low = float(y.min())
        self._span = float(np.ptp(y)) or (abs(self._low) or 1.0)
        z = torch.as_tensor((y - self._low) / self._span).to(self._device, torch.float32)
        x = self._inputs(rows)
        # The published loop seeds the global generator; here it gets its state back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = _Model(x, z).to(self._device)
        model.train()
        likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
        with torch.random.fork_rng(devices=[]), _quiet():
            torch.manual_seed(SEED)
            for _ in range(self._cycles):
                optimiser.zero_grad()
                loss = -likelihood(model(x), z)
                loss.backward()
                optimiser.step()
        model.eval()
        self._model = model

    def fork(self) -> Self:
        """A copy: a fit makes a new model."""
        return copy.copy(self)

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        model = self._need_fit()
        with torch.no_grad(), _quiet(), gpytorch.settings.fast_pred_var():
            posterior = model(self._all)
            mean, variance = posterior.mean, posterior.variance
        std = variance.clamp_min(1e-10).sqrt()
        return (
            self._low + self._span * mean.cpu().numpy().astype(np.float64),
            self._span * std.cpu().numpy().astype(np.float64),
        )

    def covariance(self, rows: IntArray) -> FloatArray:
        """See the protocol."""
        x = self._inputs(rows)
        parts = []
        for at in range(0, len(self.candidate_rows), 512):
            part = self._all[at : at + 512]
            parts.append(self._posterior(torch.cat([part, x]))[1][: len(part), len(part) :])
        return np.concatenate(parts)

    def joint(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        return self._posterior(self._inputs(rows))

    def state(self) -> PackedState:
        """Nothing: the same data give the same model."""
        return {}

    def restore(
        self, state: PackedState, rows: IntArray, y: FloatArray, noise: FloatArray | None
    ) -> None:
        """See the protocol."""
        self.fit(rows, y, noise)

    def _inputs(self, rows: IntArray) -> Tensor:
        sites = np.stack(np.unravel_index(rows, self._image.shape), axis=1)
        spread = float(self._image.std()) or 1.0
        # Images are scaled to unit spread as a whole; patches are not standardised one by one.
        image = (self._image - self._image.mean()) / spread
        flat = patches(image, self._window, sites).reshape(len(rows), -1)
        return torch.as_tensor(flat.astype(np.float32)).to(self._device)

    def _need_fit(self) -> _Model:
        if self._model is None:
            raise not_fitted()
        return self._model

    def _posterior(self, x: Tensor) -> tuple[FloatArray, FloatArray]:
        """Mean (n,) and covariance (n, n) as gpytorch predicts them."""
        model = self._need_fit()
        with torch.no_grad(), _quiet():
            posterior = model(x)
            mean, covariance = posterior.mean, posterior.covariance_matrix
        return (
            self._low + self._span * mean.cpu().numpy().astype(np.float64),
            self._span**2 * covariance.cpu().numpy().astype(np.float64),
        )
