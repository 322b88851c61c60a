"""What each descriptor means: functions of a block of curves that give value, sigma and flags."""

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


@dataclass(kw_only=True, eq=False)
class Raw:
    """Value and sigma (n,), extra flags (n,) and which rows are bounds or invalid."""

    value: FloatArray
    sigma: FloatArray
    flags: IntArray
    censored: BoolArray
    invalid: BoolArray = field(default_factory=lambda: np.zeros(0, bool))


def undefined(curves: Curves, flag: Flag) -> Raw:
    """No value for any curve, for a reason of the sweep's."""
    n = len(curves)
    nothing = np.full(n, np.nan)
    return Raw(
        value=nothing,
        sigma=nothing,
        flags=np.full(n, flag, np.int64),
        censored=np.zeros(n, bool),
        invalid=np.ones(n, bool),
    )


def _raw(curves: Curves, value: FloatArray, sigma: FloatArray) -> Raw:
    n = len(curves)
    return Raw(
        value=value,
        sigma=sigma,
        flags=np.zeros(n, np.int64),
        censored=np.zeros(n, bool),
        invalid=np.zeros(n, bool),
    )


def _no_loop(curves: Curves) -> Raw:
    short = len(curves.sweep.voltage) < 2 * MIN_SAMPLES
    return undefined(curves, Flag.TOO_SHORT if short else Flag.NO_REVERSE)


# Loops ---------------------------------------------------------------------------------------


def loop_area(curves: Curves, low: float | None = None, high: float | None = None) -> Raw:
    """Integral of |I_reverse - I_forward| dV [A V], over the whole loop or from low to high [V].

    sigma is the root of the variance and the squared bias that folding noise at 0 gives; with
    samples at a rail the value is a lower bound (clipping never increases a difference).
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
    raw = _raw(curves, weighted(size, weights), np.sqrt(variance + bias**2))
    inside = weights > 0
    used = np.concatenate([sweep.on_grid[inside], sweep.lower[inside], sweep.upper[inside]])
    raw.censored = curves.at_rail(np.unique(used))
    raw.flags[raw.censored] |= Flag.SATURATED
    return raw


def _opening_noise(curves: Curves) -> FloatArray:
    """(n, m) standard deviation [A] of the opening."""
    weight = curves.sweep.weight
    share = np.sqrt(1.0 + (1.0 - weight) ** 2 + weight**2)
    share[curves.sweep.on_grid == curves.sweep.lower] = 0.0  # the turning point is one sample
    return curves.noise[:, None] * share


def _fold_bias(curves: Curves, weights: FloatArray) -> FloatArray:
    """(n,) expected surplus of the integral of |opening + noise| over that of |opening|.

    E|N(m, s)| - |m| = 2 s [phi(z) - z Q(z)] with z = |m|/s, the mean of a folded normal.  m is
    the mean of five neighbours less two of its own standard deviations: where an opening cannot
    be told from none, the bias is that of none.
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
    raw = _raw(curves, value, sigma)
    drowned = ~(total > np.maximum(FLOOR_WIDTHS * nothing, 0.0))
    railed = curves.at_rail()
    raw.invalid = drowned | railed
    raw.flags[drowned] |= Flag.BELOW_NOISE
    raw.flags[railed] |= Flag.SATURATED
    return raw


def hysteresis(curves: Curves) -> Raw:
    """Integral of |I_reverse - I_forward| over that of |I_reverse| + |I_forward|: 0 to 1.

    Undefined at a rail (a ratio has no bound there) and where the current drowns in noise.
    """
    return _loop_ratio(curves, signed=False)


def hysteresis_signed(curves: Curves) -> Raw:
    """Integral of I_reverse - I_forward over that of |I_reverse| + |I_forward|: -1 to 1.

    Positive where the current is higher on the way back (activation during the sweep).
    """
    return _loop_ratio(curves, signed=True)


# Currents ------------------------------------------------------------------------------------


def _drive(curves: Curves) -> float:
    """The sign of the voltage of largest size."""
    voltage = curves.sweep.voltage
    return 1.0 if voltage.max() >= -voltage.min() else -1.0


def max_current(curves: Curves) -> Raw:
    """Largest current [A] in the direction of the largest |voltage| (positive if it conducts).

    A lower bound at a rail.  The largest of many noisy samples lies above the noiseless maximum,
    by at most about sqrt(2 ln s) sigma where the curve is flat.
    """
    sign = _drive(curves)
    value = curves.current.max(axis=1) if sign > 0 else -curves.current.min(axis=1)
    raw = _raw(curves, value, curves.noise.copy())
    if curves.saturated is not None:
        reached = sign * curves.current >= value[:, None]
        raw.censored = (curves.saturated & reached).any(axis=1)
        raw.flags[raw.censored] |= Flag.SATURATED
    return raw


def log_max_current(curves: Curves) -> Raw:
    """log10 of the maximum current in amperes.

    Below 3 noise widths or 0.1 pA the value is that floor, an upper bound (flag BELOW_NOISE); at
    a rail a lower bound (flag SATURATED).
    """
    raw = max_current(curves)
    floor = np.fmax(FLOOR_WIDTHS * curves.noise, FLOOR)
    below = raw.value < floor
    linear = np.where(below, floor, raw.value)
    raw.value, raw.sigma = np.log10(linear), raw.sigma / (linear * np.log(10))
    raw.flags[below] |= Flag.BELOW_NOISE
    raw.censored = raw.censored | below
    return raw


def _line(curves: Curves) -> tuple[IntArray, FloatArray] | None:
    """Samples around 0 V, and (2, k) weights of a straight line's intercept and slope."""
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
        short = curves.sweep.forward.size < MIN_SAMPLES
        return undefined(curves, Flag.TOO_SHORT if short else Flag.OUT_OF_RANGE)
    indices, weights = line[0], line[1][which]
    raw = _raw(
        curves,
        weighted(np.take(curves.current, indices, axis=1), weights),
        curves.noise * np.sqrt(weights @ weights),
    )
    raw.invalid = curves.at_rail(indices)
    raw.flags[raw.invalid] |= Flag.SATURATED
    return raw


def zero_bias_current(curves: Curves) -> Raw:
    """Current [A] at 0 V on the forward branch: a straight line through |V| <= 0.1 of the peak.

    Negative where light drives a photocurrent.
    """
    return _linear(curves, 0)


def conductance(curves: Curves) -> Raw:
    """Slope dI/dV [S] on the forward branch of a straight line through |V| <= 0.1 of the peak."""
    return _linear(curves, 1)


def rectification(curves: Curves) -> Raw:
    """log10 |I(+U)/I(-U)| at the largest U that the sweep reaches on both sides.

    Undefined for a sweep of one sign or at a rail; a current below 3 noise widths is replaced by
    that floor and the ratio is a bound (flag BELOW_NOISE).
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
    raw = _raw(curves, np.log10(sizes[0] / sizes[1]), sigma)
    raw.censored = below[0] ^ below[1]
    raw.flags[below[0] | below[1]] |= Flag.BELOW_NOISE
    railed = curves.at_rail(np.concatenate(ends))
    raw.flags[railed] |= Flag.SATURATED
    raw.invalid = railed | (below[0] & below[1])
    return raw


# Turn-on -------------------------------------------------------------------------------------


def _rising(curves: Curves) -> tuple[IntArray, float] | None:
    """Forward samples from about 0 V outwards, and the sign of their voltage."""
    sweep = curves.sweep
    at = sweep.voltage[sweep.forward]
    if at.size == 0:
        return None
    sign = 1.0 if at[-1] >= -at[0] else -1.0
    outward = sweep.forward if sign > 0 else sweep.forward[::-1]
    size = sign * sweep.voltage[outward]
    outward = outward[size >= -1e-9 * np.abs(at).max()]
    first = sign * sweep.voltage[outward[0]]
    return None if first > 0.2 * np.abs(at).max() else (outward, sign)


def _crossing(
    curves: Curves, path: tuple[IntArray, float], threshold: FloatArray, start: FloatArray
) -> Raw:
    """Voltage at which the current first passes start + threshold and stays for three samples."""
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
    raw = _raw(curves, value, sigma)
    raw.value[~happened] = voltage[-1]
    raw.sigma[~happened] = step
    raw.censored = np.asarray(~happened)
    raw.flags[~happened] |= Flag.NEVER
    return raw


def _start(curves: Curves, path: tuple[IntArray, float]) -> FloatArray:
    return np.asarray(path[1] * np.median(curves.current[:, path[0][:_START]], axis=1))


def turn_on(curves: Curves) -> Raw:
    """Voltage [V] where the forward current exceeds its rest value by max(10 pA, 5 sigma).

    The rest value is the start value (the median of the five samples nearest 0 V), or zero where
    that is negative: a photocurrent that light drives at 0 V and the bias quenches is not a turn-on.
    The current must stay above for three samples; linear between samples.  Where it never happens
    the value is the end of the sweep, a lower bound (censored, flag NEVER).
    """
    return _turn_on(curves, quenching=False)


def turn_on_start(curves: Curves) -> Raw:
    """Like turn_on, but always from the start value: a quenched photocurrent counts as turn-on."""
    return _turn_on(curves, quenching=True)


def _turn_on(curves: Curves, *, quenching: bool) -> Raw:
    path = _rising(curves)
    if path is None or path[0].size < MIN_SAMPLES:
        short = curves.sweep.forward.size < MIN_SAMPLES
        return undefined(curves, Flag.TOO_SHORT if short else Flag.OUT_OF_RANGE)
    threshold = np.fmax(TURN_ON_RISE, TURN_ON_WIDTHS * curves.noise)
    start = _start(curves, path)
    return _crossing(curves, path, threshold, start if quenching else np.fmax(start, 0.0))


def turn_on_fraction(curves: Curves) -> Raw:
    """Voltage [V] where the forward current has made 10 % of its rise from rest to maximum.

    The rest value is that of turn_on.

    Undefined where that rise is under ten noise widths; a lower bound at a rail.
    """
    path = _rising(curves)
    if path is None or path[0].size < MIN_SAMPLES:
        short = curves.sweep.forward.size < MIN_SAMPLES
        return undefined(curves, Flag.TOO_SHORT if short else Flag.OUT_OF_RANGE)
    start = np.fmax(_start(curves, path), 0.0)
    rise = (path[1] * curves.current[:, path[0]]).max(axis=1) - start
    raw = _crossing(curves, path, TURN_ON_FRACTION * rise, start)
    railed = curves.at_rail(path[0])
    raw.censored = raw.censored | railed
    raw.flags[railed] |= Flag.SATURATED
    raw.invalid = np.asarray(~(rise > 10 * np.fmax(curves.noise, 0.0)) | (rise <= 0))
    raw.flags[raw.invalid] |= Flag.BELOW_NOISE
    return raw
