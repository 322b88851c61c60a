"""Forward and reverse branches of a voltage sweep."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from grainscout.records import DataError, FloatArray, IntArray

#: Fewest different voltages in a branch that a descriptor of its shape needs.
MIN_SAMPLES = 8
# A backward step of the voltage shorter than this share of its range is jitter of a measured bias.
_JITTER = 0.02
# With fewer samples than this in a mean monotone piece the axis counts as unordered.
_MIN_PIECE = 3.0


def _indices() -> IntArray:
    return np.zeros(0, np.int64)


def _values() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """A voltage axis cut into its monotone pieces.

    The forward branch is the first piece of the widest pair of neighbours. For a triangle that is
    the part up to its first extreme, for a FORC waveform the largest triangle, and for
    0, +V, -V, 0 the first quarter. The lobe at the other polarity is then `other`.
    """

    voltage: FloatArray  #: Voltage [V] in the order of time, (s,)
    #: {"loop", "one-way", "constant", "unordered"}: In a loop, one piece is followed by another
    #: that comes back over the same voltages.
    kind: Literal["loop", "one-way", "constant", "unordered"]
    pieces: tuple[tuple[int, int], ...]  #: First and last sample of each monotone piece
    #: Outgoing samples by rising voltage, without repeated voltages, (f,).
    forward: IntArray = field(default_factory=_indices)
    #: Voltages [V] of the forward samples that the reverse branch also covers, (m,).
    grid: FloatArray = field(default_factory=_values)
    on_grid: IntArray = field(default_factory=_indices)  #: Their sample indices, (m,)
    #: lower, upper, weight: The reverse current at grid[i] is (1 - weight) I[lower] + weight
    #: I[upper], (m,).
    lower: IntArray = field(default_factory=_indices)
    upper: IntArray = field(default_factory=_indices)
    weight: FloatArray = field(default_factory=_values)
    other: Sweep | None = None  #: Widest second loop over voltages that `grid` does not cover

    @property
    def is_loop(self) -> bool:
        """True if there is a reverse branch."""
        return self.kind == "loop"

    def split(self, current: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Split currents (n, s) into branches on `grid`."""
        out = np.take(current, self.on_grid, axis=1)
        back = np.take(current, self.lower, axis=1)
        if self.weight.any():
            upper = np.take(current, self.upper, axis=1)
            back = back * (1.0 - self.weight) + upper * self.weight
        return out, back

    def integral(self, low: float, high: float) -> FloatArray:
        """Weights (m,) of the integral between two voltages [V]. DataError beyond the grid."""
        slack = 1e-9 * max(1.0, abs(low), abs(high))
        if not (self.grid.size > 1 and self.covers(low, high) and high > low):
            raise DataError(f"loop band must lie on the sweep; got {low:g} to {high:g} V")
        low, high = max(low, self.grid[0]), min(high, self.grid[-1])
        inner = self.grid[(self.grid > low + slack) & (self.grid < high - slack)]
        nodes = np.concatenate([[low], inner, [high]])
        share = np.zeros(nodes.size)
        step = np.diff(nodes)
        share[:-1] += step / 2
        share[1:] += step / 2
        left = np.clip(np.searchsorted(self.grid, nodes, side="right") - 1, 0, self.grid.size - 2)
        part = (nodes - self.grid[left]) / (self.grid[left + 1] - self.grid[left])
        weights = np.zeros(self.grid.size)
        np.add.at(weights, left, share * (1 - part))
        np.add.at(weights, left + 1, share * part)
        return weights

    def covers(self, low: float, high: float) -> bool:
        """True if the grid spans both voltages [V]."""
        if self.grid.size < 2:
            return False
        slack = 0.5 * float(np.diff(self.grid).max())
        return bool(self.grid[0] <= low + slack and self.grid[-1] >= high - slack)


def read_sweep(voltage: FloatArray) -> Sweep:
    """Cut a voltage axis (s,) [V] into branches."""
    axis = np.ascontiguousarray(voltage, dtype=np.float64)
    if axis.ndim != 1 or axis.size == 0 or not np.isfinite(axis).all():
        raise DataError(
            "voltage must be a one-dimensional array of finite numbers [V]; got shape "
            f"{axis.shape} with {int((~np.isfinite(axis)).sum())} that are not finite"
        )
    return _read(axis.tobytes())


@lru_cache(maxsize=64)
def _read(raw: bytes) -> Sweep:
    voltage = np.frombuffer(raw, dtype=np.float64)
    span = float(np.ptp(voltage))
    if span == 0.0:
        return Sweep(voltage=voltage, kind="constant", pieces=((0, voltage.size - 1),))
    pieces = tuple(pairwise(_turning_points(voltage, _JITTER * span)))
    shuffled = len(pieces) > 1 and voltage.size / len(pieces) < _MIN_PIECE
    if shuffled and voltage.size >= MIN_SAMPLES:
        return Sweep(voltage=voltage, kind="unordered", pieces=pieces)
    pair = _widest_pair(voltage, pieces, span)
    loop = None if pair is None else _loop(voltage, pieces, pair, span)
    if loop is not None:
        return replace(loop, other=_other_lobe(loop, span))
    longest = max(pieces, key=lambda piece: abs(voltage[piece[1]] - voltage[piece[0]]))
    forward = _by_voltage(voltage, longest)
    return Sweep(voltage=voltage, kind="one-way", pieces=pieces, forward=forward)


def _loop(
    voltage: FloatArray, pieces: tuple[tuple[int, int], ...], pair: int, span: float
) -> Sweep | None:
    """Lay the reverse piece over the forward one."""
    forward, reverse = (_by_voltage(voltage, pieces[pair + k]) for k in (0, 1))
    low = max(voltage[forward[0]], voltage[reverse[0]])
    high = min(voltage[forward[-1]], voltage[reverse[-1]])
    slack = 1e-9 * span
    at = voltage[forward]
    on_grid = forward[(at >= low - slack) & (at <= high + slack)]
    if min(on_grid.size, reverse.size) < MIN_SAMPLES:
        return None
    grid, back = voltage[on_grid], voltage[reverse]
    left = np.clip(np.searchsorted(back, grid, side="right") - 1, 0, back.size - 2)
    part = np.clip((grid - back[left]) / (back[left + 1] - back[left]), 0.0, 1.0)
    # Samples that meet (the usual triangle) need no interpolation.
    nearest = np.where(part > 0.5, left + 1, left)
    meets = np.abs(back[nearest] - grid) <= 1e-9 * span
    return Sweep(
        voltage=voltage,
        kind="loop",
        pieces=pieces,
        forward=forward,
        grid=grid,
        on_grid=on_grid,
        lower=reverse[np.where(meets, nearest, left)],
        upper=reverse[np.where(meets, nearest, left + 1)],
        weight=np.where(meets, 0.0, part),
    )


def weighted(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Sum values (n, m) times weights (m,) by row; the same bits in any batch, unlike a product."""
    return np.asarray((np.ascontiguousarray(values) * weights).sum(axis=1))


def running_mean(values: FloatArray, width: int) -> FloatArray:
    """Average `width` neighbours along axis 1."""
    total = np.cumsum(values, axis=1)
    total[:, width:] = total[:, width:] - total[:, :-width]
    return np.asarray(total[:, width - 1 :] / width)


def _turning_points(voltage: FloatArray, jitter: float) -> list[int]:
    """First sample, reversals above `jitter`, last sample."""
    turns, direction, extreme = [0], 0.0, 0
    for i in range(1, voltage.size):
        if direction == 0.0:
            if abs(voltage[i] - voltage[0]) > jitter:
                direction, extreme = float(np.sign(voltage[i] - voltage[0])), i
        elif (voltage[i] - voltage[extreme]) * direction >= 0:
            extreme = i
        elif (voltage[extreme] - voltage[i]) * direction > jitter:
            turns.append(extreme)
            direction, extreme = -direction, i
    return [*turns, voltage.size - 1]


def _by_voltage(voltage: FloatArray, piece: tuple[int, int]) -> IntArray:
    """Samples of a piece by rising voltage, without repeats."""
    indices = np.arange(piece[0], piece[1] + 1)
    return indices[np.unique(voltage[indices], return_index=True)[1]].astype(np.int64)


def _other_lobe(loop: Sweep, span: float) -> Sweep | None:
    """Widest loop that shares no voltage with the first, as after 0, +V, -V, 0; None if none."""
    taken = (float(loop.grid[0]), float(loop.grid[-1]))
    pair = _widest_pair(loop.voltage, loop.pieces, span, taken)
    return None if pair is None else _loop(loop.voltage, loop.pieces, pair, span)


def _widest_pair(
    voltage: FloatArray,
    pieces: tuple[tuple[int, int], ...],
    span: float,
    taken: tuple[float, float] | None = None,
) -> int | None:
    """Index of the pair of pieces with most overlap, beside the range `taken` [V] if given."""
    best, widest = None, _JITTER * span
    for k in range(len(pieces) - 1):
        first, second = (np.sort(voltage[list(pieces[k + j])]) for j in (0, 1))
        low, high = max(first[0], second[0]), min(first[1], second[1])
        if taken is not None and min(high, taken[1]) - max(low, taken[0]) > _JITTER * span:
            continue
        if high - low > 1.01 * widest:
            best, widest = k, float(high - low)
    return best
