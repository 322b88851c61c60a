"""Topography fitted to real patches, and judged on one that the fit did not see.

    python benchmarks/studies/patches_left_out.py real_iv_13.npz --settings 200      ten minutes of a core

Settings of topography and scan are drawn at random, far wider than what real patches look like. For each real
patch the setting is chosen by the others: the likeliest, or the one that a linear rule tells least from them among the
fifteen likeliest. The same rule, trained on the others and on simulated patches, then judges it. Mean over the
patches of the share of new simulated patches that look less real: 0.5 where nothing tells them apart.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from grainscout.records import spawn_streams
from grainscout.simulator import Film, FilmSpec
from grainscout.simulator.presets import preset
from grainscout.simulator.verification.realism import (
    discriminant,
    patch_features,
    patches_of,
    separation,
)

SEED, FILMS, PATCHES, LIKELIEST = 7_600_000, 2, 60, 15


def drawn(rng: np.random.Generator) -> FilmSpec:
    """A film with any topography and scan."""
    base, uniform = preset("reference"), rng.uniform

    def even(low: float, high: float) -> float:
        return float(np.exp(uniform(np.log(low), np.log(high))))

    topography = replace(
        base.topography,
        dome_nm=uniform(20, 90),
        flank_power=uniform(0.8, 2.2),
        undulation_nm=uniform(0, 60),
        groove_depth_nm=even(1, 10),
        groove_width_nm=even(40, 130),
        roughness_nm=even(0.05, 3),
        rolloff_nm=even(150, 600),
        hurst=uniform(0.4, 0.9),
    )
    scan = replace(
        base.scan,
        tip_radius_nm=uniform(0, 90),
        noise_nm=even(0.1, 2.5),
        noise_length_nm=uniform(0, 60),
        line_nm=even(0.1, 3),
    )
    grains = replace(base.grains, mean_nm=even(320, 700))
    return replace(base, topography=topography, scan=scan, grains=grains)


def simulated(number: int) -> np.ndarray:
    """Descriptors of patches of the films of a setting."""
    rng = np.random.default_rng([SEED, number])
    spec = drawn(rng)
    films = (
        Film.generate(spec, spawn_streams(SEED + 1 + 10 * number + f).film) for f in range(FILMS)
    )
    return np.concatenate(
        [patch_features(patches_of(f.scan().height, PATCHES, rng)) for f in films]
    )


def log_likelihood(many: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Of each of some patches, by the normal distribution of many."""
    root = np.linalg.cholesky(np.cov(many.T) + 1e-2 * np.diag(many.var(0) + 1e-9))
    away = np.linalg.solve(root, (some - many.mean(0)).T)
    return np.asarray(-0.5 * (away**2).sum(0) - np.log(np.diag(root)).sum())


def left_out(many: np.ndarray, others: np.ndarray, patch: np.ndarray) -> float:
    """Share of new simulated patches that look less real than a patch left out."""
    fold, shares = np.arange(len(many)) % 4, []
    for k in range(4):
        rule, _ = discriminant(many[fold != k], others)
        shares.append(np.mean(patch @ rule > many[fold == k] @ rule))
    return float(np.mean(shares))


def main() -> None:
    """Print the area under the curve for both ways to choose."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("real", help=".npz file with patches")
    parser.add_argument("--settings", type=int, default=200)
    args = parser.parse_args()
    sets = [simulated(k) for k in range(args.settings)]
    scale = np.concatenate(sets).std(0)
    sets = [s / scale for s in sets]
    real = patch_features(np.load(args.real)["patches"]) / scale
    likely = np.stack([log_likelihood(s, real) for s in sets])
    found: dict[str, list[float]] = {"likeliest": [], "told least": []}
    for k in range(len(real)):
        others = np.delete(real, k, axis=0)
        order = np.argsort(-np.delete(likely, k, axis=1).sum(1))[:LIKELIEST]
        least = min(order, key=lambda s, o=others: max(separation(sets[s], o), 0.5))
        for name, chosen in (("likeliest", order[0]), ("told least", least)):
            found[name].append(left_out(sets[chosen], others, real[k]))
    for name, areas in found.items():
        print(f"{name}: {np.mean(areas):.2f} +- {np.std(areas) / len(areas) ** 0.5:.2f}")


if __name__ == "__main__":
    main()
