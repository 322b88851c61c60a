"""What the policies of a cell are held against: truth, anchors and the random policy's own run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainscout.benchmarks.tasks.anchors import Anchors, find_anchors
from grainscout.benchmarks.tasks.environment import make_environment
from grainscout.benchmarks.tasks.task import Task, plain
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.experiment import Experiment
from grainscout.policies import make_policy
from grainscout.records import Outcome, Problem

_KEPT: dict[str, Ground] = {}
_MOST = 2  # a worker's neighbouring cells are of one film and task, or of two


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """Of one task on one film. Policies meet the same."""

    truth: TaskTruth
    anchors: Anchors | None  #: None where no map is scored
    random: list[Outcome]  #: The run of the policy ``random``, to the end of the budget


def find_ground(task: Task, seed: int, anchors: Mapping[str, Any] | None = None) -> Ground:
    """The ground, from this process's cache if possible. Known anchors are not computed again."""
    files = [v for v in vars(task.microscope).values() if isinstance(v, Path) and v.exists()]
    key = json.dumps([plain(task, stored=True), seed, [f.stat().st_mtime_ns for f in files]])
    if key not in _KEPT:
        made = _ground(task, seed, anchors)
        while len(_KEPT) >= _MOST:
            del _KEPT[next(iter(_KEPT))]
        _KEPT[key] = made
    return _KEPT[key]


def needs_anchors(task: Task) -> bool:
    """True if maps are scored."""
    return bool({"mapping", "level-set"} & set(task.goals))


def run_random(task: Task, seed: int) -> tuple[Problem, TaskTruth, list[Outcome]]:
    """The random policy's own run on a task, to the end of the budget."""
    environment = make_environment(task, seed)
    problem = environment.problem()
    truth = environment.truth(problem)
    run = Experiment(
        environment.microscope,
        make_policy("random", {}),
        problem=problem,
        seed=seed,
        batch=task.batch,
        second_look=task.second_look,
    ).run()
    return problem, truth, list(run.outcomes)


def _ground(task: Task, seed: int, known: Mapping[str, Any] | None) -> Ground:
    problem, truth, outcomes = run_random(task, seed)
    anchors = None if known is None else Anchors.of(known)
    if known is None and needs_anchors(task):
        anchors = find_anchors(problem, truth, task.curves or len(outcomes))
    return Ground(truth=truth, anchors=anchors, random=outcomes)
