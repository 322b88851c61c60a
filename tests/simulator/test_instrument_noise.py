"""The amplifier against its formulas."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import periodogram

from grainscout.records import ConfigError
from grainscout.simulator.instrument import AmplifierSpec
from grainscout.simulator.instrument.noise import IDEAL_AMPLIFIER, amplify, flicker, one_pole

TIME = np.linspace(0.0, 1.0, 251)
DT = TIME[1]


def near(value: float, rel: float) -> object:
    """Relative closeness only: pytest's default absolute tolerance is far above an ampere's noise."""
    return pytest.approx(value, rel=rel, abs=0.0)


def readings(spec: AmplifierSpec, current: float = 0.0, repeats: int = 400) -> np.ndarray:
    rng = np.random.default_rng(11)
    flat = np.full(TIME.size, current)
    return np.array([amplify(flat, TIME, spec, rng)[0] for _ in range(repeats)])


def test_johnson_noise_of_an_averaging_converter():
    # 4 kB T / R over the Nyquist band 1/(2 dt); 1e5 samples: 0.45 % on the variance.
    spec = replace(IDEAL_AMPLIFIER, feedback_ohm=1e9, temperature_K=300.0)
    expected = 4 * 1.380649e-23 * 300.0 / 1e9 / (2 * DT)
    assert readings(spec).var() == near(expected, rel=0.025)


def test_johnson_noise_behind_a_one_pole_filter():
    spec = replace(IDEAL_AMPLIFIER, feedback_ohm=1e8, temperature_K=300.0, bandwidth_Hz=200.0)
    expected = 4 * 1.380649e-23 * 300.0 / 1e8 * math.pi / 2 * 200.0
    found = readings(spec)
    assert found.var() == near(expected, rel=0.03)
    # One-pole noise: neighbours correlate as exp(-2 pi fc dt).
    both = np.mean(found[:, 1:] * found[:, :-1]) / found.var()
    assert both == pytest.approx(math.exp(-2 * math.pi * 200.0 * DT), abs=0.01)


@pytest.mark.parametrize("current", [1e-9, -5e-9])
def test_shot_noise_grows_with_the_current(current):
    spec = replace(IDEAL_AMPLIFIER, shot=True)
    expected = 2 * 1.602176634e-19 * abs(current) / (2 * DT)
    assert readings(spec, current).var() == near(expected, rel=0.025)
    assert readings(spec, 0.0).var() == 0.0


def test_flicker_noise_has_density_one_over_f():
    time = np.arange(4096) * 1e-3
    rng = np.random.default_rng(3)
    traces = np.array([flicker(time, 500.0, rng) for _ in range(200)])
    frequency, density = periodogram(traces, fs=1e3, window="hann", detrend="constant")
    mean = density.mean(0)
    for low, high in ((1.0, 3.0), (5.0, 15.0), (50.0, 100.0)):
        band = (frequency >= low) & (frequency < high)
        assert np.mean(mean[band] * frequency[band]) == pytest.approx(1.0, rel=0.12)


def test_flicker_noise_of_the_amplifier_has_its_amplitude():
    spec = replace(IDEAL_AMPLIFIER, flicker_A=1e-12)
    found = readings(spec)
    # Between 1e-3 Hz and the Nyquist frequency: ln of their ratio, in decades of ln 10.
    decades = math.floor(math.log10(0.5 / DT)) + 4
    assert found.var() == near(decades * math.log(10.0) * 1e-24, 0.15)
    slow = found.mean(1).std() / found.std()
    assert 0.5 < slow < 0.95  # most of it is slower than a sweep


def test_line_pickup_is_a_sine_of_its_amplitude_and_of_random_phase():
    spec = replace(IDEAL_AMPLIFIER, line_A=2e-12, line_Hz=50.0)
    found = readings(spec, repeats=100)
    assert np.abs(found).max() == near(2e-12, rel=1e-3)
    assert found.std() == near(2e-12 / math.sqrt(2), rel=0.05)
    assert abs(found[:, 0].mean()) < 0.5e-12


def test_the_filter_answers_a_ramp_and_a_sine_as_a_one_pole_does():
    corner = 20.0
    late = one_pole(3.0 * TIME, TIME, corner)[-1]
    assert late == pytest.approx(3.0 - 3.0 / (2 * math.pi * corner), rel=1e-9)
    fine = np.linspace(0.0, 2.0, 40001)
    wave = one_pole(np.sin(2 * math.pi * 20.0 * fine), fine, corner)[20000:]
    assert np.ptp(wave) / 2 == pytest.approx(1 / math.sqrt(2), rel=1e-4)  # -3 dB at the corner


def test_the_amplifier_filters_the_current_itself():
    step = np.where(TIME < 0.5, 0.0, 1e-9)
    spec = replace(IDEAL_AMPLIFIER, bandwidth_Hz=2.0)
    read, _ = amplify(step, TIME, spec, np.random.default_rng(0))
    # The step is a ramp of one sample, so it is half a sample early.
    expected = 1e-9 * (1 - np.exp(-2 * math.pi * 2.0 * (TIME - 0.5 + 0.5 * DT)))
    assert np.allclose(read[TIME > 0.5], expected[TIME > 0.5], rtol=2e-3, atol=0.0)


def test_the_filter_does_not_depend_on_how_time_is_sampled():
    # The same ramp on an even and an uneven grid: the recursion and its loop agree.
    uneven = np.concatenate([[0.0, 0.003], np.linspace(0.01, 1.0, 100)])
    a = one_pole(TIME**1, TIME, 5.0)
    b = one_pole(uneven**1, uneven, 5.0)
    assert np.interp(0.5, uneven, b) == pytest.approx(np.interp(0.5, TIME, a), abs=1e-6)


def test_saturation_is_flagged_exactly_at_the_rail_and_nowhere_else():
    spec = replace(AmplifierSpec(), rail_A=1e-9)
    ramp = np.linspace(-3e-9, 3e-9, TIME.size)
    read, saturated = amplify(ramp, TIME, spec, np.random.default_rng(0))
    assert np.isfinite(read).all()
    assert set(read[saturated]) == {1e-9, -1e-9}
    assert (np.abs(read[~saturated]) < 1e-9).all()
    assert saturated.mean() == pytest.approx(2 / 3, abs=0.02)


def test_the_converter_gives_whole_steps():
    spec = replace(IDEAL_AMPLIFIER, adc_step_A=1e-12)
    ramp = np.linspace(-1e-10, 1e-10, TIME.size)
    read, _ = amplify(ramp, TIME, spec, np.random.default_rng(0))
    assert np.allclose(read / 1e-12, np.round(read / 1e-12), atol=1e-6)
    assert np.abs(read - ramp).max() <= 0.5e-12 * (1 + 1e-9)
    # A uniformly spread rounding error has the variance step^2/12.
    assert (read - ramp).var() == near(1e-24 / 12, rel=0.15)


def test_the_usual_amplifier_stays_under_the_noise_of_the_published_curves():
    # Sample noise of the real curves is under 1 to 2 pA.
    assert 0.1e-12 < readings(AmplifierSpec(), repeats=100).std() < 1e-12


@pytest.mark.parametrize(
    "bad",
    [
        {"rail_A": 0.0},
        {"feedback_ohm": -1.0},
        {"flicker_A": math.nan},
        {"bandwidth_Hz": math.inf},
        {"temperature_K": 0.0},
    ],
)
def test_impossible_amplifiers_are_refused_by_name(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        AmplifierSpec(**bad)
