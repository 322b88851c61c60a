"""One cell of a campaign: one policy on one film, scored against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from grainscout.benchmarks._score import score_map, score_run
from grainscout.benchmarks._stage import set_up
from grainscout.benchmarks._store import CellKey
from grainscout.benchmarks._tasks import PolicySpec, Task
from grainscout.benchmarks._truth import TaskTruth
from grainscout.experiment import Experiment, Step
from grainscout.policies import Policy, make_policy
from grainscout.policies._protocol import Predicts
from grainscout.records import Outcome, PackedState, PolicyError, Problem

#: Maps are scored at these numbers of measurements, as fractions of the budget, and at its end.
_CHECKPOINTS = (0.15, 0.3, 0.45, 0.6, 0.8)


def film_seed(seed: int, task: str, film: int) -> int:
    """The seed of film k of a task: the same for every policy, and another for every task.

    Tasks that shared films would not be independent evidence.
    """
    return int(np.random.SeedSequence([seed, crc32(task.encode()), film]).generate_state(1)[0])


def run_cell(key: CellKey, task: Task, policy: PolicySpec, seed: int) -> PackedState:
    """Run and score one cell; the result is a packable tree.

    steps : one value a measurement, identical on every machine of a kind.
    checkpoints : scores of predicted maps at a few numbers of measurements.
    timing : seconds of this computer; not reproducible and kept apart.
    final : (n_candidates,) float32 predicted mean and standard deviation at the end.
    curves : (n, samples) float32 measured currents [A].
    """
    cell_seed = film_seed(seed, key.task, key.film)
    bench = set_up(task, cell_seed)
    problem = bench.problem()
    truth = bench.truth(problem)
    run = _Run(problem, truth)
    result = Experiment(
        bench.microscope,
        _policy(policy, truth),
        problem=problem,
        seed=cell_seed,
        batch=task.batch,
        observe=run.observe,
    ).run()
    if not result.outcomes:
        raise PolicyError(f"policy {policy.title!r} asked for no measurement at all")
    run.check_map()
    ok = [o for o in result.outcomes if o.curve is not None]
    return {
        "reason": result.reason,
        "steps": score_run(problem, truth, result.outcomes),
        "checkpoints": run.table(),
        "timing": {"decision_s": np.array(run.decisions)},
        "final": {k: v.astype(np.float32) for k, v in run.final.items()},
        "curves": np.array([o.curve.current for o in ok if o.curve is not None], np.float32),
        "curve_sites": np.array([tuple(o.site) for o in ok], np.int64).reshape(-1, 2),
    }


def _policy(spec: PolicySpec, truth: TaskTruth) -> Policy:
    options = dict(spec.options)
    if spec.uses_truth:
        # A control that is told the answer, and says so: here which kind each site is.
        wanted = np.isin(truth.archetype, truth.wanted)
        options["truth"] = np.where(wanted, truth.archetype.astype(float), np.nan)
        options.setdefault("aim", "classes")
    return make_policy(spec.name, options)


class _Run:
    """Watches a run and scores its maps at the checkpoints."""

    def __init__(self, problem: Problem, truth: TaskTruth) -> None:
        self.problem = problem
        self.truth = truth
        self.decisions: list[float] = []
        self.outcomes: list[Outcome] = []
        self.rows: list[dict[str, float]] = []
        self.final: dict[str, NDArray[np.float64]] = {}
        curves = self.problem.budget.curves
        self._due = (
            [max(2, round(f * curves)) for f in _CHECKPOINTS] if curves else [10, 20, 40, 80]
        )

    def observe(self, step: Step) -> None:
        self.outcomes.extend(step.outcomes)
        self.decisions.append(step.decision_s)
        if self._due and len(self.outcomes) >= self._due[0]:
            self._due = [d for d in self._due if d > len(self.outcomes)]
            self.check_map()

    def check_map(self) -> None:
        """Score what the data of the run say about every candidate, by one referee for all policies.

        Policies without a model then stand in the same table, and what is compared is the choice
        of sites.  A policy's own model is scored beside it by ``score_run`` of its proposals.
        """
        if not any(o.curve is not None for o in self.outcomes):
            return
        mean, std = referee(self.problem, self.outcomes)
        self.final = {"mean": mean, "std": std}
        self.rows.append({"n": len(self.outcomes), **score_map(self.truth, mean, std)})

    def table(self) -> dict[str, NDArray[np.float64]]:
        names = self.rows[0] if self.rows else {}
        return {k: np.array([row[k] for row in self.rows], float) for k in names}


def referee(
    problem: Problem, outcomes: Sequence[Outcome]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the target at every candidate, from these outcomes alone.

    The closed-form deep kernel (``dkl`` with its defaults) fitted once: a fixed, deterministic model
    that no policy can tune.
    """
    model = make_policy("dkl", {})
    model.reset(problem, rng=np.random.default_rng(0))
    model.tell(list(outcomes))
    if not isinstance(model, Predicts):
        raise PolicyError("the referee must be able to predict")
    return model.predict()
