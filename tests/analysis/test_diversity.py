"""Diversity against SciPy's distances and cases whose answer is known."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from grainscout.analysis.diversity import (
    coverage_trace,
    distances,
    mean_distance_trace,
    novelty,
    outcome_edges,
    similarity,
    vendi,
    vendi_trace,
)
from grainscout.records import ConfigError, DataError

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(40, 16))


@pytest.mark.parametrize("metric", ["euclidean", "correlation"])
def test_the_trace_is_the_mean_of_scipys_pairwise_distances(metric):
    trace = mean_distance_trace(POINTS, metric=metric)
    scale = np.sqrt(16) if metric == "euclidean" else 1.0
    assert np.isnan(trace[0])
    for k in (2, 7, 40):
        assert trace[k - 1] == pytest.approx(pdist(POINTS[:k], metric).mean() / scale)


def test_more_of_the_same_lowers_the_mean_distance_but_not_the_coverage():
    points = np.concatenate([POINTS[:10], np.repeat(POINTS[:1], 20, axis=0)])
    assert (np.diff(mean_distance_trace(points)[10:]) < 0).all()
    values = points[:, 0]
    assert (np.diff(coverage_trace(values, outcome_edges(values))) >= 0).all()


def test_vendi_counts_the_effective_number_of_different_things():
    assert vendi(np.eye(7)) == pytest.approx(7)
    assert vendi(np.ones((7, 7))) == pytest.approx(1)
    groups = np.kron(np.eye(3), np.ones((4, 4)))  # three kinds, four of each
    assert vendi(groups) == pytest.approx(3)
    far = similarity(100.0 * np.eye(5), length=0.1)
    assert vendi(far) == pytest.approx(5)


def test_vendi_of_two_points_agrees_with_its_formula():
    s = 0.6
    shares = np.array([(1 + s) / 2, (1 - s) / 2])
    assert vendi([[1, s], [s, 1]]) == pytest.approx(np.prod(shares**-shares))


def test_vendi_trace_is_the_score_of_each_prefix():
    kernel = similarity(POINTS)
    trace = vendi_trace(kernel, every=5)
    assert trace[0] == pytest.approx(1)
    assert trace[-1] == pytest.approx(vendi(kernel))
    assert trace[21] == trace[20] == pytest.approx(vendi(kernel[:21, :21]))


def test_coverage_counts_reachable_bins_only():
    edges = np.linspace(0, 10, 11)
    values = np.array([0.5, 0.6, np.nan, 9.5, 25.0, 5.5])
    assert coverage_trace(values, edges) == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.2, 0.3])
    assert coverage_trace(values, edges, reachable=[0.1, 5.2])[-1] == 1.0


def test_novelty_is_large_far_from_what_was_measured():
    measured = np.zeros((5, 4))
    points = np.stack([np.zeros(4), np.ones(4), 3 * np.ones(4)])
    assert novelty(points, measured) == pytest.approx([0, 1, 3])
    mixed = np.concatenate([measured, 3 * np.ones((2, 4))])
    assert novelty(points, mixed, nearest=1) == pytest.approx([0, 1, 0])


def test_a_constant_curve_has_no_shape_to_compare():
    assert distances([[1.0, 1, 1]], [[1.0, 2, 3]], metric="correlation")[0, 0] == 1.0


def test_bad_input_is_named():
    with pytest.raises(DataError, match="finite"):
        distances([[np.nan, 1.0]])
    with pytest.raises(ConfigError, match="euclidean, correlation"):
        distances(POINTS, metric="cosine")
    with pytest.raises(DataError, match="diagonal"):
        vendi(np.zeros((2, 2)))
    with pytest.raises(DataError, match="square"):
        vendi(np.zeros((2, 3)))
    with pytest.raises(ConfigError, match="length"):
        similarity(POINTS, length=-1.0)
