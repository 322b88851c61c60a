"""Scores of a run against the truth, one value a measurement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grainscout.analysis import diversity, metrics
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.records import Outcome, PackedState, Problem
from grainscout.records.arrays import FloatArray

#: So many examples of each class are wanted.
EXAMPLES = 3

#: Sites this near to a boundary or a junction count as on it [m]: the widths of Gong2026's films.
BOUNDARY_M, JUNCTION_M = 30e-9, 40e-9


def score_run(problem: Problem, truth: TaskTruth, outcomes: Sequence[Outcome]) -> PackedState:
    """Arrays of one value for each of the n outcomes, in order. Failed ones count as steps.

    finished_s, travel_m : the clock and the way so far.  class_index : the true class there
    (-1 where the measurement failed, or a person measured beyond the candidates);  found : share of
    the wanted examples in hand, beside what random sampling would have and the most that could be.
    best, best_random : largest true target in hand, from the lowest candidate (0; also a failure, or
    a site without a value) to the highest (1), beside what random sampling would have; absent where
    the target does not vary.
    diversity : of the curves.
    boundary, junction : share of the sites so far that lie on one, over that of all candidates.
    """
    sites = np.array([tuple(o.site) for o in outcomes], np.int64)
    index = problem.index_of(sites)
    known = index >= 0
    ok = np.array([o.curve is not None for o in outcomes])
    positions = problem.scan.positions(sites)
    classes = np.where(ok & known, truth.archetype[index].astype(np.int64), -1)
    steps = len(outcomes)
    table: PackedState = {
        "row": sites[:, 0],
        "column": sites[:, 1],
        "ok": ok,
        "finished_s": np.array([o.finished for o in outcomes]),
        "travel_m": np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(positions, axis=0).T))]),
        "class_index": classes,
        "found": metrics.found_trace(classes, truth.wanted, examples=EXAMPLES),
        "found_random": metrics.found_by_random(
            [int((truth.archetype == kind).sum()) for kind in truth.wanted],
            steps,
            total=len(truth.archetype),
            examples=EXAMPLES,
        ),
        "found_ideal": np.minimum(np.arange(1, steps + 1) / (EXAMPLES * len(truth.wanted)), 1.0),
        "diversity": running_diversity(problem, outcomes),
    }
    worth = site_worth(truth)
    if worth is not None:
        table["best"] = np.maximum.accumulate(np.where(ok & known, worth[index], 0.0))
        table["best_random"] = metrics.best_by_random(worth, steps)
    for name, distance, width in (
        ("boundary", truth.boundary_distance, BOUNDARY_M),
        ("junction", truth.junction_distance, JUNCTION_M),
    ):
        if distance is not None and (distance < width).any():
            on = distance < width
            table[name] = metrics.enrichment_trace(on[index] & known, float(on.mean()))
    return table


def site_worth(truth: TaskTruth) -> FloatArray | None:
    """(n_candidates,) true target from its lowest (0) to its highest (1), 0 where it has none.

    None where it does not vary: nothing is to be found.
    """
    if not np.isfinite(truth.target).any():
        return None
    low, high = np.nanmin(truth.target), np.nanmax(truth.target)
    return np.nan_to_num((truth.target - low) / (high - low)) if high > low else None


def running_diversity(problem: Problem, outcomes: Sequence[Outcome]) -> FloatArray:
    """(n,) mean pairwise distance of the curves measured so far, over the rms current of all.

    The measure of Gong2026; it may fall when a new curve resembles the old ones.
    """
    curves = np.array([o.curve.current for o in outcomes if o.curve is not None])
    measured = np.cumsum([o.curve is not None for o in outcomes])
    if not len(curves):
        return np.zeros(len(outcomes))
    curves = np.where(np.isfinite(curves), curves, 0.0)
    scale = np.sqrt(np.mean(curves**2))  # distances are per sample as well
    trace = np.nan_to_num(diversity.mean_distance_trace(curves)) / (scale or 1.0)
    return np.where(measured > 0, trace[np.maximum(measured - 1, 0)], 0.0)


def score_map(truth: TaskTruth, mean: FloatArray, std: FloatArray) -> dict[str, float]:
    """How good a predicted map is, over the sites where it is scored. See ``metrics.map_score``."""
    found = metrics.map_score(np.where(truth.mapped, truth.target, np.nan), mean, std)
    return {
        "nrmse": found.nrmse,
        "nll": found.nll,
        "crps": found.crps,
        "spearman": found.spearman,
        "coverage": found.coverage[0.95],
    }
