"""Rails are found curve by curve, and only where the current stands still while the voltage goes on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grainscout.analysis.formats import find_rails
from grainscout.records import DataError

VOLTAGE = np.concatenate([np.linspace(0, 1, 101), np.linspace(1, 0, 101)[1:]])

#: Curves of contacts that are at no rail, by name.
FREE = {
    "ohmic": VOLTAGE,
    "square": VOLTAGE**2,
    "exponential": np.expm1(5 * VOLTAGE),
    "velocity saturation": np.tanh(3 * VOLTAGE),
    "diode in reverse": 1 - np.exp(-VOLTAGE / 0.026),
    "negative resistance": VOLTAGE * np.exp(-(((VOLTAGE - 0.5) / 0.2) ** 2)),
    "parabola": 1 - (VOLTAGE - 0.6) ** 2,
    "slow return": np.concatenate([VOLTAGE[:101] ** 2, 1 - (1 - VOLTAGE[101:]) ** 2]),
    "nothing": 0 * VOLTAGE,
}


def contacts(count=12, seed=0):
    """Curves of different slopes and powers, some far above 10 nA."""
    rng = np.random.default_rng(seed)
    slopes, powers = rng.uniform(12e-9, 60e-9, count), rng.uniform(1, 3, count)
    return slopes[:, None] * VOLTAGE ** powers[:, None]


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("noise", [0.0, 1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_contact_that_merely_saturates_is_at_no_rail(name, noise, sign):
    rng = np.random.default_rng(1)
    current = sign * FREE[name] * 1e-9 + rng.normal(0, noise * 1e-9, (20, VOLTAGE.size))
    assert not find_rails(current, voltage=VOLTAGE).any()


@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_a_switch_onto_a_smooth_top_is_no_rail(noise):
    top = np.where(VOLTAGE > 0.5, 1 - 0.1 * (VOLTAGE - 0.75) ** 2, 0) * 1e-9
    current = top + np.random.default_rng(1).normal(0, noise * 1e-9, (20, VOLTAGE.size))
    assert not find_rails(current, voltage=VOLTAGE).any()


@pytest.mark.parametrize("wave", ["sine", "hold", "staircase", "pulses"])
def test_a_current_that_stands_still_with_the_voltage_is_at_no_rail(wave):
    voltage = {
        "sine": np.sin(np.pi * np.linspace(0, 1, 501)),
        "hold": np.concatenate([np.linspace(0, 1, 51), np.ones(80), np.linspace(1, 0, 51)]),
        "staircase": np.repeat(np.linspace(0, 1, 11), 20),
        "pulses": np.tile(np.repeat([0.0, 1.0], 25), 4),
    }[wave]
    rng = np.random.default_rng(2)
    for noise in (0.0, 1e-4):
        current = 5e-9 * voltage + rng.normal(0, noise * 5e-9, (4, voltage.size))
        assert not find_rails(current, voltage=voltage).any()
        clipped = np.minimum(current, 3e-9)
        if wave in ("sine", "hold"):
            assert find_rails(clipped, voltage=voltage)[:, current[0] > 3.1e-9].mean() > 0.9


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    noise=st.sampled_from([0.0, 1e-4, 3e-4, 1e-3]),
    before=st.booleans(),
    level=st.floats(2e-9, 1e-8),
    sign=st.sampled_from([1.0, -1.0]),
    seed=st.integers(0, 5),
)
def test_a_rail_is_found_under_noise_before_or_after_the_clipping(noise, before, level, sign, seed):
    rng = np.random.default_rng(seed)
    free = contacts(seed=seed)
    added = rng.normal(0, noise * level, free.shape)
    current = np.minimum(free + added, level) if before else np.minimum(free, level) + added
    flags = find_rails(sign * current, voltage=VOLTAGE)
    hidden = free > level * (1 + 3 * noise)
    assert flags[hidden].mean() > 0.95
    assert flags[free < 0.95 * level].mean() == 0
    assert flags.any(axis=1)[hidden.sum(axis=1) >= 4].all()


@pytest.mark.parametrize("odd", [1.06e-8, 9.91e37, 9.9e37, np.nan, np.inf, -1e3])
def test_one_odd_sample_does_not_hide_the_rail_of_the_others(odd):
    current = np.minimum(contacts(), 1e-8)
    hidden = contacts() > 1e-8
    current[3, 17] = odd
    flags = find_rails(current, voltage=VOLTAGE)
    keep = np.ones(current.shape, bool)
    keep[3, 17] = False
    assert flags[hidden & keep].all()
    assert not flags[~hidden & keep & (contacts() < 0.999e-8)].any()


def test_curves_of_two_ranges_have_their_own_rails():
    free = contacts()
    levels = np.where(np.arange(12) % 2, 1e-8, 1e-9)[:, None]
    flags = find_rails(np.minimum(free, levels), voltage=VOLTAGE)
    np.testing.assert_array_equal(flags, free >= levels * (1 - 5e-4))


def test_a_rail_that_is_known_is_every_current_from_it_on():
    current = 5e-9 * VOLTAGE[None]
    np.testing.assert_array_equal(find_rails(current, rail=4e-9), current >= 0.999 * 4e-9)
    with pytest.raises(DataError, match="positive"):
        find_rails(current, rail=-1.0)


def test_both_rails_of_one_amplifier_need_not_be_alike():
    voltage = np.linspace(-1, 1, 201)
    free = np.linspace(12e-9, 40e-9, 8)[:, None] * voltage
    flags = find_rails(np.clip(free, -9e-9, 1e-8), voltage=voltage)
    np.testing.assert_array_equal(flags, (free >= 1e-8 * 0.9995) | (free <= -9e-9 * 0.9995))


def test_integer_codes_rail_at_their_largest():
    free = contacts()
    step = 1e-8 / 32767
    codes = np.minimum(np.round(free / step), 32767) * step
    flags = find_rails(codes, voltage=VOLTAGE)
    assert flags[free > 1.001e-8].all()
    assert not flags[free < 0.998e-8].any()


def test_a_curve_that_only_touches_the_rail_is_flagged_by_the_others():
    current = np.vstack([np.minimum(contacts(), 1e-8), 1e-8 * VOLTAGE])
    flags = find_rails(current, voltage=VOLTAGE)
    assert flags[-1].sum() == 1


def test_many_curves_are_looked_at_in_seconds():
    rng = np.random.default_rng(3)
    free = rng.uniform(1e-9, 4e-8, 4000)[:, None] * VOLTAGE**2
    flags = find_rails(np.minimum(free, 1e-8) + rng.normal(0, 3e-12, free.shape), voltage=VOLTAGE)
    assert (flags.any(axis=1) == (free.max(axis=1) > 1.0001e-8)).mean() > 0.99
