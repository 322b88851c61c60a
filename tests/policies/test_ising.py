"""The published demonstration: a structured GP finds the Ising phase boundary before a plain GP.

Ziatdinov, Ghosh & Kalinin 2022: the mean is A tanh((f(J1) + f(J2)) / w) with a cubic f.  Here the
model is the square lattice with unequal couplings, whose phase boundary is known exactly: it is
sinh(2 J1) sinh(2 J2) = 1 (Onsager 1944), and log sinh 2J is just such an f.
"""

from __future__ import annotations

import numpy as np
import pytest

from grainscout.policies._kernels import Stationary
from grainscout.policies._structured_gp import MeanModel, StructuredGP

GRID = np.linspace(0.05, 0.95, 16)
COUPLINGS = np.column_stack([np.repeat(GRID, 16), np.tile(GRID, 16)])  # in units of k T
CRITICAL = np.sinh(2 * COUPLINGS[:, 0]) * np.sinh(2 * COUPLINGS[:, 1])
ORDERED = CRITICAL > 1.0


def magnetisation(size: int = 14, sweeps: int = 800, burn: int = 200):
    """Mean |m| per spin at every pair of couplings, by a checkerboard heat bath from the ground state."""
    rng = np.random.default_rng(0)
    spins = np.ones((len(COUPLINGS), size, size), np.float32)
    along, across = COUPLINGS.T.astype(np.float32)[:, :, None, None]
    board = np.indices((size, size)).sum(0) % 2
    total = np.zeros(len(COUPLINGS))
    for sweep in range(sweeps):
        for colour in (0, 1):
            field = along * (np.roll(spins, 1, 2) + np.roll(spins, -1, 2))
            field += across * (np.roll(spins, 1, 1) + np.roll(spins, -1, 1))
            up = rng.random(spins.shape, np.float32) < 1.0 / (1.0 + np.exp(-2.0 * field))
            spins = np.where(board == colour, 2 * up.astype(np.float32) - 1, spins)
        if sweep >= burn:
            total += abs(spins.mean((1, 2)))
    return total / (sweeps - burn)


def basis(couplings, shape):
    j = (couplings - 0.5) / 0.5
    f = shape[0] + j * (shape[1] + j * (shape[2] + j * shape[3]))
    return np.column_stack([np.ones(len(j)), np.tanh(f.sum(1))])


# No idea where the boundary is, nor on which side the order: the prior is centred on nothing.
BOUNDARY = MeanModel(
    name="boundary",
    basis=basis,
    scale=np.array([1.0, 1.0]),
    shape=np.array([[0.0, 1.5], [0.0, 3.0], [0.0, 1.5], [0.0, 1.5]]),
)
CONSTANT = MeanModel(
    name="constant", basis=lambda z, _: np.ones((len(z), 1)), scale=np.array([1.0])
)


@pytest.fixture(scope="module")
def measured():
    return magnetisation()


def errors(mean: MeanModel, values, seed: int, steps: int = 8):
    """Fraction of the plane in the wrong phase after 3, 4, ... measurements where it is least sure."""
    rng = np.random.default_rng(seed)
    y = values + 0.02 * rng.normal(size=len(values))
    rows = [int(r) for r in rng.choice(len(y), 3, replace=False)]
    features = ((COUPLINGS - 0.5) / 0.45).astype(np.float32)
    wrong = []
    for _ in range(steps):
        gp = StructuredGP(
            features, COUPLINGS, np.arange(len(y)), Stationary(), mean, particles=128, seed=seed
        )
        gp.fit(np.array(rows), y[rows])
        mu, std = gp.predict()
        wrong.append(np.mean((mu > 0.5) != ORDERED))
        std[rows] = -1.0
        rows.append(int(std.argmax()))
    return np.array(wrong)


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
        for mean in (BOUNDARY, CONSTANT)
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
