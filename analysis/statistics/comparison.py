"""Paired comparison of policies: differences by film, tests, and a verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from grainscout.records import DataError
from grainscout.records.arrays import FloatArray

#: Chance with which `films_needed` wants a difference of the size seen to be found.
POWER = 0.8
#: More films than this is as good as never.
MOST_FILMS = 10_000
_EXACT_FLIPS = 14  # up to 2^14 sign patterns are enumerated


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of a - b over films, every task weighing the same.

    low, high : Student interval;  p_value : two-sided, that the true mean is 0;  films : how many
    films stand behind it (of all tasks);  failed : cells left out.
    """

    estimate: float
    low: float
    high: float
    level: float
    p_value: float
    films: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What can be said about `policy` against `baseline`.

    outcome : "better", "worse" or "not decided";  p_adjusted : after Holm, over all pairs that
    were asked about together;  more_films : films a task to add so that a true difference of the
    size seen would probably be decided; 0 if it is, None if it is out of reach or cannot be told.
    """

    policy: str
    baseline: str
    outcome: Literal["better", "worse", "not decided"]
    difference: Difference
    p_adjusted: float
    more_films: int | None

    def __str__(self) -> str:
        d = self.difference
        text = (
            f"{self.policy} against {self.baseline}: {self.outcome} "
            f"({d.estimate:+.3g}, {100 * d.level:.0f} % interval {d.low:+.3g} to {d.high:+.3g}, "
            f"adjusted p = {self.p_adjusted:.2g}, {d.films} films)"
        )
        if self.outcome != "not decided":
            return text
        if self.more_films is None:
            return text + "; no realistic number of films would decide a difference this small"
        return text + f"; about {self.more_films} more films a task would decide it"


@overload
def film_means(
    values: FloatArray,
    film: ArrayLike | None,
    task: ArrayLike | None,
    *,
    members: Literal[False] = ...,
) -> tuple[list[FloatArray], int]: ...
@overload
def film_means(
    values: FloatArray, film: ArrayLike | None, task: ArrayLike | None, *, members: Literal[True]
) -> tuple[list[list[NDArray[np.intp]]], int]: ...
def film_means(
    values: FloatArray, film: ArrayLike | None, task: ArrayLike | None, *, members: bool = False
) -> tuple[list[Any], int]:
    """Mean of each film within each task (or its member rows), and the number of NaN left out.

    One array a task, films in sorted order.  DataError if labels do not fit or nothing is left.
    """
    if values.ndim != 1:
        raise DataError(f"scores must be one-dimensional; got shape {values.shape}")
    films = np.arange(values.size) if film is None else np.asarray(film)
    tasks = np.zeros(values.size, np.int64) if task is None else np.asarray(task)
    for name, labels in (("film", films), ("task", tasks)):
        if labels.shape != values.shape:
            raise DataError(
                f"{name} must have one label for each of {values.size} scores; got {labels.shape}"
            )
    if np.isinf(values).any():
        raise DataError("scores must be finite, or NaN for a failed cell; got an infinity")
    kept = ~np.isnan(values)
    if not kept.any():
        raise DataError("scores must have at least one cell that did not fail; got none")
    strata = []
    for name in np.unique(tasks[kept]):
        here = kept & (tasks == name)
        rows = [np.flatnonzero(here & (films == f)) for f in np.unique(films[here])]
        strata.append(rows if members else np.array([values[r].mean() for r in rows]))
    return strata, int((~kept).sum())


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    film: ArrayLike | None = None,
    task: ArrayLike | None = None,
    level: float = 0.95,
) -> Difference:
    """Mean of a - b with Student's interval, on films as independent units within tasks.

    a, b : (n,) scores of the same cells.  Variances of tasks add; their degrees of freedom follow
    Welch and Satterthwaite.  A task with one film tells nothing of its spread: p is then 1 and
    the interval infinite, unless other tasks have more.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise DataError(f"paired scores must have one shape; got {first.shape} and {second.shape}")
    strata, failed = film_means(first - second, film, task)
    films = sum(len(s) for s in strata)
    estimate = float(np.mean([s.mean() for s in strata]))
    if min(len(s) for s in strata) < 2:
        return Difference(
            estimate=estimate,
            low=-np.inf,
            high=np.inf,
            level=level,
            p_value=1.0,
            films=films,
            failed=failed,
        )
    share = np.array([s.var(ddof=1) / len(s) for s in strata]) / len(strata) ** 2
    freedom = np.array([len(s) - 1 for s in strata])
    error = float(np.sqrt(share.sum()))
    if error <= 1e-12 * max(1.0, abs(estimate)):  # the same difference everywhere, rounding apart
        same = abs(estimate) <= 1e-12
        return Difference(
            estimate=estimate,
            low=estimate,
            high=estimate,
            level=level,
            # No spread seen is not no spread: the sign test's bound is all that n films can say.
            p_value=1.0 if same else 2.0 ** (1 - films),
            films=films,
            failed=failed,
        )
    degrees = float(share.sum() ** 2 / np.sum(share**2 / freedom))
    reach = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    return Difference(
        estimate=estimate,
        low=estimate - reach,
        high=estimate + reach,
        level=level,
        p_value=float(2 * stats.t.sf(abs(estimate) / error, degrees)),
        films=films,
        failed=failed,
    )


def films_needed(
    difference: float, spread: float, *, level: float = 0.95, tasks: int = 1
) -> int | None:
    """Films a task at which `difference` with this spread over films is found with 80 % chance.

    Smallest n >= ((t_level + t_power) spread / difference)^2 / tasks, both Student quantiles at n:
    within one of the exact non-central answer.  None over 10 000.
    """
    if difference == 0 or not (spread / difference) ** 2 < MOST_FILMS:
        return None
    ratio = (spread / difference) ** 2 / tasks

    def enough(n: int) -> bool:
        quantiles = stats.t.ppf([(1 + level) / 2, POWER], tasks * (n - 1))
        return bool(n >= float(np.sum(quantiles)) ** 2 * ratio)

    normal = float(np.sum(stats.norm.ppf([(1 + level) / 2, POWER]))) ** 2 * ratio
    n = max(2, int(normal))
    while not enough(n):
        n += 1
    return n if n <= MOST_FILMS else None


def sign_flip_p(
    a: ArrayLike,
    b: ArrayLike,
    *,
    film: ArrayLike | None = None,
    samples: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p of the mean paired difference if each film's sign were a coin's: no normality.

    Exact up to 14 films, sampled beyond.  With n films it cannot fall below 2^(1 - n).
    """
    strata, _ = film_means(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), film, None)
    values = strata[0]
    if values.size <= _EXACT_FLIPS:
        bits = np.arange(2**values.size)[:, None] >> np.arange(values.size) & 1
        flips = 1.0 - 2.0 * bits
        extra = 0
    else:
        rng = np.random.default_rng(seed)
        flips = rng.choice([-1.0, 1.0], (samples, values.size))
        extra = 1  # the observed pattern itself
    sums = np.abs(flips @ values)
    seen = abs(values.sum())
    return float(((sums >= seen * (1 - 1e-12)).sum() + extra) / (len(flips) + extra))


def holm(p_values: ArrayLike) -> FloatArray:
    """Holm's step-down adjustment of (m,) p-values: family-wise error without independence."""
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise DataError(f"p-values must be a one-dimensional array within 0 to 1; got {p}")
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def verdicts(
    scores: ArrayLike,
    names: Sequence[str],
    *,
    baseline: str | None = None,
    film: ArrayLike | None = None,
    task: ArrayLike | None = None,
    level: float = 0.95,
) -> list[Verdict]:
    """A verdict for every pair of policies, or for each against `baseline`.

    scores : (cells, policies), a row for each cell that was run by all, NaN where one failed.
    The chance of any wrong "better" or "worse" among all verdicts is at most 1 - level.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(names):
        raise DataError(
            f"scores must be a (cells, {len(names)}) array, a column for each name; got shape "
            f"{table.shape}"
        )
    if baseline is not None and baseline not in names:
        raise DataError(f"baseline must be one of {', '.join(names)}; got {baseline!r}")
    if baseline is None:
        pairs = list(combinations(range(len(names)), 2))
    else:
        base = list(names).index(baseline)
        pairs = [(k, base) for k in range(len(names)) if k != base]
    differences = [
        paired_difference(table[:, i], table[:, j], film=film, task=task, level=level)
        for i, j in pairs
    ]
    adjusted = holm([d.p_value for d in differences])
    results = []
    for (i, j), difference, p in zip(pairs, differences, adjusted, strict=True):
        decided = p < 1 - level
        outcome: Literal["better", "worse", "not decided"] = "not decided"
        if decided:
            outcome = "better" if difference.estimate > 0 else "worse"
        results.append(
            Verdict(
                policy=names[i],
                baseline=names[j],
                outcome=outcome,
                difference=difference,
                p_adjusted=float(p),
                more_films=0 if decided else _more(difference, len(pairs), level, task),
            )
        )
    return results


def _more(difference: Difference, pairs: int, level: float, task: ArrayLike | None) -> int | None:
    """Films a task to add, with the level that the first step of Holm asks for."""
    tasks = 1 if task is None else len(np.unique(np.asarray(task)))
    have = difference.films // tasks
    reach = difference.high - difference.estimate
    if not np.isfinite(reach) or have < 2:
        return None
    if reach == 0:  # the sign test decides from six films on
        return None if difference.estimate == 0 else max(6 - have, 1)
    quantile = float(stats.t.ppf((1 + level) / 2, max(tasks * (have - 1), 1)))
    spread = reach / quantile * np.sqrt(have * tasks)
    needed = films_needed(difference.estimate, spread, level=1 - (1 - level) / pairs, tasks=tasks)
    return None if needed is None else max(needed - have, 1)
