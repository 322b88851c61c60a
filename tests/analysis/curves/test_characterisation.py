"""Lifetimes against the published average, cells against the one-diode equation."""

import numpy as np
import pytest
from scipy.optimize import brentq

from grainscout.analysis.curves.characterisation import (
    average_lifetime,
    fit_decay,
    jv_hysteresis,
    jv_merit,
    lifetime_map,
)
from grainscout.records import ConfigError, DataError

# S26: 1.28, 6.81 and 39.76 ns, the fast one with 59 % of the amplitude, average 25.81 ns.
TAU = np.array([1.28, 6.81, 39.76])
FAST = 0.59
SECOND = brentq(lambda a: average_lifetime([FAST, a, 1 - FAST - a], TAU) - 25.81, 0.01, 0.40)
SHARES = np.array([FAST, SECOND, 1 - FAST - SECOND])


def test_the_published_average_follows_from_its_components():
    assert 0.2 < SECOND < 0.4
    assert average_lifetime(SHARES, TAU) == pytest.approx(25.81, abs=0.005)


def test_a_fit_recovers_the_published_decay_and_its_intervals_cover_it():
    """Of 90 % intervals of three lifetimes, three shares and the average, about 90 % hold the truth."""
    rng = np.random.default_rng(11)
    time = 1e-9 * np.arange(0.0, 400.0, 0.4)
    signal = np.exp(-time[:, None] / (1e-9 * TAU)) @ SHARES
    truth = np.array([*TAU, *SHARES, 25.81])
    inside = []
    for _ in range(12):
        fit = fit_decay(time, rng.poisson(3e6 * signal / signal.sum() + 2.0))
        assert fit.deviance == pytest.approx(1.0, abs=0.15)
        value = np.array([*(1e9 * fit.lifetimes), *fit.fractions, 1e9 * fit.average])
        assert value == pytest.approx(truth, rel=0.2)
        sigma = [*(1e9 * fit.lifetimes_sigma), *fit.fractions_sigma, 1e9 * fit.average_sigma]
        assert min(sigma) > 0
        inside.append(np.abs(value - truth) < 1.645 * np.array(sigma))
    # 84 intervals, seven of one fit together: 0.9 within three standard errors of twelve fits.
    assert 0.72 < np.mean(inside) < 0.995


def test_one_component_has_the_lifetime_of_its_mean_arrival():
    rng = np.random.default_rng(0)
    time = np.arange(0.0, 100.0, 0.05)
    counts = rng.poisson(200 * np.exp(-time / 5.0)).astype(float)
    found = fit_decay(time, counts, components=1)
    assert found.lifetimes[0] == pytest.approx(5.0, abs=4 * found.lifetimes_sigma[0])
    assert found.lifetimes_sigma[0] < 0.1


def test_a_lifetime_map_is_the_mean_arrival_time_of_each_pixel():
    time = np.arange(0.0, 400.0, 0.05)
    curves = np.stack([np.exp(-time[:, None] / (s * TAU)) @ SHARES for s in (0.5, 1.0)])
    found = lifetime_map(time, curves.reshape(1, 2, -1) + 0.25, background=0.25)
    assert found[0] == pytest.approx([12.905, 25.81], rel=0.01)
    assert np.isnan(lifetime_map(time, np.zeros((1, 1, time.size)))[0, 0])


def test_cell_against_the_one_diode_equation():
    """J = JL - J0 (exp(V/nVt) - 1): Voc is exact, the fill factor is Green's formula's."""
    light, dark, thermal = 220.0, 1e-9, 1.4 * 0.02569
    v = np.linspace(-0.1, 1.2, 400)
    found = jv_merit(v, light - dark * np.expm1(v / thermal))
    voc = thermal * np.log1p(light / dark)
    reduced = voc / thermal
    green = (reduced - np.log(reduced + 0.72)) / (reduced + 1)
    assert found.jsc == pytest.approx(light, rel=1e-9)
    assert found.voc == pytest.approx(voc, abs=1e-4)
    assert found.fill_factor == pytest.approx(green, abs=1e-3)
    assert found.efficiency == pytest.approx(light * voc * found.fill_factor / 1000, rel=1e-3)
    vmp = brentq(lambda x: light + dark - dark * np.exp(x / thermal) * (1 + x / thermal), 0.1, voc)
    assert found.vmp == pytest.approx(vmp, abs=1e-3)
    backwards = jv_merit(v[::-1], (light - dark * np.expm1(v / thermal))[::-1])
    assert backwards == found


def test_hysteresis_of_two_one_diode_branches():
    """Series-free cells that differ in photocurrent alone: both indices are its relative loss."""
    thermal, light = 1.4 * 0.02569, 220.0
    v = np.linspace(-0.1, 1.2, 1301)

    def cell(loss):
        return light * (1 - loss) - 1e-9 * np.expm1(v / thermal)

    up, down = cell(0.2), cell(0.0)
    loop, current = np.concatenate([v, v[::-1]]), np.concatenate([up, down[::-1]])
    found = jv_hysteresis(loop, current)
    assert found.index == pytest.approx(0.2, rel=1e-4)  # at half Voc the diode hardly conducts
    assert found.reverse == jv_merit(v, down)
    assert found.forward == jv_merit(v, up)
    left = found.forward.efficiency / found.reverse.efficiency
    assert found.efficiency == pytest.approx(1 - left)
    assert 0.2 < found.efficiency < 0.22
    assert jv_hysteresis(loop, np.concatenate([down, down[::-1]])).index == pytest.approx(0)
    # Swept down first, the same two branches give the same index.
    other = np.concatenate([down[::-1], up])
    assert jv_hysteresis(np.concatenate([v[::-1], v]), other).index == pytest.approx(found.index)
    # Nearer to open circuit the diode takes its share of both, and the same loss counts for more.
    dark = 1e-9 * np.expm1(0.8 * found.reverse.voc / thermal)
    near = jv_hysteresis(loop, current, part=0.8).index
    assert near == pytest.approx(0.2 * light / (light - dark), rel=1e-4)
    assert near > 0.201
    inverted = jv_hysteresis(loop, np.concatenate([down, up[::-1]]))
    assert inverted.index == pytest.approx(-0.25, rel=1e-4)


def test_bad_input_is_named():
    w = np.linspace(-0.1, 1.2, 20)
    with pytest.raises(DataError, match="turns 0 times"):
        jv_hysteresis(w, 1 - w)
    with pytest.raises(DataError, match="turns 2 times"):
        jv_hysteresis(np.tile(w, 3)[:60] * np.repeat([1, -1, 1], 20), np.ones(60))
    with pytest.raises(DataError, match="at least 10 finite"):
        jv_hysteresis(w, np.full(20, np.nan))
    with pytest.raises(ConfigError, match="between 0 and 1 of the open-circuit voltage; got 80"):
        jv_hysteresis(w, 1 - w, part=80)
    v = np.linspace(0, 1, 20)
    with pytest.raises(DataError, match="change its sign"):
        jv_merit(v, -np.ones(20))
    with pytest.raises(DataError, match="at least 12 bins"):
        fit_decay(np.arange(5.0), np.ones(5))
    with pytest.raises(DataError, match="not negative"):
        fit_decay(np.arange(20.0), -np.ones(20))
    with pytest.raises(DataError, match="lifetimes positive"):
        average_lifetime([1.0], [0.0])
