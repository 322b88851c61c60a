"""Sequential test, valid after every film."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from grainscout.records import DataError, FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class FilmSequence:
    """Comparison after each of n films."""

    estimate: FloatArray  #: Running mean difference, (n,)
    #: low, high: Confidence sequence, infinite while nothing is known. With probability `level` it
    #: holds the true mean at *all* films at once, (n,)
    low: FloatArray
    high: FloatArray
    evidence: FloatArray  #: E-value against a mean of 0, (n,)
    p_value: FloatArray  #: Anytime-valid p-value, which never rises, (n,)
    level: float  #: Of the confidence sequence
    decided_at: int | None  #: Number of films after which 0 was first excluded


def sequential_difference(
    differences: ArrayLike, *, level: float = 0.95, effect: float = 1.0
) -> FilmSequence:
    """Test a mean difference after every film.

    Parameters
    ----------
    differences : (n,) array of float
        a - b, one per film in the order of the runs. With several tasks, the mean over tasks of a
        round of films.
    level : float
        Confidence level. For m comparisons at once use 1 - 0.05/m.
    effect : float
        Standard deviation of the effect size (mean over spread) that the test is tuned to. The
        validity does not depend on it.

    Notes
    -----
    The evidence is the likelihood ratio of the t statistic, mixed over effect sizes N(0, effect^2)
    with the spread integrated out by its right Haar measure, a test martingale for normal
    differences of any spread:

        E = (1 + n g)^(-1/2) [(1 + t^2/v) / (1 + t^2/(v (1 + n g)))]^(n/2),  v = n - 1, g = effect^2

    A difference is decided when E >= 1/(1 - level).

    References
    ----------
    Lai 1976, Ann. Stat. 4, 265. Wang and Ramdas 2024, anytime-valid t-tests.
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or d.size == 0 or not np.isfinite(d).all():
        raise DataError(f"differences must be a finite (n,) array; got shape {d.shape}")
    if not (0 < level < 1 and effect > 0):
        raise DataError(f"level must lie within 0 to 1 and effect above 0; got {level}, {effect}")
    n = np.arange(1, d.size + 1, dtype=np.float64)
    mean = np.cumsum(d) / n
    # Welford's sum of squares: no cancellation where the mean is large against the spread.
    before = np.concatenate([[0.0], mean[:-1]])
    squares = np.cumsum((d - before) * (d - mean))
    grown = 1.0 + n * effect**2
    free = np.fmax(n - 1, 1.0)
    error = np.sqrt(np.fmax(squares, 0.0) / free / n)
    same = error <= 1e-12 * np.abs(mean)  # no spread seen: rounding is none
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        t2 = np.where(same, np.inf, (mean / error) ** 2)
        ratio = np.where(np.isinf(t2), grown, (1 + t2 / free) / (1 + t2 / (free * grown)))
        # Invert E(t) = 1/alpha: t^2/v = (c - 1)/(1 - c/grown), c = (grown/alpha^2)^(1/n).
        c = (grown / (1 - level) ** 2) ** (1 / n)
        reach = np.where(c < grown, np.sqrt(free * (c - 1) / (1 - c / grown)) * error, np.inf)
        # Beyond 1e308 the evidence is infinite, which is decided as well.
        power = ratio ** (n / 2)
    quiet = (n < 2) | ((mean == 0) & same)
    evidence = np.where(quiet, 1.0, power / np.sqrt(grown))
    reach = np.where(n < 2, np.inf, reach)
    p = np.minimum.accumulate(np.minimum(1.0, 1.0 / np.fmax(evidence, 1e-300)))
    hit = np.flatnonzero(evidence >= 1 / (1 - level))
    return FilmSequence(
        estimate=mean,
        low=mean - reach,
        high=mean + reach,
        evidence=evidence,
        p_value=p,
        level=level,
        decided_at=int(hit[0]) + 1 if hit.size else None,
    )
