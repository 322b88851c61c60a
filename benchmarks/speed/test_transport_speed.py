"""The transport kernel beside a plain `solve_ivp` loop and beside a memory-bandwidth floor.

Targets on one quiet core: at least 50 000 curves of 251 samples a second with every term on (200 000
would be a moonshot), and at most 0.5 ms for a single curve.  Read the ratios in ``extra_info``: all
parts of one are measured in one run, each as its best of several.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import expit

from grainscout.records import Waveform
from grainscout.simulator import Film, FilmSpec
from grainscout.simulator.transport import TransportGlobals, archetype_parameters, iv_curves
from grainscout.simulator.verification.reference import law

POINTS = 128 * 128
WAVEFORM = Waveform.triangle()


def best(call: Callable[[], object], repeats: int = 5) -> float:
    """Shortest CPU time of a call [s]: other work on the machine does not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def plain(p: dict[str, float], light: float = 0.1) -> np.ndarray:
    """One curve as one would first write it: SciPy's stiff solver over the whole sweep."""
    v, t, g = WAVEFORM.voltage, WAVEFORM.time, TransportGlobals()
    gain = 1.0 + g.bL * light / g.L0

    def rates(now, y):
        now_v = np.interp(now, t, v)
        k_v = p["nu"] * gain * 2.0 * np.cosh((now_v - p["Vx"]) / (2.0 * p["wx"]))
        k = 1.0 / (1.0 / k_v + 1.0 / (g.k_max * gain))
        x_inf = expit((now_v - p["Vx"]) / p["wx"])
        return [(now_v - y[0]) * gain / p["tau"], k * (x_inf - y[1])]

    start = [0.0, expit(-p["Vx"] / p["wx"])]
    y = solve_ivp(
        rates, (t[0], t[-1]), start, t_eval=t, method="LSODA", rtol=1e-5, atol=1e-8, max_step=0.05
    ).y
    return law(p, v, y[0], y[1], light=light, temperature=g.T0, g=g)


@pytest.fixture(scope="module")
def film() -> dict[str, np.ndarray]:
    maps = Film.generate(FilmSpec(rows=128, columns=128), 0).truth.parameters
    return {name: array.reshape(-1) for name, array in maps.items()}


def test_all_curves_of_a_film(benchmark, film):
    result = benchmark(lambda: iv_curves(film, WAVEFORM, light=0.1))
    assert result.current_nA.shape == (POINTS, 251)
    ours = best(lambda: iv_curves(film, WAVEFORM, light=0.1))
    benchmark.extra_info["curves per CPU second"] = round(POINTS / ours)

    # Floor: write each current once, fresh memory included.
    floor = best(lambda: np.empty((POINTS, 251)).fill(1.0))
    benchmark.extra_info["times the memory floor"] = round(ours / floor, 1)

    # The naive way: one ODE solution a point, at the accuracy that the kernel has.
    heart = {name: float(value[0]) for name, value in archetype_parameters("heart").items()}
    current = iv_curves(heart, WAVEFORM, light=0.1, globals_=TransportGlobals(Cs=0.0, Ioff=0.0))
    assert np.abs(plain(heart) - current.current_nA[0]).max() < 1e-3
    naive = best(lambda: [plain(heart) for _ in range(5)]) / 5
    benchmark.extra_info["times faster than solve_ivp"] = round(naive * POINTS / ours)
    assert naive * POINTS / ours > 100.0


@pytest.mark.parametrize("what", ["points", "samples"])
def test_cost_is_linear(benchmark, film, what):
    part = {name: array[: POINTS // 8] for name, array in film.items()}
    long = Waveform.triangle(samples=251 * 8 - 7, duration=8.0)
    many = (film, WAVEFORM) if what == "points" else (part, long)
    benchmark(lambda: iv_curves(*many, light=0.1))
    whole, eighth = (best(lambda a=a: iv_curves(*a, light=0.1)) for a in (many, (part, WAVEFORM)))
    benchmark.extra_info[f"8 times the {what} cost"] = round(whole / eighth, 2)
    assert whole / eighth < 14.0


def test_a_single_curve(benchmark, film):
    one = {name: array[:1] for name, array in film.items()}
    benchmark(lambda: iv_curves(one, WAVEFORM, light=0.1))
    share = best(lambda: [iv_curves(one, WAVEFORM, light=0.1) for _ in range(50)]) / 50
    benchmark.extra_info["CPU ms"] = round(1e3 * share, 3)
