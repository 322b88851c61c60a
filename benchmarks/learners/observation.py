"""What a learner sees of a run, and what it earns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grainscout.benchmarks.tasks.score import score_run
from grainscout.benchmarks.tasks.task import Goal
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.records import ConfigError, FloatArray, Outcome, Problem

Observation = dict[str, Any]
_NANO = 1e9  # currents are given in nA
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True, eq=False)
class Observer:
    """Makes the observation of a learner from the outcomes so far; the truth has no part in it.

    image : (channels, rows, columns) each channel less its mean, over its standard deviation;  sites :
    (budget, 2) row and column;  curves : (budget, samples) [nA], of usable
    ones;  usable : (budget,) verdict on each;
    count : (1,) how many of the rows are filled.
    """

    problem: Problem
    image: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        channels = np.array(list(self.problem.scan.channels.values()), np.float64)
        middle = np.nanmean(channels, axis=(1, 2), keepdims=True)
        spread = np.nanstd(channels, axis=(1, 2), keepdims=True)
        flat = (channels - middle) / np.where(spread > 0, spread, 1.0)
        object.__setattr__(self, "image", np.nan_to_num(flat).astype(np.float32))

    @property
    def budget(self) -> int:
        """Curves of one episode."""
        if self.problem.budget.curves is None:
            raise ConfigError(
                "a task for learners must have a budget of curves; this one has only seconds or wear"
            )
        return self.problem.budget.curves

    def space(self) -> Any:
        """Return the gymnasium space of the observations."""
        from gymnasium import spaces

        rows, columns = self.problem.scan.shape
        n, samples = self.budget, len(self.problem.waveform.voltage)

        def free(*shape: int) -> Any:
            return spaces.Box(-_LARGEST, _LARGEST, shape, np.float32)

        return spaces.Dict(
            {
                "image": free(*self.image.shape),
                "sites": spaces.Box(0, max(rows, columns) - 1, (n, 2), np.int64),
                "curves": free(n, samples),
                "usable": spaces.MultiBinary(n),
                "count": spaces.Box(0, n, (1,), np.int64),
            }
        )

    def __call__(self, outcomes: Sequence[Outcome]) -> Observation:
        """Return the observation after these outcomes."""
        n, samples = self.budget, len(self.problem.waveform.voltage)
        sites, usable = np.zeros((n, 2), np.int64), np.zeros(n, np.int8)
        curves = np.zeros((n, samples), np.float32)
        for k, outcome in enumerate(outcomes[:n]):
            sites[k], usable[k] = tuple(outcome.site), outcome.usable
            if outcome.curve is not None and outcome.usable:
                curves[k] = np.nan_to_num(outcome.curve.current) * _NANO
        count = np.array([min(len(outcomes), n)], np.int64)
        return {
            "image": self.image.copy(),
            "sites": sites,
            "curves": curves,
            "usable": usable,
            "count": count,
        }


def worth(goal: Goal, problem: Problem, truth: TaskTruth, outcomes: Sequence[Outcome]) -> float:
    """What a run has reached by now: an episode's rewards are the differences of this.

    Discovery: share of the wanted examples that are in hand. Optimisation: the largest true target in
    hand, from the lowest candidate (0) to the highest (1). Mapping: less the error of the evaluation
    model's map, -1 before it has a curve (a constant has an error of 1).
    """
    if not outcomes:
        return -1.0 if goal == "mapping" else 0.0
    if goal == "mapping":
        from grainscout.benchmarks.campaign.cell import evaluation_map
        from grainscout.benchmarks.tasks.score import score_map

        if not any(o.usable for o in outcomes):
            return -1.0
        return -score_map(truth, *evaluation_map(problem, outcomes))["nrmse"]
    steps = score_run(problem, truth, outcomes)
    name = "found" if goal == "discovery" else "best"
    return float(np.asarray(steps[name])[-1]) if name in steps else 0.0
