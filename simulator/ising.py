"""The two-dimensional Ising lattice, exactly solved.

Spins s = +-1 on a periodic n x n square lattice with E = -J1 sum_nn s s' - J2 sum_nnn s s' (k_B = 1).
Its properties over a plane of two settings (temperature and J2, say) make a small "film" whose
truth is an order parameter, a heat capacity that peaks, and phases. For J2 = 0 the infinite
lattice is known exactly (Onsager 1944, Yang 1952).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from grainscout.records import ConfigError, FloatArray
from grainscout.records.validation import in_range

#: Critical temperature of the square lattice with J1 = 1, J2 = 0 (Onsager 1944).
CRITICAL_TEMPERATURE = 2.0 / math.log(1.0 + math.sqrt(2.0))


@dataclass(frozen=True, kw_only=True)
class IsingSpec:
    """A lattice and its sampling."""

    size: int = 16  #: Spins on a side, even
    j1: float = 1.0  #: Nearest coupling, > 0 ferromagnetic
    j2: float = 0.0  #: Next-nearest coupling
    temperature: float = 2.0  #: k_B T in units of |J|
    sweeps: int = 400  #: Metropolis sweeps measured
    warmup: int = 200  #: ... and discarded before

    def __post_init__(self) -> None:
        if self.size < 4 or self.size > 512 or self.size % 2:
            raise ConfigError(f"ising size must be even and 4 .. 512 spins; got {self.size}")
        in_range("ising j1", self.j1, -10.0, 10.0)
        in_range("ising j2", self.j2, -10.0, 10.0)
        in_range("ising temperature", self.temperature, 0.01, 100.0)
        if self.sweeps < 1 or self.warmup < 0:
            raise ConfigError(
                f"ising needs sweeps >= 1 and warmup >= 0; got {self.sweeps} and {self.warmup}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class IsingResult:
    """Thermal averages per spin of n lattices."""

    energy: FloatArray  #: (n,) <E>/N
    heat_capacity: FloatArray  #: var(E)/(N T^2)
    magnetisation: FloatArray  #: <|M|>/N
    susceptibility: FloatArray  #: (<M^2> - <|M|>^2)/(N T)
    stripes: FloatArray  #: <order of rows or columns>/N, 1 for alternating lines
    spins: NDArray[np.int8]  #: (n, size, size) last state


def simulate(specs: list[IsingSpec], rng: np.random.Generator) -> IsingResult:
    """Sample many lattices of one size by Metropolis, from all spins up."""
    if not specs or len({(s.size, s.sweeps, s.warmup) for s in specs}) != 1:
        raise ConfigError("ising lattices must be at least one, of one size, sweeps and warmup")
    first = specs[0]
    n, size = len(specs), first.size
    j1, j2, temperature = (
        np.array([getattr(s, name) for s in specs])[:, None, None]
        for name in ("j1", "j2", "temperature")
    )
    spins = np.ones((n, size, size), np.int8)
    sums = np.zeros((5, n))
    for sweep in range(first.warmup + first.sweeps):
        for row in (0, 1):
            for column in (0, 1):
                part = (slice(None), slice(row, None, 2), slice(column, None, 2))
                near, far = neighbour_sums(spins)
                gain = 2.0 * spins[part] * (j1 * near[part] + j2 * far[part])
                flip = rng.random(gain.shape) < np.exp(-np.maximum(gain, 0.0) / temperature)
                spins[part] = np.where(flip, -spins[part], spins[part])
        if sweep >= first.warmup:
            e, m = energy(spins, j1[:, 0, 0], j2[:, 0, 0]), spins.sum((1, 2), dtype=np.float64)
            sums += np.stack([e, e**2, np.abs(m), m**2, _stripes(spins)])
    e, e2, m, m2, stripes = sums / first.sweeps
    count, t = size * size, temperature[:, 0, 0]
    return IsingResult(
        energy=e / count,
        heat_capacity=(e2 - e**2) / (count * t**2),
        magnetisation=m / count,
        susceptibility=(m2 - m**2) / (count * t),
        stripes=stripes,
        spins=spins,
    )


def neighbour_sums(spins: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Sums over 4 nearest and 4 next-nearest neighbours."""
    rows = np.roll(spins, 1, axis=1) + np.roll(spins, -1, axis=1)
    near = rows + np.roll(spins, 1, axis=2) + np.roll(spins, -1, axis=2)
    far = np.roll(rows, 1, axis=2) + np.roll(rows, -1, axis=2)
    return near, far


def energy(spins: NDArray[np.int8], j1: FloatArray, j2: FloatArray) -> FloatArray:
    """Total energies (n,) of (n, size, size) lattices."""
    near, far = neighbour_sums(spins)
    bonds1 = 0.5 * (spins * near).sum((1, 2), dtype=np.float64)
    bonds2 = 0.5 * (spins * far).sum((1, 2), dtype=np.float64)
    total: FloatArray = -j1 * bonds1 - j2 * bonds2
    return total


def onsager_magnetisation(temperature: FloatArray) -> FloatArray:
    """<|M|>/N of the infinite lattice (Yang 1952)."""
    below = temperature < CRITICAL_TEMPERATURE
    inner = 1.0 - np.sinh(2.0 / np.where(below, temperature, 1.0)) ** -4.0
    return np.where(below, np.maximum(inner, 0.0) ** 0.125, 0.0)


def _stripes(spins: NDArray[np.int8]) -> FloatArray:
    sign = (-1) ** np.arange(spins.shape[1])
    rows = np.abs((spins * sign[:, None]).mean((1, 2), dtype=np.float64))
    columns = np.abs((spins * sign).mean((1, 2), dtype=np.float64))
    larger: FloatArray = np.maximum(rows, columns)
    return larger


def phase_map(
    j1: FloatArray, j2: FloatArray, *, base: IsingSpec | None = None, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Properties (rows, columns) over the plane of couplings J1 (columns,) and J2 (rows,)."""
    spec = base or IsingSpec()
    plane = [replace(spec, j1=float(a), j2=float(b)) for b in j2 for a in j1]
    result = simulate(plane, rng)
    names = ("energy", "heat_capacity", "magnetisation", "susceptibility", "stripes")
    return {name: getattr(result, name).reshape(len(j2), len(j1)) for name in names}
