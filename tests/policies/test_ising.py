"""The published demonstration: a structured GP finds the Ising phase boundary before a plain GP."""

import numpy as np
import pytest

from grainscout.benchmarks.statements.films import (
    CRITICAL,
    ORDERED,
    PLAIN,
    STRUCTURED,
    errors,
    magnetisation,
)


@pytest.fixture(scope="module")
def measured():
    return magnetisation(np.random.default_rng(0))


def test_the_simulation_is_the_ising_model(measured):
    # Yang 1952, Chang 1952: m^8 = 1 - (sinh 2J1 sinh 2J2)^-2 below the critical temperature.
    deep = CRITICAL > 2.0
    exact = (1.0 - CRITICAL[deep] ** -2.0) ** 0.125
    assert abs(measured[deep] - exact).max() < 0.03
    assert measured[CRITICAL < 0.3].max() < 0.3
    assert np.mean((measured > 0.5) != ORDERED) < 0.08


def test_the_structured_gp_finds_the_phase_boundary_earlier(measured):
    structured, plain = (
        np.array([errors(mean, measured, seed) for seed in range(5)])
        for mean in (STRUCTURED, PLAIN)
    )
    # In the first measurements it has less of the plane in the wrong phase, film by film...
    fewer = structured.mean(1) < plain.mean(1)
    assert fewer.sum() >= 4
    assert structured.mean() < 0.85 * plain.mean()
    # ... and it needs fewer measurements to know nine tenths of the plane.
    first = [
        np.median([np.argmax(e < 0.1) if (e < 0.1).any() else 8 for e in w])
        for w in (structured, plain)
    ]
    assert first[0] < first[1]
