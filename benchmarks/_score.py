"""Scores of a run against the truth, one value a measurement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from grainscout.benchmarks._truth import TaskTruth
from grainscout.records import Outcome, PackedState, Problem

Floats = NDArray[np.float64]

#: So many examples of each class are wanted.
EXAMPLES = 3

#: Sites this near to a boundary or a junction count as on it [m]: the widths of S26's films.
BOUNDARY_M, JUNCTION_M = 30e-9, 40e-9


def score_run(problem: Problem, truth: TaskTruth, outcomes: Sequence[Outcome]) -> PackedState:
    """Arrays of one value for each of the n outcomes, in order; failed ones count as steps.

    finished_s, travel_m : the clock and the way so far.  class_index : the true class there
    (-1 where the measurement failed);  found : share of the wanted examples in hand, beside what random
    sampling would have and the most that could be;  diversity : of the curves.
    boundary, junction : share of the sites so far that lie on one, over that of all candidates.
    """
    sites = np.array([tuple(o.site) for o in outcomes], np.int64)
    index = candidate_index(problem, sites)
    ok = np.array([o.curve is not None for o in outcomes])
    positions = problem.scan.positions(sites)
    classes = np.where(ok, truth.archetype[index].astype(np.int64), -1)
    steps = len(outcomes)
    table: PackedState = {
        "row": sites[:, 0],
        "column": sites[:, 1],
        "ok": ok,
        "finished_s": np.array([o.finished for o in outcomes]),
        "travel_m": np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(positions, axis=0).T))]),
        "class_index": classes,
        "found": found_fraction(classes, truth.wanted),
        "found_random": found_by_random(truth.archetype, truth.wanted, steps),
        "found_ideal": np.minimum(np.arange(1, steps + 1) / (EXAMPLES * len(truth.wanted)), 1.0),
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


def found_fraction(classes: NDArray[np.int64], wanted: Sequence[int]) -> Floats:
    """(n,) share of the wanted examples in hand after each step: `EXAMPLES` of each wanted class.

    classes : (n,) of what was measured, -1 for nothing.  One example could be chance; three show
    what a class is like.
    """
    counts = np.cumsum(classes[:, None] == np.array(wanted), axis=0)
    return np.asarray(np.minimum(counts, EXAMPLES).mean(axis=1) / EXAMPLES)


def found_by_random(archetype: NDArray[np.uint8], wanted: Sequence[int], steps: int) -> Floats:
    """(steps,) exact expectation of `found_fraction` for random sampling without replacement.

    The number of a class met in t draws is hypergeometric, and E[min(H, m)] = sum of P(H > j) over
    j = 0 .. m - 1.
    """
    n = len(archetype)
    t = np.arange(1, steps + 1)
    found = np.zeros(steps)
    for kind in wanted:
        k = int((archetype == kind).sum())
        for j in range(EXAMPLES):
            found += stats.hypergeom.sf(j, n, k, t)
    return found / (EXAMPLES * len(wanted))


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
    """How good a predicted map is, over the sites where it is scored.

    nrmse : rms error over the standard deviation of the truth (1 = as the mean);  nll : mean
    negative log-likelihood of the truth, of targets in units of that deviation;  coverage : share
    of the truth within the central 95 % interval.
    """
    value, mean, std = truth.target[truth.mapped], mean[truth.mapped], std[truth.mapped]
    scale = value.std()
    z = (value - mean) / std
    return {
        "nrmse": float(np.sqrt(np.mean((value - mean) ** 2)) / scale),
        "nll": float(np.mean(0.5 * z**2 + np.log(std / scale) + 0.5 * np.log(2 * np.pi))),
        "coverage": float(np.mean(np.abs(z) < 1.959964)),
    }


def as_map(problem: Problem, values: Floats) -> Floats:
    """(n_candidates,) values as an image of the scan's shape, NaN elsewhere."""
    image = np.full(problem.scan.shape, np.nan)
    image[problem.candidates[:, 0], problem.candidates[:, 1]] = values
    return image
