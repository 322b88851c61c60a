"""Samples at which a current amplifier was at its rail."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from grainscout.records.arrays import BoolArray, FloatArray
from grainscout.records.errors import DataError

#: No current is this large [A]: a code that means overflow or "no value".
_ABSURD = 1e9
#: Relative half width of a rail without noise.
_FLAT = 5e-4
#: Noise of a rail, relative to it, beyond which it is no longer looked for.
_NOISIEST = 6e-3
#: Samples above a rail that may be glitches.
_GLITCHES = 3
#: Curves handled together; bounds the memory.
_BLOCK = 4096


@dataclass(frozen=True)
class _Level:
    """A rail that one curve shows: its size [A] and its half width [A]."""

    size: float
    half: float


def find_rails(
    current: FloatArray,
    *,
    rail: float | None = None,
    voltage: FloatArray | None = None,
    run: int = 4,
) -> BoolArray:
    """Find the samples at an amplifier's rail.

    Parameters
    ----------
    current : (n, samples) array of float
        Currents [A].
    rail : float, optional
        The amplifier's full scale [A], if known. Every current of at least 99.9 % of it is flagged.
    voltage : (samples,) array of float, optional
        Voltages [V]. Without them, the voltage is taken to change evenly from sample to sample.
    run : int
        Fewest samples in a row that show a rail.

    Returns
    -------
    (n, samples) array of bool
        True at a rail.

    Notes
    -----
    Without `rail` each curve is looked at alone, on each side of zero. A rail is where the largest
    current of a curve, apart from single glitches, stands still while the voltage goes on: the
    current neither follows the voltage (a sine, or a hold at the peak, is no rail), nor bends over
    a smooth top, nor comes slowly to a plateau. Ranges may differ from curve to curve. A level that
    one curve shows is a rail in every other curve that ends there.
    """
    values = np.asarray(current, dtype=np.float64)
    if rail is not None:
        if not rail > 0:
            raise DataError(f"rail must be a positive current [A]; got {rail}")
        return np.asarray(np.abs(values) >= 0.999 * rail)
    flags = np.zeros(values.shape, bool)
    samples = values.shape[1]
    if samples < run or values.size == 0:
        return flags
    axis = np.arange(samples, dtype=np.float64)
    volts = axis if voltage is None else np.asarray(voltage, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        known = np.abs(values) < _ABSURD
    step = _converter_step(values, known)
    for sign in (1.0, -1.0):
        tops = np.full(len(values), -np.inf)
        levels: list[_Level] = []
        for start in range(0, len(values), _BLOCK):
            rows = slice(start, start + _BLOCK)
            signed = np.where(known[rows], sign * values[rows], -np.inf)
            tops[rows] = _top(signed, run)
            for i in _candidates(signed, tops[rows], step, run):
                if any(abs(k.size - tops[start + i]) <= k.half for k in levels):
                    continue  # another curve shows this rail
                level = _level(signed[i], volts, run)
                if level is not None:
                    levels.append(level)
        _flag(flags, sign * values, known, tops, levels)
    return flags


def _converter_step(values: FloatArray, known: BoolArray) -> float:
    """Step of a converter of few bits [A]. 0 if the currents are not multiples of one."""
    levels = np.unique(values[known])
    if values.size <= 200 or not 1 < levels.size <= 70_000:
        return 0.0
    step = float(np.diff(levels).min())
    return step if bool((np.abs(levels / step - np.round(levels / step)) < 0.01).all()) else 0.0


def _top(signed: FloatArray, run: int) -> FloatArray:
    """(n,) largest current that `run` samples reach. Glitches do not count."""
    return np.asarray(np.partition(signed, -run, axis=1)[:, -run])


def _candidates(signed: FloatArray, top: FloatArray, step: float, run: int) -> list[int]:
    """Curves with `run` samples in a row near their top, and a top that can be a rail."""
    noise = _noise(signed)
    # The noise of a contact that carries nothing stands still at its largest value, too, where it
    # is a few steps of the converter; no rail is so few steps from zero.
    possible = (top > 0) & (top > 50 * step) & (top > 10 * noise)
    width = np.clip(8 * noise / np.where(possible, top, 1.0), 2e-3, 3e-2)
    near = signed >= (top * (1 - width))[:, None]
    near &= signed <= (top * (1 + width))[:, None]
    in_a_row = np.all(sliding_window_view(near, run, axis=1), axis=2)
    return np.flatnonzero(possible & np.any(in_a_row, axis=1)).tolist()


def _noise(signed: FloatArray) -> FloatArray:
    """(n,) standard deviation of white noise [A], from third differences. 0 where unknown."""
    with np.errstate(invalid="ignore"):
        third = np.abs(np.diff(signed, n=3, axis=1))
    third[~np.isfinite(third)] = np.nan
    if third.shape[1] and not np.isnan(third).any():
        return np.asarray(np.median(third, axis=1) / 3.0)
    some = ~np.isnan(third).all(axis=1) if third.shape[1] else np.zeros(len(signed), bool)
    result = np.zeros(len(signed))
    result[some] = np.nanmedian(third[some], axis=1) / 3.0
    return result


def _level(signed: FloatArray, volts: FloatArray, run: int) -> _Level | None:
    """The rail at the top of one curve, if it shows one."""
    top = float(_top(signed[None], run)[0])
    crowd = signed[np.abs(signed - top) <= 3e-2 * top]
    for _ in range(4):  # a clipped curve's samples crowd at the rail
        middle = float(np.median(crowd))
        spread = 1.4826 * float(np.median(np.abs(crowd - middle)))
        half = max(5 * spread, _FLAT * middle)
        crowd = signed[np.abs(signed - middle) <= half]
        if crowd.size < run:
            return None
    noise = float(_noise(signed[None])[0])
    if max(spread, noise if spread > 0.2 * noise else 0.0) > _NOISIEST * middle:
        return None  # noise that was there before the clipping does not count
    near = np.abs(signed - middle) <= half
    if int((signed > middle + half).sum()) > max(_GLITCHES, 0.01 * signed.size):
        return None
    runs = _runs(near, run)
    if not any(_stands_still(signed, volts, part, middle, half) for part in runs):
        return None
    return _Level(middle, half)


def _runs(near: BoolArray, run: int) -> list[tuple[int, int]]:
    """Begin and end of the stretches of at least `run` samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], near, [False]]).astype(np.int8)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(a, b) for a, b in pairs if b - a >= run]


def _stands_still(
    signed: FloatArray, volts: FloatArray, part: tuple[int, int], level: float, half: float
) -> bool:
    """True if a stretch at the top is flat behind a knee while the voltage moves."""
    begin, end = part
    inner = slice(begin, end)
    moved = float(np.ptp(volts[inner]))
    reach = float(np.abs(volts - volts[np.argmin(np.abs(signed))]).max())
    # How far the current would go if it followed the voltage.
    if not moved * level > 6 * half * max(reach, 1e-300):
        return False
    values = signed[inner]
    if values.size > 5:  # the samples at its ends may be on the way
        values = values[1:-1]
    at = np.linspace(-1.0, 1.0, values.size)
    noise = float(np.std(np.diff(values))) / np.sqrt(2) if values.size > 2 else 0.0
    if values.size >= 4:
        fit = np.polynomial.polynomial.polyfit(at, values, 2)
        bend = float(np.ptp(np.polynomial.polynomial.polyval(at, fit)))
        if bend > max(1e-4 * level, 6 * noise / np.sqrt(values.size)) and bend > 1e-12 * level:
            return False
    return _knee(signed, volts, begin, -1, level, half) or _knee(
        signed, volts, end - 1, 1, level, half
    )


def _knee(
    signed: FloatArray, volts: FloatArray, edge: int, way: int, level: float, half: float
) -> bool:
    """True if the current reaches the level without slowing down above 80 % of it."""
    path = signed[edge::-1] if way < 0 else signed[edge:]
    below = np.flatnonzero(path < 0.8 * level)
    if below.size == 0:
        return path.size == 1 or bool((np.abs(path - level) <= half).mean() > 0.9)
    count = int(below[0])
    other = volts[edge + way * count]
    return count <= 3 or abs(volts[edge] - other) <= 0.35 * max(abs(volts[edge]), 1e-300)


def _flag(
    flags: BoolArray, signed: FloatArray, known: BoolArray, tops: FloatArray, levels: list[_Level]
) -> None:
    """Flag, in every curve that ends at one of the levels, the samples there."""
    if not levels:
        return
    sizes = np.array([level.size for level in levels])
    order = np.argsort(sizes)
    sizes, halves = sizes[order], np.array([level.half for level in levels])[order]
    with np.errstate(invalid="ignore"):
        single = np.where(known, signed, -np.inf).max(axis=1)
    for i, top in enumerate(tops):
        # A curve that only just touches the rail has fewer samples there than make a top.
        for reached in {float(top), float(single[i])}:
            if not np.isfinite(reached) or reached <= 0:
                continue
            k = int(np.clip(np.searchsorted(sizes, reached), 0, sizes.size - 1))
            nearest = min((k, max(k - 1, 0)), key=lambda j: abs(sizes[j] - reached))
            if abs(sizes[nearest] - reached) <= 1.5 * halves[nearest]:
                flags[i] |= known[i] & (signed[i] >= sizes[nearest] - halves[nearest])
                break
