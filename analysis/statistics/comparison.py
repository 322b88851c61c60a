"""Paired comparison of policies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from grainscout.records import DataError, FloatArray

#: Power for which `films_needed` is computed.
POWER = 0.8
#: More films than this count as never.
MOST_FILMS = 200
_FLIPS = 10_000
_EXACT_FLIPS = 14  # up to 2^14 sign patterns are enumerated


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of a - b over films."""

    #: estimate, low, high: Mean and Student interval at `level`
    estimate: float
    low: float
    high: float
    level: float
    p_value: float  #: Two-sided, that the true mean is 0
    #: films, failed: Number of films of all tasks, and of cells left out
    films: int
    failed: int
    error: float = np.nan  #: Standard error, with its degrees of freedom
    degrees: float = np.nan

    def at(self, level: float) -> "Difference":
        """The same with the interval of another level."""
        if not self.error > 0:
            return replace(self, level=level)
        reach = float(stats.t.ppf((1 + level) / 2, self.degrees)) * self.error
        low, high = self.estimate - reach, self.estimate + reach
        return replace(self, low=low, high=high, level=level)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Verdict on `policy` against `baseline`."""

    policy: str
    baseline: str
    outcome: Literal["better", "worse", "not decided"]
    #: Its interval has the level of the Holm step that decided, and so agrees with the outcome
    difference: Difference
    p_adjusted: float  #: After Holm over the family
    #: Films per task to add so that a true difference of the observed size would probably be
    #: decided. 0 if it is decided, None if that is out of reach or unknown.
    more_films: int | None

    def __str__(self) -> str:
        d = self.difference
        if not np.isfinite(d.low):
            apart = f"{self.outcome} ({d.estimate:+.3g}); an interval needs two films a task"
            return f"{self.policy} against {self.baseline}: {apart}"
        text = (
            f"{self.policy} against {self.baseline}: {self.outcome} "
            f"({d.estimate:+.3g}, adjusted interval {d.low:+.3g} to {d.high:+.3g}, "
            f"adjusted p = {self.p_adjusted:.2g}, {d.films} films)"
        )
        if self.outcome != "not decided":
            return text
        if self.more_films is None:
            return f"{text}; over {MOST_FILMS} films a task would be needed to decide it"
        return text + f"; about {self.more_films} more films a task would decide it"


def film_rows(
    values: FloatArray, film: ArrayLike | None, task: ArrayLike | None
) -> tuple[list[list[NDArray[np.intp]]], int]:
    """Group rows without NaN by task and film, in sorted order, and count the NaN."""
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
        strata.append([np.flatnonzero(here & (films == f)) for f in np.unique(films[here])])
    return strata, int((~kept).sum())


def film_means(
    values: FloatArray, film: ArrayLike | None, task: ArrayLike | None
) -> tuple[list[FloatArray], int]:
    """Average scores by film, one array per task."""
    strata, failed = film_rows(values, film, task)
    return [np.array([values[rows].mean() for rows in films]) for films in strata], failed


def differences(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Return a - b of paired scores (n,)."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise DataError(f"paired scores must have one shape; got {first.shape} and {second.shape}")
    return first - second


def check_table(scores: ArrayLike, names: Sequence[str]) -> FloatArray:
    """Return scores as a (cells, policies) array."""
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(names):
        raise DataError(
            f"scores must be a (cells, {len(names)}) array, a column for each name; got shape "
            f"{table.shape}"
        )
    return table


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    film: ArrayLike | None = None,
    task: ArrayLike | None = None,
    level: float = 0.95,
) -> Difference:
    """Estimate the mean of a - b.

    Films are independent units within tasks. Variances of tasks add, and their degrees of freedom
    follow Welch and Satterthwaite. If a task has one film, p is 1 and the interval infinite.

    Parameters
    ----------
    a, b : (n,) array of float
        Scores of the same cells.
    film, task : (n,) array, optional
        Labels. Without `film` every score is a film of its own.
    level : float
        Confidence level.
    """
    strata, failed = film_means(differences(a, b), film, task)
    films = sum(len(s) for s in strata)
    estimate = float(np.mean([s.mean() for s in strata]))
    result = partial(Difference, estimate=estimate, level=level, films=films, failed=failed)
    if min(len(s) for s in strata) < 2:
        return result(low=-np.inf, high=np.inf, p_value=1.0)
    share = np.array([s.var(ddof=1) / len(s) for s in strata]) / len(strata) ** 2
    freedom = np.array([len(s) - 1 for s in strata])
    error = float(np.sqrt(share.sum()))
    if error <= 1e-12 * max(1.0, abs(estimate)):  # the same difference everywhere, rounding apart
        same = abs(estimate) <= 1e-12
        # The spread may still not be 0: the sign test's bound is all that n films can say.
        return result(low=estimate, high=estimate, p_value=1.0 if same else 2.0 ** (1 - films))
    degrees = float(share.sum() ** 2 / np.sum(share**2 / freedom))
    p_value = float(2 * stats.t.sf(abs(estimate) / error, degrees))
    found = result(low=estimate, high=estimate, p_value=p_value, error=error, degrees=degrees)
    return found.at(level)


def films_needed(
    difference: float, spread: float, *, level: float = 0.95, tasks: int = 1
) -> int | None:
    """Films per task that decide with 80 % power. None over `MOST_FILMS`.

    The smallest n >= ((t_level + t_power) spread / difference)^2 / tasks, with Student quantiles at n.
    """
    if difference == 0 or not (spread / difference) ** 2 < MOST_FILMS * tasks:
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


def sign_flip_p(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p-value by sign flips.

    The null flips the sign of each film, without normality. Exact up to 14 films, sampled beyond.
    With n films p is at least 2^(1 - n).

    Parameters
    ----------
    a, b : (n,) array of float
        Scores of the same cells, one for each film.
    """
    (values,), _ = film_means(differences(a, b), None, None)
    if values.size <= _EXACT_FLIPS:
        bits = np.arange(2**values.size)[:, None] >> np.arange(values.size) & 1
        flips = 1.0 - 2.0 * bits
        extra = 0
    else:
        flips = np.random.default_rng(0).choice([-1.0, 1.0], (_FLIPS, values.size))
        extra = 1  # the observed pattern itself
    sums = np.abs(flips @ values)
    seen = abs(values.sum())
    return float(((sums >= seen * (1 - 1e-12)).sum() + extra) / (len(flips) + extra))


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjust p-values (m,) by Holm's step-down method (family-wise error)."""
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
    """Give verdicts on all pairs, or against `baseline`.

    The chance of any wrong "better" or "worse" among all verdicts is at most 1 - level.

    Parameters
    ----------
    scores : (cells, policies) array of float
        A row for each cell that all policies ran, NaN where one failed.
    names : sequence of str
        Policies.
    baseline : str, optional
        The only policy to compare with.
    film, task : (cells,) array, optional
        Labels of films and tasks.
    level : float
        Family-wise confidence level.
    """
    table = check_table(scores, names)
    if baseline is not None and baseline not in names:
        raise DataError(f"baseline must be one of {', '.join(names)}; got {baseline!r}")
    if baseline is None:
        pairs = list(combinations(range(len(names)), 2))
    else:
        base = list(names).index(baseline)
        pairs = [(k, base) for k in range(len(names)) if k != base]
    compared = [
        (
            names[i],
            names[j],
            paired_difference(table[:, i], table[:, j], film=film, task=task, level=level),
        )
        for i, j in pairs
    ]
    return judge_family(
        compared, level=level, tasks=1 if task is None else len(set(np.asarray(task)))
    )


def judge_family(
    compared: Sequence[tuple[str, str, Difference]], *, level: float = 0.95, tasks: int = 1
) -> list[Verdict]:
    """Verdicts on one family (policy, baseline, difference) by Holm, with intervals of the same level."""
    p_values = [d.p_value for _, _, d in compared]
    adjusted = holm(p_values)
    decided = adjusted < 1 - level
    step = np.minimum(stats.rankdata(p_values, "ordinal") - 1, int(decided.sum()))
    results = []
    for (policy, baseline, d), p, sure, k in zip(compared, adjusted, decided, step, strict=True):
        outcome: Literal["better", "worse", "not decided"] = "not decided"
        if sure:
            outcome = "better" if d.estimate > 0 else "worse"
        results.append(
            Verdict(
                policy=policy,
                baseline=baseline,
                outcome=outcome,
                difference=d.at(1 - (1 - level) / (len(compared) - int(k))),
                p_adjusted=float(p),
                more_films=0 if sure else _more(d, len(compared), level, tasks),
            )
        )
    return results


def _more(difference: Difference, pairs: int, level: float, tasks: int) -> int | None:
    """Films per task to add, by Holm's first step."""
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
