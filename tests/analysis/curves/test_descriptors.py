"""Descriptors against analytic curves, another way of computing them, and every kind of bad input."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import problem_on

from grainscout.analysis.curves.descriptors import (
    DESCRIPTORS,
    describe,
    describe_all,
    describe_curve,
    describe_target,
    descriptor_names,
    find_descriptor,
)
from grainscout.records import ConfigError, DataError, IVCurve, Scan, Waveform

TRIANGLE = Waveform.triangle()
V = TRIANGLE.voltage
UP = np.arange(V.size) <= V.argmax()
LOOPS = ["loop_area", "hysteresis", "hysteresis_signed", "loop_0.5_1.0"]


def parallelogram(on: float = 0.6, back: float = 0.5, slope: float = 1e-9) -> np.ndarray:
    """Diodes of one slope with a lower threshold on the way back; the loop closes above 1.3 V."""
    gap = np.maximum(V - back, 0) - np.maximum(V - on, 0)
    opening = np.minimum(gap, (1.5 - V) * (on - back) / 0.2)
    return slope * (np.maximum(V - on, 0) + np.where(UP, 0.0, opening))


def noisy(curve: np.ndarray, n: int, width: float = 2e-12, seed: int = 0) -> np.ndarray:
    return curve + np.random.default_rng(seed).normal(0, width, (n, curve.size))


def test_turn_on_of_an_ideal_diode_is_its_threshold_plus_ten_picoampere_over_the_slope():
    found = describe("turn_on", V, parallelogram())
    assert found.value[0] == pytest.approx(0.6 + 10e-12 / 1e-9, abs=1e-9)
    assert (found.unit, found.valid[0], found.censored[0]) == ("V", True, False)
    tenth = describe("turn_on_fraction", V, parallelogram())
    assert tenth.value[0] == pytest.approx(0.6 + 0.1 * 0.9, abs=1e-9)


def test_a_quenched_photocurrent_is_no_turn_on():
    """Light drives -60 pA at 0 V that is gone at 0.3 V; conduction begins at 1.3 V."""
    photo = -60e-12 * np.clip(1 - V / 0.3, 0, 1)
    curve = photo + 1e-9 * np.maximum(V - 1.3, 0)
    assert describe("turn_on", V, curve).value[0] == pytest.approx(1.31, abs=1e-3)
    assert describe("turn_on_start", V, curve).value[0] == pytest.approx(0.1, abs=0.03)
    assert describe("turn_on_fraction", V, curve).value[0] == pytest.approx(1.32, abs=1e-3)


def test_a_contact_that_never_turns_on_is_censored_at_the_end_of_the_sweep():
    found = describe("turn_on", V, noisy(0 * V, 5))
    assert found.censored.all()
    assert found.valid.all()
    assert (found.value == 1.5).all()
    assert "did not happen" in found.reasons()[0]


def test_a_single_spike_is_no_turn_on():
    curve = noisy(0 * V, 1)
    curve[0, 30:32] = 1e-9
    assert describe("turn_on", V, curve).censored[0]


def test_loop_area_is_the_area_of_the_polygon():
    curve = parallelogram()
    # Shoelace formula on the closed loop of samples: another route to the same number.
    x, y = np.append(V, V[0]), np.append(curve, curve[0])
    shoelace = 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
    assert describe("loop_area", V, curve).value[0] == pytest.approx(shoelace, rel=1e-12)


def test_a_band_between_samples_is_integrated_to_its_edges():
    # A parallelogram loop has a constant opening of 0.1 nA from 0.6 V up to 1.3 V.
    found = describe("loop_0.801_1.117", V, parallelogram())
    assert found.value[0] == pytest.approx(0.1e-9 * (1.117 - 0.801), rel=1e-9)


def test_values_do_not_depend_on_where_the_samples_lie():
    """The same loop sampled at other voltages on the way back, and with jitter of the bias."""
    rng = np.random.default_rng(1)
    up = np.sort(np.concatenate([[0, 1.5], rng.uniform(0, 1.5, 200)]))
    down = np.sort(np.concatenate([[0, 1.5], rng.uniform(0, 1.5, 300)]))[::-1]
    down = down + rng.normal(0, 2e-4, down.size)
    down[0] = 1.4999
    voltage = np.concatenate([up, down])
    curve = 1e-9 * np.concatenate([up**2, down**2 + 0.3 * np.sin(np.pi * down / 1.5) ** 2])
    expected = 0.3e-9 * 0.75
    assert describe("loop_area", voltage, curve).value[0] == pytest.approx(expected, rel=5e-3)


def test_currents_scale_and_ratios_do_not():
    one, three = (describe_all(descriptor_names(), V, s * parallelogram()) for s in (1.0, 3.0))
    for name in ("loop_area", "loop_0.7_1.3", "max_current"):
        assert three[name].value[0] == pytest.approx(3 * one[name].value[0], rel=1e-12)
    for name in ("hysteresis", "turn_on_fraction"):
        assert three[name].value[0] == pytest.approx(one[name].value[0], rel=1e-9)
    logs = [found["log_max_current"].value[0] for found in (one, three)]
    assert logs[1] - logs[0] == pytest.approx(math.log10(3))


def test_line_through_zero_bias():
    current = -30e-12 + 2e-10 * V
    assert describe("zero_bias_current", V, current).value[0] == pytest.approx(-30e-12)
    assert describe("conductance", V, current).value[0] == pytest.approx(2e-10)


def test_rectification_of_a_bipolar_sweep():
    wave = Waveform.bipolar()
    current = np.where(wave.voltage > 0, 1e-9, 1e-11) * wave.voltage
    found = describe("rectification", wave.voltage, current)
    assert found.value[0] == pytest.approx(2.0, abs=1e-6)
    assert not describe("rectification", V, parallelogram()).valid[0]


def test_a_reversal_family_has_the_loop_of_its_largest_triangle():
    wave = Waveform.forc(branches=5)
    last = wave.voltage.size - 251
    current = np.zeros(wave.voltage.size)
    current[last:] = parallelogram()
    assert describe("loop_area", wave.voltage, current).value[0] == pytest.approx(
        describe("loop_area", V, parallelogram()).value[0]
    )


@pytest.mark.parametrize(
    "name", ["loop_0.7_1.3", "max_current", "conductance", "zero_bias_current"]
)
def test_sigma_is_the_spread_over_repetitions(name: str):
    curve = parallelogram() + 1e-10 * V
    found = describe(name, V, noisy(curve, 3000))
    # The maximum of a slope's last samples spreads a little less than one sample does.
    tolerance = 0.35 if name == "max_current" else 0.12
    assert np.std(found.value) == pytest.approx(np.median(found.sigma), rel=tolerance)


def test_turn_on_sigma_covers_the_truth():
    curve = parallelogram(slope=3e-10)
    found = describe("turn_on", V, noisy(curve, 2000, width=1e-12))
    truth = describe("turn_on", V, curve).value[0]
    within = np.abs(found.value - truth) <= 2 * found.sigma
    assert within.mean() > 0.9


def test_noise_alone_has_a_loop_area_within_its_sigma():
    """|noise| integrates to a positive number; sigma owns up to that bias."""
    found = describe("loop_area", V, noisy(0 * V, 500))
    assert np.median(found.value / found.sigma) == pytest.approx(1.0, abs=0.1)
    ratio = describe("hysteresis", V, noisy(0 * V, 500))
    assert not ratio.valid.any()
    assert "below the noise" in ratio.reasons()[0]


def test_clipping_gives_lower_bounds():
    curve = parallelogram()
    clipped = np.minimum(curve, 0.4e-9)
    rail = clipped == 0.4e-9
    for mask in (rail, None):  # None: found from the flat top
        for name in ("max_current", "log_max_current", "loop_area"):
            full, cut = (
                describe(name, V, curve),
                describe(name, V, clipped, None if mask is None else mask[None]),
            )
            assert cut.censored[0], name
            assert cut.value[0] <= full.value[0]
        assert not describe("hysteresis", V, clipped, None if mask is None else mask[None]).valid[0]
    below = describe("loop_0.5_0.7", V, clipped, rail[None])
    assert not below.censored[0]


@pytest.mark.parametrize("readings", [2, 3, 5, 9])
def test_stairs_of_a_source_meter_are_no_noise(readings):
    steps = V[::4]
    volts = np.repeat(steps, readings)
    curves = noisy(5e-11 * np.sinh(2 * volts), 20)
    plain = describe("turn_on", steps, noisy(5e-11 * np.sinh(2 * steps), 20, seed=1))
    stairs = describe("turn_on", volts, curves)
    assert np.mean(stairs.value) == pytest.approx(np.mean(plain.value), abs=0.03)
    assert np.mean(stairs.sigma) < 1.2 * np.mean(plain.sigma)


def test_the_last_steps_of_a_coarse_converter_are_no_rail():
    # A dead contact: displacement current only, and less noise than a step of the converter.
    dead = -4e-12 + np.where(UP, 0.6e-12, -0.6e-12)
    coarse = np.round(noisy(dead, 40, width=5e-14) / 3e-13) * 3e-13
    found = describe("loop_area", V, coarse)
    assert not found.censored.any()
    assert (found.sigma > 1e-14).all()  # rounding is a noise, too
    conducting = np.round(noisy(parallelogram(), 5, width=2e-13) / 3e-13) * 3e-13
    assert not describe("max_current", V, conducting).censored.any()
    clipped = np.minimum(conducting, 0.6e-9)
    assert describe("max_current", V, clipped).censored.all()


def test_a_dead_current_is_an_upper_bound_on_the_log_scale():
    found = describe("log_max_current", V, noisy(0 * V - 1e-11, 3, width=1e-12))
    assert found.censored.all()
    assert found.value == pytest.approx(np.log10(3e-12), abs=0.1)


def test_a_one_way_sweep_has_no_loop_but_has_a_conductance():
    voltage = np.linspace(-0.22, 0.22, 200)
    current = np.clip(1e-7 * voltage, -1e-8, 1e-8)
    found = describe_all(descriptor_names(), voltage, current[None], np.abs(current[None]) >= 1e-8)
    for name in LOOPS:
        assert not found[name].valid[0]
        assert "no reverse branch" in found[name].reasons()[0]
    assert found["conductance"].value[0] == pytest.approx(1e-7)
    assert found["conductance"].valid[0]
    assert found["turn_on"].valid[0]
    assert found["max_current"].censored[0]
    assert math.isnan(describe("loop_area", voltage, current).value[0])


def test_lost_samples():
    curve = noisy(parallelogram(), 3)
    clean = describe("loop_area", V, curve[:1]).value[0]
    curve[0, 60:62] = np.nan  # a short gap is interpolated and flagged
    curve[1, 60:80] = np.nan  # a long one is not
    curve[2, :] = np.nan
    for name in descriptor_names():
        found = describe(name, V, curve)
        assert not found.valid[1:].any()
        assert np.isnan(found.value[1:]).all()
        assert "lost" in found.reasons()[1]
    found = describe("loop_area", V, curve)
    assert found.valid[0]
    assert "interpolated" in found.reasons()[0]
    assert found.value[0] == pytest.approx(clean, rel=0.02)


@pytest.mark.parametrize("absurd", [np.inf, -np.inf, 1e300, -1e12])
def test_an_absurd_sample_is_a_lost_one(absurd):
    curve, lost = noisy(parallelogram(), 1), noisy(parallelogram(), 1)
    curve[0, 90], lost[0, 90] = absurd, np.nan
    for name in descriptor_names():
        found, expected = describe(name, V, curve), describe(name, V, lost)
        assert found.reasons() == expected.reasons()
        np.testing.assert_array_equal(found.value, expected.value)


def test_constant_unordered_and_tiny_curves_have_no_value_but_a_reason():
    shuffled = np.random.default_rng(0).permutation(V)
    for name in descriptor_names():
        constant = describe(name, V, np.full((2, V.size), 1e-12))
        assert not constant.valid.any()
        assert constant.reasons()[0]
        unordered = describe(name, shuffled, parallelogram())
        assert not unordered.valid.any()
        assert "unordered" in unordered.reasons()[0]
        three = describe(name, np.array([0, 1.5, 0]), np.array([[0, 1e-9, 0]]))
        assert three.reasons()[0]
        assert three.valid[0] == (name in ("max_current", "log_max_current"))
        assert np.isnan(three.sigma[0])


def test_a_current_at_constant_bias_counts_in_the_direction_of_the_bias_and_has_no_noise_to_see():
    wave = Waveform.constant(-1.5, samples=20)
    found = describe("max_current", wave.voltage, np.full((1, 20), -2e-9))
    assert (found.value[0], found.sigma[0], found.valid[0]) == (2e-9, 0.0, True)


NUMBERS = st.one_of(
    st.floats(-1e-6, 1e-6),
    st.sampled_from([0.0, 1e-12, np.nan, np.inf, -np.inf, 1e-8, 1e300, -1e300, 1e-320]),
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    size=st.integers(1, 48),
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(["shuffled", "triangle", "triangle", "one-way"]),
    data=st.data(),
)
def test_nothing_is_silent_whatever_comes_in(size, seed, shape, data):
    """No exception, no warning; a value if and only if valid; a bound is valid; a reason if not."""
    axis = np.random.default_rng(seed).uniform(-2, 2, size)
    if shape != "shuffled":
        axis = np.sort(axis)
    if shape == "triangle":
        axis = np.concatenate([axis, axis[-2::-1]])
    current = np.random.default_rng(seed).normal(0, 1e-9, (3, axis.size))
    odd = data.draw(st.lists(NUMBERS, min_size=0, max_size=axis.size))
    current[1, : len(odd)] = odd
    current[2] = np.minimum(current[2], 0.0)
    for name, found in describe_all([*descriptor_names(), "loop_-0.5_0.5"], axis, current).items():
        assert np.array_equal(np.isfinite(found.value), found.valid), name
        assert not (found.censored & ~found.valid).any(), name
        assert (found.sigma[found.valid & np.isfinite(found.sigma)] >= 0).all(), name
        for valid, sigma, reason in zip(found.valid, found.sigma, found.reasons(), strict=True):
            assert reason or (valid and np.isfinite(sigma)), name


def test_wrong_shapes_and_names_are_named():
    with pytest.raises(DataError, match=r"\(n, 251\)"):
        describe("turn_on", V, np.zeros((2, 250)))
    with pytest.raises(DataError, match="saturated"):
        describe("turn_on", V, np.zeros((2, 251)), np.zeros((1, 251), bool))
    with pytest.raises(DataError, match="finite"):
        describe("turn_on", np.full(251, np.nan), np.zeros((2, 251)))
    for name in ("loop", "loop_1.0_0.5", "turn-on"):
        with pytest.raises(ConfigError, match="must be one of turn_on"):
            describe(name, V, np.zeros((2, 251)))


def test_blocks_and_single_curves_agree():
    many = noisy(parallelogram(), 2500)
    for name in descriptor_names():
        whole, alone = describe(name, V, many), describe(name, V, many[2311])
        assert np.array_equal(whole.value[2311:2312], alone.value, equal_nan=True)
        assert np.array_equal(whole.sigma[2311:2312], alone.sigma, equal_nan=True)


def test_curves_of_a_problem_are_described_by_its_target():
    curve = np.minimum(parallelogram(), 0.4e-9)
    rail = curve == 0.4e-9
    scan = Scan(channels={"height": np.zeros((2, 2))}, pixel_size=(1e-8, 1e-8))
    problem = problem_on(scan, np.array([[0, 0]]), waveform=TRIANGLE, curves=1, target='max_current')  # fmt: skip
    single = IVCurve(voltage=V, current=curve, time=TRIANGLE.time, saturated=rail)
    expected = describe("max_current", V, curve, rail[None])
    for found in (
        describe_target(problem, curve[None], rail[None]),
        describe_curve("max_current", single),
    ):
        assert (found.name, found.censored[0]) == ("max_current", True)
        assert found.value[0] == expected.value[0]


def test_every_descriptor_has_a_meaning_and_a_version():
    assert len(describe("loop_area", V, np.zeros((0, 251)))) == 0
    for name, descriptor in DESCRIPTORS.items():
        assert find_descriptor(name) is descriptor
        assert descriptor.version >= 1
        assert len(descriptor.meaning) > 30
