"""Block of curves, repaired and flagged."""

from __future__ import annotations

import copy
import enum
from functools import cached_property

import numpy as np

from grainscout.analysis.curves.sweep import MIN_SAMPLES, Sweep
from grainscout.records import BoolArray, FloatArray, IntArray
from grainscout.records.noise import difference_scale

#: A curve with more lost samples than this share, or a longer gap than this, is not repaired.
MAX_LOST, MAX_GAP = 0.05, 3
#: No current (in whatever unit a recording has) is this large: such a sample is lost [A].
ABSURD = 1e9
# A flat top of so many samples is a rail if the curve spans so many noise widths and so many of
# its own smallest steps.
_RAIL_RUN, _RAIL_WIDTHS, _RAIL_STEPS = 4, 20.0, 50.0
# Samples of a coarse curve, which bends from one to the next. Of fewer, no order tells the noise.
_COARSE = (11, 120)
# Least share of neighbours that are equal where noise hides under a step of the converter.
_EQUAL = 0.1


class Flag(enum.IntFlag):
    """Reasons for an invalid, bounded or uncertain value."""

    NONE = 0
    UNORDERED = 1  # the voltage axis has no order; no descriptor is defined
    TOO_SHORT = 2  # too few samples for this descriptor
    NO_REVERSE = 4  # one-way sweep: no loop
    OUT_OF_RANGE = 8  # the sweep does not reach the voltages that the definition needs
    LOST = 16  # too many NaN samples; no descriptor is defined
    REPAIRED = 32  # a few NaN samples were interpolated
    MENDED = 32  # the earlier name
    CONSTANT = 64  # all samples equal under a changing voltage: a dead contact or amplifier
    SATURATED = 128  # samples at a rail: the value is a lower bound, or undefined
    NEVER = 256  # the event did not happen within the sweep: the value is a lower bound
    BELOW_NOISE = 512  # the signal drowns in the noise: an upper bound, or undefined
    NO_NOISE = 1024  # too short to estimate its noise: sigma is NaN


_EXPLAIN = {
    Flag.UNORDERED: "voltage axis unordered",
    Flag.TOO_SHORT: f"fewer than {MIN_SAMPLES} samples in a branch",
    Flag.NO_REVERSE: "one-way sweep, no reverse branch",
    Flag.OUT_OF_RANGE: "sweep does not reach the voltages of the definition",
    Flag.LOST: "too many lost (NaN) samples",
    Flag.REPAIRED: "lost samples interpolated",
    Flag.CONSTANT: "constant current under a changing voltage",
    Flag.SATURATED: "at the amplifier's rail",
    Flag.NEVER: "did not happen within the sweep",
    Flag.BELOW_NOISE: "below the noise",
    Flag.NO_NOISE: "too short to estimate the noise",
}


def explain(flags: int) -> str:
    """Describe flags in words, empty for none."""
    return "; ".join(text for flag, text in _EXPLAIN.items() if flags & flag)


def fill_gaps(current: FloatArray) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Lost samples interpolated along the sweep, which rows had some, and which too many of them."""
    with np.errstate(invalid="ignore"):
        lost = ~(np.abs(current) < ABSURD)
    gaps = np.asarray(lost.any(axis=1))
    spoilt = np.zeros(len(current), bool)
    if not gaps.any():
        return current, gaps, spoilt
    filled, index = current.copy(), np.arange(current.shape[1])
    for row in np.flatnonzero(gaps):
        gone = lost[row]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], gone, [False]])))
        spoilt[row] = gone.mean() > MAX_LOST or (edges[1::2] - edges[::2]).max() > MAX_GAP
        known = ~gone
        filled[row, gone] = (
            np.interp(index[gone], index[known], current[row, known]) if known.any() else 0.0
        )
    return filled, gaps, spoilt


class Curves:
    """Currents of n curves of one sweep of s samples, with common quantities.

    `current` (n, s) [A] is a repaired copy where samples were lost. `flags` (n,) are `Flag` values,
    `usable` (n,) is False for lost and constant curves, and `saturated` (n, s) or None marks
    samples at the amplifier's rail.
    """

    def __init__(self, sweep: Sweep, current: FloatArray, saturated: BoolArray | None) -> None:
        self.sweep = sweep
        self.flags = np.zeros(len(current), np.int64)
        self.current = self._repaired(current)
        if sweep.kind != "constant" and current.shape[1] >= MIN_SAMPLES:
            flat = (self.current == self.current[:, :1]).all(axis=1)
            self.flags[flat] |= Flag.CONSTANT
        if sweep.kind == "unordered":
            self.flags |= Flag.UNORDERED
        self.usable = (self.flags & (Flag.LOST | Flag.CONSTANT | Flag.UNORDERED)) == 0
        self.saturated = self._rails() if saturated is None else saturated

    def __len__(self) -> int:
        return len(self.current)

    def _repaired(self, current: FloatArray) -> FloatArray:
        """Interpolate short gaps and flag rows with long ones."""
        filled, gaps, spoilt = fill_gaps(current)
        self.flags[gaps & ~spoilt] |= Flag.REPAIRED
        self.flags[spoilt] |= Flag.LOST
        if spoilt.any():
            filled[spoilt] = 0.0
        return filled

    @cached_property
    def noise(self) -> FloatArray:
        """Standard deviation (n,) [A] of the white noise.

        From the third differences, robust against steps. Smooth current contributes its third
        derivative, so that a noiseless curve has a small positive value. A coarse curve of which
        the fifth differences are far smaller has the noise of these. Noise that is correlated over
        samples (1/f, hum) is not seen.
        """
        if self.current.shape[1] < MIN_SAMPLES:
            self.flags |= Flag.NO_NOISE
            return np.full(len(self), np.nan)
        noise = self._rough_noise.copy()
        # An exactly straight line shows no converter: then, no neighbours are equal.
        equal = (np.diff(self.current, axis=1) == 0).mean(axis=1) >= _EQUAL
        still = np.flatnonzero((noise == 0) & self.usable & equal)
        if still.size:  # noise under a step of the converter: that of rounding, step/sqrt(12)
            noise[still] = _smallest_step(self.current[still]) / np.sqrt(12)
        if self.saturated is None:
            return noise
        for row in np.flatnonzero(self.saturated.any(axis=1)):
            # A rail has no noise; only runs of four free samples tell it.
            free = ~self.saturated[row]
            noise[row], known = _noise_of_part(self.current[row], free)
            self.flags[row] |= 0 if known else Flag.NO_NOISE
        return noise

    @cached_property
    def _rough_noise(self) -> FloatArray:
        """Noise with the samples at a rail included."""
        current, moved = self.current, np.flatnonzero(np.diff(self.sweep.voltage, prepend=np.nan))
        # Readings that share a voltage make stairs of a smooth curve: one of each tells the noise.
        if current.shape[1] / 8 <= moved.size <= 0.75 * current.shape[1]:
            current = current[:, moved]
        noise = median_difference(current, 3)
        smooth = is_smooth(current)
        noise[smooth] = median_difference(current[smooth], 5) if smooth.any() else 0.0
        return noise

    def _rails(self) -> BoolArray | None:
        """Find flat tops and bottoms without a mask."""
        if self.current.shape[1] < MIN_SAMPLES:
            return None
        top, bottom = self.current.max(axis=1), self.current.min(axis=1)
        spans = (top - bottom) > _RAIL_WIDTHS * self._rough_noise
        rails = None
        largest = np.maximum(np.abs(top), np.abs(bottom))
        for extreme in (top, bottom):
            # A flat bottom near 0 is a current that does not flow, not a rail.
            rail = spans & (np.abs(extreme) > 0.1 * largest)
            at = self.current == extreme[:, None]
            crowded = np.flatnonzero((at.sum(axis=1) >= _RAIL_RUN) & self.usable & rail)
            if crowded.size:
                # Noise of a few converter steps stands still at its largest value as well.
                step = _smallest_step(self.current[crowded])
                crowded = crowded[(top - bottom)[crowded] > _RAIL_STEPS * step]
            if crowded.size == 0:
                continue
            run = at[crowded, _RAIL_RUN - 1 :] & self._moving
            for shift in range(1, _RAIL_RUN):
                run &= at[crowded, _RAIL_RUN - 1 - shift : -shift]
            rows = crowded[run.any(axis=1)]
            if rows.size:
                rails = np.zeros(self.current.shape, bool) if rails is None else rails
                rails[rows] |= at[rows]
        return rails

    @cached_property
    def _moving(self) -> BoolArray:
        """Windows of `_RAIL_RUN` samples in which the voltage changes: elsewhere nothing rails."""
        windows = np.lib.stride_tricks.sliding_window_view(self.sweep.voltage, _RAIL_RUN)
        return np.asarray(np.ptp(windows, axis=1) > 0)

    @property
    def lobes(self) -> list[Curves]:
        """These curves seen as each loop of the sweep, the widest first."""
        return [self, *self._other_lobe]  # not cached: an object that holds itself is freed late

    @cached_property
    def _other_lobe(self) -> list[Curves]:
        if self.sweep.other is None:
            return []
        self.noise  # noqa: B018  computed once for both
        view = copy.copy(self)
        view.sweep = self.sweep.other
        for name in ("branches", "opening"):
            view.__dict__.pop(name, None)
        return [view]

    @cached_property
    def branches(self) -> tuple[FloatArray, FloatArray]:
        """Forward and reverse current [A] on the grid, (n, m) each."""
        return self.sweep.split(self.current)

    @cached_property
    def opening(self) -> FloatArray:
        """Reverse minus forward current (n, m) [A]."""
        out, back = self.branches
        return back - out

    def at_rail(self, indices: IntArray | None = None) -> BoolArray:
        """Rows (n,) with a saturated sample among `indices`."""
        if self.saturated is None:
            return np.zeros(len(self), bool)
        part = self.saturated if indices is None else self.saturated[:, indices]
        return np.asarray(part.any(axis=1))


def median_difference(current: FloatArray, order: int) -> FloatArray:
    """Standard deviation (n,) of white noise, from the median difference of an order."""
    size = np.diff(current, n=order, axis=1)
    np.abs(size, out=size)
    middle = size.shape[1] // 2
    size.partition(middle, axis=1)
    return np.asarray(size[:, middle] / difference_scale(order), dtype=np.float64)


def is_smooth(current: FloatArray) -> BoolArray:
    """True (n,) for coarse curves of which bends and not noise make the third differences."""
    if not _COARSE[0] <= current.shape[1] <= _COARSE[1]:
        return np.zeros(len(current), bool)
    return np.asarray(median_difference(current, 5) < median_difference(current, 3) / 3)


def _noise_of_part(current: FloatArray, free: BoolArray) -> tuple[float, bool]:
    """Noise of one curve from its free samples, and whether there are enough of them."""
    noise = np.nan
    for order in (3, 5) if current.size <= _COARSE[1] else (3,):
        runs = np.lib.stride_tricks.sliding_window_view(free, order + 1).all(axis=1)
        if runs.sum() < MIN_SAMPLES:
            break
        size = float(np.median(np.abs(np.diff(current, n=order)[runs]))) / difference_scale(order)
        noise = size if np.isnan(noise) or size < noise / 3 else noise
    return noise, not np.isnan(noise)


def _smallest_step(current: FloatArray) -> FloatArray:
    """Smallest non-zero step (n,) [A] between neighbouring samples, or 0."""
    step = np.abs(np.diff(current, axis=1))
    smallest = np.where(step > 0, step, np.inf).min(axis=1)
    return np.asarray(np.where(np.isfinite(smallest), smallest, 0.0), dtype=np.float64)
