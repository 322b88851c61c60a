"""Scores of a run against the truth, one value a measurement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from grainscout.benchmarks._truth import TaskTruth
from grainscout.records import Outcome, PackedState, Problem

Floats = NDArray[np.float64]

#: Sites this near to a boundary or a junction count as on it [m]: the widths of S26's films.
BOUNDARY_M, JUNCTION_M = 30e-9, 40e-9


def score_run(problem: Problem, truth: TaskTruth, outcomes: Sequence[Outcome]) -> PackedState:
    """Arrays of one value for each of the n outcomes, in order; failed ones count as steps.

    finished_s, travel_m : the clock and the way so far.  class_index : the true class there
    (-1 where the measurement failed);  found : fraction of the film's classes met so far, beside what
    random sampling would have met and the most that could have been;  diversity : of the curves.
    boundary, junction : share of the sites so far that lie on one, over that of all candidates.
    """
    sites = np.array([tuple(o.site) for o in outcomes], np.int64)
    index = candidate_index(problem, sites)
    ok = np.array([o.curve is not None for o in outcomes])
    positions = problem.scan.positions(sites)
    classes = np.where(ok, truth.archetype[index].astype(np.int64), -1)
    present = np.unique(truth.archetype)
    steps = len(outcomes)
    table: PackedState = {
        "row": sites[:, 0],
        "column": sites[:, 1],
        "ok": ok,
        "finished_s": np.array([o.finished for o in outcomes]),
        "travel_m": np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(positions, axis=0).T))]),
        "class_index": classes,
        "found": np.array([np.isin(present, classes[: t + 1]).mean() for t in range(steps)]),
        "found_random": found_by_random(truth.archetype, steps),
        "found_ideal": np.minimum(np.arange(1, steps + 1) / len(present), 1.0),
        "diversity": running_diversity(problem, outcomes),
    }
    for name, distance, width in (
        ("boundary", truth.boundary_distance, BOUNDARY_M),
        ("junction", truth.junction_distance, JUNCTION_M),
    ):
        if distance is not None:
            share = np.cumsum(distance[index] < width) / np.arange(1, steps + 1)
            table[name] = share / (distance < width).mean()
    return table


def candidate_index(problem: Problem, sites: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) index of each site among the problem's candidates (row-major, hence sorted)."""
    columns = problem.scan.shape[1]
    flat = problem.candidates @ [columns, 1]
    return np.searchsorted(flat, sites @ [columns, 1])


def found_by_random(classes: NDArray[np.uint8], steps: int) -> Floats:
    """(steps,) expected fraction of the classes met by random sampling without replacement.

    Hypergeometric: a class of K among N is missed by t draws with probability C(N-K, t)/C(N, t).
    """
    n = len(classes)
    t = np.arange(1, steps + 1)
    met = []
    for k in np.unique(classes, return_counts=True)[1]:
        possible = t <= n - k
        draws = t[possible]
        log_missed = (
            gammaln(n - k + 1)
            - gammaln(n - k - draws + 1)
            - gammaln(n + 1)
            + gammaln(n - draws + 1)
        )
        missed = np.zeros(steps)
        missed[possible] = np.exp(log_missed)
        met.append(1.0 - missed)
    return np.asarray(np.mean(met, axis=0))


def running_diversity(problem: Problem, outcomes: Sequence[Outcome]) -> Floats:
    """(n,) mean pairwise distance of the curves measured so far, over the rms current of all.

    The measure of S26; it may fall when a new curve resembles the old ones.
    """
    curves = np.array([o.curve.current for o in outcomes if o.curve is not None])
    lost = ~np.isfinite(curves)
    curves = np.where(lost, 0.0, curves)
    scale = np.sqrt(np.mean(curves**2) * curves.shape[1]) if curves.size else 1.0
    squares = (curves**2).sum(1)
    gram = squares[:, None] + squares - 2.0 * curves @ curves.T
    distances = np.sqrt(np.maximum(gram, 0.0))
    np.fill_diagonal(distances, 0.0)
    total = np.cumsum(np.tril(distances).sum(1))
    pairs = np.cumsum(np.arange(len(curves)))
    mean = np.divide(total, pairs, out=np.zeros(len(curves)), where=pairs > 0) / scale
    measured = np.cumsum([o.curve is not None for o in outcomes])
    return np.where(measured > 0, mean[np.maximum(measured - 1, 0)], 0.0)


def score_map(truth: TaskTruth, mean: Floats, std: Floats) -> dict[str, float]:
    """How good a predicted map is where the truth has a value.

    nrmse : rms error over the standard deviation of the truth (1 = as the mean);  nll : mean
    negative log-likelihood of the truth, of targets in units of that deviation;  coverage : share
    of the truth within the central 95 % interval.
    """
    known = np.isfinite(truth.target)
    value, mean, std = truth.target[known], mean[known], std[known]
    scale = value.std()
    z = (value - mean) / std
    return {
        "nrmse": float(np.sqrt(np.mean((value - mean) ** 2)) / scale),
        "nll": float(np.mean(0.5 * z**2 + np.log(std / scale) + 0.5 * np.log(2 * np.pi))),
        "coverage": float(np.mean(np.abs(z) < 1.959964)),
    }
