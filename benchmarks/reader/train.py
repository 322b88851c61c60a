"""Train the structure reader that is shipped, and say how good it is.

    python -m grainscout.benchmarks.reader.films --data FOLDER     the films
    python -m grainscout.benchmarks.reader.train --data FOLDER --out FOLDER     an hour of one core

Members differ in their first weights and their crops, and may be trained side by side (``--only K``).  A
checkpoint every few hundred steps lets a stopped training go on where it was, also with more films or to
another number of steps.  A member is the running mean of its weights.  Widths of the uncertainties are fitted on
the films of TUNE.  Writes ``reader.npz`` and ``reader.json`` into the folder `out`.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

from grainscout.benchmarks.checkpoint import keep, kept
from grainscout.benchmarks.reader.films import TRAIN, TUNE, Example, stored
from grainscout.benchmarks.reader.score import evaluate
from grainscout.microstructure import network
from grainscout.microstructure.network import Trained, Weights, ask, estimates, outputs, turned
from grainscout.microstructure.reader import MAPS
from grainscout.records import FloatArray

SEED, CROP, BATCH, RATE, SAVED = 20260, 80, 6, 2e-3, 100
_LANDING, _FORGET = 0.3, 0.005  # share of the steps with a falling rate; of the mean, forgotten
_FILMS = 400  # films from which it is learnt what films are like


def targets(truth: Tensor) -> Tensor:
    """Truth (n, 8, rows, columns), in the order of MAPS, of (n, 4, rows, columns) of an example."""
    boundary, junction, signed, contact = truth.unbind(1)
    edge, a = (1.0 - junction) * boundary, signed.abs()
    club, heart = (1.0 - junction) * (1.0 - boundary), junction + edge * (1.0 - a)
    return torch.stack([boundary, junction, club, heart, edge * a, a, signed, contact], 1)


def loss(raw: Tensor, target: Tensor) -> Tensor:
    """Cross-entropies of shares and proximities, squares of the rest, likelihood of the variances."""
    near = functional.binary_cross_entropy_with_logits(raw[:, :2], target[:, :2])
    shares = -(target[:, 2:5] * functional.log_softmax(raw[:, 2:5], 1)).sum(1).mean()
    # Asymmetry belongs to boundaries: it fades four times as far away as their proximity.
    at = 0.05 + target[:, 0] ** (1 / 16)
    bce = functional.binary_cross_entropy_with_logits(raw[:, 5], target[:, 5], reduction="none")
    mean, variance = estimates(raw)
    error = (mean - target) ** 2
    flanks = (at * (0.5 * bce + error[:, 6])).mean()
    ratio = error.detach() / variance
    ratio = torch.where(ratio < 9.0, ratio, 6.0 * ratio.clamp(min=9.0).sqrt() - 9.0)  # as Huber's
    spread = (ratio + variance.log()).mean()
    return 1.5 * near + shares + 2.0 * flanks + 6.0 * error[:, 7].mean() + 0.02 * spread


def batch(films: Sequence[Example], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random crops under random symmetries, and their truth."""
    images: list[Tensor] = []
    truths: list[Tensor] = []
    for _ in range(BATCH):
        film, symmetry = films[int(rng.integers(len(films)))], int(rng.integers(8))
        rows, columns = film.image.shape[1:]
        r, c = (int(rng.integers(max(1, n - CROP + 1))) for n in (rows, columns))
        pad = ((0, 0), (0, max(0, CROP - rows)), (0, max(0, CROP - columns)))
        for found, whole in ((images, film.image), (truths, film.truth)):
            part = np.pad(whole[:, r : r + CROP, c : c + CROP], pad, mode="symmetric")
            found.append(turned(torch.as_tensor(part.astype(np.float32)), symmetry))
    return torch.stack(images), targets(torch.stack(truths))


def train(films: Sequence[Example], steps: int, seed: int, path: Path) -> dict[str, Tensor]:
    """A member after `steps` of AdamW; `path` holds what was reached."""
    weights = {
        k: w.to(
            memory_format=torch.channels_last if w.ndim == 4 else torch.contiguous_format
        ).requires_grad_()
        for k, w in network.initial_weights(seed).items()
    }
    mean = {k: w.detach().clone() for k, w in weights.items()}
    optimiser = torch.optim.AdamW(weights.values(), lr=RATE, weight_decay=1e-3)
    first, begun, losses = 0, time.process_time(), []
    if path.exists():
        reached = kept(path)
        first = reached["step"]
        optimiser.load_state_dict(reached["optimiser"])
        with torch.no_grad():
            for name, w in weights.items():
                w.copy_(reached["weights"][name])
                mean[name].copy_(reached["mean"][name])
    for step in range(first, steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 200, (steps - step) / (_LANDING * steps))
        x, y = batch(films, np.random.default_rng([seed, step]))
        now = loss(outputs(weights, x)[0], y)
        optimiser.zero_grad()
        now.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimiser.step()
        for name, w in mean.items():
            w.lerp_(weights[name].detach(), max(_FORGET, 1.0 / (step / 5 + 1)))
        losses.append(float(now.detach()))
        if (step + 1) % SAVED == 0 or step + 1 == steps:
            told = f"loss {np.mean(losses[-SAVED:]):.4f}, {time.process_time() - begun:.0f} s"
            print(f"{path.stem} step {step + 1}: {told}", flush=True)
            state = {"step": step + 1, "mean": mean, "optimiser": optimiser.state_dict()}
            keep(path, {**state, "weights": weights})
    return mean


def learn(
    members: tuple[Weights, ...], known: Sequence[Example], new: Sequence[Example]
) -> Trained:
    """What is to be known of the members' errors and of films, from `known` and held-out `new` films."""
    flat = np.concatenate([_truth(e).reshape(len(MAPS), -1)[:, ::37] for e in known], 1)
    prior = np.stack([flat.mean(1), flat.std(1)])
    size = sum(network.WIDTHS)
    blank = Trained(
        members=members,
        widening=np.ones(len(MAPS)),
        prior=prior,
        film_mean=np.zeros(size),
        film_root=np.eye(size),
        strangeness=np.linspace(np.zeros(len(network.SIDES)), 1.0, 101).T,
    )
    seen = np.array([f for e in known[:_FILMS] for f in _films(blank, e, (40, None))])
    root = np.linalg.inv(
        np.linalg.cholesky(np.cov(seen.T) + 1e-3 * np.diag(seen.var(0)) + 1e-9 * np.eye(size))
    )
    known_films = replace(blank, film_mean=seen.mean(0), film_root=root)
    far = [
        [known_films.distance(f) for e in new for f in _films(blank, e, (side,))]
        for side in network.SIDES
    ]
    away = []
    for example in new:
        mean, sd, _ = ask(blank, example.image)
        away.append((np.abs(mean - _truth(example)) / sd).reshape(len(MAPS), -1)[:, ::37])
    return replace(
        known_films,
        widening=np.quantile(np.concatenate(away, 1), 0.9, axis=1) / 1.645,
        strangeness=np.array([np.percentile(f, np.arange(101)) for f in far]),
    )


def _films(trained: Trained, example: Example, sides: Sequence[int | None]) -> list[FloatArray]:
    """What the network sees in parts of a film of these sides, and in all of it."""
    first, least = replace(trained, members=trained.members[:1]), min(example.image.shape[1:])
    return [ask(first, example.image[:, :s, :s])[2] for s in sides if s is None or s <= least]


def _truth(example: Example) -> NDArray[np.float32]:
    truth = torch.as_tensor(example.truth.astype(np.float32))
    return np.asarray(targets(truth[None])[0])


def main() -> None:
    """Train, calibrate, evaluate, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the films")
    parser.add_argument("--out", type=Path, required=True, help="folder of reader.npz and .json")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8000, help="steps of each member")
    parser.add_argument("--only", type=int, help="train this member alone, and write no weights")
    parser.add_argument("--judge", type=int, default=6, help="films of each kind to judge by")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    films, tune = list(stored(args.data, TRAIN)), list(stored(args.data, TUNE))
    print(f"{len(films)} films of training, {len(tune)} of tuning", flush=True)
    which = range(args.members) if args.only is None else [args.only]
    members = tuple(
        train(films, args.steps, SEED + k, args.out / f"member{k}.state") for k in which
    )
    if args.only is not None:
        return
    arrays = network.pack(learn(members, films, tune))
    np.savez_compressed(args.out / "reader.npz", **cast("dict[str, Any]", arrays))
    report: dict[str, Any] = {
        "version": network.VERSION,
        "sha256": network.digest(arrays),
        "trained": {
            "command": "python -m grainscout.benchmarks.reader.train",
            **{k: v for k, v in vars(args).items() if isinstance(v, int)},
            "films": len(films),
            "tune_films": len(tune),
            "seed": SEED,
            "train_seeds": [TRAIN.start, TRAIN.start + len(films)],
            "tune_seeds": [TUNE.start, TUNE.start + len(tune)],
        },
    }
    # The weights are of use before they are judged.
    (args.out / "reader.json").write_text(_lines(report) + "\n", "utf-8")
    report |= evaluate(network.unpack(arrays), args.judge)
    (args.out / "reader.json").write_text(_lines(report) + "\n", "utf-8")


def _lines(value: Any, level: int = 0) -> str:
    """JSON with a line for each entry of the two outer levels."""
    if level == 2 or not isinstance(value, dict):
        return json.dumps(value)
    inner = (f"{json.dumps(k)}: {_lines(v, level + 1)}" for k, v in value.items())
    return "{\n" + ",\n".join(inner) + "\n}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    with threadpool_limits(1):
        main()
