"""Thermal drift and piezo creep, and images by a tip that drifts, line by line."""

import math
from dataclasses import dataclass

import numpy as np

from grainscout.records import ConfigError, DataError, FloatArray, IntArray
from grainscout.records.validation import non_negative, positive


def shifted(
    image: FloatArray,
    offsets: FloatArray,
    start: tuple[int, int] = (0, 0),
    columns: int | None = None,
) -> FloatArray:
    """Rows from `start` on, `columns` wide, displaced by offsets [pixels]; mirrored beyond the edges."""
    from scipy.ndimage import map_coordinates

    wide = image.shape[1] if columns is None else columns
    at_row = start[0] + np.arange(len(offsets))[:, np.newaxis] + offsets[:, :1] + np.zeros(wide)
    at_column = start[1] + np.arange(wide)[np.newaxis, :] + offsets[:, 1:]
    return np.asarray(map_coordinates(image, [at_row, at_column], order=1, mode="reflect"))


def mirrored(index: IntArray, size: int) -> IntArray:
    """Pixel that mirrors at both edges show."""
    folded = index % (2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)


_BLOCK = 1024
#: Steps of the longest walk that is kept in memory: 23 days of 1 s.
_LONGEST = 2_000_000


@dataclass(frozen=True, kw_only=True)
class DriftSpec:
    """Thermal drift: a random walk and a decaying creep."""

    #: Standard deviation of the walk after one second, each axis [m/sqrt(s)]
    walk_m_per_sqrt_s: float = 0.3e-9
    #: creep_m, creep_s: Length [m] and decay time [s] of the initial creep, creep_m (1 -
    #: exp(-t/creep_s)), in a random direction
    creep_m: float = 40e-9
    creep_s: float = 1800.0
    step_s: float = 1.0  #: Grid of the walk [s], linear in between

    def __post_init__(self) -> None:
        non_negative(self, walk_m_per_sqrt_s="m/sqrt(s)", creep_m="m")
        positive(self, creep_s="s", step_s="s")


class DriftPath:
    """Drift by the clock alone: increments on a grid of times, in blocks with streams of their own."""

    def __init__(self, spec: DriftSpec, seed: np.random.SeedSequence) -> None:
        self._spec = spec
        self._seed = seed
        self._walk = np.zeros((1, 2))
        angle = 2.0 * math.pi * self._stream(0).random()
        self._direction = np.array([math.sin(angle), math.cos(angle)])

    def _stream(self, block: int) -> np.random.Generator:
        key = (*self._seed.spawn_key, 2, block)
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence(self._seed.entropy, spawn_key=key))
        )

    def increments(self, block: int) -> FloatArray:
        """Steps (1024, 2) of one block [m]."""
        scale = self._spec.walk_m_per_sqrt_s * math.sqrt(self._spec.step_s)
        return scale * self._stream(1 + block).standard_normal((_BLOCK, 2))

    def at(self, seconds: float) -> FloatArray:
        """Displacement (2,) at a time [m]. DataError if it is negative, or beyond two million steps."""
        longest = _LONGEST * self._spec.step_s
        if not 0 <= seconds <= longest:
            raise DataError(
                f"drift needs a time of 0 ... {longest:g} s; got {seconds}. For longer runs raise "
                "DriftSpec.step_s"
            )
        position = seconds / self._spec.step_s
        below = int(position)
        missing = below + 2 - len(self._walk)
        if missing > 0:
            first = (len(self._walk) - 1) // _BLOCK
            new = [self.increments(first + b) for b in range(-(-missing // _BLOCK))]
            # Continuing the running sum gives the bits that a single pass would give.
            tail = np.cumsum(np.concatenate([self._walk[-1:], *new]), axis=0)
            self._walk = np.concatenate([self._walk, tail[1:]])
        part = position - below
        walk = (1.0 - part) * self._walk[below] + part * self._walk[below + 1]
        creep = self._spec.creep_m * -math.expm1(-seconds / self._spec.creep_s)
        return np.asarray(walk + creep * self._direction)


@dataclass(frozen=True, kw_only=True)
class CreepSpec:
    """Piezo creep: part of a move arrives late."""

    per_decade: float = 0.002  #: Fraction of the move that arrives in each decade of time
    #: Decay times [s], one a decade. Their sum imitates the logarithmic law.
    times_s: tuple[float, ...] = (1.0, 10.0, 100.0)

    def __post_init__(self) -> None:
        non_negative(self, per_decade="")
        if not all(0 < time < math.inf for time in self.times_s):
            raise ConfigError(f"CreepSpec times_s must be finite and > 0 s; got {self.times_s}")


class Creep:
    """Missing part of past moves, (len(times_s), 2) [m]."""

    def __init__(self, spec: CreepSpec) -> None:
        self._spec = spec
        self._times = np.array(spec.times_s)
        self.missing = np.zeros((len(spec.times_s), 2))
        self.updated = 0.0

    def at(self, seconds: float) -> FloatArray:
        """Displacement (2,) from the commanded position [m]."""
        return np.asarray(-self._left(seconds).sum(axis=0))

    def move(self, step: FloatArray, seconds: float) -> None:
        """Move by `step` (2,) [m], ending at `seconds`."""
        self.missing = self._left(seconds) + self._spec.per_decade * step
        self.updated = seconds

    def _left(self, seconds: float) -> FloatArray:
        decay = np.exp(-(seconds - self.updated) / self._times)
        return self.missing * decay[:, np.newaxis]
