"""The classifier of archetypes: trained over kinds of film, measured on films of other seeds.

    python benchmarks/studies/archetypes.py           the table: balanced accuracy, recalls, calibration
    python benchmarks/studies/archetypes.py --train   writes analysis/curves/weights/archetypes.npz, then the table
    python benchmarks/studies/archetypes.py --smoke   a few films, nothing written

Decision 0304 says what the class of a curve is.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from grainscout.analysis.curves.archetypes import (
    ARCHETYPE_NAMES,
    CONDUCTS,
    classification,
    shape_of,
)
from grainscout.analysis.curves.block import Curves
from grainscout.analysis.curves.sweep import read_sweep
from grainscout.records import BoolArray, FloatArray, IntArray, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.transport import iv_curves

FILE = Path(__file__).parents[2] / "analysis" / "curves" / "weights" / "archetypes.npz"
NATIVE = ("Gong2026", "Liu2023", "gong2026-fitted")
HARD = ("foreign-swapped", "foreign-cycled", "foreign-junctions")
OTHERS = (
    *("boundary-smaller", "fast-boundaries", "slow-boundaries", "conducting-junctions"),
    *("composition", *(n for n in PRESETS if n.startswith("foreign-") and n not in HARD)),
)
AXIS = Waveform.triangle().voltage
_HIDDEN_UNITS, _BATCH, _PER_KIND = (64, 48), 1024, 150
_TRAIN, _TEST = 71_000_000, 76_000_000  # seeds


def curves_of(
    preset: str, seed: int, conditions: tuple[float, float, float], spread: float | None = None
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Noiseless current [A], class and largest share, at as many sites of each kind."""
    spec = PRESETS[preset]
    if spread is not None:
        spec = replace(spec, transport=replace(spec.transport, film_spread=spread))
    film, rng = Film.generate(spec, spawn_streams(seed).film), np.random.default_rng(seed)
    kind = film.archetype.ravel()
    at = np.concatenate([rng.permutation(np.flatnonzero(kind == k))[:_PER_KIND] for k in range(4)])
    light, temperature, duration = conditions
    current = (
        1e-9
        * iv_curves(
            {name: values.ravel()[at] for name, values in film.parameters.items()},
            Waveform.triangle(duration=duration),
            light=light,
            temperature=temperature,
            globals_=spec.transport.globals_,
        ).current_nA
    )
    largest = film.archetype_weights.reshape(-1, 4)[at, :3].max(axis=1)
    return current, np.where(np.ptp(current, axis=1) < CONDUCTS, 3, kind[at]), largest


def measured(
    current: FloatArray, rng: np.random.Generator, railed: float
) -> tuple[FloatArray, BoolArray]:
    """Current with noise of 0.1 ... 10 pA, a share `railed` of it cut off, and what is cut off."""
    noise = 10 ** rng.uniform(-13, -11, (len(current), 1))
    current = current + noise * rng.standard_normal(current.shape)
    cut = rng.random((len(current), 1)) < railed
    top = rng.uniform(0.2, 1.0, cut.shape) * current.max(axis=1, keepdims=True)
    top = np.where(cut, top, np.inf)
    return np.minimum(current, top), current > top


def training_films(films: int) -> Iterator[tuple[FloatArray, IntArray]]:
    """Shapes of conducting curves and their kinds, with 3 added in the dark, film by film."""
    for k in range(films):
        rng = np.random.default_rng([_TRAIN, k])
        names = (HARD, NATIVE, OTHERS, NATIVE)[k % 4]
        light = 0.0 if rng.random() < 0.55 else 0.1 * 10 ** rng.uniform(-1, 1) ** 3
        temperature = rng.uniform(270, 330) if rng.random() < 0.3 else 298.0
        duration = 10 ** rng.uniform(-0.5, 0.5) if rng.random() < 0.5 else 1.0
        spread = rng.uniform(0.5, 1.5)
        conditions = (light, temperature, duration)
        current, kind, _ = curves_of(names[k // 4 % len(names)], _TRAIN + k, conditions, spread)
        noisy, saturated = measured(current, rng, railed=0.3)
        use = kind < 3
        shape = shape_of(Curves(read_sweep(AXIS), noisy[use], saturated[use]))
        yield shape, kind[use] + 3 * (light == 0.0)


def train(films: int, steps: int) -> dict[str, FloatArray]:
    """Weights of the network. Every kind weighs as much as another, in the dark and in light."""
    torch.manual_seed(0)
    parts = list(training_films(films))
    held = np.repeat(np.arange(films) % 10 == 0, [len(group) for _, group in parts])
    x, group = (np.concatenate(part) for part in zip(*parts, strict=True))
    weight = (1.0 / np.bincount(group, minlength=6).clip(1))[group]
    mean, scale = x[~held].mean(axis=0), x[~held].std(axis=0) + 1e-6
    z = torch.tensor((x - mean) / scale, dtype=torch.float32)
    kind, w = torch.tensor(group % 3), torch.tensor(weight / weight.mean(), dtype=torch.float32)
    sizes = (x.shape[1], *_HIDDEN_UNITS, 3)
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    net = torch.nn.Sequential(*(m for layer in layers for m in (layer, torch.nn.Tanh())))[:-1]

    def loss(some: torch.Tensor) -> torch.Tensor:
        each = torch.nn.functional.cross_entropy(net(z[some]), kind[some], reduction="none")
        return (w[some] * each).sum() / w[some].sum()

    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)
    learn, other = (torch.tensor(np.flatnonzero(chosen)) for chosen in (~held, held))
    for step in range(steps):
        value = loss(learn[torch.randint(len(learn), (_BATCH,))])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        if step % 1000 == 999:
            print(
                f"step {step + 1}: loss {value:.3f}, on other films {loss(other):.3f}", flush=True
            )
    made = {"mean": mean, "scale": scale}
    for k, layer in enumerate(layers):
        made |= {
            f"weight{k}": layer.weight.detach().numpy(),
            f"bias{k}": layer.bias.detach().numpy(),
        }
    return {name: np.asarray(value, np.float32) for name, value in made.items()}


def reliability(probability: FloatArray, true: IntArray) -> Iterator[str]:
    """What was said against what was so, with classes weighted equally."""
    right = np.arange(4) == true[:, None]
    weight = (1.0 / np.bincount(true, minlength=4).clip(1))[true][:, None] * np.ones(4)
    bins = np.digitize(probability, np.linspace(0, 1, 11)[1:-1])
    for some in (bins == k for k in range(10)):
        if some.any():
            said, so = (np.average(v[some], weights=weight[some]) for v in (probability, right))
            yield f"said {said:.2f}, so {so:.2f} ({some.sum()})"


def table(films: int, presets: tuple[str, ...]) -> None:
    """Print what the classifier does on films of seeds that nothing saw."""
    for light in (0.0, 0.1):
        everything = []
        for preset in presets:
            parts = []
            for seed in range(_TEST, _TEST + films):
                current, kind, share = curves_of(preset, seed, (light, 298.0, 1.0))
                noisy, saturated = measured(current, np.random.default_rng(seed), railed=0.0)
                found = classification(AXIS, noisy, saturated).probability
                parts.append((found, kind, share))
            found, kind, share = (np.concatenate(part) for part in zip(*parts, strict=True))
            everything.append((found, kind))
            right = found.argmax(axis=1) == kind
            each = np.array([right[kind == k].mean() for k in range(4)])
            clear = np.mean([right[(kind == k) & (share > 0.7)].mean() for k in range(3)])
            wrong = (found.argmax(axis=1)[kind == 1] == 2).mean()
            words = " ".join(f"{n} {r:.2f}" for n, r in zip(ARCHETYPE_NAMES, each, strict=True))
            print(
                f"{preset} at {light:g} suns: balanced {each.mean():.3f}; {words}; where one has over 70 % "
                f"{clear:.3f}; hearts called diamonds {wrong:.2f}",
                flush=True,
            )
        found, kind = (np.concatenate(part) for part in zip(*everything, strict=True))
        print(*reliability(found, kind), sep="\n")


def main() -> None:
    """Read the command line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--train", action="store_true", help="train, and write the weights")
    options.add_argument("--smoke", action="store_true", help="a few films, nothing written")
    given = options.parse_args()
    if given.smoke:
        train(4, 20)
    elif given.train:
        weights = train(680, 9000)
        FILE.parent.mkdir(exist_ok=True)
        np.savez_compressed(FILE, **weights)
    table(1 if given.smoke else 8, NATIVE[:1] if given.smoke else (*NATIVE, *HARD, *OTHERS[5:]))


if __name__ == "__main__":
    main()
