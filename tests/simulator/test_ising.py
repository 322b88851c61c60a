"""The Ising lattice against exact enumeration and Onsager's solution."""

import numpy as np
import pytest

from grainscout.records import ConfigError
from grainscout.simulator.ising import IsingSpec, energy, simulate


def exact(j1: float, j2: float, temperature: float) -> tuple[float, float]:
    """Energy and heat capacity per spin of the 4 x 4 lattice over all 65 536 states."""
    bits = (np.arange(65536)[:, None] >> np.arange(16)) & 1
    spins = (2 * bits - 1).reshape(-1, 4, 4).astype(np.int8)
    e = energy(spins, np.full(65536, j1), np.full(65536, j2))
    weight = np.exp(-(e - e.min()) / temperature)
    weight /= weight.sum()
    mean = (weight * e).sum()
    return mean / 16, ((weight * e**2).sum() - mean**2) / (16 * temperature**2)


@pytest.mark.parametrize(("j1", "j2", "temperature"), [(1, 0, 2.3), (1, 0.5, 4.0), (1, -0.4, 1.5)])
def test_against_all_states(j1, j2, temperature):
    spec = IsingSpec(size=4, j1=j1, j2=j2, temperature=temperature, sweeps=1500, warmup=100)
    result = simulate([spec] * 40, np.random.default_rng(1))
    mean, capacity = exact(j1, j2, temperature)
    error = result.energy.std() / np.sqrt(40)
    assert abs(result.energy.mean() - mean) < 4 * error + 1e-3
    assert result.heat_capacity.mean() == pytest.approx(capacity, rel=0.05)


def test_frustration_makes_stripes():
    """For J2 < -J1/2 the ground state is alternating lines of energy 2 J2 a spin."""
    spec = IsingSpec(size=8, j1=0.0, j2=-1.0, temperature=0.3, sweeps=20, warmup=300)
    result = simulate([spec] * 6, np.random.default_rng(3))
    assert result.energy.min() == pytest.approx(-2.0, abs=0.02)
    striped = np.tile(np.array([1, -1], np.int8)[:, None], (4, 8))[None]
    assert energy(striped, np.array([1.0]), np.array([-1.0]))[0] / 64 == -2.0


@pytest.mark.parametrize(
    "bad", [{"size": 5}, {"size": 2}, {"temperature": 0.0}, {"j2": float("nan")}, {"sweeps": 0}]
)
def test_bad_lattices(bad):
    with pytest.raises(ConfigError, match="ising"):
        IsingSpec(**bad)
