"""Scores against truth, each against another way of getting the number."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from grainscout.analysis.metrics import (
    best_traces,
    crps_normal,
    enrichment_trace,
    found_trace,
    map_regret,
    map_score,
    normalised,
    recall_trace,
    regret,
    run_traces,
    time_to_first,
    travel_trace,
)
from grainscout.records import DataError


def test_found_and_time_to_first():
    kinds = [0, 0, 2, -1, 1, 2]
    assert found_trace(kinds, [0, 1, 2, 3]) == pytest.approx([0.25, 0.25, 0.5, 0.5, 0.75, 0.75])
    assert time_to_first(kinds, [0, 1, 2, 3]).tolist() == [1, 5, 3, np.inf]
    assert time_to_first(kinds, [2], clock=[1.5, 3, 4.5, 6, 7.5, 9]).tolist() == [4.5]


def test_recall_and_enrichment():
    assert recall_trace([3, -1, 3, 7], 4) == pytest.approx([0.25, 0.25, 0.25, 0.5])
    rng = np.random.default_rng(1)
    hits = rng.random(20_000) < 0.2
    assert enrichment_trace(hits, 0.2)[-1] == pytest.approx(1.0, abs=0.05)
    assert enrichment_trace([1, 1], 0.1)[-1] == pytest.approx(10)


def test_oracle_and_inference_traces_differ_by_noise():
    truth = np.array([1.0, 3.0, 2.0, 5.0])
    seen = np.array([1.0, 2.0, 9.0, 4.0])  # the third looks best and is not
    oracle, inference = best_traces(seen, truth)
    assert oracle.tolist() == [1, 3, 3, 5]
    assert inference.tolist() == [1, 3, 2, 2]
    assert regret(oracle, 5.0).tolist() == [4, 2, 2, 0]
    oracle, inference = best_traces([np.nan, 2.0, np.nan], [9.0, 1.0, 9.0])
    assert np.isnan(oracle[0])
    assert np.isnan(inference[0])
    assert oracle[1:].tolist() == inference[1:].tolist() == [1, 1]


def test_map_regret():
    assert map_regret([1.0, 4.0, np.nan], [2.0, 1.0, 9.0]) == 3.0
    assert map_regret([1.0, 4.0], [0.0, 1.0]) == 0.0


def test_crps_is_the_integral_of_the_squared_difference_of_distributions():
    for value, mean, std in ((0.3, 0.0, 1.0), (-2.0, 1.0, 0.5), (5.0, 4.0, 3.0)):
        forecast = stats.norm(mean, std)
        left = quad(lambda x, f=forecast: f.cdf(x) ** 2, mean - 12 * std, value)[0]
        right = quad(lambda x, f=forecast: f.sf(x) ** 2, value, mean + 12 * std)[0]
        assert crps_normal(value, mean, std) == pytest.approx(left + right, rel=1e-6)


def test_map_score_against_scipy():
    rng = np.random.default_rng(3)
    truth, std = rng.normal(2, 3, (20, 20)), rng.uniform(0.5, 2, (20, 20))
    mean = truth + rng.normal(size=(20, 20)) * std
    found = map_score(truth, mean, std)
    scale = truth.std()
    assert found.nrmse == pytest.approx(np.sqrt(np.mean((truth - mean) ** 2)) / scale)
    assert found.nll == pytest.approx(-stats.norm(mean, std).logpdf(truth).mean() - np.log(scale))
    assert found.spearman == pytest.approx(stats.spearmanr(truth.ravel(), mean.ravel()).statistic)
    for level, share in found.coverage.items():  # the forecast is calibrated by construction
        assert share == pytest.approx(level, abs=0.06)
    assert map_score(truth, mean, std / 3).coverage[0.95] < 0.6  # and this one is not


def test_maps_without_values_and_bad_widths():
    truth = np.array([1.0, 2.0, np.nan, 4.0])
    found = map_score(truth, truth + 0.1, np.ones(4))
    assert (found.pixels, found.left_out) == (3, 1)
    with pytest.raises(DataError, match="positive"):
        map_score(truth, truth, np.zeros(4))
    with pytest.raises(DataError, match="vary"):
        map_score(np.ones(4), truth, np.ones(4))
    with pytest.raises(DataError, match="one shape"):
        map_score(truth, truth[:2], np.ones(4))


def test_normalised():
    assert normalised([0.2, 0.5, 0.8, 0.0], 0.2, 0.8) == pytest.approx([0, 0.5, 1, -1 / 3])
    assert normalised(0.3, 0.9, 0.1) == pytest.approx(0.75)  # an error: lower is better
    assert np.isnan(normalised(0.3, 0.5, 0.5))


def test_travel():
    assert travel_trace([[0, 0], [3e-9, 4e-9], [3e-9, 4e-9]]) == pytest.approx([0, 5e-9, 5e-9])


def test_traces_of_a_run_on_a_small_film():
    archetype = np.zeros((4, 4), np.uint8)
    archetype[0, 0], archetype[3, 3] = 1, 3
    distance = np.full((4, 4), 1e-7)
    distance[:, 0] = 0.0
    ids = np.full((4, 4), -1)
    ids[:2, 0], ids[2:, 0] = 5, 6
    sites = np.array([[1, 1], [0, 0], [3, 3], [2, 0]])
    ok = np.array([True, True, False, True])
    measured = {"sites": sites, "archetype": archetype, "ok": ok}
    traces = run_traces(boundary_distance=distance, boundary_id=ids, **measured)
    assert traces["found"] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert traces["found_ideal"] == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert traces["boundary_share"] == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert traces["boundary_enrichment"][-1] == pytest.approx(2)
    assert traces["boundary_recall"] == pytest.approx([0, 0.5, 0.5, 1])
    inner = np.argwhere(archetype == 0)
    only = run_traces(sites=inner[:2], archetype=archetype, candidates=inner)
    assert only["found"].tolist() == [1, 1]
