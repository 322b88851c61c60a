"""Networks of plain tensors, and their training with Adam and early stopping."""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from grainscout.analysis.latent.patches import Split
from grainscout.records import ConfigError, FloatArray


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


@dataclass(frozen=True, kw_only=True)
class Training:
    """Settings of the training."""

    epochs: int = 120  #: Largest number of passes
    patience: int = 40  #: Passes without a better held-out loss before it stops
    batch: int = 16  #: Samples per step
    rate: float = 3e-3  #: Learning rate of Adam, which falls to a tenth along a half cosine

    def __post_init__(self) -> None:
        if min(self.epochs, self.patience, self.batch) < 1 or not 0 < self.rate < 1:
            raise ConfigError(
                "training must have epochs, patience and batch of at least 1 and a rate in (0, 1); "
                f"got {self.epochs}, {self.patience}, {self.batch} and {self.rate}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """Losses (epochs,) [nats per sample] and the best epoch."""

    train: FloatArray
    held_out: FloatArray
    best: int
    stopped_early: bool


def learn(
    parameters: list[Tensor],
    loss: Callable[[Tensor, bool], Tensor],
    parts: Split,
    training: Training,
    *,
    rng: np.random.Generator,
    progress: bool,
    title: str,
) -> History:
    """Set `parameters` to the best held-out epoch of loss(indices, in training)."""
    stop = torch.from_numpy(parts.stop)
    for tensor in parameters:
        tensor.requires_grad_(True)
    optimiser = torch.optim.Adam(parameters, lr=training.rate, fused=True)
    best, best_at = [p.detach().clone() for p in parameters], 0
    curve: list[tuple[float, float]] = []
    with contextlib.ExitStack() as stack:
        advance = _bar(stack, title, training.epochs) if progress else None
        for epoch in range(training.epochs):
            share = 0.5 * (1 + np.cos(np.pi * epoch / training.epochs))
            optimiser.param_groups[0]["lr"] = training.rate * (0.1 + 0.9 * share)
            order, total = rng.permutation(parts.train), 0.0
            for part in np.array_split(order, max(1, round(order.size / training.batch))):
                optimiser.zero_grad()
                value = loss(torch.from_numpy(part), True)
                value.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 100.0 * len(part))
                optimiser.step()
                total += value.item() * len(part)
            with torch.no_grad():
                curve.append((total / order.size, float(loss(stop, False))))
            if not np.isfinite(curve[-1]).all():
                raise ConfigError(
                    f"training must converge; the loss is {curve[-1][0]} after {epoch + 1} epochs "
                    f"at a rate of {training.rate}. Lower the rate"
                )
            if curve[-1][1] < curve[best_at][1] or epoch == 0:
                best, best_at = [p.detach().clone() for p in parameters], epoch
            if advance is not None:
                advance(curve[-1][1])
            if epoch - best_at >= training.patience:
                break
    for tensor, kept in zip(parameters, best, strict=True):
        tensor.requires_grad_(False)
        tensor.copy_(kept)
    losses = np.array(curve)
    return History(
        train=losses[:, 0],
        held_out=losses[:, 1],
        best=best_at,
        stopped_early=len(curve) < training.epochs,
    )


def _bar(stack: contextlib.ExitStack, title: str, epochs: int) -> Callable[[float], None]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, transient=True))
    task = bar.add_task(title, total=epochs)
    return lambda value: bar.update(task, advance=1, description=f"{title}: {value:.1f} nats")
