"""Quality of the curves in a run's report."""

from collections.abc import Sequence

import numpy as np

from grainscout.analysis import figures
from grainscout.analysis.curves.quality import WINDOW
from grainscout.analysis.curves.quality_of_run import recent_share
from grainscout.benchmarks.reports.page import Picture, Section, Table, picture
from grainscout.records import BoolArray, FloatArray, Outcome, Problem


def curves_of(outcomes: Sequence[Outcome]) -> tuple[FloatArray, BoolArray]:
    """Currents (n, samples) and what is at the rail of all that have a curve."""
    curves = [o.curve for o in outcomes if o.curve is not None]
    return np.array([c.current for c in curves]), np.array([c.saturated for c in curves])


def left_out(measured: Sequence[Outcome]) -> str:
    """Sentence about curves that were left out."""
    count = sum(not o.usable for o in measured)
    if not count:
        return ""
    return f" {count} unusable curve{'s are' if count > 1 else ' is'} left out."


def quality_section(problem: Problem, measured: Sequence[Outcome]) -> Section:
    """Usable curves, and the others by reason; `measured` are all outcomes with a curve."""
    judged = [o for o in measured if o.quality is not None]
    if not judged:
        text = "The curves were not judged, because they hold no current in amperes."
        return Section(id="quality", title="Quality of the curves", text=[text])
    usable = np.array([o.usable for o in measured])
    numbers: dict[str, list[int]] = {}
    for number, outcome in enumerate(measured, 1):
        for reason in () if outcome.quality is None else outcome.quality.reasons:
            numbers.setdefault(reason, []).append(number)
    ordered = dict(sorted(numbers.items(), key=lambda item: -len(item[1])))
    rows = [
        [reason, str(len(at)), str(int(usable[np.array(at) - 1].sum()))]
        for reason, at in ordered.items()
    ]
    count = int(usable.sum())
    text = f"{count} of {len(measured)} curves are usable ({count / len(measured):.0%})."
    if not count:
        text += " Figures of curves are left out, because they take usable curves only."
    elif count < len(measured):
        text += " The other figures and tables of curves take the usable ones only."
    tables = [Table(title="Reasons", heads=["seen in a curve", "curves", "usable"], rows=rows)]
    return Section(
        id="quality",
        title="Quality of the curves",
        text=[text],
        tables=tables if rows else [],
        pictures=_pictures(problem, measured, ordered),
    )


def _pictures(
    problem: Problem, measured: Sequence[Outcome], numbers: dict[str, list[int]]
) -> list[Picture]:
    usable = np.array([o.usable for o in measured])
    if not numbers:
        return []
    over_run = picture(
        figures.quality_over_run(recent_share(usable), numbers, window=WINDOW),
        f"Share of unusable curves among the latest {WINDOW}, and the curves with each reason.",
        "Unusable curves over the run",
    )
    length = len(problem.waveform)
    current = {
        k: o.curve.current
        for k, o in enumerate(measured)
        if o.curve is not None and len(o.curve) == length
    }
    bad = [k for k in current if not usable[k]]
    good = [current[k] for k in current if usable[k]]
    if not bad:
        return [over_run]
    drawn = figures.unusable_curves(
        problem.waveform.voltage,
        np.array([current[k] for k in bad]),
        [_label(k + 1, measured[k]) for k in bad],
        reference=np.median(good, axis=0) if good else None,
    )
    caption = "Unusable curves with their reasons"
    caption += ", evenly spaced over the run" if len(bad) > 12 else ""
    caption += ". Grey: the median of the usable curves." if good else "."
    return [over_run, picture(drawn, caption, "Unusable curves and their reasons")]


def _label(number: int, outcome: Outcome) -> str:
    reasons = () if outcome.quality is None else outcome.quality.reasons
    return f"{number}: " + ",\n".join(reasons)
