"""Descriptors of 20 000 curves of 251 samples, beside a loop over curves with NumPy and SciPy.

Target: 50 000 curves a second on one core.  Compare medians within one run.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import trapezoid

from grainscout.analysis.curves.archetypes import classify
from grainscout.analysis.curves.descriptors import describe, describe_all, descriptor_names
from grainscout.records import Waveform

V = Waveform.triangle().voltage
CURVES = 20_000


@pytest.fixture(scope="module")
def current() -> np.ndarray:
    rng = np.random.default_rng(0)
    on = rng.uniform(0.3, 0.8, (CURVES, 1))
    back = np.where(np.arange(V.size) > V.argmax(), 0.1, 0.0)
    return 1e-9 * np.maximum(V - on + back, 0) + rng.normal(0, 2e-12, (CURVES, V.size))


@pytest.mark.parametrize("name", ["turn_on", "loop_area", "hysteresis", "max_current"])
def test_one_descriptor(benchmark, current, name):
    benchmark.extra_info["curves"] = CURVES
    benchmark(describe, name, V, current)


def test_all_descriptors(benchmark, current):
    benchmark(describe_all, descriptor_names(), V, current)


def test_archetypes(benchmark, current):
    benchmark(classify, V, current)


def test_loop_area_curve_by_curve(benchmark, current):
    """The straightforward way, without sigma, flags or rails: the baseline of the ratio."""

    def areas() -> list[float]:
        half = V.size // 2
        return [
            float(trapezoid(np.abs(row[half:][::-1] - row[: half + 1]), V[: half + 1]))
            for row in current
        ]

    values = benchmark(areas)
    assert np.allclose(values, describe("loop_area", V, current).value, rtol=1e-2)
