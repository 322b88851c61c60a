"""A run against the truth: what it found, how fast, at what cost, and how good its maps are.

Everything is a pure function of arrays.  A *trace* is an (n,) array with the value after each of
the n measurements.  Two traces answer different questions: the *oracle* trace says what the
measured sites are really worth (noiseless truth), the *inference* trace what the run would have
chosen from its noisy data, valued by the truth.

Every score also has a normalised form, `normalised(value, random, oracle)`: 0 is random sampling
and 1 the oracle, at the same budget on the same film.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, ndtri
from scipy.stats import hypergeom, rankdata

from grainscout.analysis.diversity import new_kinds
from grainscout.records import DataError
from grainscout.records.arrays import FloatArray

#: Sites this near to a true boundary or junction count as on it [m]: the widths of the model.
BOUNDARY_WIDTH, JUNCTION_WIDTH = 30e-9, 38e-9


# What was found ------------------------------------------------------------------------------


def found_trace(kinds: ArrayLike, present: ArrayLike, *, examples: int = 1) -> FloatArray:
    """Share of the wanted examples in hand: `examples` of each of the kinds in `present`.

    kinds : (n,) integers in the order of measurement, -1 for a failure.
    """
    wanted = np.unique(np.asarray(present))
    if wanted.size == 0:
        raise DataError("present must name at least one kind to find; got none")
    counts = np.cumsum(np.asarray(kinds)[:, None] == wanted, axis=0)
    return np.asarray(np.minimum(counts, examples).mean(axis=1) / examples)


def time_to_first(
    kinds: ArrayLike, wanted: Sequence[int], clock: ArrayLike | None = None
) -> FloatArray:
    """(len(wanted),) when each kind was first met: measurement from 1, or the clock there.

    Infinity where it never was: a censored time, to be compared by rank or median, never averaged.
    """
    labels = np.asarray(kinds)
    when = np.asarray(np.arange(1, labels.size + 1) if clock is None else clock, float)
    return np.array([when[labels == k].min(initial=np.inf) for k in wanted], dtype=np.float64)


def found_by_random(
    counts: ArrayLike, steps: int, *, total: int | None = None, examples: int = 1
) -> FloatArray:
    """(steps,) exact expectation of `found_trace` for drawing sites without replacement.

    counts : how many of the candidate sites are of each wanted kind;  total : all candidates (the
    sum of counts, if every kind is wanted).  The number H of a kind met in t draws is
    hypergeometric, and E[min(H, m)] is the sum of P(H > j) over j = 0 .. m - 1.
    """
    each = np.asarray(counts, dtype=np.int64)
    each = each[each > 0]
    sites = int(each.sum()) if total is None else total
    t = np.minimum(np.arange(1, steps + 1), sites)
    more = np.arange(examples)[:, None, None]
    beyond = np.asarray(hypergeom.sf(more, sites, each[:, None], t), dtype=np.float64)
    return np.asarray(beyond.mean(axis=(0, 1)))


def recall_trace(objects: ArrayLike, total: int) -> FloatArray:
    """Share of `total` different objects (junctions, boundaries) visited; (n,) ids, -1 for none."""
    if total < 1:
        raise DataError(f"recall needs at least one object to find; got {total}")
    return np.cumsum(new_kinds(objects)) / total


def enrichment_trace(hits: ArrayLike, base_rate: float) -> FloatArray:
    """Share of the sites so far that hit, over the share that random sites would: 1 is chance."""
    if not 0 < base_rate <= 1:
        raise DataError(f"base_rate must be within 0 to 1 and not 0; got {base_rate}")
    hit = np.asarray(hits, dtype=np.float64)
    return np.cumsum(hit) / np.arange(1, hit.size + 1) / base_rate


# Optimisation --------------------------------------------------------------------------------


def best_traces(observed: ArrayLike, truth: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """(oracle, inference) traces of a maximisation; observed and truth (n,), NaN where failed.

    oracle : the largest true value among the measured sites;  inference : the true value of the
    site that looks best so far.  NaN until the first success.
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
    """(steps,) exact expectation of the largest of t values drawn without replacement, t = 1, 2, ...

    values : (n,) finite.  With the values in ascending order P(largest <= v_k) = C(k, t)/C(n, t), and
    the mean follows by summation by parts.  After n draws it stays at the largest.
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
    """Expected number of draws without replacement until one of every kind has been met.

    counts : how many of the `total` sites are of each kind, each at least 1.  A set of kinds with m
    sites is first met at draw (total + 1)/(m + 1) on average; inclusion and exclusion over the
    sets gives the last of them.
    """
    each = [int(c) for c in np.asarray(counts)]
    if not each or min(each) < 1 or sum(each) > total:
        raise DataError(f"counts must be at least 1 each and {total} at most together; got {each}")
    return math.fsum(
        (-1) ** (size + 1) * (total + 1) / (sum(kinds) + 1)
        for size in range(1, len(each) + 1)
        for kinds in combinations(each, size)
    )


def regret(trace: ArrayLike, best: float) -> FloatArray:
    """How far a trace of the best value stays below what the film holds; 0 is perfect."""
    return best - np.asarray(trace, dtype=np.float64)


def map_regret(truth: ArrayLike, mean: ArrayLike) -> float:
    """True value lost by going where a predicted map is highest; NaN pixels are no candidates."""
    real, guess = np.ravel(np.asarray(truth, float)), np.ravel(np.asarray(mean, float))
    both = np.isfinite(real) & np.isfinite(guess)
    if not both.any():
        raise DataError("truth and mean must share a pixel that is finite in both; got none")
    return float(real[both].max() - real[both][guess[both].argmax()])


# Maps ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MapScore:
    """A predicted map against the truth.

    rmse : in the unit of the truth;  nrmse : over the standard deviation of the truth (1 = as good
    as its mean);  nll : mean negative log-likelihood in units of that deviation, so that a change
    of unit does not change it;  crps : mean continuous ranked probability score over the same;
    coverage : level -> share of pixels inside the central interval;  spearman : rank correlation;
    pixels : how many were scored;  left_out : how many lack a truth or a prediction.
    """

    rmse: float
    nrmse: float
    nll: float
    crps: float
    spearman: float
    pixels: int
    left_out: int
    coverage: dict[float, float] = field(default_factory=dict)


def map_score(
    truth: ArrayLike, mean: ArrayLike, std: ArrayLike, *, levels: Sequence[float] = (0.5, 0.9, 0.95)
) -> MapScore:
    """Error and calibration of a map; arrays of any one shape, NaN where there is no value.

    std : of the noise-free target, as `SupportsPredict.predict` gives it.  DataError if it is not
    positive somewhere, if shapes differ, or if the truth does not vary.
    """
    real, guess, width = (np.ravel(np.asarray(a, dtype=np.float64)) for a in (truth, mean, std))
    if not real.size == guess.size == width.size:
        raise DataError(
            f"maps must have one shape; got {real.size}, {guess.size}, {width.size} pixels"
        )
    both = np.isfinite(real) & np.isfinite(guess) & np.isfinite(width)
    value, guess, width = real[both], guess[both], width[both]
    if value.size < 2 or np.ptp(value) == 0:
        raise DataError(f"the truth must vary over at least 2 scored pixels; got {value.size}")
    if not (width > 0).all():
        raise DataError(f"std must be positive everywhere; got {width.min():g}")
    scale = float(value.std())
    z = (value - guess) / width
    rmse = float(np.sqrt(np.mean((value - guess) ** 2)))
    nll = 0.5 * z**2 + np.log(width / scale) + 0.5 * np.log(2 * np.pi)
    flat = np.ptp(guess) == 0
    ranks = np.nan if flat else float(np.corrcoef(rankdata(value), rankdata(guess))[0, 1])
    inside = {level: float(np.mean(np.abs(z) <= ndtri((1 + level) / 2))) for level in levels}
    return MapScore(
        rmse=rmse,
        nrmse=rmse / scale,
        nll=float(nll.mean()),
        crps=float(crps_normal(value, guess, width).mean() / scale),
        spearman=ranks,
        pixels=int(value.size),
        left_out=int((~both).sum()),
        coverage=inside,
    )


def crps_normal(value: ArrayLike, mean: ArrayLike, std: ArrayLike) -> FloatArray:
    """CRPS of normal forecasts, in the unit of the value (Gneiting and Raftery 2007, eq. 21).

    s [z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)], z = (value - mean)/s.
    """
    s = np.asarray(std, dtype=np.float64)
    z = (np.asarray(value, dtype=np.float64) - np.asarray(mean, dtype=np.float64)) / s
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray(s * (z * erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi)))


# Cost and normalisation ----------------------------------------------------------------------


def travel_trace(positions: ArrayLike) -> FloatArray:
    """Way of the tip so far [m] through positions (n, 2) [m]; 0 at the first."""
    step = np.diff(np.asarray(positions, dtype=np.float64), axis=0)
    return np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))])


def normalised(value: ArrayLike, random: ArrayLike, oracle: ArrayLike) -> FloatArray:
    """0 where the value is random sampling's, 1 where it is the oracle's; of any direction.

    NaN where the two do not differ (nothing can be gained there).  Below 0 is worse than random.
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
    """The traces of a run on a film's truth maps (rows, columns): the columns of a learning curve.

    sites : (n, 2) in the order of measurement;  archetype : true class map;  candidates : (m, 2)
    sites that could have been chosen (the whole map if None): what random sampling draws from.
    ok : (n,) False where a measurement failed: the step counts, the find does not.
    *_distance : [m];  *_id : map of the nearest junction or boundary.

    Keys: found, found_random, found_ideal, and where the maps are given boundary_share, junction_share,
    boundary_enrichment, junction_enrichment, junction_recall, boundary_recall.
    """
    place = np.asarray(sites, dtype=np.int64)
    truth = np.asarray(archetype)
    pool = np.argwhere(np.ones(truth.shape, bool)) if candidates is None else np.asarray(candidates)
    good = np.ones(len(place), bool) if ok is None else np.asarray(ok, dtype=bool)
    steps = np.arange(1, len(place) + 1)
    at, of = (tuple(place.T), tuple(pool.T))
    kinds, counts = np.unique(truth[of], return_counts=True)
    table = {
        "found": found_trace(np.where(good, truth[at].astype(np.int64), -1), kinds),
        "found_random": found_by_random(counts, len(place)),
        "found_ideal": np.minimum(steps / kinds.size, 1.0),
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
