"""Quality of the curves of a run."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from grainscout.analysis.curves.quality import (
    CONFIRMED,
    WINDOW,
    Judged,
    Reason,
    among_neighbours,
    judge,
    judge_curve,
    names,
)
from grainscout.records import FloatArray, IVCurve, Outcome, Problem, Quality

_BLOCK = 4000  # curves that are judged at a time
_NO_CURRENT = 0.1  # no tip carries so much [A]: the recording is in another unit


def quality_of(
    outcomes: Sequence[Outcome], problem: Problem, *, neighbours: bool = True
) -> list[Quality | None]:
    """Verdicts on all curves of a run. None where there is no curve, or its unit is not the ampere.

    A verdict of the run itself stays. Curves without one are judged now, as in journals of before.
    With `neighbours`, noise is compared over the whole run, which the run itself could not do.
    """
    found = [o.quality if o.curve is not None else None for o in outcomes]
    curves = {k: o.curve for k, o in enumerate(outcomes) if o.curve is not None}
    same = [k for k, curve in curves.items() if len(curve) == len(problem.waveform)]
    if not same:
        return [_alone(o, q, problem) for o, q in zip(outcomes, found, strict=True)]
    current = np.array([curves[k].current for k in same])
    if np.median(np.nan_to_num(np.abs(current)).max(axis=1)) > _NO_CURRENT:
        return found
    blocks = [slice(at, at + _BLOCK) for at in range(0, len(same), _BLOCK)]
    parts = [_judged_block([curves[k] for k in same[b]], current[b], problem) for b in blocks]
    alone = Judged(
        reasons=np.concatenate([part.reasons for part in parts]),
        score=np.concatenate([part.score for part in parts]),
    )
    judged = among_neighbours(current, alone) if neighbours else alone
    for row, k in enumerate(same):
        found[k] = _overall(found[k], judged.quality(row))
    return [_alone(o, q, problem) for o, q in zip(outcomes, found, strict=True)]


def with_quality(
    outcomes: Sequence[Outcome], problem: Problem, *, neighbours: bool = True
) -> list[Outcome]:
    """The outcomes, each with the verdict of `quality_of` on its curve."""
    verdicts = quality_of(outcomes, problem, neighbours=neighbours)
    return [replace(o, quality=q) for o, q in zip(outcomes, verdicts, strict=True)]


def _judged_block(curves: Sequence[IVCurve], current: FloatArray, problem: Problem) -> Judged:
    """Verdicts on curves of the problem's sweep, each by itself."""
    voltage = np.array([curve.voltage for curve in curves])
    asked, none = problem.waveform.voltage, np.full(voltage.shape[1], np.nan)
    deflection = np.array([curve.signals.get("deflection", none) for curve in curves])
    return judge(
        asked if (voltage == asked).all() else voltage,
        current,
        asked=asked,
        saturated=np.array([curve.saturated for curve in curves]),
        deflection=deflection,
    )


def _overall(recorded: Quality | None, judged: Quality) -> Quality:
    """The run's own verdict, unless the noise is far above that of the other curves."""
    noisy = names(Reason.NOISY)[0]
    if recorded is None or not recorded.usable:
        return judged if recorded is None else recorded
    if noisy not in judged.reasons or CONFIRMED in recorded.reasons:
        return recorded
    reasons = (*recorded.reasons, noisy)
    return replace(recorded, usable=False, reasons=reasons, score=min(recorded.score, judged.score))


def _alone(outcome: Outcome, known: Quality | None, problem: Problem) -> Quality | None:
    """The verdict on a curve of another length than the problem's sweep."""
    if outcome.curve is None or known is not None:
        return known
    return judge_curve(outcome.curve, problem.waveform.voltage)


def recent_share(usable: ArrayLike) -> FloatArray:
    """Share (n,) of unusable curves among the latest `WINDOW` up to each of n curves."""
    spoilt = np.concatenate([[0.0], np.cumsum(~np.asarray(usable, bool))])
    last = np.arange(1, len(spoilt))
    first = np.maximum(last - WINDOW, 0)
    return np.asarray((spoilt[last] - spoilt[first]) / np.maximum(last - first, 1))
