"""Scores of a whole 128 x 128 film, beside the same numbers from SciPy and scikit-learn.

Target: all full-map metrics of a film in one second.  Compare medians within one run.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from grainscout.analysis.diversity import mean_distance_trace, similarity, vendi_trace
from grainscout.analysis.forensics import density_test
from grainscout.analysis.metrics import map_score, run_traces

SHAPE = (128, 128)


@pytest.fixture(scope="module")
def maps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=SHAPE)
    return truth, truth + 0.3 * rng.normal(size=SHAPE), np.full(SHAPE, 0.3)


def test_map_score(benchmark, maps):
    benchmark(map_score, *maps)


def test_map_score_with_scipy(benchmark, maps):
    truth, mean, std = (m.ravel() for m in maps)

    def score() -> list[float]:
        forecast = stats.norm(mean, std)
        low, high = forecast.interval(0.95)
        return [
            float(np.sqrt(np.mean((truth - mean) ** 2))),
            float(-forecast.logpdf(truth).mean()),
            float(np.mean((truth > low) & (truth < high))),
            float(stats.spearmanr(truth, mean).statistic),
        ]

    benchmark(score)


def test_traces_of_210_steps(benchmark):
    rng = np.random.default_rng(1)
    sites = rng.integers(0, 128, (210, 2))
    kinds = rng.integers(0, 4, SHAPE)
    distance = rng.exponential(1e-7, SHAPE)
    benchmark(run_traces, sites=sites, archetype=kinds, boundary_distance=distance)


def test_diversity_of_210_patches(benchmark):
    patches = np.random.default_rng(2).normal(size=(210, 256))

    def both() -> tuple[np.ndarray, np.ndarray]:
        return mean_distance_trace(patches), vendi_trace(similarity(patches), every=10)

    benchmark(both)


def test_density_of_210_among_16384(benchmark):
    features = np.random.default_rng(3).normal(size=(16_384, 2))
    benchmark(density_test, features, np.arange(210), permutations=199)
