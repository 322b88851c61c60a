"""From a model's answer to scores: what is answered decides what is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from grainscout.analysis.metrics import BOUNDARY_WIDTH
from grainscout.benchmarks.campaign.cell import evaluation_map
from grainscout.benchmarks.regression.films import (
    FILM_NAMES,
    RUN_CURVES,
    FilmCase,
    FilmTruth,
    film_case,
    film_truth_of,
    microscope_on,
)
from grainscout.benchmarks.tasks.score import score_map, score_run
from grainscout.experiment import Experiment, one_thread
from grainscout.policies import Policy
from grainscout.records import Budget, DataError, GrainscoutError
from grainscout.records.arrays import BoolArray, FloatArray

Answer = Mapping[str, Any] | Policy
Model = Callable[[FilmCase], Answer]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a score is read: whether more is better, and the mean change that matters in practice."""

    higher_is_better: bool
    margin: float


#: Scores by name; a model's own scores are judged by `metric_of`.
METRICS: dict[str, Metric] = {
    "map_error": Metric(higher_is_better=False, margin=0.01),
    "map_crps": Metric(higher_is_better=False, margin=0.005),
    "archetype_accuracy": Metric(higher_is_better=True, margin=0.01),
    "latent_archetypes": Metric(higher_is_better=True, margin=0.02),
    "boundary_auc": Metric(higher_is_better=True, margin=0.005),
    "found": Metric(higher_is_better=True, margin=0.01),
    "run_map_error": Metric(higher_is_better=False, margin=0.01),
    "at_boundary": Metric(higher_is_better=True, margin=0.05),
    "at_junction": Metric(higher_is_better=True, margin=0.05),
    **{
        f"{name}_error": Metric(higher_is_better=False, margin=0.005)
        for name in ("turn_on", "loop_area", "hysteresis", "max_current")
    },
}


def metric_of(name: str, baseline: float) -> Metric:
    """How to read a score; one of the model's own: more is better, 1 % of its mean size matters."""
    return METRICS.get(name) or Metric(higher_is_better=True, margin=0.01 * abs(baseline))


def score_model(model: Model, film: str) -> dict[str, float]:
    """Scores of a model on one film.

    DataError names the film if the model fails there or answers with something unusable: a model
    without a score is never left out of a comparison.
    """
    case, truth = film_case(film), film_truth_of(film)
    try:
        with one_thread():
            answer = model(case)
            scores = _scores(answer, case, truth)
    except GrainscoutError as error:
        raise DataError(f"the model cannot be scored on film {film}: {error}") from error
    for name, value in scores.items():
        if not np.isfinite(value):
            raise DataError(f"score {name} on film {film} must be a finite number; got {value}")
    return scores


def _scores(answer: Answer, case: FilmCase, truth: FilmTruth) -> dict[str, float]:
    if isinstance(answer, Policy):
        answer = {"policy": answer}
    if not isinstance(answer, Mapping) or not answer:
        raise DataError(
            "a model must answer with a policy or a mapping of what it predicts (mean and std, "
            f"archetype, boundary, descriptors, scores of its own); got {type(answer).__name__}"
        )
    scores: dict[str, float] = {}
    for key, value in answer.items():
        if key == "std":
            continue
        if key == "mean":
            scores |= _score_map(truth, value, answer.get("std"))
        elif key == "archetype":
            scores["archetype_accuracy"] = _balanced(truth.archetype, value)
        elif key == "latent":
            scores["latent_archetypes"] = _apart(truth.archetype, value)
        elif key == "boundary":
            near = truth.film.structure.boundary_distance <= BOUNDARY_WIDTH
            scores["boundary_auc"] = _auc(near, value)
        elif key == "policy":
            scores |= _score_policy(value, case, truth)
        elif key in truth.values:
            scores[f"{key}_error"] = _error(truth.values[key], value, key)
        elif np.ndim(value) == 0:
            scores[key] = float(value)
        else:
            raise DataError(
                "an answer must be mean, std, archetype, latent, boundary, policy, "
                f"{', '.join(truth.values)}, or a single number (a score of your own); got {key!r} "
                f"of shape {np.shape(value)}"
            )
    return scores


def _array(name: str, value: Any, shape: tuple[int, ...]) -> FloatArray:
    found = np.asarray(value, dtype=np.float64)
    if found.shape != shape:
        raise DataError(f"{name} must be an array of shape {shape}; got {found.shape}")
    return found


def _score_map(truth: FilmTruth, mean: Any, std: Any) -> dict[str, float]:
    shape = truth.task.target.shape
    guess = _array("mean", mean, shape)
    width = np.ones(shape) if std is None else _array("std", std, shape)
    if not (np.isfinite(guess).all() and np.isfinite(width).all()):
        raise DataError("mean and std must be finite at every candidate site")
    found = score_map(truth.task, guess, width)
    scores = {"map_error": found["nrmse"]}
    return scores if std is None else {**scores, "map_crps": found["crps"]}


def _balanced(truth: NDArray[np.uint8], answer: Any) -> float:
    """Mean over the kinds that are there of the share recognised; 0.25 is a guess among four."""
    given = _array("archetype", answer, truth.shape)
    return float(np.mean([(given[truth == kind] == kind).mean() for kind in np.unique(truth)]))


def _apart(truth: NDArray[np.uint8], answer: Any) -> float:
    """Balanced share of curves whose kind is that of the nearest kind in a map (n, d).

    A kind is as near as its nearest fifth, the curve itself left out; kinds with under five are not asked.
    """
    points = np.asarray(answer, dtype=np.float64)
    if points.ndim != 2 or len(points) != len(truth) or not np.isfinite(points).all():
        raise DataError(f"latent must be finite ({len(truth)}, d); got shape {points.shape}")
    distance = cdist(points, points)
    np.fill_diagonal(distance, np.inf)
    kinds = [k for k in np.unique(truth) if (truth == k).sum() >= 5]
    near = [
        np.sort(distance[:, truth == k], axis=1)[:, : max(1, int((truth == k).sum()) // 5)].mean(1)
        for k in kinds
    ]
    found = np.array(kinds)[np.argmin(near, axis=0)]
    return float(np.mean([(found[truth == k] == k).mean() for k in kinds]))


def _auc(near: BoolArray, answer: Any) -> float:
    """Chance that a boundary pixel has a higher value than another: 1 perfect, 0.5 chance."""
    given = _array("boundary", answer, near.shape)
    if not np.isfinite(given).all():
        raise DataError("boundary must be finite at every pixel")
    hits, others = int(near.sum()), int((~near).sum())
    ranks = rankdata(given).reshape(near.shape)
    return float((ranks[near].sum() - hits * (hits + 1) / 2) / (hits * others))


def _error(truth: FloatArray, answer: Any, name: str) -> float:
    """Mean |error| over that of the constant guess (the median of the truth), which is 1.

    A curve left without a value counts as that guess: silence is no way to a better score.
    """
    given = _array(name, answer, truth.shape)
    known = np.isfinite(truth)
    middle = float(np.median(truth[known]))
    value = np.where(np.isfinite(given), given, middle)
    error, guess = np.abs(value - truth)[known], np.abs(middle - truth)[known]
    return float(error.sum() / guess.sum())


def _score_policy(policy: Any, case: FilmCase, truth: FilmTruth) -> dict[str, float]:
    """One run: what it found, the referee's map from its curves, and whether it sees the structure.

    at_boundary, at_junction : share of its sites there over that of all candidates; 1 is chance.  The
    finding of both papers, and much less noisy than what was found.
    """
    if not isinstance(policy, Policy):
        raise DataError(f"policy must have reset, ask and tell; got {type(policy).__name__}")
    problem = replace(case.problem, budget=Budget(curves=RUN_CURVES))
    run = Experiment(
        microscope_on(case.name), policy, problem=problem, seed=FILM_NAMES.index(case.name)
    )
    outcomes = run.run().outcomes
    if not any(o.curve is not None for o in outcomes):
        raise DataError("a policy must measure at least one curve")
    steps = score_run(problem, truth.task, outcomes)
    mean, std = evaluation_map(problem, outcomes)
    return {
        "found": float(steps["found"].mean()),
        "run_map_error": score_map(truth.task, mean, std)["nrmse"],
        "at_boundary": float(steps["boundary"][-1]),
        "at_junction": float(steps["junction"][-1]),
    }
