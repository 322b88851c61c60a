"""Learned deep kernels that behave: an ensemble of small networks, stopped early.

Training one large network long on few points makes a deep kernel certain and wrong (Ober et al.
2021, UAI).  Here each of `MEMBERS` networks of 64–32–2 units is trained for a few cycles from its
own initial weights on standardised targets, together with an exact GP on its two outputs, and the
members' predictions are mixed.  Nothing is clamped, so an unseen patch stays unseen.
"""

import copy
import math
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grainscout.policies.models.likelihood import check_data, standardise, winsorise
from grainscout.policies.models.surrogates import not_fitted
from grainscout.records import FloatArray, IntArray, PackedState

MEMBERS, WIDTHS, CYCLES, RATE = 8, (64, 32, 2), 30, 0.02
_NOISE, _FLOOR = -0.5, 1e-4  # start and prior mean of the log noise variance; its least value
_CHUNK = 2048


def device() -> torch.device:
    """The accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _Members:
    """All networks and kernel parameters, stacked along the first axis, in float64."""

    def __init__(self, features: int, seed: int, sample: Tensor) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []
        previous = features
        for width in WIDTHS:
            bound = math.sqrt(6.0 / previous)
            w = torch.rand(MEMBERS, previous, width, generator=generator, dtype=torch.float64)
            self.weights.append(((2 * w - 1) * bound).to(sample.device))
            self.biases.append(
                torch.zeros(MEMBERS, 1, width, dtype=torch.float64).to(sample.device)
            )
            previous = width
        # log amplitude and log noise of each member's GP
        self.kernel = torch.tensor([[0.0, _NOISE]] * MEMBERS, dtype=torch.float64)
        self.kernel = self.kernel.to(sample.device)
        # The embedding of the whole image starts at unit spread: the kernel's length.
        latent = self.embed(sample)
        self.weights[-1] = self.weights[-1] / latent.std(dim=1, keepdim=True).clamp_min(1e-6)

    def tensors(self) -> list[Tensor]:
        return [*self.weights, *self.biases, self.kernel]

    def replace(self, tensors: list[Tensor]) -> None:
        depth = len(WIDTHS)
        self.weights, self.biases = tensors[:depth], tensors[depth : 2 * depth]
        self.kernel = tensors[-1]

    def embed(self, x: Tensor) -> Tensor:
        """(members, n, 2) of (n, d) inputs, in their dtype."""
        h = x.expand(MEMBERS, *x.shape)
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(b.to(x.dtype), h, w.to(x.dtype))
            if layer < len(WIDTHS) - 1:
                h = torch.relu(h)
        return h

    def covariance(self, a: Tensor, b: Tensor) -> Tensor:
        """(members, n, m) RBF covariances of embeddings, whose length the network learns."""
        d = (a * a).sum(-1)[:, :, None] + (b * b).sum(-1)[:, None, :]
        d = torch.baddbmm(d, a, b.transpose(1, 2), alpha=-2.0).clamp_min(0.0)
        return torch.exp(self.kernel[:, :1, None].to(a.dtype) - 0.5 * d)

    def noise(self) -> Tensor:
        return torch.exp(self.kernel[:, 1]) + _FLOOR


def marginal_likelihood(gram: Tensor, y: Tensor) -> Tensor:
    """(members,) log likelihood of standardised targets under noisy covariances (members, n, n)."""
    factor = torch.linalg.cholesky(gram)
    white = torch.linalg.solve_triangular(factor, y.expand(len(gram), -1)[..., None], upper=False)
    log_det = torch.log(torch.diagonal(factor, dim1=1, dim2=2)).sum(1)
    value: Tensor = -0.5 * (white**2).sum((1, 2)) - log_det - 0.5 * len(y) * math.log(2 * math.pi)
    return value


class Ensemble:
    """A `Surrogate` of deep kernels, retrained when the data have grown by the fraction `growth`."""

    def __init__(
        self,
        table: NDArray[np.float32],
        candidate_rows: IntArray,
        *,
        growth: float = 0.1,
        seed: int = 0,
        robust: bool = True,
    ) -> None:
        self.robust = robust
        self.table, self.candidate_rows = table, np.asarray(candidate_rows, np.int64)
        self.growth, self.seed = growth, seed
        self._device = device()
        # Columns of unit spread on the whole: the table's rows have a mean square of 1.
        self._gain = math.sqrt(table.shape[1])
        self._offset, self._scale, self._fitted = 0.0, 1.0, 0
        self._members: _Members | None = None

    @property
    def noise(self) -> float:
        """Learnt variance of the noise, in the target's unit squared."""
        return float(self._need_fit().noise().mean()) * self._scale**2

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """See the protocol."""
        given, y = check_data(rows, y, noise), self._limited(y)
        if self._fitted == 0 or len(y) >= self._fitted * (1.0 + self.growth):
            self._offset, self._scale = standardise(y)
            self._train(rows, y, given)
            self._fitted = len(y)
        self._condition(rows, y, given)

    def fork(self) -> Self:
        """A copy: a fit replaces tensors and never changes them in place."""
        return copy.copy(self)

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the mixture."""
        self._need_fit()
        return self._offset + self._scale * self._mean, self._scale * self._std

    def covariance(self, rows: IntArray) -> FloatArray:
        """See the protocol."""
        out = np.empty((len(self.candidate_rows), len(rows)))
        for at in range(0, len(self.candidate_rows), _CHUNK):
            part = self.candidate_rows[at : at + _CHUNK]
            out[at : at + _CHUNK] = self._mixed(part, rows)[1]
        return out

    def joint(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        mean, covariance = self._mixed(rows, rows)
        return mean, covariance

    def state(self) -> PackedState:
        """Weights, scales and when they were learnt."""
        tensors = [] if self._members is None else self._members.tensors()
        return {
            "tensors": [t.cpu().numpy() for t in tensors],
            "offset": self._offset,
            "scale": self._scale,
            "fitted": self._fitted,
            "robust": self.robust,
        }

    def restore(
        self, state: PackedState, rows: IntArray, y: FloatArray, noise: FloatArray | None
    ) -> None:
        """See the protocol."""
        self._offset, self._scale = float(state["offset"]), float(state["scale"])
        self._fitted, self.robust = int(state["fitted"]), bool(state.get("robust", False))
        self._members = None
        if self._fitted:
            self._members = self._initial()
            self._members.replace([torch.as_tensor(t).to(self._device) for t in state["tensors"]])
            self._condition(rows, self._limited(y), check_data(rows, y, noise))

    def _limited(self, y: FloatArray) -> FloatArray:
        return winsorise(y) if self.robust else y

    def _need_fit(self) -> _Members:
        if self._members is None:
            raise not_fitted()
        return self._members

    def _inputs(self, rows: IntArray, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.as_tensor(self.table[rows] * np.float32(self._gain)).to(self._device, dtype)

    def _initial(self) -> _Members:
        step = max(1, len(self.candidate_rows) // 512)
        return _Members(self.table.shape[1], self.seed, self._inputs(self.candidate_rows[::step]))

    def _targets(self, y: FloatArray) -> Tensor:
        return torch.as_tensor((y - self._offset) / self._scale).to(self._device)

    def _gram(self, members: _Members, latent: Tensor, known: Tensor) -> Tensor:
        noise = members.noise()[:, None] + known
        return members.covariance(latent, latent) + torch.diag_embed(noise)

    def _train(self, rows: IntArray, y: FloatArray, given: FloatArray) -> None:
        members = self._initial()
        tensors = [t.clone().requires_grad_() for t in members.tensors()]
        members.replace(tensors)
        x, z = self._inputs(rows), self._targets(y)
        known = torch.as_tensor(given / self._scale**2).to(self._device)
        optimiser = torch.optim.Adam(tensors, lr=RATE)
        start = torch.tensor([0.0, _NOISE], dtype=torch.float64, device=self._device)
        for _ in range(CYCLES):
            optimiser.zero_grad()
            gram = self._gram(members, members.embed(x), known)
            prior = 0.5 * ((members.kernel - start) ** 2).sum()
            loss = (prior - marginal_likelihood(gram, z).sum()) / len(z)
            loss.backward()
            optimiser.step()
        members.replace([t.detach() for t in tensors])
        self._members = members

    def _condition(self, rows: IntArray, y: FloatArray, given: FloatArray) -> None:
        members = self._need_fit()
        self._rows = rows.copy()
        known = torch.as_tensor(given / self._scale**2).to(self._device)
        self._latent = members.embed(self._inputs(rows))
        factor = torch.linalg.cholesky(self._gram(members, self._latent, known))
        eye = torch.eye(len(rows), dtype=torch.float64, device=self._device)
        self._inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
        self._beta = self._inverse @ self._targets(y)[:, None]
        low = torch.float32
        inverse, latent, beta = self._inverse.to(low), self._latent.to(low), self._beta.to(low)
        amplitude = torch.exp(members.kernel[:, 0])[:, None]
        means, stds = [], []
        for at in range(0, len(self.candidate_rows), _CHUNK):
            z = members.embed(self._inputs(self.candidate_rows[at : at + _CHUNK], low))
            half = torch.bmm(inverse, members.covariance(latent, z))
            mean = (half * beta).sum(1).double()
            variance = (amplitude - (half * half).sum(1)).clamp_min(1e-8)
            means.append(mean.mean(0))
            stds.append(torch.sqrt(variance.mean(0) + mean.var(0, unbiased=False)))
        self._mean = torch.cat(means).cpu().numpy()
        self._std = torch.cat(stds).cpu().numpy()

    def _mixed(self, a: IntArray, b: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean at b and covariance (len(a), len(b)) of the mixture."""
        members = self._need_fit()
        za, zb = members.embed(self._inputs(a)), members.embed(self._inputs(b))
        half_a = torch.bmm(self._inverse, members.covariance(self._latent, za))
        half_b = torch.bmm(self._inverse, members.covariance(self._latent, zb))
        mean_a, mean_b = ((h * self._beta).sum(1) for h in (half_a, half_b))
        covariance = members.covariance(za, zb) - torch.bmm(half_a.transpose(1, 2), half_b)
        away_a, away_b = mean_a - mean_a.mean(0), mean_b - mean_b.mean(0)
        mixed = covariance.mean(0) + away_a.T @ away_b / MEMBERS
        mean: FloatArray = mean_b.mean(0).cpu().numpy()
        matrix: FloatArray = mixed.cpu().numpy()
        return self._offset + self._scale * mean, self._scale**2 * matrix
