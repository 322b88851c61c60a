"""The voltage axis of a sweep: which samples go out, which come back, how to lay one on the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from grainscout.records import DataError
from grainscout.records.arrays import FloatArray, IntArray

#: Fewest different voltages in a branch that a descriptor of its shape needs.
MIN_SAMPLES = 8
# A backward step of the voltage shorter than this share of its range is jitter of a measured bias.
_JITTER = 0.02
# With fewer samples than this in a mean monotone piece the axis has no order worth the name.
_MIN_PIECE = 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """A voltage axis cut into its monotone pieces.

    kind : ``"loop"`` (a piece is followed by one that comes back over the same voltages),
        ``"one-way"`` (it never comes back), ``"constant"``, or ``"unordered"``.
    forward : (f,) indices of the outgoing samples, by rising voltage, no voltage twice.
    grid : (m,) voltages [V] of the forward samples that the reverse branch also covers.
    on_grid : (m,) their sample indices.
    lower, upper, weight : (m,) the reverse current at grid[i] is
        (1 - weight) I[lower] + weight I[upper].

    The forward branch is the first piece of the widest pair of neighbours: for a triangle the part
    up to its first extreme, for a FORC the largest triangle, for 0, +V, -V, 0 the first quarter.
    """

    voltage: FloatArray
    kind: Literal["loop", "one-way", "constant", "unordered"]
    pieces: tuple[tuple[int, int], ...]
    forward: IntArray
    grid: FloatArray
    on_grid: IntArray
    lower: IntArray
    upper: IntArray
    weight: FloatArray

    @property
    def is_loop(self) -> bool:
        """Whether there is a reverse branch to compare with."""
        return self.kind == "loop"

    def split(self, current: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forward and reverse current on `grid`, (n, m) each, of (n, s) currents."""
        out = np.take(current, self.on_grid, axis=1)
        back = np.take(current, self.lower, axis=1)
        if self.weight.any():
            upper = np.take(current, self.upper, axis=1)
            back = back * (1.0 - self.weight) + upper * self.weight
        return out, back

    def integral(self, low: float, high: float) -> FloatArray:
        """(m,) weights w so that the sum of w y is the integral of the piecewise linear y from low to high.

        Both in V.  DataError where the grid does not reach that far.
        """
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
        """Whether the loop's grid spans low to high [V], to within half a step at either end."""
        if self.grid.size < 2:
            return False
        slack = 0.5 * float(np.diff(self.grid).max())
        return bool(self.grid[0] <= low + slack and self.grid[-1] >= high - slack)


def read_sweep(voltage: FloatArray) -> Sweep:
    """The sweep of a voltage axis (s,) [V]; DataError if it is not one-dimensional and finite."""
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
    none = np.zeros(0, np.int64)
    empty = np.zeros(0)
    if span == 0.0:
        kind: Literal["constant", "unordered", "one-way"] = "constant"
        pieces: tuple[tuple[int, int], ...] = ((0, voltage.size - 1),)
    else:
        turns = _turning_points(voltage, _JITTER * span)
        pieces = tuple(pairwise(turns))
        shuffled = len(pieces) > 1 and voltage.size / len(pieces) < _MIN_PIECE
        kind = "unordered" if shuffled and voltage.size >= MIN_SAMPLES else "one-way"
    if kind != "one-way":
        return Sweep(
            voltage=voltage,
            kind=kind,
            pieces=pieces,
            forward=none,
            grid=empty,
            on_grid=none,
            lower=none,
            upper=none,
            weight=empty,
        )
    pair = _widest_pair(voltage, pieces, span)
    if pair is not None:
        forward, reverse = (
            _by_voltage(voltage, pieces[pair]),
            _by_voltage(voltage, pieces[pair + 1]),
        )
        low = max(voltage[forward[0]], voltage[reverse[0]])
        high = min(voltage[forward[-1]], voltage[reverse[-1]])
        slack = 1e-9 * span
        at = voltage[forward]
        on_grid = forward[(at >= low - slack) & (at <= high + slack)]
        if min(on_grid.size, reverse.size) >= MIN_SAMPLES:
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
    longest = max(pieces, key=lambda piece: abs(voltage[piece[1]] - voltage[piece[0]]))
    return Sweep(
        voltage=voltage,
        kind="one-way",
        pieces=pieces,
        forward=_by_voltage(voltage, longest),
        grid=empty,
        on_grid=none,
        lower=none,
        upper=none,
        weight=empty,
    )


def weighted(values: FloatArray, weights: FloatArray) -> FloatArray:
    """(n,) sums of values (n, m) times weights (m,).

    Row by row, unlike a matrix product, so that a curve's number does not depend on which other
    curves are computed with it: a resumed run describes them in other batches.
    """
    return np.asarray((np.ascontiguousarray(values) * weights).sum(axis=1))


def running_mean(values: FloatArray, width: int) -> FloatArray:
    """Means of `width` neighbours along axis 1; width - 1 columns fewer than (n, m) values."""
    total = np.cumsum(values, axis=1)
    total[:, width:] = total[:, width:] - total[:, :-width]
    return np.asarray(total[:, width - 1 :] / width)


def _turning_points(voltage: FloatArray, jitter: float) -> list[int]:
    """Indices of the first sample, of each reversal larger than `jitter`, and of the last."""
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
    """Sample indices of a piece by rising voltage, the first of equal ones."""
    indices = np.arange(piece[0], piece[1] + 1)
    return indices[np.unique(voltage[indices], return_index=True)[1]].astype(np.int64)


def _widest_pair(
    voltage: FloatArray, pieces: tuple[tuple[int, int], ...], span: float
) -> int | None:
    """Index of the first of the two neighbouring pieces that share most voltage, if any do."""
    best, widest = None, _JITTER * span
    for k in range(len(pieces) - 1):
        first, second = (np.sort(voltage[list(pieces[k + j])]) for j in (0, 1))
        shared = min(first[1], second[1]) - max(first[0], second[0])
        if shared > 1.01 * widest:
            best, widest = k, float(shared)
    return best
