"""Scores of a model on the fixed films, compared with its stored baseline film by film."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich import box
from rich.table import Table

from grainscout.analysis.statistics import Difference, holm, paired_difference
from grainscout.benchmarks.regression.baseline import (
    TOLERANCE,
    Baseline,
    BaselineError,
    Scores,
    read_baseline,
    write_baseline,
)
from grainscout.benchmarks.regression.films import FILM_NAMES
from grainscout.benchmarks.regression.scores import Metric, Model, metric_of
from grainscout.benchmarks.regression.scores import score_model as score_on_film
from grainscout.records import DataError, FloatArray

#: Where the baselines of this package's own models are.
BASELINES = Path(__file__).parent / "baselines"
LEVEL = 0.95

Outcome = Literal["worse", "better", "no clear change", "unchanged"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One score of one model against its baseline.

    before, now : means over films;  difference : now - before, turned so that more is better;
    p_adjusted : after Holm over all scores compared together;  worst_film : where it lost most.
    outcome : "worse" or "better" if the mean difference is significant and beyond the margin,
    "unchanged" if no film differs beyond rounding.
    """

    model: str
    score: str
    before: float
    now: float
    difference: Difference
    p_adjusted: float
    margin: float
    worst_film: str
    outcome: Outcome

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        d = self.difference
        return {
            **{k: v for k, v in vars(self).items() if k != "difference"},
            "gain": d.estimate,
            "interval": [d.low, d.high] if np.isfinite(d.high) else None,
            "films": d.films,
        }


def score(model: Model, progress: Callable[[str], None] = lambda film: None) -> Scores:
    """Scores of a model: name -> (films,).  DataError names the film on which it has none."""
    rows = []
    for film in FILM_NAMES:
        rows.append(score_on_film(model, film))
        progress(film)
    if any(row.keys() != rows[0].keys() for row in rows):
        raise DataError(
            "a model must have the same scores on every film; got "
            + "; ".join(sorted({", ".join(row) for row in rows}))
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def check(
    models: Mapping[str, Model],
    baseline_of: Callable[[str], Path],
    *,
    how_to_update: Callable[[str], str] = lambda model: (
        f"Update it with: grainscout regress --update --model {model}"
    ),
    progress: Callable[[str], None] = lambda film: None,
) -> list[Change]:
    """Score models and compare them, all together, with their baselines.

    baseline_of : path of a model's file.  BaselineError, before anything is scored, if a baseline is
    missing or of another definition; it ends with what how_to_update says for that model.
    """
    stored = {
        name: read_baseline(
            baseline_of(name), model=name, version=version_of(model), update=how_to_update(name)
        )
        for name, model in models.items()
    }
    pairs = []
    for name, model in models.items():
        now = score(model, progress)
        if now.keys() != stored[name].scores.keys():
            raise BaselineError(
                f"model {name!r} must have the scores of its baseline, "
                f"{', '.join(stored[name].scores)}; it has {', '.join(now)}. " + how_to_update(name)
            )
        pairs.append((name, stored[name].scores, now))
    return compare(pairs)


def update(
    name: str, model: Model, path: Path, progress: Callable[[str], None] = lambda film: None
) -> Scores:
    """Score a model and make that its baseline."""
    baseline = Baseline(model=name, version=version_of(model), scores=score(model, progress))
    write_baseline(path, baseline)
    return baseline.scores


def version_of(model: Model) -> str:
    """The attribute `version` of a model, which must rise when its scores come to mean another thing."""
    return str(getattr(model, "version", ""))


def compare(pairs: Iterable[tuple[str, Scores, Scores]]) -> list[Change]:
    """Changes of all scores of (model, baseline, now), judged together.

    The chance that any score without a true change is called worse or better is at most 5 %; of a
    score that was reproduced to rounding it is none.
    """
    rows = [
        (model, name, np.asarray(old[name]), np.asarray(new[name]))
        for model, old, new in pairs
        for name in old
    ]
    judged = []
    for _, name, old, new in rows:
        metric = metric_of(name, float(np.mean(old)))
        same = np.abs(new - old) <= TOLERANCE * np.maximum(np.abs(old), 1.0)
        gain = np.where(same, 0.0, new - old) * (1.0 if metric.higher_is_better else -1.0)
        judged.append((metric, gain, paired_difference(gain, np.zeros_like(gain))))
    adjusted = holm([d.p_value for *_, d in judged]) if judged else np.zeros(0)
    return [
        Change(
            model=model,
            score=name,
            before=float(old.mean()),
            now=float(new.mean()),
            difference=difference,
            p_adjusted=float(p),
            margin=metric.margin,
            worst_film=FILM_NAMES[int(gain.argmin())] if (gain < 0).any() else "",
            outcome=_outcome(metric, gain, difference, float(p)),
        )
        for (model, name, old, new), (metric, gain, difference), p in zip(
            rows, judged, adjusted, strict=True
        )
    ]


def _outcome(metric: Metric, gain: FloatArray, difference: Difference, p: float) -> Outcome:
    if not gain.any():
        return "unchanged"
    if p < 1 - LEVEL and abs(difference.estimate) > metric.margin:
        return "better" if difference.estimate > 0 else "worse"
    return "no clear change"


_STYLES = {"worse": "bold red", "better": "green", "no clear change": "yellow", "unchanged": "dim"}


def changes_table(changes: Sequence[Change]) -> Table:
    """Make the table for the terminal: a row a score under each model."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", min_width=22, overflow="fold")
    for head in ("baseline", "now", "gain", "p", "verdict"):
        table.add_column(head, no_wrap=True)
    heading = ""
    for c in changes:
        if c.model != heading:
            heading = c.model
            table.add_row(f"[bold]{heading}[/]")
        arrow = "↑" if metric_of(c.score, c.before).higher_is_better else "↓"
        d = c.difference
        moved = ("", "")
        if c.outcome != "unchanged":
            moved = (f"{d.estimate:+.2g} ± {d.high - d.estimate:.1g}", f"{c.p_adjusted:.1g}")
        table.add_row(
            f"  {c.score} {arrow}",
            f"{c.before:.4g}",
            f"{c.now:.4g}",
            *moved,
            f"[{_STYLES[c.outcome]}]{c.outcome}[/]",
        )
        if c.outcome == "worse":
            table.add_row(f"    most on {c.worst_film}")
    return table
