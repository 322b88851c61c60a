"""Definitions of the descriptors."""

from dataclasses import dataclass, field

import numpy as np

from grainscout.analysis.curves.block import Curves, Flag
from grainscout.analysis.curves.sweep import MIN_SAMPLES, running_mean, weighted
from grainscout.records import BoolArray, FloatArray, IntArray

#: Noise widths below which a current cannot be told from nothing, and the least current [A].
FLOOR_WIDTHS, FLOOR = 3.0, 1e-13
#: Share of the peak voltage within which a straight line is fitted around 0 V.
LINEAR = 0.1
#: Least reach of the other polarity, as a share of the larger, for a sweep of two sides.
TWO_SIDED = 0.5
_SMOOTH = 5  # samples averaged to see whether a loop is open there


@dataclass(eq=False)
class Raw:
    """Result of a definition for n curves, unmasked."""

    #: value, sigma: Value and standard deviation in the descriptor's unit, (n,).
    value: FloatArray
    sigma: FloatArray
    flags: IntArray = field(init=False)  #: `Flag` values of this descriptor alone, (n,)
    #: censored, invalid: Rows that are bounds, and rows without a value, (n,).
    censored: BoolArray = field(init=False)
    invalid: BoolArray = field(init=False)

    def __post_init__(self) -> None:
        self.flags = np.zeros(len(self.value), np.int64)
        self.censored, self.invalid = (np.zeros(len(self.value), bool) for _ in range(2))

    def bound(self, rows: BoolArray, flag: Flag) -> "Raw":
        """Mark rows (n,) as bounds."""
        self.censored |= rows
        self.flags[rows] |= flag
        return self

    def reject(self, rows: BoolArray, flag: Flag) -> "Raw":
        """Mark rows (n,) as invalid."""
        self.invalid |= rows
        self.flags[rows] |= flag
        return self


def undefined(curves: Curves, flag: Flag) -> Raw:
    """Return no value for any curve."""
    n = len(curves)
    return Raw(np.full(n, np.nan), np.full(n, np.nan)).reject(np.ones(n, bool), flag)


def _no_loop(curves: Curves) -> Raw:
    short = len(curves.sweep.voltage) < 2 * MIN_SAMPLES
    return undefined(curves, Flag.TOO_SHORT if short else Flag.NO_REVERSE)


def no_branch(curves: Curves) -> Raw:
    """Return no value for lack of a usable forward branch."""
    short = curves.sweep.forward.size < MIN_SAMPLES
    return undefined(curves, Flag.TOO_SHORT if short else Flag.OUT_OF_RANGE)


def loop_area(curves: Curves, low: float | None = None, high: float | None = None) -> Raw:
    """Loop area: integral of |I_reverse - I_forward| dV [A V].

    Over all lobes of the sweep (both of 0, +V, -V, 0), or from low to high [V]. Sigma is the root of
    the variance plus the squared bias of folding noise at 0. With samples at a rail the value is a
    lower bound, because clipping never increases a difference.
    """
    if not curves.sweep.is_loop:
        return _no_loop(curves)
    parts = _parts(curves, low, high)
    if not parts:
        return undefined(curves, Flag.OUT_OF_RANGE)
    value, variance, bias = (np.zeros(len(curves)) for _ in range(3))
    samples = []
    for lobe, weights in parts:
        sweep = lobe.sweep
        inside = weights > 0
        value = value + weighted(np.abs(lobe.opening), weights)
        variance = variance + weighted(_opening_noise(lobe) ** 2, weights**2)
        bias = bias + _fold_bias(lobe, weights)
        samples += [sweep.on_grid[inside], sweep.lower[inside], sweep.upper[inside]]
    raw = Raw(value, np.sqrt(variance + bias**2))
    return raw.bound(curves.at_rail(np.unique(np.concatenate(samples))), Flag.SATURATED)


def _parts(
    curves: Curves, low: float | None = None, high: float | None = None
) -> list[tuple[Curves, FloatArray]]:
    """Lobes with the weights of their integral. Empty if they do not cover low to high [V]."""
    lobes = curves.lobes
    if low is None or high is None:
        ends = [(float(c.sweep.grid[0]), float(c.sweep.grid[-1])) for c in lobes]
        return [(c, c.sweep.integral(*e)) for c, e in zip(lobes, ends, strict=True)]
    for lobe in lobes:
        if lobe.sweep.covers(low, high):
            return [(lobe, lobe.sweep.integral(low, high))]
    parts, length, step = [], 0.0, 0.0
    for lobe in lobes:
        grid = lobe.sweep.grid
        begin, end = max(low, float(grid[0])), min(high, float(grid[-1]))
        step = max(step, float(np.diff(grid).max()))
        if end > begin:
            parts.append((lobe, lobe.sweep.integral(begin, end)))
            length += end - begin
    return parts if high - low - length <= step else []


def _opening_noise(curves: Curves) -> FloatArray:
    """Standard deviation (n, m) [A] of the opening."""
    weight = curves.sweep.weight
    share = np.sqrt(1.0 + (1.0 - weight) ** 2 + weight**2)
    share[curves.sweep.on_grid == curves.sweep.lower] = 0.0  # the turning point is one sample
    return curves.noise[:, None] * share


def _fold_bias(curves: Curves, weights: FloatArray) -> FloatArray:
    """Bias (n,) [A V] of a loop area by folded noise.

    The mean of a folded normal gives E|N(m, s)| - |m| = 2 s [phi(z) - z Q(z)] with z = |m|/s. Here
    m is the mean of five neighbours minus two of its own standard deviations. Where an opening is
    not significant, the bias is that of a closed loop.
    """
    from scipy.special import erfc  # slower to import than all definitions

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
    if not curves.sweep.is_loop:
        return _no_loop(curves)
    area, total, variance, bias = (np.zeros(len(curves)) for _ in range(4))
    length = 0.0
    for lobe, weights in _parts(curves):
        out, back = lobe.branches
        opening = _outwards(curves, lobe) * lobe.opening if signed else np.abs(lobe.opening)
        area = area + weighted(opening, weights)
        total = total + weighted(np.abs(out) + np.abs(back), weights)
        variance = variance + weighted(_opening_noise(lobe) ** 2, weights**2)
        if not signed:
            bias = bias + _fold_bias(lobe, weights)
        length += float(weights.sum())
    # Folded noise alone gives a total of about this much.
    nothing = 2 * np.sqrt(2 / np.pi) * curves.noise * length
    with np.errstate(divide="ignore", invalid="ignore"):
        value = area / total
        sigma = np.sqrt(variance) * np.sqrt(1 + value**2) / total
        if not signed:
            sigma = np.hypot(sigma, bias / total)
    below = ~(total > np.maximum(FLOOR_WIDTHS * nothing, 0.0))
    raw = Raw(value, sigma).reject(below, Flag.BELOW_NOISE)
    return raw.reject(curves.at_rail(), Flag.SATURATED)


def _outwards(curves: Curves, lobe: Curves) -> float:
    """-1 for a lobe at the other polarity than the first: there, more current is more negative."""
    first, this = (float(c.sweep.grid.mean()) for c in (curves, lobe))
    return -1.0 if first * this < 0 else 1.0


def hysteresis(curves: Curves) -> Raw:
    """Relative loop area, 0 to 1.

    The integral of |I_reverse - I_forward| over that of |I_reverse| + |I_forward|, over all lobes of
    the sweep. Undefined at a rail, where a ratio has no bound, and where the current is below the noise.
    """
    return _loop_ratio(curves, signed=False)


def hysteresis_signed(curves: Curves) -> Raw:
    """Relative loop area with its sign, -1 to 1.

    The integral of I_reverse - I_forward over that of |I_reverse| + |I_forward|. Positive where the
    reverse current is higher (activation during the sweep). Of a second lobe, at the other polarity,
    the size of the current counts.
    """
    return _loop_ratio(curves, signed=True)


def drive(curves: Curves) -> float:
    """Sign of the voltage of largest size. 0 if both polarities are driven."""
    voltage = curves.sweep.voltage
    up, down = float(voltage.max()), -float(voltage.min())
    if min(up, down) >= TWO_SIDED * max(up, down) > 0:
        return 0.0
    return 1.0 if up >= down else -1.0


def max_current(curves: Curves) -> Raw:
    """Largest current [A] in the driven direction.

    The direction is that of the largest |voltage|. If the sweep reaches at least half of it on the
    other side, the larger current of both directions counts. Positive if the contact conducts. A
    lower bound at a rail. The largest of s noisy samples exceeds the noiseless maximum, by at most
    about sqrt(2 ln s) sigma where the curve is flat.
    """
    side = drive(curves)
    up, down = curves.current.max(axis=1), -curves.current.min(axis=1)
    sign = np.where(up >= down, 1.0, -1.0) if side == 0 else np.full(len(curves), side)
    value = np.where(sign > 0, up, down)
    raw = Raw(value, curves.noise.copy())
    if curves.saturated is not None:
        reached = sign[:, None] * curves.current >= value[:, None]
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
    """Samples around 0 V, and weights of a line (2, k)."""
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
        return no_branch(curves)
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
