"""Scores of a run against the truth, one value a measurement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from grainscout.analysis import metrics
from grainscout.benchmarks._truth import TaskTruth
from grainscout.records import Outcome, PackedState, Problem

Floats = NDArray[np.float64]

#: Sites this near to a boundary or a junction count as on it [m]: the widths of S26's films.
BOUNDARY_NM, JUNCTION_NM = 30.0, 40.0


def score_run(problem: Problem, truth: TaskTruth, outcomes: Sequence[Outcome]) -> PackedState:
    """Arrays of one value for each of the n outcomes, in order; failed ones count as steps.

    finished_s, travel_m : the clock and the way so far.  class_index : of the true class there.
    found : fraction of the film's classes that have been measured so far.
    boundary, junction : share of the sites so far that lie on one, over the share of all candidates
    (1 = as random).  spectral_diversity, structural_diversity : mean pairwise distance so far.
    best : best true target so far, as a quantile of the candidates' targets.
    """
    sites = np.array([tuple(o.site) for o in outcomes], np.int64)
    index = _candidate_index(problem, sites)
    ok = np.array([o.curve is not None for o in outcomes])
    positions = problem.scan.positions(sites)
    classes = truth.archetype[index].astype(np.int64)
    curves = np.array(
        [
            np.full(len(problem.waveform), np.nan) if o.curve is None else o.curve.current
            for o in outcomes
        ]
    )
    table: PackedState = {
        "row": sites[:, 0],
        "column": sites[:, 1],
        "ok": ok,
        "finished_s": np.array([o.finished for o in outcomes]),
        "travel_m": np.concatenate(
            [[0.0], np.cumsum(np.hypot(*np.diff(positions, axis=0).T))]
        ),
        "class_index": classes,
        "found": found_fraction(np.where(ok, classes, -1), truth.archetype),
        "best": best_quantile(truth.target, index, ok),
        "spectral_diversity": metrics.running_mean_distance(curves),
        "structural_diversity": metrics.running_mean_distance(_patches(problem, sites)),
    }
    for name, distance, width in (
        ("boundary", truth.boundary_distance, BOUNDARY_NM),
        ("junction", truth.junction_distance, JUNCTION_NM),
    ):
        if distance is not None:
            table[name] = metrics.running_enrichment(distance[index] < width * 1e-9, distance < width * 1e-9)
    return table
