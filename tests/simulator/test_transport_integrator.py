"""The integrator against a stiff solver, and identities that any integrator must keep."""

import numpy as np
import pytest

from grainscout.records import Waveform
from grainscout.simulator.transport import (
    ARCHETYPES,
    PARAMETERS,
    TransportGlobals,
    archetype_parameters,
    current,
    iv_curves,
    relax,
    rest_state,
)
from grainscout.simulator.transport.integrator import grid
from grainscout.simulator.verification.reference import law, solve
from grainscout.simulator.verification.transport import finer

WAVEFORMS = {
    "triangle": Waveform.triangle(),
    "bipolar": Waveform.bipolar(peak=1.5, samples=501, duration=2.0),
    "forc": Waveform.forc(peak=1.5, branches=3, rate=3.0),
    "pulses": Waveform.pulses([0.8, 1.3, -0.5], width=0.1, rest=0.05, samples=8),
}


def at(parameters, i):
    return {name: float(array[i]) for name, array in parameters.items()}


def test_random_points_follow_the_stiff_solver_in_light_dark_and_cold(drawn):
    p = drawn(4, seed=3)
    waveform = Waveform.triangle(samples=501)
    for light, temperature in ((0.0, 298.0), (0.1, 298.0), (0.3, 260.0)):
        result = iv_curves(p, waveform, light=light, temperature=temperature)
        for i in range(4):
            current, _, _ = solve(
                at(p, i), waveform, light=light, temperature=temperature, rtol=1e-8
            )
            scale = np.abs(current).max()
            assert np.abs(result.current_nA[i] - current).max() < 1e-3 * max(1.0, scale)


def test_screening_is_exact_on_ramps():
    p = archetype_parameters("club") | {"tau": np.array([0.05])}
    t = np.linspace(0.0, 0.5, 126)
    slope, tau = 3.0, 0.05
    ramp = Waveform(voltage=slope * t, time=t)
    u = iv_curves(p, ramp, trajectories=True).u[0]
    assert np.abs(u - (slope * t - slope * tau * (1.0 - np.exp(-t / tau)))).max() < 1e-10


@pytest.mark.parametrize("parts", [2, 5])
@pytest.mark.parametrize("name", ARCHETYPES)
def test_resampling_leaves_the_curve(name, parts):
    p = archetype_parameters(name)
    for kind in ("triangle", "bipolar", "forc"):
        coarse = WAVEFORMS[kind]
        difference = (
            iv_curves(p, finer(coarse, parts), light=0.1).current_nA[:, ::parts]
            - iv_curves(p, coarse, light=0.1).current_nA
        )
        assert np.abs(difference).max() <= 1e-3


def test_coarse_samples_are_split_inside():
    p = {
        name: np.concatenate([archetype_parameters(a)[name] for a in ARCHETYPES])
        for name in PARAMETERS
    }
    fine = iv_curves(p, Waveform.triangle(samples=501), light=0.1).current_nA
    for samples in (11, 51, 101):  # 300, 60 and 30 mV a step
        coarse = iv_curves(p, Waveform.triangle(samples=samples), light=0.1).current_nA
        assert np.abs(coarse - fine[:, :: 500 // (samples - 1)]).max() < 1e-3


@pytest.mark.parametrize("kind", WAVEFORMS)
def test_a_waveform_cut_in_two_gives_the_same_bits(kind, drawn):
    whole = WAVEFORMS[kind]
    p = drawn(20, seed=2)
    cut = len(whole) // 3
    a = iv_curves(p, whole, light=0.1, trajectories=True)
    first = Waveform(voltage=whole.voltage[: cut + 1], time=whole.time[: cut + 1])
    # The second part runs on its own clock, as a second measurement does.
    second = Waveform(voltage=whole.voltage[cut:], time=whole.time[cut:] - whole.time[cut])
    b = iv_curves(p, first, light=0.1, trajectories=True)
    c = iv_curves(p, second, light=0.1, state=b.state, trajectories=True)
    for name in ("u", "x", "current_nA"):
        joined = np.concatenate([getattr(b, name), getattr(c, name)[:, 1:]], axis=1)
        assert np.array_equal(joined, getattr(a, name))
    assert np.array_equal(c.state, a.state)


def test_the_fast_and_the_stable_current_law_agree(drawn):
    p = drawn(200, seed=5) | {"ripple": np.full(200, 0.05)}
    waveform = Waveform.bipolar(peak=1.5, samples=101)
    rng = np.random.default_rng(0)
    g = grid(waveform)
    away, x = rng.uniform(-1.5, 1.5, (101, 200)), rng.uniform(0, 1, (101, 200))
    for light in (0.0, 0.05):
        c = current.Conditions(light=light, temperature=310.0, g=TransportGlobals())
        fast, stable = np.empty((2, 200, 101))
        current.fast(g, p, away, x, c, None, fast)
        current.stable(g, p, away, x, c, None, stable)
        assert np.abs(fast - stable).max() < 1e-11 * np.abs(stable).max()


def test_ten_volts_on_a_sharp_threshold_stays_finite_and_right():
    p = archetype_parameters("diamond") | {"w": np.array([0.006]), "kappa": np.array([1.0])}
    wave = Waveform.bipolar(peak=10.0, samples=4001, duration=2.0)
    result = iv_curves(p, wave, light=0.1, trajectories=True)
    expected = law(
        at(p, 0),
        wave.voltage,
        result.u[0],
        result.x[0],
        light=0.1,
        temperature=298.0,
        g=TransportGlobals(),
    )
    slope = np.concatenate([[0.0], np.diff(wave.voltage) / np.diff(wave.time)])
    assert np.abs(result.current_nA[0] - (expected + 2e-4 * slope - 0.005)).max() < 1e-9


def test_rest_and_relax_are_fixed_points_and_a_semigroup(drawn):
    p = drawn(30, seed=6)
    rest = rest_state(p)
    assert np.allclose(relax(rest, p, 100.0, light=0.1), rest, atol=1e-14)
    excited = iv_curves(p, Waveform.triangle(), light=0.1).state
    once = relax(excited, p, 0.7)
    twice = relax(relax(excited, p, 0.3), p, 0.4)
    assert np.allclose(once, twice, atol=1e-13)
    held = iv_curves(p, Waveform.constant(0.0, duration=0.7), state=excited).state
    assert np.allclose(once, held, atol=1e-12)
    assert np.allclose(relax(excited, p, 1e9, temperature=350.0), rest, atol=1e-9)


def test_no_points_give_no_curves():
    p = {name: np.zeros(0) for name in PARAMETERS}
    result = iv_curves(p, Waveform.triangle(), trajectories=True)
    assert result.current_nA.shape == (0, 251)
    assert result.state.shape == (0, 2)
