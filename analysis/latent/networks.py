"""Networks of plain tensors."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: faster and reproducible."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent by the faster sigmoid; overwrites x where there are no gradients."""
    if torch.is_grad_enabled():
        return 2 * torch.sigmoid(2 * x) - 1
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


class Network:
    """Perceptron with tanh layers of widths (inputs, hidden, ..., outputs)."""

    def __init__(self, widths: tuple[int, ...], generator: torch.Generator) -> None:
        self.parameters: list[Tensor] = []
        last = len(widths) - 2
        for layer, (before, after) in enumerate(pairwise(widths)):
            # Xavier's spread keeps tanh out of saturation; a small last layer starts near 0.
            gain = 0.3 if layer == last else 1.0
            spread = gain * math.sqrt(2.0 / (before + after))
            w = torch.randn(before, after, generator=generator) * spread
            self.parameters += [w, torch.zeros(after)]

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        flat = torch.addmm(self.parameters[1], x.reshape(-1, x.shape[-1]), self.parameters[0])
        return self.after_first(flat).reshape(*x.shape[:-1], -1)

    def after_first(self, h: Tensor) -> Tensor:
        """Outputs of the first layer's sums, overwritten."""
        for at in range(2, len(self.parameters), 2):
            h = torch.addmm(self.parameters[at + 1], tanh(h), self.parameters[at])
        return h


class CoordinateDecoder:
    """Image as a function of position: pose is in the coordinates alone (Bepler et al. 2019, NeurIPS)."""

    #: Spread of the first layer's weights on coordinates of about -1 to 1: detail to begin with.
    _DETAIL = 2.5

    def __init__(
        self, latents: int, hidden: int, channels: int, generator: torch.Generator
    ) -> None:
        self.network = Network((2 + latents, hidden, hidden, channels), generator)
        first = self.network.parameters[0]
        first[:2] = torch.randn(2, hidden, generator=generator) * self._DETAIL
        first[2:] = torch.randn(latents, hidden, generator=generator) * 0.7
        # Without offsets every unit would be odd in the coordinates.
        offsets = self.network.parameters[1]
        offsets.copy_(torch.randn(offsets.shape, generator=generator) * 1.5)

    @property
    def parameters(self) -> list[Tensor]:
        """All learnt tensors."""
        return self.network.parameters

    def __call__(self, latent: Tensor, coordinates: Tensor) -> Tensor:
        """Values (n, p, channels) of latents (n, d) at coordinates (n or 1, p, 2)."""
        first, offset = self.network.parameters[:2]
        n, p = len(latent), coordinates.shape[1]
        h = coordinates @ first[:2] + (torch.addmm(offset, latent, first[2:]))[:, None]
        return self.network.after_first(h.reshape(n * p, -1)).reshape(n, p, -1)


def normal_kl(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """Divergence (n,) [nats] of diagonal normals from the standard normal."""
    return 0.5 * (mean.square() + torch.exp(2 * log_sigma) - 1 - 2 * log_sigma).sum(dim=-1)


def sample(mean: Tensor, log_sigma: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from normal distributions."""
    return mean + torch.exp(log_sigma) * torch.randn(mean.shape, generator=generator)


def bounded(log_sigma: Tensor) -> Tensor:
    """No latent is wider than e times the prior, or narrower than a fiftieth of it."""
    return -1.5 + 2.5 * torch.tanh(log_sigma / 2.5)


def followed(noise: Tensor, square: Tensor) -> Tensor:
    """Noise (c,) led to the residual's, the best one (Rybkin et al. 2021, ICML): nothing to tune."""
    return 0.9 * noise + 0.1 * square.detach().mean((0, 2)).sqrt().clamp_min(0.02)
