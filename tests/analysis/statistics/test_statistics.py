"""Intervals that cover, tests that keep their level, and peers' answers to the same questions."""

import numpy as np
import pytest
from scipy import stats

from grainscout.analysis.statistics import (
    curve_interval,
    holm,
    interval,
    iqm,
    paired_difference,
    performance_profile,
    probability_of_improvement,
    ranking,
    restricted_mean,
    sign_flip_p,
    verdicts,
)
from grainscout.analysis.statistics.comparison import films_needed
from grainscout.records import DataError


def test_iqm_is_the_mean_of_the_middle_half():
    values = np.array([100.0, 1, 2, 3, 4, 5, 6, -100])
    assert iqm(values) == np.mean([2, 3, 4, 5])
    assert iqm([1.0, 2.0, 6.0]) == 3.0


@pytest.mark.parametrize(
    ("films", "skewed"), [(2, False), (3, True), (5, False), (8, True), (20, True)]
)
def test_bootstrap_intervals_cover_the_truth(films: int, skewed: bool):
    """95 % intervals hold the population's value about 95 times in 100, few films or not."""
    rng = np.random.default_rng(films)
    draw = (lambda n: rng.gamma(4.0, 1.0, n)) if skewed else (lambda n: rng.normal(1.0, 1.0, n))
    truth = float(iqm(draw(400_000)))
    hits = 0
    for repeat in range(400):
        found = interval(draw(films), samples=400, seed=repeat)
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 400 <= 0.985


def test_strata_and_repeated_seeds_are_respected_in_coverage():
    """Seeds on a film are not films: intervals from 5 films x 10 seeds still cover."""
    rng = np.random.default_rng(0)
    film = np.repeat(np.arange(12), 10)
    task = np.where(film < 6, "a", "b")
    hits = naive = 0
    for repeat in range(300):
        scores = np.repeat(rng.normal(0, 1, 12), 10) + rng.normal(0, 0.3, 120) + 3.0 * (task == "b")
        found = interval(scores, film=film, task=task, samples=400, seed=repeat, statistic=mean)
        wrong = interval(scores, task=task, samples=400, seed=repeat, statistic=mean)
        hits += found.low <= 1.5 <= found.high
        naive += wrong.low <= 1.5 <= wrong.high
    assert 0.91 <= hits / 300 <= 0.985
    assert naive / 300 < 0.7  # what ignoring the films would have claimed


def mean(values: np.ndarray, axis: int) -> np.ndarray:
    return values.mean(axis=axis)


def test_the_same_data_and_seed_give_the_same_interval_and_global_state_is_not_touched():
    data = np.random.default_rng(0).normal(size=20)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - looked at, not used
    first, again, other = (interval(data, seed=s) for s in (3, 3, 4))
    assert first == again
    assert first != other
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_paired_difference_is_the_paired_t_test_for_one_task():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=9), rng.normal(0.4, 1, size=9)
    found, peer = paired_difference(a, b), stats.ttest_rel(a, b)
    assert found.p_value == pytest.approx(peer.pvalue)
    band = peer.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((band.low, band.high))


def test_repeated_seeds_do_not_add_evidence():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=6), rng.normal(size=6)
    once = paired_difference(a, b)
    film = np.repeat(np.arange(6), 50)
    many = paired_difference(np.repeat(a, 50), np.repeat(b, 50), film=film)
    assert many.p_value == pytest.approx(once.p_value)
    assert many.films == 6


@pytest.mark.parametrize("skewed", [False, True])
def test_a_policy_against_itself_is_called_different_at_the_nominal_rate(skewed: bool):
    """Same policy, other seeds, on the same films: at most 5 % wrong verdicts."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(700):
        film = rng.normal(0, 3, 8)[:, None]
        noise = rng.gamma(1.0, 1.0, (8, 2)) if skewed else rng.normal(0, 1, (8, 2))
        wrong += verdicts(film + noise, ["dkl", "dkl again"])[0].outcome != "not decided"
    assert 0.015 <= wrong / 700 <= 0.07


def test_holm_keeps_the_family_of_verdicts_honest():
    """Six copies of one policy: any wrong verdict among 15 in at most 5 % of campaigns."""
    rng = np.random.default_rng(8)
    names = list("abcdef")
    wrong = plain = 0
    for _ in range(160):
        found = verdicts(rng.normal(size=(10, 6)) + rng.normal(0, 3, (10, 1)), names)
        wrong += any(v.outcome != "not decided" for v in found)
        plain += any(v.difference.p_value < 0.05 for v in found)
    assert wrong / 160 <= 0.08
    assert plain / 160 > 0.2  # what leaving the correction out would have claimed


def test_holm_agrees_with_worked_examples():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    with pytest.raises(DataError, match="0 to 1"):
        holm([1.2])


def test_sign_flips_agree_with_scipy_and_with_t():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.6, 1, 10), rng.normal(size=10)
    peer = stats.permutation_test((a - b,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(a, b) == pytest.approx(peer.pvalue)
    assert sign_flip_p(a, b) == pytest.approx(paired_difference(a, b).p_value, abs=0.05)
    more = rng.normal(0.5, 1, 30)
    assert sign_flip_p(more, 0 * more) == pytest.approx(stats.ttest_1samp(more, 0).pvalue, abs=0.02)


def test_the_films_asked_for_decide_it():
    """Adding as many films as the verdict asks for decides in about 4 of 5 campaigns."""
    needed = films_needed(0.5, 1.0)
    assert needed == 34  # the textbook's answer for d = 0.5, power 0.8
    rng = np.random.default_rng(5)
    draws = rng.normal(0.5, 1.0, (2000, needed))
    decided = stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05
    assert decided.mean() == pytest.approx(0.8, abs=0.03)
    assert films_needed(1e-4, 1.0) is None
    assert films_needed(0.1, 1.0) is None  # 787, of which nobody runs so many
    assert films_needed(0.1, 1.0, tasks=10) == 79
    assert films_needed(5.0, 0.1) <= 3


def test_a_verdict_in_words():
    rng = np.random.default_rng(6)
    films = rng.normal(0, 1, (6, 1))
    better, equal = films + 2 + rng.normal(0, 0.1, (6, 1)), films + rng.normal(0.1, 0.4, (6, 1))
    table = np.hstack([better, films, equal])
    dkl, close = verdicts(table, ["dkl", "random", "grid"], baseline="random")
    assert dkl.outcome == "better"
    assert "better" in str(dkl)
    assert close.outcome == "not decided"
    assert close.more_films is None or close.more_films >= 1
    assert "not decided" in str(close)
    worse = verdicts(table[:, :2][:, ::-1], ["random", "dkl"])[0]
    assert worse.outcome == "worse"


def test_the_same_difference_on_few_films_is_no_proof():
    """A counting score that differs by one on both films has no spread, and decides nothing."""
    found = verdicts(np.array([[3.0, 2.0], [3.0, 2.0]]), ["a", "b"])[0]
    assert found.outcome == "not decided"
    assert found.difference.p_value == 0.5
    seven = verdicts(np.tile([3.0, 2.0], (7, 1)), ["a", "b"])[0]
    assert seven.outcome == "better"
    assert verdicts(np.ones((5, 2)), ["a", "b"])[0].difference.p_value == 1.0


def test_one_film_decides_nothing():
    found = verdicts(np.array([[1.0, 0.0]]), ["a", "b"])[0]
    assert found.outcome == "not decided"
    assert found.difference.high == np.inf
    assert found.more_films is None


def test_one_film_has_no_interval():
    alone = interval([0.7])
    assert alone.estimate == 0.7
    assert np.isnan([alone.low, alone.high]).all()
    board = ranking(np.array([[1.0, 2.0]]), ["a", "b"], samples=50)
    assert board[0].name == "b"
    assert np.isnan(board[0].best)
    estimate, low, _ = curve_interval(np.ones((1, 5)), samples=20)
    assert (estimate == 1).all()
    assert np.isnan(low).all()


def test_failed_cells_are_left_out_and_counted():
    scores = np.array([1.0, np.nan, 3.0, 2.0])
    assert interval(scores).failed == 1
    assert interval(scores).count == 3
    assert paired_difference(scores, np.zeros(4)).failed == 1
    with pytest.raises(DataError, match="did not fail"):
        interval([np.nan])
    with pytest.raises(DataError, match="one shape"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(DataError, match="label"):
        interval([1.0, 2.0], film=["a"])
    with pytest.raises(DataError, match="infinity"):
        interval([1.0, np.inf])


def test_performance_profile_is_one_minus_the_distribution():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=500)
    at = np.linspace(-0.1, 1.1, 13)
    share, low, high = performance_profile(scores, at, samples=300)
    assert share == pytest.approx(1 - stats.uniform.cdf(at), abs=0.07)
    assert (low <= share).all()
    assert (share <= high).all()
    assert share[0] == 1
    assert share[-1] == 0


def test_probability_of_improvement_is_that_of_two_normals():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.5, 1, 3000), rng.normal(0, 1, 3000)
    found = probability_of_improvement(a, b, samples=300)
    assert found.estimate == pytest.approx(stats.norm.cdf(0.5 / np.sqrt(2)), abs=0.02)
    assert probability_of_improvement(a, a, samples=50).estimate == 0.5


def test_curve_interval_is_the_interval_at_each_step():
    rng = np.random.default_rng(3)
    film = np.repeat(np.arange(6), 2)
    curves = rng.normal(size=(12, 40)).cumsum(axis=1)
    estimate, low, high = curve_interval(curves, film=film, samples=500)
    for step in (0, 17, 39):
        alone = interval(curves[:, step], film=film, samples=500)
        assert estimate[step] == pytest.approx(alone.estimate)
        assert low[step] == pytest.approx(alone.low, abs=0.25)
    assert (low <= high).all()
    broken = curves.copy()
    broken[0, 5] = np.nan
    assert np.isfinite(curve_interval(broken, film=film, samples=50)[0]).all()


def test_a_restricted_mean_counts_a_run_that_never_found_as_that_long_at_least():
    rng = np.random.default_rng(3)
    times, patience = rng.exponential(40.0, 4000), rng.uniform(30.0, 90.0, 4000)
    seen, censored = np.minimum(times, patience), times > patience
    expected = 40.0 * (1 - np.exp(-60.0 / 40.0))
    assert restricted_mean(seen, censored, 60.0) == pytest.approx(expected, rel=0.03)
    assert restricted_mean([10.0, 60.0], [False, True], 60.0) == 35.0
