"""Definitions of the descriptors: value, sigma and flags of a block of curves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import erfc

from grainscout.analysis.curves.block import Curves, Flag
from grainscout.analysis.curves.sweep import MIN_SAMPLES, running_mean, weighted
from grainscout.records.arrays import BoolArray, FloatArray, IntArray

#: Turn-on: rise above the start value [A], in noise widths, and for how many samples it must last.
TURN_ON_RISE, TURN_ON_WIDTHS, TURN_ON_LAST = 10e-12, 5.0, 3
#: Turn-on by fraction: of the rise from the start to the maximum.
TURN_ON_FRACTION = 0.1
#: Noise widths below which a current cannot be told from nothing, and the least current [A].
FLOOR_WIDTHS, FLOOR = 3.0, 1e-13
#: Share of the peak voltage within which a straight line is fitted around 0 V.
LINEAR = 0.1
_START = 5  # samples whose median is the start value
_SMOOTH = 5  # samples averaged to see whether a loop is open there


@dataclass(eq=False)
class Raw:
    """Result of a definition for n curves, before masks are applied.

    Attributes
    ----------
    value, sigma : (n,) array of float
        Value and standard deviation in the descriptor's unit.
    flags : (n,) array of int
        `Flag` values of this descriptor alone.
    censored, invalid : (n,) array of bool
        Rows that are bounds, and rows without a value.
    """

    value: FloatArray
    sigma: FloatArray
    flags: IntArray = field(init=False)
    censored: BoolArray = field(init=False)
    invalid: BoolArray = field(init=False)

    def __post_init__(self) -> None:
        self.flags = np.zeros(len(self.value), np.int64)
        self.censored, self.invalid = (np.zeros(len(self.value), bool) for _ in range(2))

    def bound(self, rows: BoolArray, flag: Flag) -> Raw:
        """Mark rows (n,) as bounds."""
        self.censored |= rows
        self.flags[rows] |= flag
        return self

    def reject(self, rows: BoolArray, flag: Flag) -> Raw:
        """Mark rows (n,) as invalid."""
        self.invalid |= rows
        self.flags[rows] |= flag
        return self


def undefined(curves: Curves, flag: Flag) -> Raw:
    """Return no value for any curve, for a reason of the sweep."""
    n = len(curves)
    return Raw(np.full(n, np.nan), np.full(n, np.nan)).reject(np.ones(n, bool), flag)


def _no_loop(curves: Curves) -> Raw:
    short = len(curves.sweep.voltage) < 2 * MIN_SAMPLES
    return undefined(curves, Flag.TOO_SHORT if short else Flag.NO_REVERSE)


def _no_branch(curves: Curves) -> Raw:
    short = curves.sweep.forward.size < MIN_SAMPLES
    return undefined(curves, Flag.TOO_SHORT if short else Flag.OUT_OF_RANGE)


# Loops ---------------------------------------------------------------------------------------


def loop_area(curves: Curves, low: float | None = None, high: float | None = None) -> Raw:
    """Loop area: integral of |I_reverse - I_forward| dV [A V].

    Over the whole loop, or from low to high [V]. Sigma is the root of the variance plus the squared
    bias of folding noise at 0. With samples at a rail the value is a lower bound, because clipping
    never increases a difference.
    """
    sweep = curves.sweep
    if not sweep.is_loop:
        return _no_loop(curves)
    low = float(sweep.grid[0]) if low is None else low
    high = float(sweep.grid[-1]) if high is None else high
    if not sweep.covers(low, high):
        return undefined(curves, Flag.OUT_OF_RANGE)
    weights = sweep.integral(low, high)
    size = np.abs(curves.opening)
    width = _opening_noise(curves)
    variance = weighted(width**2, weights**2)
    bias = _fold_bias(curves, weights)
    inside = weights > 0
    used = np.concatenate([sweep.on_grid[inside], sweep.lower[inside], sweep.upper[inside]])
    raw = Raw(weighted(size, weights), np.sqrt(variance + bias**2))
    return raw.bound(curves.at_rail(np.unique(used)), Flag.SATURATED)


def _opening_noise(curves: Curves) -> FloatArray:
    """Standard deviation (n, m) [A] of the opening."""
    weight = curves.sweep.weight
    share = np.sqrt(1.0 + (1.0 - weight) ** 2 + weight**2)
    share[curves.sweep.on_grid == curves.sweep.lower] = 0.0  # the turning point is one sample
    return curves.noise[:, None] * share


def _fold_bias(curves: Curves, weights: FloatArray) -> FloatArray:
    """Expected excess (n,) [A V] of a loop area because noise is folded at 0.

    The mean of a folded normal gives E|N(m, s)| - |m| = 2 s [phi(z) - z Q(z)] with z = |m|/s. Here
    m is the mean of five neighbours minus two of its own standard deviations. Where an opening is
    not significant, the bias is that of a closed loop.
    """
    width = _opening_noise(curves)
    half = _SMOOTH // 2
    mean = np.abs(running_mean(curves.opening, _SMOOTH))
    mean = np.pad(mean, ((0, 0), (half, half)), mode="edge")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = np.clip(mean / width - 2 / np.sqrt(_SMOOTH), 0.0, 40.0)  # no surplus beyond
        surplus = 2 * (np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) - z * erfc(z / np.sqrt(2)) / 2)
    # Samples without noise (0/0) have no bias; an unknown noise has an unknown one.
    bias = weighted(np.where(width > 0, width * surplus, 0.0), weights)
    return np.where(np.isnan(curves.noise), np.nan, bias)


def _loop_ratio(curves: Curves, *, signed: bool) -> Raw:
    sweep = curves.sweep
    if not sweep.is_loop:
        return _no_loop(curves)
    weights = sweep.integral(float(sweep.grid[0]), float(sweep.grid[-1]))
    out, back = curves.branches
    total = weighted(np.abs(out) + np.abs(back), weights)
    opening = curves.opening if signed else np.abs(curves.opening)
    area = weighted(opening, weights)
    noise = np.sqrt(weighted(_opening_noise(curves) ** 2, weights**2))
    # Folded noise alone gives a total of about this much.
    nothing = 2 * np.sqrt(2 / np.pi) * curves.noise * weights.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        value = area / total
        sigma = noise * np.sqrt(1 + value**2) / total
        if not signed:
            sigma = np.hypot(sigma, _fold_bias(curves, weights) / total)
    below = ~(total > np.maximum(FLOOR_WIDTHS * nothing, 0.0))
    raw = Raw(value, sigma).reject(below, Flag.BELOW_NOISE)
    return raw.reject(curves.at_rail(), Flag.SATURATED)


def hysteresis(curves: Curves) -> Raw:
    """Relative loop area, 0 to 1.

    The integral of |I_reverse - I_forward| over that of |I_reverse| + |I_forward|. Undefined at a
    rail, where a ratio has no bound, and where the current is below the noise.
    """
    return _loop_ratio(curves, signed=False)


def hysteresis_signed(curves: Curves) -> Raw:
    """Relative loop area with its sign, -1 to 1.

    The integral of I_reverse - I_forward over that of |I_reverse| + |I_forward|. Positive where the
    reverse current is higher (activation during the sweep).
    """
    return _loop_ratio(curves, signed=True)


# Currents ------------------------------------------------------------------------------------


def _drive(curves: Curves) -> float:
    """Sign of the voltage of largest size."""
    voltage = curves.sweep.voltage
    return 1.0 if voltage.max() >= -voltage.min() else -1.0


def max_current(curves: Curves) -> Raw:
    """Largest current [A] in the direction of the largest |voltage|.

    Positive if the contact conducts. A lower bound at a rail. The largest of s noisy samples
    exceeds the noiseless maximum, by at most about sqrt(2 ln s) sigma where the curve is flat.
    """
    sign = _drive(curves)
    value = curves.current.max(axis=1) if sign > 0 else -curves.current.min(axis=1)
    raw = Raw(value, curves.noise.copy())
    if curves.saturated is not None:
        reached = sign * curves.current >= value[:, None]
        raw.bound((curves.saturated & reached).any(axis=1), Flag.SATURATED)
    return raw


def log_max_current(curves: Curves) -> Raw:
    """Decimal logarithm of the maximum current in amperes.

    Below 3 noise widths or 0.1 pA the value is that floor, an upper bound (flag BELOW_NOISE). At a
    rail it is a lower bound (flag SATURATED).
    """
    raw = max_current(curves)
    floor = np.fmax(FLOOR_WIDTHS * curves.noise, FLOOR)
    below = raw.value < floor
    linear = np.where(below, floor, raw.value)
    raw.value, raw.sigma = np.log10(linear), raw.sigma / (linear * np.log(10))
    return raw.bound(below, Flag.BELOW_NOISE)


def _line(curves: Curves) -> tuple[IntArray, FloatArray] | None:
    """Samples around 0 V, and (2, k) weights of intercept and slope."""
    sweep = curves.sweep
    at = sweep.voltage[sweep.forward]
    if at.size < MIN_SAMPLES:
        return None
    near = np.abs(at) <= LINEAR * np.abs(at).max() * (1 + 1e-9)
    if near.sum() < MIN_SAMPLES // 2:
        return None
    at = at[near]
    away = min(abs(at[0]), abs(at[-1])) > 0.5 * LINEAR * np.abs(sweep.voltage).max()
    if away and at[0] * at[-1] > 0:  # 0 V itself is not reached
        return None
    solve = np.linalg.pinv(np.column_stack([np.ones(at.size), at]))
    return sweep.forward[near], solve


def _linear(curves: Curves, which: int) -> Raw:
    line = _line(curves)
    if line is None:
        return _no_branch(curves)
    indices, weights = line[0], line[1][which]
    value = weighted(np.take(curves.current, indices, axis=1), weights)
    raw = Raw(value, curves.noise * np.sqrt(weights @ weights))
    return raw.reject(curves.at_rail(indices), Flag.SATURATED)


def zero_bias_current(curves: Curves) -> Raw:
    """Current [A] at 0 V on the forward branch.

    From a straight line through |V| <= 0.1 of the peak. Negative where light drives a photocurrent.
    """
    return _linear(curves, 0)


def conductance(curves: Curves) -> Raw:
    """Conductance dI/dV [S] at 0 V on the forward branch.

    The slope of a straight line through |V| <= 0.1 of the peak.
    """
    return _linear(curves, 1)


def rectification(curves: Curves) -> Raw:
    """Rectification log10 |I(+U)/I(-U)| at the largest common U.

    Undefined for a sweep of one sign or at a rail. A current below 3 noise widths is replaced by
    that floor, and the ratio is a bound (flag BELOW_NOISE).
    """
    voltage = curves.sweep.voltage
    reach = min(voltage.max(), -voltage.min())
    if not reach > 0.05 * np.abs(voltage).max():
        return undefined(curves, Flag.OUT_OF_RANGE)
    ends = [np.flatnonzero(np.abs(voltage - sign * reach) <= 0.03 * reach) for sign in (1, -1)]
    if min(end.size for end in ends) == 0 or voltage.size < MIN_SAMPLES:
        return undefined(curves, Flag.TOO_SHORT)
    means = [np.take(curves.current, end, axis=1).mean(axis=1) for end in ends]
    widths = [curves.noise / np.sqrt(end.size) for end in ends]
    floors = [np.fmax(FLOOR_WIDTHS * width, FLOOR) for width in widths]
    below = [np.abs(m) < f for m, f in zip(means, floors, strict=True)]
    sizes = [np.fmax(np.abs(m), f) for m, f in zip(means, floors, strict=True)]
    sigma = np.hypot(widths[0] / sizes[0], widths[1] / sizes[1]) / np.log(10)
    raw = Raw(np.log10(sizes[0] / sizes[1]), sigma)
    raw.bound(below[0] ^ below[1], Flag.BELOW_NOISE)
    raw.reject(below[0] & below[1], Flag.BELOW_NOISE)
    return raw.reject(curves.at_rail(np.concatenate(ends)), Flag.SATURATED)


# Turn-on -------------------------------------------------------------------------------------


def _rising(curves: Curves) -> tuple[IntArray, float] | None:
    """Forward samples from about 0 V outwards and the sign of their voltage, if enough."""
    sweep = curves.sweep
    at = sweep.voltage[sweep.forward]
    if at.size == 0:
        return None
    sign = 1.0 if at[-1] >= -at[0] else -1.0
    outward = sweep.forward if sign > 0 else sweep.forward[::-1]
    size = sign * sweep.voltage[outward]
    outward = outward[size >= -1e-9 * np.abs(at).max()]
    late = sign * sweep.voltage[outward[0]] > 0.2 * np.abs(at).max()
    return None if late or outward.size < MIN_SAMPLES else (outward, sign)


def _crossing(
    curves: Curves, path: tuple[IntArray, float], threshold: FloatArray, start: FloatArray
) -> Raw:
    """Voltage where the current first passes start + threshold for three samples."""
    indices, sign = path
    voltage = curves.sweep.voltage[indices]
    rise = sign * curves.current[:, indices] - start[:, None]
    above = rise >= threshold[:, None]
    lasting = above[:, : 1 - TURN_ON_LAST].copy()
    for shift in range(1, TURN_ON_LAST):
        lasting &= above[:, shift : above.shape[1] + 1 - TURN_ON_LAST + shift]
    happened = lasting.any(axis=1)
    at = lasting.argmax(axis=1)
    row = np.arange(len(curves))
    before = np.maximum(at - 1, 0)
    low, high = rise[row, before], rise[row, at]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(at > before, np.clip((threshold - low) / (high - low), 0.0, 1.0), 1.0)
    value = voltage[before] + part * (voltage[at] - voltage[before])
    wide_low, wide_high = np.maximum(at - 2, 0), np.minimum(at + 1, voltage.size - 1)
    span = np.abs(voltage[wide_high] - voltage[wide_low])
    slope = (rise[row, wide_high] - rise[row, wide_low]) / span
    noise = curves.noise * np.sqrt(1 + np.pi / 2 / _START)  # of a sample and of the start's median
    step = np.abs(np.diff(voltage)).max()
    reach = float(np.abs(voltage).max())
    with np.errstate(divide="ignore", invalid="ignore"):
        # A rise no steeper than its own noise places the crossing no better than the span.
        blur = np.where(noise == 0, 0.0, noise / np.maximum(slope, noise / span))
    sigma = np.minimum(np.hypot(blur, step / np.sqrt(12)), reach)
    value[~happened], sigma[~happened] = voltage[-1], step
    return Raw(value, sigma).bound(np.asarray(~happened), Flag.NEVER)


def _start(curves: Curves, path: tuple[IntArray, float]) -> FloatArray:
    return np.asarray(path[1] * np.median(curves.current[:, path[0][:_START]], axis=1))


def turn_on(curves: Curves) -> Raw:
    """Turn-on voltage [V]: rise by max(10 pA, 5 sigma).

    The forward current must exceed its rest value by this much for three samples. The rest value is
    the median of the five samples nearest 0 V, or zero where that is negative. A photocurrent at
    0 V that the bias quenches is thus no turn-on. The voltage is interpolated between samples.
    Without a turn-on the value is the end of the sweep, a lower bound (flag NEVER).
    """
    return _turn_on(curves, quenching=False)


def turn_on_start(curves: Curves) -> Raw:
    """Turn-on voltage [V] that counts a quenched photocurrent.

    Defined as turn_on, but always from the start value.
    """
    return _turn_on(curves, quenching=True)


def _turn_on(curves: Curves, *, quenching: bool) -> Raw:
    path = _rising(curves)
    if path is None:
        return _no_branch(curves)
    threshold = np.fmax(TURN_ON_RISE, TURN_ON_WIDTHS * curves.noise)
    start = _start(curves, path)
    return _crossing(curves, path, threshold, start if quenching else np.fmax(start, 0.0))


def turn_on_fraction(curves: Curves) -> Raw:
    """Voltage [V] where 10 % of the current's rise is reached.

    The rise is that of the forward current from the rest value of turn_on to the maximum.
    Undefined where it is under ten noise widths. A lower bound at a rail.
    """
    path = _rising(curves)
    if path is None:
        return _no_branch(curves)
    start = np.fmax(_start(curves, path), 0.0)
    rise = (path[1] * curves.current[:, path[0]]).max(axis=1) - start
    raw = _crossing(curves, path, TURN_ON_FRACTION * rise, start)
    raw.bound(curves.at_rail(path[0]), Flag.SATURATED)
    flat = ~(rise > 10 * np.fmax(curves.noise, 0.0)) | (rise <= 0)
    return raw.reject(np.asarray(flat), Flag.BELOW_NOISE)
