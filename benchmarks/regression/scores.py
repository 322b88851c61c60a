"""Scores of a model's answer: its keys decide what is scored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

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
from grainscout.records import BoolArray, Budget, DataError, FloatArray, GrainscoutError

Answer = Mapping[str, Any] | Policy
Model = Callable[[FilmCase], Answer]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Direction of a score, and the mean change that matters in practice."""

    higher_is_better: bool
    margin: float


#: Scores by name; `metric_of` adds a model's own.
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
    """Return the metric. For a model's own, more is better and 1 % of its mean size matters."""
    return METRICS.get(name) or Metric(higher_is_better=True, margin=0.01 * abs(baseline))


def score_model(model: Model, film: str) -> dict[str, float]:
    """Score a model on one film. DataError if it fails there: it is never left out of a comparison."""
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
    scorers: dict[str, Callable[[Any], dict[str, float]]] = {
        "std": lambda _: {},  # scored with the mean
        "mean": lambda mean: _score_map(truth, mean, answer.get("std")),
        "archetype": lambda a: {"archetype_accuracy": _balanced(truth.archetype, a)},
        "latent": lambda points: {"latent_archetypes": _separation(truth.archetype, points)},
        "boundary": lambda image: {"boundary_auc": _auc(truth, image)},
        "policy": lambda policy: _score_policy(policy, case, truth),
        **{name: partial(_error, name, values) for name, values in truth.values.items()},
    }
    scores: dict[str, float] = {}
    for key, value in answer.items():
        if key in scorers:
            scores |= scorers[key](value)
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
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise DataError(f"{name} must be an array of shape {shape}; got {array.shape}")
    return array


def _score_map(truth: FilmTruth, mean: Any, std: Any) -> dict[str, float]:
    shape = truth.task.target.shape
    guess = _array("mean", mean, shape)
    width = np.ones(shape) if std is None else _array("std", std, shape)
    if not (np.isfinite(guess).all() and np.isfinite(width).all()):
        raise DataError("mean and std must be finite at every candidate site")
    score = score_map(truth.task, guess, width)
    error = {"map_error": score["nrmse"]}
    return error if std is None else {**error, "map_crps": score["crps"]}


def _balanced(truth: NDArray[np.uint8], answer: Any) -> float:
    """Balanced accuracy over the archetypes of the film. 0.25 is a guess among four."""
    given = _array("archetype", answer, truth.shape)
    return float(np.mean([(given[truth == k] == k).mean() for k in np.unique(truth)]))


def _separation(truth: NDArray[np.uint8], answer: Any) -> float:
    """Balanced share of curves whose archetype has the nearest nearest fifth in a map (n, d)."""
    points = np.asarray(answer, dtype=np.float64)
    if points.ndim != 2 or len(points) != len(truth) or not np.isfinite(points).all():
        raise DataError(f"latent must be finite ({len(truth)}, d); got shape {points.shape}")
    distance = cdist(points, points)
    np.fill_diagonal(distance, np.inf)
    known = [k for k in np.unique(truth) if (truth == k).sum() >= 5]
    near = [
        np.sort(distance[:, truth == k], axis=1)[:, : max(1, int((truth == k).sum()) // 5)].mean(1)
        for k in known
    ]
    nearest = np.array(known)[np.argmin(near, axis=0)]
    return float(np.mean([(nearest[truth == k] == k).mean() for k in known]))


def _auc(truth: FilmTruth, answer: Any) -> float:
    """Chance that a boundary pixel has a higher value than another: 1 perfect, 0.5 chance."""
    near: BoolArray = truth.film.structure.boundary_distance <= BOUNDARY_WIDTH
    given = _array("boundary", answer, near.shape)
    if not np.isfinite(given).all():
        raise DataError("boundary must be finite at every pixel")
    hits, others = int(near.sum()), int((~near).sum())
    return float(mannwhitneyu(given[near], given[~near]).statistic / (hits * others))


def _error(name: str, truth: FloatArray, answer: Any) -> dict[str, float]:
    """Mean |error| over that of the constant median; a lost value counts as that constant."""
    given = _array(name, answer, truth.shape)
    known = np.isfinite(truth)
    middle = float(np.median(truth[known]))
    value = np.where(np.isfinite(given), given, middle)
    error, guess = np.abs(value - truth)[known], np.abs(middle - truth)[known]
    return {f"{name}_error": float(error.sum() / guess.sum())}


def _score_policy(policy: Any, case: FilmCase, truth: FilmTruth) -> dict[str, float]:
    """Examples found, the evaluation model's map, and enrichment of sites on boundaries and junctions."""
    if not isinstance(policy, Policy):
        raise DataError(f"policy must have reset, ask and tell; got {type(policy).__name__}")
    problem = replace(case.problem, budget=Budget(curves=RUN_CURVES))
    run = Experiment(
        microscope_on(case.name), policy, problem=problem, seed=FILM_NAMES.index(case.name)
    )
    policy.reset(problem, rng=case.rng())  # the stream of the baselines
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
