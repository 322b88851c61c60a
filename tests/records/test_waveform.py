"""Waveforms: what the makers promise about voltage and time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grainscout.records import ConfigError, Waveform


def test_reference_triangle_is_the_published_one():
    wave = Waveform.triangle()
    assert len(wave) == 251  # 126 + 125 samples, 12 mV steps (S26)
    assert wave.voltage[125] == 1.5
    assert wave.voltage[0] == wave.voltage[-1] == 0.0
    np.testing.assert_allclose(np.abs(np.diff(wave.voltage)), 0.012, atol=1e-15)
    assert wave.duration == 1.0


@given(st.floats(-5, 5).filter(lambda v: abs(v) > 0.01), st.integers(1, 200))
def test_triangle_is_its_own_mirror(peak, half):
    wave = Waveform.triangle(peak, 2 * half + 1)
    np.testing.assert_array_equal(wave.voltage, wave.voltage[::-1])
    assert wave.voltage[half] == peak


def test_bipolar_is_odd_about_its_middle_and_visits_both_peaks():
    wave = Waveform.bipolar(1.2, 401, 2.0)
    np.testing.assert_allclose(wave.voltage, -wave.voltage[::-1], atol=1e-15)
    assert wave.voltage.max() == 1.2
    assert wave.voltage.min() == -1.2


def test_forc_has_one_rate_and_growing_peaks():
    wave = Waveform.forc(1.5, branches=5, rate=2.0)
    rates = np.abs(np.diff(wave.voltage) / np.diff(wave.time))
    np.testing.assert_allclose(rates, 2.0, rtol=1e-9)
    assert np.abs(np.diff(wave.voltage)).max() <= 0.012 + 1e-12
    turns = wave.voltage[1:-1][
        (wave.voltage[1:-1] > wave.voltage[:-2]) & (wave.voltage[1:-1] > wave.voltage[2:])
    ]
    np.testing.assert_allclose(turns, [0.3, 0.6, 0.9, 1.2, 1.5])
    # Up and down once for each branch: the path length is 2 (0.3 + ... + 1.5) V.
    assert wave.duration == pytest.approx(2 * 4.5 / 2.0)


def test_pulses_hold_each_level_for_its_width():
    wave = Waveform.pulses([1.0, -0.5], width=0.2, rest=0.1, edge=0.01, samples=5)
    at_one = wave.time[wave.voltage == 1.0]
    assert np.ptp(at_one) == pytest.approx(0.2)
    assert wave.duration == pytest.approx(0.1 + 2 * (0.01 + 0.2 + 0.01 + 0.1))


@pytest.mark.parametrize(
    ("voltage", "time", "said"),
    [
        ([0, np.nan], [0, 1], "voltage must be finite"),
        ([0, np.inf], [0, 1], "voltage must be finite"),
        ([0, 1], [0, np.inf], "time must be finite"),
        ([], [], "at least 2"),
        ([0], [0], "at least 2"),
        (1.0, 1.0, "Waveform"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "Waveform"),
        ([[0, 1], [2]], [0, 1], "Waveform"),
        (np.array([0, 1j]), [0, 1], "Waveform"),
        (["0", "1"], [0, 1], "Waveform"),
        (np.array([0, None]), [0, 1], "Waveform"),
        ([False, True], [0, 1], "Waveform"),
        ([0, 1], np.array(["2020", "2021"], "M8[Y]"), "Waveform"),
        ([0, 10**400], [0, 1], "Waveform"),
        ([0, 1, 2], [0, 1], "shapes"),
        ([0, 1], [1, 0], "increase strictly"),
        ([0, 1], [0, 0], "increase strictly"),
        ([0, 1], [1e308, 1e308], "increase strictly"),
        *(([0, 1, 0], [0, s, 2 * s], "at least 1e-15 s") for s in (5e-324, 1e-310, 9e-16)),
    ],
)
def test_impossible_waveforms_are_refused(voltage, time, said):
    with pytest.raises(ConfigError, match=said):
        Waveform(voltage=voltage, time=time)
    Waveform(voltage=[0.0, 1.0, 0.0], time=[0.0, 2e-15, 4e-15])  # the smallest step


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (Waveform.triangle, {"samples": 250}),
        (Waveform.triangle, {"samples": 10**12 + 1}),
        (Waveform.triangle, {"duration": 0}),
        (Waveform.triangle, {"duration": np.inf}),
        (Waveform.triangle, {"peak": np.inf}),
        (Waveform.bipolar, {"samples": 100}),
        (Waveform.forc, {"branches": 0}),
        (Waveform.forc, {"step": 1e-300}),
        (Waveform.pulses, {"levels": []}),
        (Waveform.pulses, {"levels": [1.0] * 10, "samples": 10**9}),
        (Waveform.constant, {"level": 1.0, "samples": 1}),
    ],
)
def test_makers_refuse_what_they_cannot_make(make, settings):
    with pytest.raises(ConfigError, match="got"):
        make(**settings)


def test_equal_samples_are_equal_waveforms_and_arrays_are_frozen():
    assert Waveform.triangle() == Waveform.triangle()
    assert Waveform.triangle() != Waveform.triangle(1.4)
    with pytest.raises(ValueError, match="read-only"):
        Waveform.triangle().voltage[0] = 3.0
