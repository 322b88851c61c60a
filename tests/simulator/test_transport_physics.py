"""Symmetries and published behaviour of the current law (the physics notes, 3 and 7)."""

import numpy as np
import pytest

from grainscout.records import ConfigError, DataError, Waveform
from grainscout.simulator.transport import (
    PARAMETERS,
    TransportGlobals,
    archetype_parameters,
    iv_curves,
    relax,
    rest_state,
)

PLAIN = TransportGlobals(Cs=0.0, Ioff=0.0)


def test_rates_and_time_scale_together(drawn):
    p = drawn(30, seed=5)
    no_cs = TransportGlobals(Cs=0.0)
    slow = iv_curves(p, Waveform.triangle(duration=1.0), light=0.1, globals_=no_cs)
    s = 37.0
    fast = p | {"nu": p["nu"] * s, "tau": p["tau"] / s}
    g = TransportGlobals(Cs=0.0, k_max=500.0 * s)
    quick = iv_curves(fast, Waveform.triangle(duration=1.0 / s), light=0.1, globals_=g)
    assert np.abs(slow.current_nA - quick.current_nA).max() < 1e-10
    with_cs = iv_curves(fast, Waveform.triangle(duration=1.0 / s), light=0.1)
    assert np.abs(slow.current_nA - with_cs.current_nA).max() > 1e-2


def test_relaxation_rate_follows_arrhenius(drawn):
    p = drawn(5, seed=6)
    start = np.column_stack([np.full(5, 0.7), np.full(5, 0.9)])
    rest = rest_state(p)
    inverse = []
    rates = {"x": [], "u": []}
    for temperature in (260.0, 280.0, 298.0, 320.0, 340.0):
        seconds = 1e-5
        left = (relax(start, p, seconds, temperature=temperature) - rest) / (start - rest)
        inverse.append(1.0 / (8.617333262e-5 * temperature))
        rates["u"].append(-np.log(left[:, 0]) / seconds)
        rates["x"].append(-np.log(left[:, 1]) / seconds)
    for state, energy in (("x", "Ex"), ("u", "Eu")):
        slope = np.polyfit(inverse, np.log(rates[state]), 1)[0]
        assert np.allclose(slope, -p[energy], rtol=1e-5)


def test_a_second_visit_remembers_what_rest_has_not_undone(drawn):
    p = drawn(20, seed=8)
    sweep = Waveform.triangle()
    first = iv_curves(p, sweep, light=0.1)
    # Sweep, rest and sweep as one waveform: the rest is what `relax` says it is.
    rest = 0.4
    time = np.concatenate([sweep.time, sweep.time + 1.0 + rest])
    both = Waveform(voltage=np.concatenate([sweep.voltage, sweep.voltage]), time=time)
    whole = iv_curves(p, both, light=0.1)
    state = relax(first.state, p, rest, light=0.1)
    second = iv_curves(p, sweep, light=0.1, state=state)
    assert np.abs(second.current_nA[:, 1:] - whole.current_nA[:, 252:]).max() < 1e-9
    assert np.abs(second.current_nA - first.current_nA).max() > 1e-3
    rested = iv_curves(p, sweep, light=0.1, state=relax(first.state, p, 1e9, light=0.1))
    assert np.abs(rested.current_nA - first.current_nA).max() < 1e-9


def test_slower_ions_give_longer_memory():
    p = archetype_parameters("club")
    left = []
    for k_max in (5.0, 500.0):
        g = TransportGlobals(k_max=k_max)
        after = iv_curves(p, Waveform.triangle(), globals_=g).state
        left.append(relax(after, p, 0.05, globals_=g)[0, 1])
    assert left[0] > 10.0 * left[1]


def test_displacement_current_is_that_of_the_ramp_that_ends_at_the_sample():
    p = archetype_parameters("club") | {"A": np.zeros(1)}
    wave = Waveform(voltage=np.array([0.0, 0.3, 0.3, -0.2]), time=np.array([0.0, 0.1, 0.2, 0.7]))
    current = iv_curves(p, wave, globals_=TransportGlobals(Cs=2.0, Ioff=-0.005)).current_nA[0]
    assert current == pytest.approx(np.array([0.0, 6e-3, 0.0, -2e-3]) - 0.005)


def test_telegraph_is_a_measurement_and_its_mean_the_truth():
    n = 4000
    p = {k: np.repeat(v, n) for k, v in archetype_parameters("club").items()}
    rate, step = 20.0, 0.3
    p |= {"telegraph": np.full(n, step), "telegraph_rate": np.full(n, rate)}
    wave = Waveform.constant(1.2, duration=0.2, samples=41)
    truth = iv_curves(p, wave, globals_=PLAIN).current_nA
    noisy = iv_curves(p, wave, globals_=PLAIN, rng=np.random.default_rng(0)).current_nA
    s = (noisy / truth - 1.0) / step
    assert np.allclose(np.abs(s), 1.0)
    assert np.abs(s.mean(0)).max() < 5.0 / np.sqrt(n)
    lag = np.arange(0, 30, 5)
    expected = np.exp(-rate * lag * 0.005)
    assert np.allclose([(s[:, 0] * s[:, k]).mean() for k in lag], expected, atol=5.0 / np.sqrt(n))
    again = iv_curves(p, wave, globals_=PLAIN, rng=np.random.default_rng(0)).current_nA
    assert np.array_equal(noisy, again)
    silent = iv_curves(
        {**p, "telegraph": np.zeros(n)}, wave, globals_=PLAIN, rng=np.random.default_rng(0)
    ).current_nA
    assert np.array_equal(silent, truth)


def test_ripple_has_its_size_and_length():
    n, length, size = 500, 0.15, 0.02
    p = {k: np.repeat(v, n) for k, v in archetype_parameters("club").items()}
    plain = iv_curves(p, Waveform.triangle(), globals_=PLAIN).current_nA[:, 50:126]
    p |= {"ripple": np.full(n, size), "ripple_length": np.full(n, length)}
    p["ripple_phase"] = np.random.default_rng(0).uniform(0, 2 * np.pi, n)
    s = iv_curves(p, Waveform.triangle(), globals_=PLAIN).current_nA[:, 50:126] / plain - 1.0
    assert s.std() == pytest.approx(size, rel=0.05)
    step = round(length / 0.012)
    correlation = (s[:, :-step] * s[:, step:]).mean() / (s**2).mean()
    assert 0.3 < correlation < 0.75


@pytest.mark.parametrize("name", [k for k, p in PARAMETERS.items() if p.default is None])
def test_every_archetype_parameter_changes_the_curve(name):
    p = archetype_parameters("heart")
    moved = p | {name: p[name] * 1.1 + (0.05 if p[name] == 0 else 0.0)}
    wave = Waveform.bipolar()
    difference = (
        iv_curves(moved, wave, light=0.1, temperature=320.0).current_nA
        - iv_curves(p, wave, light=0.1, temperature=320.0).current_nA
    )
    assert np.abs(difference).max() > 1e-4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"w": -0.1}, ["w ", "0.005 ... 2 V", "-0.1", "point 1"]),
        ({"nu": np.nan}, ["nu", "1/s", "nan"]),
        ({"g1": np.inf}, ["g1", "nA/V"]),
        ({"tau": 0.0}, ["tau", " s;"]),
    ],
)
def test_bad_parameters_are_named_with_unit_and_range(change, words):
    p = {k: np.repeat(v, 3) for k, v in archetype_parameters("club").items()}
    for name, value in change.items():
        p[name][1] = value
    with pytest.raises(ConfigError) as error:
        iv_curves(p, Waveform.triangle())
    for word in words:
        assert word in str(error.value)


def test_missing_unknown_and_misshapen_input_is_refused():
    p = archetype_parameters("club")
    with pytest.raises(ConfigError, match="Vx"):
        iv_curves({k: v for k, v in p.items() if k != "Vx"}, Waveform.triangle())
    with pytest.raises(ConfigError, match="speed"):
        iv_curves({**p, "speed": 1.0}, Waveform.triangle())
    with pytest.raises(ConfigError, match="shape"):
        iv_curves({**p, "g1": np.ones(2), "g2": np.ones(3)}, Waveform.triangle())
    with pytest.raises(ConfigError, match=r"light must be in 0 \.\.\. 100 suns"):
        iv_curves(p, Waveform.triangle(), light=-0.1)
    with pytest.raises(ConfigError, match="temperature"):
        iv_curves(p, Waveform.triangle(), temperature=25.0)
    with pytest.raises(DataError, match="state"):
        iv_curves(p, Waveform.triangle(), state=np.zeros((2, 2)))
    with pytest.raises(DataError, match="x in 0"):
        iv_curves(p, Waveform.triangle(), state=np.array([[0.0, 1.5]]))
    with pytest.raises(ConfigError, match="seconds"):
        relax(rest_state(p), p, -1.0)
    with pytest.raises(ConfigError, match="k_max"):
        TransportGlobals(k_max=0.0)


def test_every_allowed_point_and_condition_gives_finite_currents():
    # Warnings are errors here, so an overflow anywhere shows as well.
    rng = np.random.default_rng(0)
    for _ in range(60):
        n = 7
        p = {}
        for name, parameter in PARAMETERS.items():
            low, high = parameter.limits
            share = np.where(rng.random(n) < 0.3, rng.integers(0, 2, n), rng.random(n))
            if name in ("nu", "tau", "telegraph_rate"):
                p[name] = np.clip(low * (high / low) ** share, low, high)
            else:
                p[name] = low + (high - low) * share
        samples = int(rng.integers(2, 30))
        wave = Waveform(
            voltage=rng.uniform(-1, 1, samples) * 10.0 ** rng.uniform(-2, 1),
            time=np.cumsum(10.0 ** rng.uniform(-7, 4, samples)),
        )
        light, temperature = rng.choice([0.0, 1e-6, 0.1, 100.0]), rng.choice([50.0, 298.0, 600.0])
        result = iv_curves(p, wave, light=light, temperature=temperature, rng=rng)
        assert np.isfinite(result.current_nA).all()
        assert result.state[:, 1].min() >= -1e-12
        assert result.state[:, 1].max() <= 1.0 + 1e-12
        later = relax(result.state, p, rng.uniform(0, 1e6, n), light=light, temperature=temperature)
        assert np.isfinite(later).all()
