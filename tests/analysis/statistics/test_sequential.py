"""A test that may be looked at after every film keeps its level; the plain one does not."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from grainscout.analysis.statistics import sequential_difference
from grainscout.records import DataError


def test_looking_after_every_film_keeps_the_level_where_the_plain_test_loses_it():
    rng = np.random.default_rng(0)
    runs = rng.normal(0, 3.0, (1000, 80))
    wrong = sum(sequential_difference(run).decided_at is not None for run in runs)
    n = np.arange(1, 81)
    mean = runs.cumsum(axis=1) / n
    spread = np.sqrt(((runs**2).cumsum(axis=1) - n * mean**2) / np.maximum(n - 1, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(mean / spread * np.sqrt(n)), n - 1)
    peeked = (p[:, 2:] < 0.05).any(axis=1)
    assert wrong / 1000 <= 0.055
    assert peeked.mean() > 0.2


def test_the_sequence_holds_the_truth_at_all_films_at_once():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(500):
        found = sequential_difference(rng.normal(0.7, 1.0, 60))
        held += ((found.low <= 0.7) & (found.high >= 0.7)).all()
    assert held / 500 >= 0.94


def test_the_interval_excludes_zero_exactly_when_the_evidence_suffices():
    rng = np.random.default_rng(2)
    for shift in (0.0, 0.5, 1.5):
        found = sequential_difference(rng.normal(shift, 1.0, 50), level=0.9)
        outside = (found.low > 0) | (found.high < 0)
        assert np.array_equal(outside, found.evidence >= 10)


def test_the_evidence_is_the_mixture_of_t_densities():
    """E is the ratio of the t statistic's density under effects N(0, 1) to that under none."""
    rng = np.random.default_rng(3)
    d = rng.normal(0.6, 2.0, 9)
    t = stats.ttest_1samp(d, 0).statistic
    mixed = quad(lambda e: stats.nct.pdf(t, 8, 3.0 * e) * stats.norm.pdf(e), -8, 8, limit=400)[0]
    found = sequential_difference(d).evidence[-1]
    assert found == pytest.approx(mixed / stats.t.pdf(t, 8), rel=1e-5)


def test_units_do_not_matter_and_one_film_decides_nothing():
    d = np.random.default_rng(4).normal(1, 1, 20)
    volts, nano = sequential_difference(d), sequential_difference(1e-9 * d)
    assert nano.evidence == pytest.approx(volts.evidence)
    assert np.isinf(volts.high[0])
    assert volts.evidence[0] == 1.0
    assert (np.diff(volts.p_value) <= 0).all()


def test_a_clear_difference_is_decided_early_and_none_never():
    rng = np.random.default_rng(5)
    assert sequential_difference(rng.normal(3, 1, 40)).decided_at <= 12
    assert sequential_difference(np.zeros(40)).decided_at is None
    same = sequential_difference(np.ones(40))
    assert 3 < same.decided_at <= 6


def test_bad_input_is_named():
    with pytest.raises(DataError, match="finite"):
        sequential_difference([1.0, np.nan])
    with pytest.raises(DataError, match="level"):
        sequential_difference([1.0, 2.0], level=1.5)


def test_evidence_beyond_all_numbers_is_decided_evidence():
    differences = np.tile([1.0, 1.0 + 1e-9], 300)
    found = sequential_difference(differences)
    assert np.isinf(found.evidence[-1])
    assert found.p_value[-1] == 0
    assert found.decided_at is not None
