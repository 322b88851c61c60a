"""Quality of measured curves: usable or not, with named reasons and a score.

Each test gives *evidence*: how many times a curve exceeds the test's threshold. Evidence above 1 sets the
test's reason. Nothing here knows a simulated instrument's log of faults.
"""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from grainscout.analysis.curves.block import ABSURD, fill_gaps, median_difference
from grainscout.analysis.curves.sweep import MIN_SAMPLES
from grainscout.records import BoolArray, DataError, FloatArray, IntArray, IVCurve, Quality

#: Version of the tests: it changes whenever a verdict may change.
VERSION = 3
#: Number of curves over which the share of unusable ones is taken.
WINDOW = 20
#: Reason of a curve that looked suspicious and came again.
CONFIRMED = "confirmed by a second look"

# Contact is lost or found where a level current is at once another: by so many deviations of the noise, by
# at least so much [A] (also where the sweep turns, which moves it by itself), to under this share.
_NOISES, _FLOOR, _TURN_FLOOR, _LEFT = 8.0, 4e-12, 1e-10, 0.4
# A contact that opens by itself has begun to move, by more than so many deviations, and goes on: the least
# times by which a loss outgrows what was before, how much more for each volt between samples, and what comes
# after; the longest stretch of the sweep that is averaged [V, samples].
_BEGUN, _GROWTH, _GROWTH_PER_V, _BEND = 1.3, 3.3, 230.0, 1.25
_LEVEL_V, _LEVEL_SAMPLES = 0.075, 6
_FINE = 0.045  # with samples nearer than this [V], no contact opens within one
# A step that is none of a contact: so many noise deviations and bends, and this share of the top.
_STEP_NOISES, _STEP_BENDS, _STEP_SHARE = 25.0, 8.0, 0.25
_FROZEN = 6  # equal readings in a row of an amplifier that has noise
_BIAS = 0.02  # of the peak: a larger difference is not the bias that was asked for
_NEIGHBOURS = 8  # fewer curves say nothing about what is usual
_LOUD = 10.0  # times the usual noise


class Reason(enum.IntFlag):
    """What was seen in a curve."""

    NONE = 0
    CONTACT_LOST = 1
    JUMP = 2
    IN_AIR = 4
    AT_RAIL = 8
    SAMPLES_MISSING = 16
    SAMPLES_REPEATED = 32
    OTHER_BIAS = 64
    NOISY = 128
    GAIN_CHANGED = 256
    TOO_SHORT = 512


#: Reasons that leave a curve usable: a bound, or nothing that could be tested.
HARMLESS = Reason.AT_RAIL | Reason.TOO_SHORT


def names(reasons: int) -> tuple[str, ...]:
    """Reasons in words, such as ``("contact lost",)``."""
    return tuple(r.name.lower().replace("_", " ") for r in Reason if r.name and reasons & r)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Verdicts on n curves."""

    reasons: IntArray  #: Sums of :class:`Reason`, (n,)
    score: FloatArray  #: As in :class:`~grainscout.records.Quality`, (n,)

    @property
    def usable(self) -> BoolArray:
        """True (n,) for curves that may be learned from."""
        return np.asarray((self.reasons & ~int(HARMLESS)) == 0)

    def quality(self, k: int) -> Quality:
        """The verdict on curve k as a record."""
        return Quality(
            usable=bool(self.usable[k]),
            reasons=names(int(self.reasons[k])),
            score=float(self.score[k]),
            version=VERSION,
        )


def judge(
    voltage: ArrayLike,
    current: ArrayLike,
    *,
    asked: ArrayLike | None = None,
    saturated: ArrayLike | None = None,
    deflection: ArrayLike | None = None,
) -> Judged:
    """Judge curves of one sweep.

    Parameters
    ----------
    voltage : (s,) or (n, s) array
        Bias as measured [V].
    current : (n, s) array
        Current [A], NaN where a sample was lost.
    asked : (s,) array, optional
        Bias that was asked for [V].
    saturated : (n, s) array of bool, optional
        True where the amplifier was at its rail.
    deflection : (n, s) array, optional
        Cantilever deflection during the sweep, 0 when free and 1 at the setpoint.

    Raises
    ------
    DataError
        If the shapes disagree. No content of a curve raises an error.
    """
    current = np.atleast_2d(np.asarray(current, np.float64))
    volts = np.asarray(voltage, np.float64)
    n, s = current.shape
    if volts.shape not in ((s,), (n, s)):
        raise DataError(f"voltage must have shape ({s},) or ({n}, {s}); got {volts.shape}")
    tests = _Tests(n)
    filled, _, spoilt = fill_gaps(current)
    tests.mark(Reason.SAMPLES_MISSING, spoilt)
    if asked is not None:
        goal = np.asarray(asked, np.float64)
        if goal.shape != (s,):
            raise DataError(f"asked must have shape ({s},); got {goal.shape}")
        off = np.broadcast_to(np.abs(volts - goal), (n, s))
        peak = float(np.abs(goal).max()) or 1.0
        tests.add(Reason.OTHER_BIAS, np.nan_to_num(off, nan=np.inf).max(axis=1) / (_BIAS * peak))
    rail = np.zeros((n, s), bool) if saturated is None else np.asarray(saturated, bool)
    tests.mark(Reason.AT_RAIL, np.asarray(rail.any(axis=1)))
    if deflection is not None:
        _deflection(np.atleast_2d(np.asarray(deflection, np.float64)), tests)
    if s < MIN_SAMPLES:
        tests.mark(Reason.TOO_SHORT, np.ones(n, bool))
        return tests.judged()
    noise = noise_of(filled)
    axis = volts if volts.ndim == 1 else volts[0]
    tests.mark(Reason.SAMPLES_REPEATED, _frozen(filled, noise, rail))
    _losses(axis, filled, noise, rail, tests)
    _steps(axis, filled, noise, rail, tests)
    return tests.judged()


def judge_curve(curve: IVCurve, asked: FloatArray | None = None) -> Quality:
    """Judge one curve by itself and by the signals that came with it."""
    deflection = curve.signals.get("deflection")
    found = judge(
        curve.voltage,
        curve.current[np.newaxis],
        asked=asked if asked is not None and asked.shape == curve.voltage.shape else None,
        saturated=curve.saturated[np.newaxis],
        deflection=None if deflection is None else deflection[np.newaxis],
    )
    if asked is not None and asked.shape != curve.voltage.shape:
        reasons = found.reasons | Reason.OTHER_BIAS
        found = Judged(reasons=reasons, score=np.minimum(found.score, 0.1))
    return found.quality(0)


def among_neighbours(current: ArrayLike, judged: Judged) -> Judged:
    """Judge curves again by the noise that is usual among the usable ones."""
    current = np.atleast_2d(np.asarray(current, np.float64))
    good = judged.usable
    if good.sum() < _NEIGHBOURS or current.shape[1] < MIN_SAMPLES:
        return judged
    noise = noise_of(np.where(np.abs(current) < ABSURD, current, 0.0))
    usual = float(np.median(noise[good]))
    if usual <= 0:
        return judged
    again = _Tests(len(current), judged)
    # Shot noise grows with the current: only noise beside a small signal spoils a curve.
    signal = np.nanmax(np.abs(current), axis=1)
    again.add(
        Reason.NOISY, np.minimum(noise / (_LOUD * usual), 5.0 * noise / np.fmax(signal, usual))
    )
    return again.judged()


class _Tests:
    """Evidence of all tests on n curves."""

    def __init__(self, n: int, begun: Judged | None = None) -> None:
        self.reasons = np.zeros(n, np.int64) if begun is None else begun.reasons.copy()
        self.score = np.ones(n) if begun is None else begun.score.copy()

    def add(self, reason: Reason, evidence: FloatArray) -> None:
        """Count evidence (n,) for a reason. Above 1 it is seen."""
        self.reasons[evidence > 1.0] |= reason
        self.score = np.minimum(self.score, 1.0 / (1.0 + np.minimum(evidence, 1e6) ** 2))

    def mark(self, reason: Reason, seen: BoolArray) -> None:
        """Set a reason that has no degree."""
        if reason & HARMLESS:
            self.reasons[seen] |= reason
        else:
            self.add(reason, np.where(seen, 3.0, 0.0))

    def judged(self) -> Judged:
        """The verdicts."""
        return Judged(reasons=self.reasons, score=self.score)


def noise_of(current: FloatArray) -> FloatArray:
    """Standard deviation (n,) of the white noise [A], from the median third difference."""
    return np.asarray(np.maximum(median_difference(current, 3), 1e-16))


def _frozen(current: FloatArray, noise: FloatArray, rail: BoolArray) -> BoolArray:
    """True (n,) where an amplifier that has noise gave the same reading many times in a row."""
    same = (np.diff(current, axis=1) == 0) & ~rail[:, 1:] & (current[:, 1:] != 0)
    size = np.abs(current)
    # A top may be a rail, and a floor the least that is shown.
    same &= (size < size.max(axis=1, keepdims=True))[:, 1:]
    same &= (size > size.min(axis=1, keepdims=True))[:, 1:]
    run = same[:, _FROZEN - 2 :].copy()
    for k in range(_FROZEN - 2):
        run &= same[:, k : k + run.shape[1]]
    frozen = run.any(axis=1) & (noise > 1e-5 * np.abs(current).max(axis=1))
    rows = np.flatnonzero(frozen)
    if rows.size:
        # Readings that are a converter's whole steps apart stand still by themselves.
        step = np.abs(np.diff(current[rows], axis=1))
        step[step == 0] = np.nan
        steps = step / np.nanmin(step, axis=1, keepdims=True)
        # The smallest step seen may be two or three of the converter's.
        off = [np.nanmedian(np.abs(k * steps - np.rint(k * steps)), axis=1) for k in (1, 2, 3)]
        frozen[rows] = np.min(off, axis=0) > 0.1
    return np.asarray(frozen)


def _deflection(deflection: FloatArray, tests: _Tests) -> None:
    """The cantilever is free for a sample: contact lost; for nearly all of the sweep: in the air."""
    with np.errstate(invalid="ignore"):
        free = deflection < 0.5
    share = free.mean(axis=1)
    tests.mark(Reason.CONTACT_LOST, (share > 0) & (share <= 0.95))
    tests.mark(Reason.IN_AIR, share > 0.95)


def _losses(
    volts: FloatArray, current: FloatArray, noise: FloatArray, rail: BoolArray, tests: _Tests
) -> None:
    """Contact lost, or found again, between two samples.

    Three stretches of samples without contact are level, and the current beside them is not where they led
    and goes on more slowly than it came. Read along time and against it, for short and long losses.
    """
    evidence = np.zeros(len(current))
    spacing = float(np.median(np.abs(np.diff(volts))))
    spacing = spacing if spacing > 0 else 1e-3
    growth = _GROWTH + _GROWTH_PER_V * spacing
    width = int(np.clip(round(_LEVEL_V / spacing), 2, _LEVEL_SAMPLES))
    fine = spacing < _FINE
    turns = np.flatnonzero(np.diff(np.sign(np.diff(volts)))) + 1
    steps = np.abs(np.diff(current, axis=1))
    calm = 3.0 * (steps - 3.0 * noise[:, np.newaxis])  # a step that could follow a level current
    large = steps > np.maximum(5.0 * noise, 0.5 * _FLOOR)[:, np.newaxis]
    for way in (1, -1):
        read, top, step = current[:, ::way], rail[:, ::way], steps[:, ::way]
        rows, edges = np.nonzero(large[:, ::way][:, 1:] & (step[:, 1:] > calm[:, ::way][:, :-1]))
        for w in (1, width):
            inside = (edges + 2 >= 3 * w) & (edges + 4 < len(volts))
            row, first = rows[inside], edges[inside] + 2  # with contact
            level = read[row[:, np.newaxis], first[:, np.newaxis] - 1 - np.arange(3 * w)]
            low, before, earlier = level.reshape(-1, 3, w).mean(axis=2).T
            high, after = read[row, first], read[row, first + 1]
            jump, deviation = np.abs(high - low), noise[row] / np.sqrt(w)
            moved = np.maximum(np.abs(low - before), np.abs(before - earlier))
            for end in {1, w // 3} - {0, w}:  # it may have begun to move in the last samples
                begun = np.abs(level[:, :end].mean(axis=1) - level[:, end:w].mean(axis=1))
                spread = noise[row] * np.sqrt(1 / end + 1 / (w - end))
                moved = np.maximum(moved, begun - _BEGUN * spread)
            turn = np.abs((first if way > 0 else len(volts) - 1 - first)[:, np.newaxis] - turns)
            least = np.where((turn <= 2).any(axis=1), _TURN_FLOOR, _FLOOR)
            least = np.maximum(least, _NOISES * np.hypot(noise[row], deviation))
            outgrown = jump / (growth * (moved + deviation))
            further = (after - high) * np.sign(high - low)
            later = np.abs(read[row, first + 2] - after)
            # A bend goes on as fast as it began. One sample may be half in contact.
            found = jump / np.maximum(_BEND * np.abs(further), 1e-30)
            half = fine * (jump + further) / np.maximum(2.0 * _BEND * later, 1e-30)
            found = np.minimum.reduce([np.maximum(found, half), outgrown, jump / least])
            # A single odd reading is something else, as is a step between two currents.
            odd = (further < -0.5 * jump) | top[row, first] | (np.abs(low) > np.abs(high))
            found[odd | (low * np.sign(high) > _LEFT * np.abs(high))] = 0.0
            np.maximum.at(evidence, row, found)
    tests.add(Reason.CONTACT_LOST, evidence)


def _displacement(volts: FloatArray, current: FloatArray) -> FloatArray:
    """Jump (n,) of the displacement current where the sweep turns [A]: twice it, as read near 0 V."""
    rise, middle = np.sign(np.diff(volts)), 0.5 * (volts[1:] + volts[:-1])
    mean = 0.5 * (current[:, 1:] + current[:, :-1])
    sides = [
        np.flatnonzero((rise == way) & (np.abs(middle) < 0.1 * np.abs(volts).max()))
        for way in (1, -1)
    ]
    if not all(side.size for side in sides):
        return np.zeros(len(current))
    up, down = (mean[:, side].mean(axis=1) for side in sides)
    return np.asarray(np.abs(up - down))


def _steps(
    volts: FloatArray, current: FloatArray, noise: FloatArray, rail: BoolArray, tests: _Tests
) -> None:
    """A step between two samples that neither side leads to; at a turning point: another gain."""
    top = np.abs(current).max(axis=1)
    low = np.maximum(_STEP_NOISES * noise, _STEP_SHARE * top)
    large = np.abs(np.diff(current, axis=1))[:, 2:-2] > low[:, np.newaxis]
    row, at = np.nonzero(large & ~rail.any(axis=1, keepdims=True))
    y, z, a, b, c, d = (current[row, at + k] for k in range(6))
    step = np.sign(np.diff(volts))
    turning = ((step[1:-3] != step[2:-2]) | (step[2:-2] != step[3:-1]))[at]
    bends = np.maximum.reduce([abs(y - 2 * z + a), abs(a - z), abs(b - 2 * c + d), abs(d - c)])
    natural = _displacement(volts, current)[row] * turning
    jump = np.maximum(np.abs(b - a) - natural, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.minimum(jump / low[row], jump / (_STEP_BENDS * bends))
    found = np.where(np.isfinite(found), found, 0.0)
    for reason, here in ((Reason.JUMP, ~turning), (Reason.GAIN_CHANGED, turning)):
        evidence = np.zeros(len(current))
        np.maximum.at(evidence, row[here], found[here])
        tests.add(reason, evidence)
