"""Estimates of scores by film, with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from grainscout.analysis.statistics.comparison import (
    check_table,
    differences,
    film_means,
    film_rows,
)
from grainscout.records import DataError, FloatArray

Statistic = Callable[[FloatArray, int], FloatArray]

_LEVEL = 0.95
_FEW_FILMS = 5  # under which percentiles cannot cover


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Estimate with its bootstrap interval."""

    #: estimate, low, high: `low` and `high` are NaN where no task has a second film
    estimate: float
    low: float
    high: float
    level: float  #: Confidence level
    #: count, failed: Number of films, and of cells left out
    count: int
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One row of a leaderboard."""

    name: str  #: Policy
    #: score, mean_rank: Interquartile mean, and rank with 1 for the best. Ties share a rank.
    score: Interval
    mean_rank: Interval
    #: Share of bootstrap samples in which this policy has the highest score, or NaN where no task
    #: has a second film
    best: float


def iqm(values: ArrayLike, axis: int = -1) -> Any:
    """Interquartile mean: the mean of the middle half.

    The quarter cut off at each end is rounded down, so that up to three values give the plain mean.

    References
    ----------
    Agarwal et al. 2021, NeurIPS (rliable).
    """
    return stats.trim_mean(np.asarray(values, dtype=np.float64), 0.25, axis=axis)


def mean(values: ArrayLike, axis: int = -1) -> Any:
    """Plain mean, as a statistic for `interval`."""
    return np.asarray(values, dtype=np.float64).mean(axis=axis)


def interval(
    scores: ArrayLike,
    *,
    film: ArrayLike | None = None,
    task: ArrayLike | None = None,
    statistic: Statistic = iqm,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Estimate a statistic with a stratified bootstrap interval.

    Parameters
    ----------
    scores : (n,) array of float
        NaN for a failed cell.
    film, task : (n,) array, optional
        Labels. Without `film` every score is a film of its own.
    statistic : callable
        Function of an array and an axis.
    level : float
        Confidence level.
    samples, seed : int
        Number of bootstrap samples, and their seed.

    Notes
    -----
    Percentiles are widened for few films as Student's t exceeds the normal quantile (expanded
    percentile interval, Hesterberg 2015). Under 5 films Student's interval replaces them.
    """
    data = np.asarray(scores, dtype=np.float64)
    strata, failed = film_means(data, film, task)
    drawn, pooled = _resample(strata, samples, seed), np.concatenate(strata)
    estimate = float(statistic(pooled, -1))
    low, high = _bounds(statistic(drawn, -1), estimate, level, [len(s) for s in strata])
    return Interval(
        estimate=estimate, low=float(low), high=float(high), level=level, count=pooled.size,
        failed=failed,
    )  # fmt: skip


def curve_interval(
    curves: ArrayLike,
    *,
    film: ArrayLike | None = None,
    level: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Compute `interval` of the interquartile mean at every step of curves.

    The band is pointwise: it holds each step, not the whole curve, with probability `level`.

    Parameters
    ----------
    curves : (runs, steps) array of float
        A run with a NaN is left out.
    film : (runs,) array, optional
        Labels. Other arguments as in `interval`.

    Returns
    -------
    estimate, low, high : (steps,) array of float
    """
    data = np.asarray(curves, dtype=np.float64)
    if data.ndim != 2 or 0 in data.shape:
        raise DataError(f"curves must be a (runs, steps) array; got shape {data.shape}")
    broken = np.isnan(data).any(axis=1)
    (films,), _ = film_rows(np.where(broken, np.nan, 0.0), film, None)
    means = np.stack([data[rows].mean(axis=0) for rows in films])
    draws = np.random.default_rng(seed).integers(0, len(means), (samples, len(means)))
    estimate = np.asarray(iqm(means, 0))
    low, high = np.empty_like(estimate), np.empty_like(estimate)
    for start in range(0, data.shape[1], 32):  # bounded memory
        steps = slice(start, start + 32)
        drawn = means[:, steps][draws]
        low[steps], high[steps] = _bounds(iqm(drawn, 1), estimate[steps], level, [len(means)])
    return estimate, low, high


def performance_profile(
    scores: ArrayLike, thresholds: ArrayLike, *, samples: int = 2000
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Share of films whose score reaches each threshold, with 95 % intervals.

    If the curve of one policy is above another's everywhere, it dominates stochastically.

    Parameters
    ----------
    scores : (n,) array of float
        One for each film.
    thresholds : (k,) array of float
        In the unit of the scores.
    samples : int
        Number of bootstrap samples.

    Returns
    -------
    estimate, low, high : (k,) array of float
    """
    (films,), _ = film_means(np.asarray(scores, dtype=np.float64), None, None)
    at = np.asarray(thresholds, dtype=np.float64)
    drawn = _resample([films], samples, 0)
    estimate = (films[:, None] >= at).mean(axis=0)
    reached = np.array([(drawn >= t).mean(axis=1) for t in at]).T
    low, high = _bounds(reached, estimate, _LEVEL, [len(films)])
    return estimate, np.maximum(low, 0.0), np.minimum(high, 1.0)  # a share stays within 0 to 1


def probability_of_improvement(a: ArrayLike, b: ArrayLike, *, samples: int = 2000) -> Interval:
    """Probability that a beats b on a new film, with its 95 % interval.

    The share of films won, where a tie counts one half.

    Parameters
    ----------
    a, b : (n,) array of float
        Scores of the same cells (same film and seed), one for each film.
    samples : int
        Number of bootstrap samples.
    """
    (apart,), failed = film_means(differences(a, b), None, None)
    wins = (apart > 0) + 0.5 * (apart == 0)
    found = float(wins.mean())
    low, high = _bounds(_resample([wins], samples, 0).mean(axis=1), found, _LEVEL, [wins.size])
    ends = {"low": float(np.maximum(low, 0.0)), "high": float(np.minimum(high, 1.0))}
    return Interval(estimate=found, **ends, level=_LEVEL, count=wins.size, failed=failed)


def ranking(
    scores: ArrayLike,
    names: Sequence[str],
    *,
    film: ArrayLike | None = None,
    task: ArrayLike | None = None,
    samples: int = 2000,
) -> list[Ranked]:
    """Rank policies, best first.

    All policies are resampled on the same films, so that the intervals of two rows overlap more than
    their difference is uncertain. Use `verdicts` for differences. Each score leaves out the failed
    cells of its policy. Ranks give them the last place.

    Parameters
    ----------
    scores : (cells, policies) array of float
        A row is one cell (task, film, seed) that all policies ran.
    names : sequence of str
        Policies. Other arguments as in `interval`.

    Raises
    ------
    DataError
        For a policy without any finished cell.
    """
    table = check_table(scores, names)
    common = {"film": film, "task": task, "samples": samples}
    ranks = stats.rankdata(-np.where(np.isnan(table), -np.inf, table), axis=1)
    drawn = np.stack([_drawn(column, film, task, samples) for column in table.T])
    top = drawn == np.nanmax(drawn, axis=0)
    best = (top / top.sum(axis=0)).mean(axis=1)
    rows = []
    for k, name in enumerate(names):
        score = interval(table[:, k], **common)  # type: ignore[arg-type]
        rank = interval(ranks[:, k], statistic=mean, **common)  # type: ignore[arg-type]
        sure = float("nan") if np.isnan(score.low) else float(best[k])
        rows.append(Ranked(name=name, score=score, mean_rank=rank, best=sure))
    return sorted(rows, key=lambda row: -row.score.estimate)


def restricted_mean(times: ArrayLike, censored: ArrayLike, horizon: float) -> float:
    """Mean of min(time, horizon), the `censored` times (n,) being known as "later than" only.

    The area under the survival curve of Kaplan and Meier (1958, J. Am. Stat. Assoc. 53, 457).
    """
    when, open_ = np.asarray(times, np.float64), np.asarray(censored, bool)
    alive = stats.ecdf(stats.CensoredData.right_censored(when, open_)).sf
    edges = np.concatenate([[0.0], np.minimum(alive.quantiles, horizon), [horizon]])
    return float(np.diff(edges) @ np.concatenate([[1.0], alive.probabilities]))


def _drawn(
    column: FloatArray, film: ArrayLike | None, task: ArrayLike | None, samples: int
) -> FloatArray:
    """Interquartile means (samples,) of one policy on resampled films."""
    return np.asarray(iqm(_resample(film_means(column, film, task)[0], samples, 0)))


def _resample(strata: Sequence[NDArray[Any]], samples: int, seed: int) -> FloatArray:
    """Draw each stratum with replacement, (samples, films)."""
    rng = np.random.default_rng(seed)
    return np.hstack([s[rng.integers(0, len(s), (samples, len(s)))] for s in strata])


def _bounds(
    drawn: FloatArray, estimate: Any, level: float, sizes: Sequence[int]
) -> tuple[Any, Any]:
    """Expanded percentiles of bootstrap values, or Student's interval under 5 films."""
    if not 0 < level < 1:
        raise DataError(f"level must lie between 0 and 1; got {level}")
    films = sum(sizes)
    freedom = films - len(sizes)
    if freedom < 1:  # one film a task gives no spread
        return np.full(drawn.shape[1:], np.nan), np.full(drawn.shape[1:], np.nan)
    tail = (1 - level) / 2
    stretch = np.sqrt(films / freedom)
    if films < _FEW_FILMS:
        reach = -stats.t.ppf(tail, freedom) * stretch * drawn.std(axis=0)
        return estimate - reach, estimate + reach
    tail = float(stats.norm.cdf(stats.t.ppf(tail, freedom) * stretch))
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return low, high
