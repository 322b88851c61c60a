"""Descriptors do not depend on which side of 0 V a contact conducts, nor on the step of the sweep."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grainscout.analysis.curves.descriptors import describe, describe_all


def sweep(*turns, step=0.025):
    """Voltages from turn to turn, each turning point once."""
    pairs = itertools.pairwise(turns)
    parts = [np.linspace(a, b, round(abs(b - a) / step) + 1)[1:] for a, b in pairs]
    return np.concatenate([[turns[0]], *parts])


def one(name, voltage, current):
    result = describe(name, voltage, current)
    return float(result.value[0]), result


def diode(voltage, sign, threshold=0.4, slope=1e-8):
    """Current that flows beyond a threshold at one polarity."""
    return sign * slope * np.maximum(sign * voltage - threshold, 0.0) ** 1.5


def memristor(voltage, on=5e-9, off=1e-9, at=0.7):
    """Set at +at, reset at -at, starting off."""
    state, current = off, []
    for v in voltage:
        state = on if v >= at else off if v <= -at else state
        current.append(state * v)
    return np.array(current)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    offset=st.floats(-3e-4, 3e-4),
    noise=st.sampled_from([0.0, 1e-5]),
    sign=st.sampled_from([1.0, -1.0]),
    start=st.sampled_from([1.0, -1.0]),
)
def test_a_bias_that_is_read_back_does_not_decide_the_side(offset, noise, sign, start):
    ideal = sweep(start, -start, start, step=0.02)
    read = ideal + offset + np.random.default_rng(0).normal(0, noise or 1e-12, ideal.size)
    current = diode(ideal, sign)
    assert one("max_current", read, current)[0] == pytest.approx(1e-8 * 0.6**1.5)
    value, result = one("turn_on", read, current)
    assert result.valid[0]
    assert not result.censored[0]
    assert value == pytest.approx(sign * 0.41, abs=0.03)


@pytest.mark.parametrize("ratio", [0.55, 0.8, 1.0, 1.25, 1.8])
def test_a_contact_that_conducts_on_either_side_is_no_zero(ratio):
    voltage = sweep(0, 1, 0, -ratio, 0, step=0.02)
    for sign, reach in ((1, 1.0), (-1, ratio)):
        value, result = one("max_current", voltage, diode(voltage, sign))
        assert value == pytest.approx(1e-8 * (reach - 0.4) ** 1.5)
        turn, result = one("turn_on", voltage, diode(voltage, sign))
        assert turn == pytest.approx(sign * 0.41, abs=0.02)
        assert not result.censored[0]


def test_the_other_side_with_too_few_samples_is_no_bound_of_this_one():
    voltage = sweep(0, 1, 0, step=0.05)
    voltage = np.concatenate([voltage, sweep(0, -1, 0, step=0.2)[1:]])
    for sign, valid in ((1, True), (-1, False)):
        _, result = one("turn_on", voltage, diode(voltage, sign))
        assert result.valid[0] == valid
        assert valid or "fewer than 8 samples" in result.reasons()[0]


def test_a_sweep_that_hardly_reaches_the_other_side_keeps_to_its_own():
    voltage = sweep(-0.1, 1, -0.1)
    value, _ = one("max_current", voltage, 1e-8 * np.minimum(voltage, 0))
    assert value == pytest.approx(0, abs=1e-18)


def test_one_device_has_one_area_whatever_way_it_was_swept():
    areas = [
        one("loop_area", v, memristor(v))[0]
        for v in (
            sweep(0, 1, -1, 0, step=0.01),
            sweep(-1, 1, -1, step=0.01),
            sweep(0, 1, -1, 1, step=0.01),
        )
    ]
    assert areas == pytest.approx([1.96e-9] * 3, rel=0.04)


@pytest.mark.parametrize("step", [0.0125, 0.025, 0.05])
@pytest.mark.parametrize("first", [1, -1])
def test_a_figure_eight_that_crosses_at_zero_has_both_its_lobes_in_any_order(step, first):
    voltage = sweep(first, -first, first, step=step)
    out = np.arange(voltage.size) <= (-first * voltage).argmax()
    current = voltage * np.where(out, 1e-9, 2e-9)  # larger on the way back, on both sides
    assert one("loop_area", voltage, current)[0] == pytest.approx(1e-9, rel=2 * step)
    assert one("hysteresis", voltage, current)[0] == pytest.approx(1 / 3, rel=2 * step)
    assert one("hysteresis_signed", voltage, current)[0] == pytest.approx(0, abs=0.01)


def test_activation_in_both_lobes_is_positive():
    voltage = sweep(0, 1, -1, 0, step=0.01)
    size = np.abs(voltage)
    back = np.concatenate([[0.0], np.diff(size)]) < 0
    current = voltage * np.where(back, 2e-9, 1e-9)
    value, _ = one("hysteresis_signed", voltage, current)
    assert value == pytest.approx(1 / 3, abs=0.02)
    assert one("hysteresis_signed", voltage, np.where(back, 1, 2) * 1e-9 * voltage)[0] < -0.3


def test_a_band_may_lie_on_either_lobe_or_over_both():
    voltage = sweep(0, 1, -1, 0, step=0.01)
    current = memristor(voltage)
    areas = describe_all(["loop_0.5_1.0", "loop_-1.0_-0.5", "loop_-0.5_0.5"], voltage, current)
    whole = one("loop_area", voltage, current)[0]
    assert all(a.valid[0] for a in areas.values())
    total = sum(float(a.value[0]) for a in areas.values())
    assert total == pytest.approx(whole, rel=0.02)


def test_a_rail_on_the_second_lobe_censors_the_area():
    voltage = sweep(0, 1, -1, 0)
    current = memristor(voltage)
    railed = current <= -0.8e-9
    result = describe("loop_area", voltage, np.maximum(current, -0.8e-9), railed[None])
    assert result.censored[0]
    assert not describe("loop_area", voltage, current, np.zeros_like(railed[None])).censored[0]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    step=st.sampled_from([0.01, 0.02, 0.025, 0.05, 0.1]),
    power=st.sampled_from([1.0, 1.5, 2.0]),
    size=st.floats(1e-9, 2e-7),
    sign=st.sampled_from([1.0, -1.0]),
)
def test_turn_on_does_not_follow_the_step(step, power, size, sign):
    voltage = sign * sweep(0, 1, 0, step=step)
    current = sign * size * np.abs(voltage) ** power
    value, result = one("turn_on", voltage, current)
    truth = (10e-12 / size) ** (1 / power)
    assert result.valid[0]
    assert not result.censored[0]
    assert abs(sign * value - truth) <= max(2 * float(result.sigma[0]), 1.1 * step)
    # In steps: never more than one away, however coarse the sweep is.
    assert sign * value < truth + 1.1 * step


def test_a_current_that_stands_still_with_the_voltage_is_no_rail():
    voltage = np.concatenate([np.linspace(0, 1, 101), np.ones(50), np.linspace(1, 0, 101)])
    result = describe("max_current", voltage, 5e-9 * voltage)
    assert not result.censored[0]
    clipped = describe("max_current", voltage, np.minimum(5e-9 * voltage, 4e-9))
    assert clipped.censored[0]
