"""Definitions of the turn-on voltage, on whichever side of 0 V a curve conducts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grainscout.analysis.curves.block import Curves, Flag
from grainscout.analysis.curves.definitions import Raw, drive, no_branch, undefined
from grainscout.analysis.curves.sweep import MIN_SAMPLES
from grainscout.records import FloatArray, IntArray

#: Turn-on: rise above the start value [A], in noise widths, and for how many samples it must last.
TURN_ON_RISE, TURN_ON_WIDTHS, TURN_ON_LAST = 10e-12, 5.0, 3
#: Turn-on by fraction: of the rise from the start to the maximum.
TURN_ON_FRACTION = 0.1
#: Times that the negative side must carry more to be the driven one of a symmetric sweep.
_MORE = 2.0
#: Relative difference of the reach of two sides that are one.
_ALIKE = 0.05
_START = 5  # samples whose median is the start value


@dataclass(frozen=True, eq=False)
class _Path:
    """Samples from about 0 V outwards, and the sign of their voltage."""

    indices: IntArray
    sign: float


def _paths(curves: Curves) -> list[_Path]:
    """Ways out from 0 V, that of the driven side first. Two where both sides are driven."""
    side = drive(curves)
    sweep = curves.sweep
    forwards = [sweep.forward, *([] if sweep.other is None else [sweep.other.forward])]
    voltage = sweep.voltage
    up, down = float(voltage.max()), -float(voltage.min())
    main = 1.0 if up >= down * (1 - _ALIKE) else -1.0
    signs = [side] if side else [main, -main]
    paths = []
    for sign in signs:
        ways = [way for f in forwards if (way := _outward(voltage, f, sign)) is not None]
        if ways:
            paths.append(max(ways, key=lambda way: abs(voltage[way.indices[-1]])))
    if not paths:
        # A branch that the driven side does not have: that of the forward one.
        at = voltage[sweep.forward]
        if at.size:
            way = _outward(voltage, sweep.forward, 1.0 if at[-1] >= -at[0] else -1.0)
            paths = [] if way is None else [way]
    return paths


def _outward(voltage: FloatArray, forward: IntArray, sign: float) -> _Path | None:
    """The samples of a branch on one side of 0 V, if they are enough and begin near 0 V."""
    if forward.size == 0:
        return None
    outward = forward if sign > 0 else forward[::-1]
    size = sign * voltage[outward]
    reach = float(size.max())
    outward = outward[size >= -1e-9 * float(np.abs(voltage[forward]).max())]
    if outward.size < MIN_SAMPLES or reach <= 0:
        return None
    distance = sign * voltage[outward]
    if distance[0] > 0.1 * reach * (1 + 1e-9):
        return None
    return _Path(outward, sign)


def _on_driven_side(curves: Curves, define: Callable[[_Path], Raw]) -> Raw:
    """A definition along the first way out, or along the second where that carries far more."""
    paths = _paths(curves)
    if not paths:
        few = curves.sweep.forward.size < 2 * MIN_SAMPLES
        return undefined(curves, Flag.TOO_SHORT) if few else no_branch(curves)
    first = define(paths[0])
    if len(paths) == 1 and drive(curves):
        return first
    size = (paths[0].sign * curves.current[:, paths[0].indices]).max(axis=1)
    beyond = -paths[0].sign * curves.current[:, paths[0].sign * curves.sweep.voltage < 0]
    more = beyond.max(axis=1, initial=0.0)
    if len(paths) == 2:
        more = (paths[1].sign * curves.current[:, paths[1].indices]).max(axis=1)
    noise = np.fmax(curves.noise, 0.0)
    other = (more > _MORE * np.fmax(size, 0.0)) & (more > TURN_ON_WIDTHS * noise)
    if len(paths) == 1:  # the side that conducts has too few samples
        return first.reject(np.asarray(other), Flag.TOO_SHORT)
    if other.any():
        second = define(paths[1])
        for name in ("value", "sigma", "flags", "censored", "invalid"):
            getattr(first, name)[other] = getattr(second, name)[other]
    return first


def _crossing(curves: Curves, path: _Path, threshold: FloatArray, start: FloatArray) -> Raw:
    """Voltage where the current first passes start + threshold for three samples."""
    indices = path.indices
    voltage = curves.sweep.voltage[indices]
    rise = path.sign * curves.current[:, indices] - start[:, None]
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


def _start(curves: Curves, path: _Path, threshold: FloatArray) -> FloatArray:
    """Median of the five samples nearest 0 V. The first where the curve turns on among them."""
    near = path.sign * curves.current[:, path.indices[:_START]]
    middle = np.median(near, axis=1)
    return np.asarray(np.where(middle - near[:, 0] > threshold, near[:, 0], middle))


def _threshold(curves: Curves) -> FloatArray:
    return np.asarray(np.fmax(TURN_ON_RISE, TURN_ON_WIDTHS * curves.noise))


def turn_on(curves: Curves) -> Raw:
    """Turn-on voltage [V]: rise by max(10 pA, 5 sigma).

    The forward current must exceed its rest value by this much for three samples. The rest value is
    the median of the five samples nearest 0 V, or the first of them where the current turns on among
    them, or zero where that is negative. A photocurrent at 0 V that the bias quenches is thus no turn-on. The voltage is
    interpolated between samples. Without a turn-on the value is the end of the sweep, a lower bound
    (flag NEVER). Of a sweep of two sides, the negative one counts where it carries over twice as
    much.
    """
    return _turn_on(curves, quenching=False)


def turn_on_start(curves: Curves) -> Raw:
    """Turn-on voltage [V] that counts a quenched photocurrent.

    Defined as turn_on, but always from the start value.
    """
    return _turn_on(curves, quenching=True)


def _turn_on(curves: Curves, *, quenching: bool) -> Raw:
    threshold = _threshold(curves)

    def along(path: _Path) -> Raw:
        start = _start(curves, path, threshold)
        return _crossing(curves, path, threshold, start if quenching else np.fmax(start, 0.0))

    return _on_driven_side(curves, along)


def turn_on_fraction(curves: Curves) -> Raw:
    """Voltage [V] where 10 % of the current's rise is reached.

    The rise is that of the forward current from the rest value of turn_on to the maximum.
    Undefined where it is under ten noise widths. A lower bound at a rail.
    """
    threshold = _threshold(curves)

    def along(path: _Path) -> Raw:
        start = np.fmax(_start(curves, path, threshold), 0.0)
        rise = (path.sign * curves.current[:, path.indices]).max(axis=1) - start
        raw = _crossing(curves, path, TURN_ON_FRACTION * rise, start)
        raw.bound(curves.at_rail(path.indices), Flag.SATURATED)
        flat = ~(rise > 10 * np.fmax(curves.noise, 0.0)) | (rise <= 0)
        return raw.reject(np.asarray(flat), Flag.BELOW_NOISE)

    return _on_driven_side(curves, along)
