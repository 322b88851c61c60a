"""Scores of a run against the truth, one value a measurement."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grainscout.analysis import diversity, metrics
from grainscout.analysis.map_scores import level_set_score
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.records import FloatArray, IntArray, Outcome, PackedState, Problem

#: So many examples of each class are wanted.
EXAMPLES = 3

#: Sites this near to a boundary or a junction count as on it [m]: the widths of Gong2026's films.
BOUNDARY_M, JUNCTION_M = 30e-9, 40e-9


def score_run(problem: Problem, truth: TaskTruth, outcomes: Sequence[Outcome]) -> PackedState:
    """Arrays of one value for each of the n outcomes, in order. Unusable ones count as steps.

    finished_s, travel_m : the clock and the way so far.  ok : there is a curve, and it is usable.
    class_index : the true class there (-1 where the curve is not usable, or a person measured beyond the
    candidates);  found : share of the wanted examples in hand, beside what random sampling would have and
    the most that could be;  met : the same with one example of each class.
    curve_index, curve_found, ... : the same by the class of the noiseless curve; absent without classes.
    best, best_random : largest true target in hand, from the lowest candidate (0; also a failure, or
    a site without a value) to the highest (1), beside what random sampling would have; absent where
    the target does not vary.
    diversity : of the curves.
    boundary, junction : share of the sites so far that lie on one, over that of all candidates.
    """
    sites = np.array([tuple(o.site) for o in outcomes], np.int64)
    index = problem.index_of(sites)
    known = index >= 0
    ok = np.array([o.usable for o in outcomes])
    positions = problem.scan.positions(sites)
    steps = len(outcomes)
    table: PackedState = {
        "row": sites[:, 0],
        "column": sites[:, 1],
        "ok": ok,
        "finished_s": np.array([o.finished for o in outcomes]),
        "travel_m": np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(positions, axis=0).T))]),
        "diversity": running_diversity(problem, outcomes),
    }
    by: dict[str, NDArray[np.uint8] | None] = {"": truth.archetype, "curve_": truth.curve_class}
    for name, kinds in by.items():
        if kinds is None:
            continue
        wanted = [k for k in truth.wanted if (kinds == k).any()]
        met = np.where(ok & known, kinds[index].astype(np.int64), -1)
        table["class_index" if not name else "curve_index"] = met
        table |= {f"{name}{k}": v for k, v in _discovery(met, kinds, wanted).items()}
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


def _discovery(met: IntArray, kinds: NDArray[np.uint8], wanted: list[int]) -> dict[str, FloatArray]:
    """Share of the wanted examples found, by chance and at best, for classes met in order."""
    steps, counts = len(met), [int((kinds == k).sum()) for k in wanted]
    table = {}
    for name, examples in (("found", EXAMPLES), ("met", 1)):
        most = np.arange(1, steps + 1) / (examples * len(wanted))
        table[name] = metrics.found_trace(met, wanted, examples=examples)
        table[f"{name}_random"] = metrics.found_by_random(
            counts, steps, total=len(kinds), examples=examples
        )
        table[f"{name}_ideal"] = np.minimum(most, 1.0)
    return table


def site_worth(truth: TaskTruth) -> FloatArray | None:
    """(n_candidates,) true target from 0 (or none) to 1. None where it does not vary."""
    if not np.isfinite(truth.target).any():
        return None
    low, high = np.nanmin(truth.target), np.nanmax(truth.target)
    return np.nan_to_num((truth.target - low) / (high - low)) if high > low else None


def running_diversity(problem: Problem, outcomes: Sequence[Outcome]) -> FloatArray:
    """(n,) mean pairwise distance of the curves so far, over the rms current of all (Gong2026)."""
    curves = np.array([o.curve.current for o in outcomes if o.usable and o.curve is not None])
    measured = np.cumsum([o.usable for o in outcomes])
    if not len(curves):
        return np.zeros(len(outcomes))
    curves = np.where(np.isfinite(curves), curves, 0.0)
    scale = np.sqrt(np.mean(curves**2))  # distances are per sample as well
    trace = np.nan_to_num(diversity.mean_distance_trace(curves)) / (scale or 1.0)
    return np.where(measured > 0, trace[np.maximum(measured - 1, 0)], 0.0)


def score_map(
    truth: TaskTruth, mean: FloatArray, std: FloatArray, problem: Problem | None = None
) -> dict[str, float]:
    """`metrics.map_score` where the map is scored. With a level: how well it tells what is above it."""
    target = np.where(truth.mapped, truth.target, np.nan)
    found = metrics.map_score(target, mean, std)
    scores = {
        "nrmse": found.nrmse,
        "nll": found.nll,
        "crps": found.crps,
        "spearman": found.spearman,
        "coverage": found.coverage[0.95],
    }
    if truth.level is not None and problem is not None:
        maps = problem.as_map(target), problem.as_map(mean)
        accuracy, error = level_set_score(*maps, truth.level, problem.scan.pixel_size)
        scores |= {"level_accuracy": accuracy, "level_error_m": error}
    return scores
