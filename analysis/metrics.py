"""Metrics of a run against the truth.

All are pure functions of arrays. A *trace* is an (n,) array with the value after each of the n
measurements. The *oracle* trace gives the noiseless truth of the measured sites. The *inference*
trace gives the true value of what the run would have chosen from its noisy data.

`normalised` scales a score to 0 for random sampling and 1 for the oracle, at the same budget on the
same film.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import hypergeom

from grainscout.analysis.diversity import first_occurrences
from grainscout.analysis.map_scores import MapScore as MapScore
from grainscout.analysis.map_scores import crps_normal as crps_normal
from grainscout.analysis.map_scores import level_set_score as level_set_score
from grainscout.analysis.map_scores import map_regret as map_regret
from grainscout.analysis.map_scores import map_score as map_score
from grainscout.records import DataError, FloatArray

#: Sites within these distances of a true boundary or junction [m] count as on it.
BOUNDARY_WIDTH, JUNCTION_WIDTH = 30e-9, 38e-9


def found_trace(archetype: ArrayLike, present: ArrayLike, *, examples: int = 1) -> FloatArray:
    """Share of the wanted examples found so far.

    Parameters
    ----------
    archetype : (n,) array of int
        Classes in the order of measurement, -1 for a failure.
    present : (k,) array of int
        Classes to find.
    examples : int
        Wanted number of each class.
    """
    wanted = np.unique(np.asarray(present))
    if wanted.size == 0:
        raise DataError("present must name at least one class to find; got none")
    counts = np.cumsum(np.asarray(archetype)[:, None] == wanted, axis=0)
    return np.asarray(np.minimum(counts, examples).mean(axis=1) / examples)


def time_to_first(
    archetype: ArrayLike, wanted: Sequence[int], clock: ArrayLike | None = None
) -> FloatArray:
    """Time of the first measurement of each wanted class.

    Parameters
    ----------
    archetype : (n,) array of int
        Classes in the order of measurement.
    wanted : sequence of int
        Classes to find.
    clock : (n,) array of float, optional
        Time of each measurement, such as [s]. The count of measurements from 1 if None.

    Returns
    -------
    (len(wanted),) array of float
        Infinity where a class was never met. Compare such censored times by rank or median.
    """
    labels = np.asarray(archetype)
    when = np.asarray(np.arange(1, labels.size + 1) if clock is None else clock, float)
    return np.array([when[labels == k].min(initial=np.inf) for k in wanted], dtype=np.float64)


def found_by_random(
    counts: ArrayLike, steps: int, *, total: int | None = None, examples: int = 1
) -> FloatArray:
    """Exact expectation (steps,) of `found_trace` for random sites.

    Parameters
    ----------
    counts : (k,) array of int
        Number of candidate sites of each wanted class.
    steps : int
        Number of measurements, without replacement.
    total : int, optional
        Number of all candidates. The sum of `counts` if None.
    examples : int
        Wanted number of each class.

    Notes
    -----
    The number H of a class met in t draws is hypergeometric. E[min(H, m)] is the sum of P(H > j)
    over j = 0 .. m - 1.
    """
    each = np.asarray(counts, dtype=np.int64)
    each = each[each > 0]
    sites = int(each.sum()) if total is None else total
    t = np.minimum(np.arange(1, steps + 1), sites)
    more = np.arange(examples)[:, None, None]
    beyond = np.asarray(hypergeom.sf(more, sites, each[:, None], t), dtype=np.float64)
    return np.asarray(beyond.mean(axis=(0, 1)))


def recall_trace(objects: ArrayLike, total: int) -> FloatArray:
    """Share of `total` objects (junctions, boundaries) visited so far.

    Parameters
    ----------
    objects : (n,) array of int
        Identifier of the object at each measurement, -1 for none.
    total : int
        Number of different objects.
    """
    if total < 1:
        raise DataError(f"recall needs at least one object to find; got {total}")
    return np.cumsum(first_occurrences(objects)) / total


def enrichment_trace(hits: ArrayLike, base_rate: float) -> FloatArray:
    """Share of hits so far, relative to chance."""
    if not 0 < base_rate <= 1:
        raise DataError(f"base_rate must be within 0 to 1 and not 0; got {base_rate}")
    hit = np.asarray(hits, dtype=np.float64)
    return np.cumsum(hit) / np.arange(1, hit.size + 1) / base_rate


def best_traces(observed: ArrayLike, truth: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Oracle and inference traces of a maximisation.

    Parameters
    ----------
    observed, truth : (n,) array of float
        Noisy and true values in one unit, NaN where a measurement failed.

    Returns
    -------
    oracle, inference : (n,) array of float
        Largest true value among the measured sites, and the true value of the site that looks best
        so far. NaN until the first success.
    """
    seen, real = np.asarray(observed, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if seen.shape != real.shape:
        raise DataError(f"observed and truth must have one shape; got {seen.shape}, {real.shape}")
    real = np.where(np.isnan(seen), np.nan, real)
    oracle = np.fmax.accumulate(real)
    best = np.fmax.accumulate(seen)
    before = np.concatenate([[-np.inf], np.where(np.isnan(best[:-1]), -np.inf, best[:-1])])
    fresh = seen > before
    at = np.maximum.accumulate(np.where(fresh, np.arange(seen.size), -1))
    inference = np.where(at >= 0, real[np.fmax(at, 0)], np.nan)
    return np.asarray(oracle), inference


def best_by_random(values: ArrayLike, steps: int) -> FloatArray:
    """Exact expectation (steps,) of the largest of t random values.

    Parameters
    ----------
    values : (n,) array of float
        Finite values, drawn without replacement.
    steps : int
        t = 1 .. steps. After n draws the expectation stays at the largest value.

    Notes
    -----
    With ascending values P(largest <= v_k) = C(k, t)/C(n, t). Summation by parts gives the mean.
    """
    v = np.sort(np.asarray(values, dtype=np.float64))
    if v.size == 0 or not np.isfinite(v).all():
        raise DataError(f"values must be at least one finite number; got {v}")
    gaps, k = np.diff(v), np.arange(1, v.size)
    below = k / v.size  # P(largest <= v_k) for one draw
    expected = np.empty(steps)
    for t in range(1, steps + 1):
        expected[t - 1] = v[-1] - gaps @ below
        if t < v.size:
            below = below * np.maximum(k - t, 0) / (v.size - t)
    return expected


def draws_until_all(counts: ArrayLike, total: int) -> float:
    """Expected draws without replacement until every class is met.

    Parameters
    ----------
    counts : (k,) array of int
        Number of sites of each class, each at least 1.
    total : int
        Number of all sites.

    Notes
    -----
    A set of classes with m sites is first met at draw (total + 1)/(m + 1) on average. Inclusion and
    exclusion over the sets gives the last of them.
    """
    each = [int(c) for c in np.asarray(counts)]
    if not each or min(each) < 1 or sum(each) > total:
        raise DataError(f"counts must be at least 1 each and {total} at most together; got {each}")
    return math.fsum(
        (-1) ** (size + 1) * (total + 1) / (sum(some) + 1)
        for size in range(1, len(each) + 1)
        for some in combinations(each, size)
    )


def regret(trace: ArrayLike, best: float) -> FloatArray:
    """Gap (n,) between the film's best and a trace."""
    return best - np.asarray(trace, dtype=np.float64)


def travel_trace(positions: ArrayLike) -> FloatArray:
    """Distance (n,) [m] travelled so far through positions (n, 2) [m]."""
    step = np.diff(np.asarray(positions, dtype=np.float64), axis=0)
    return np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))])


def normalised(value: ArrayLike, random: ArrayLike, oracle: ArrayLike) -> FloatArray:
    """Scale to 0 for random and 1 for oracle.

    NaN where the two do not differ. Below 0 is worse than random.
    """
    low, high = np.asarray(random, dtype=np.float64), np.asarray(oracle, dtype=np.float64)
    raw, gap = np.asarray(value, dtype=np.float64), high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            np.where(np.abs(gap) > 1e-12 * (np.abs(low) + np.abs(high)), (raw - low) / gap, np.nan)
        )


def run_traces(
    *,
    sites: ArrayLike,
    archetype: ArrayLike,
    candidates: ArrayLike | None = None,
    ok: ArrayLike | None = None,
    boundary_distance: ArrayLike | None = None,
    junction_distance: ArrayLike | None = None,
    junction_id: ArrayLike | None = None,
    boundary_id: ArrayLike | None = None,
) -> dict[str, FloatArray]:
    """Compute learning curves on a film's truth maps.

    Parameters
    ----------
    sites : (n, 2) array of int
        Rows and columns in the order of measurement.
    archetype : (rows, columns) array of int
        True classes.
    candidates : (m, 2) array of int, optional
        Sites that could have been chosen. The whole map if None.
    ok : (n,) array of bool, optional
        False where a measurement failed. The step counts, the find does not.
    boundary_distance, junction_distance : (rows, columns) array of float, optional
        Distances [m].
    junction_id, boundary_id : (rows, columns) array of int, optional
        Identifier of the nearest junction or boundary.

    Returns
    -------
    dict of (n,) array of float
        found, found_random, found_ideal and, where the maps are given, boundary_share,
        boundary_enrichment, boundary_recall and the same of junctions.
    """
    place = np.asarray(sites, dtype=np.int64)
    truth = np.asarray(archetype)
    pool = np.argwhere(np.ones(truth.shape, bool)) if candidates is None else np.asarray(candidates)
    good = np.ones(len(place), bool) if ok is None else np.asarray(ok, dtype=bool)
    steps = np.arange(1, len(place) + 1)
    at, of = (tuple(place.T), tuple(pool.T))
    classes, counts = np.unique(truth[of], return_counts=True)
    table = {
        "found": found_trace(np.where(good, truth[at].astype(np.int64), -1), classes),
        "found_random": found_by_random(counts, len(place)),
        "found_ideal": np.minimum(steps / classes.size, 1.0),
    }
    for name, distance, ids, width in (
        ("boundary", boundary_distance, boundary_id, BOUNDARY_WIDTH),
        ("junction", junction_distance, junction_id, JUNCTION_WIDTH),
    ):
        if distance is None:
            continue
        near = np.asarray(distance) <= width
        hits = near[at] & good
        table[f"{name}_share"] = np.cumsum(hits) / steps
        base = float(near[of].mean())
        if base > 0:
            table[f"{name}_enrichment"] = enrichment_trace(hits, base)
        if ids is not None:
            labels = np.asarray(ids)
            reachable = np.unique(labels[of][near[of]])
            seen = np.where(hits, labels[at], -1)
            if (reachable >= 0).any():
                table[f"{name}_recall"] = recall_trace(seen, int((reachable >= 0).sum()))
    return table
