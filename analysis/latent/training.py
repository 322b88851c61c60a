"""Training in minibatches with Adam and early stopping."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grainscout.analysis.latent.patches import Split
from grainscout.records import ConfigError, FloatArray


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
