"""One cell of a campaign: one policy on one film, scored against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from grainscout.benchmarks.campaign.store import CellKey
from grainscout.benchmarks.tasks.environment import make_environment
from grainscout.benchmarks.tasks.score import score_map, score_run
from grainscout.benchmarks.tasks.task import PolicySpec, Task
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.experiment import Experiment, Step
from grainscout.hardware import Guard, SupportsWear
from grainscout.policies import Policy, make_policy
from grainscout.policies.protocol import SupportsPredict
from grainscout.records import ConfigError, Outcome, PackedState, PolicyError, Problem
from grainscout.records.arrays import FloatArray
from grainscout.records.supports import supports

#: Maps are scored at these numbers of measurements, as fractions of the budget, and at its end.
_CHECKPOINTS = (0.15, 0.3, 0.45, 0.6, 0.8)


def film_seed(seed: int, task: str, film: int) -> int:
    """Derive the seed of film k of a task: the same for every policy, another for every task.

    Tasks that shared films would not be independent evidence.
    """
    return int(np.random.SeedSequence([seed, crc32(task.encode()), film]).generate_state(1)[0])


def run_cell(key: CellKey, task: Task, policy: PolicySpec, seed: int) -> PackedState:
    """Run and score one cell.

    The packable tree holds `steps` (one value a measurement, identical on every machine of a kind:
    those of ``score_run`` and the share of the budget spent then), `checkpoints` (scores of
    predicted maps), `timing` (seconds of this computer, not reproducible), `final` (predicted mean
    and standard deviation of every candidate, float32) and `curves` ((n, samples) currents [A] at
    curve_sites).
    """
    cell_seed = film_seed(seed, key.task, key.film)
    environment = make_environment(task, cell_seed)
    problem = environment.problem()
    truth = environment.truth(problem)
    scorer = _RunScorer(problem, truth, environment.microscope)
    result = Experiment(
        environment.microscope,
        _policy(policy, task, truth),
        problem=problem,
        seed=cell_seed,
        batch=task.batch,
        second_look=task.second_look,
        observe=scorer.observe,
    ).run()
    if not result.outcomes:
        raise PolicyError(f"policy {policy.title!r} asked for no measurement at all")
    scorer.check_map()
    ok = [o for o in result.outcomes if o.curve is not None]
    return {
        "reason": result.reason,
        "steps": {**score_run(problem, truth, result.outcomes), "spent": np.array(scorer.spent)},
        "checkpoints": scorer.table(),
        "timing": {"decision_s": np.array(scorer.decisions)},
        "final": {k: v.astype(np.float32) for k, v in scorer.final.items()},
        "curves": np.array([o.curve.current for o in ok if o.curve is not None], np.float32),
        "curve_sites": np.array([tuple(o.site) for o in ok], np.int64).reshape(-1, 2),
    }


def _policy(spec: PolicySpec, task: Task, truth: TaskTruth) -> Policy:
    options = dict(spec.options)
    if spec.uses_truth:
        # A control that is given the answer: the class of each site, or its value.
        wanted = np.isin(truth.archetype, truth.wanted)
        kinds = np.where(wanted, truth.archetype.astype(float), np.nan)
        aim = options.setdefault("aim", "largest" if task.goals == ("optimisation",) else "classes")
        options["truth"] = kinds if aim == "classes" else truth.target
    return make_policy(spec.name, options)


class _RunScorer:
    """Observer of a run that scores its maps at the checkpoints."""

    def __init__(self, problem: Problem, truth: TaskTruth, microscope: Guard) -> None:
        self.problem = problem
        self.truth = truth
        self.microscope = microscope
        self.begun = microscope.clock.now()  # the image has been taken
        self.wear = microscope.wear() if supports(microscope, SupportsWear) else 0.0
        budget = problem.budget
        if budget.seconds is not None and budget.seconds <= self.begun:
            raise ConfigError(
                f"task seconds must leave time after the image, which takes {self.begun:g} s; got "
                f"{budget.seconds:g} s"
            )
        self.spent: list[float] = []
        self.decisions: list[float] = []
        self.outcomes: list[Outcome] = []
        self.rows: list[dict[str, float]] = []
        self.final: dict[str, FloatArray] = {}
        # In measurements where these alone are limited, else in shares of the budget.
        self._curves = budget.curves if budget.seconds is None and budget.wear is None else None
        self._due: list[float] = (
            [max(2, round(f * self._curves)) for f in _CHECKPOINTS]
            if self._curves
            else list(_CHECKPOINTS)
        )

    def observe(self, step: Step) -> None:
        self.decisions.append(step.decision_s)
        for outcome in step.outcomes:
            self.outcomes.append(outcome)
            self.spent.append(self._share(outcome))
        at = len(self.outcomes) if self._curves else self.spent[-1] if self.spent else 0.0
        if self._due and at >= self._due[0] and len(self.outcomes) >= 2:
            first = self._due[0] if self._curves else 0
            self._due = [d for d in self._due if d > at]
            # A second look would move the checkpoint away from that of the other cells.
            looks = sum(o.proposal_id is None for o in step.outcomes)
            self.check_map(max(int(first), len(self.outcomes) - looks))

    def _share(self, outcome: Outcome) -> float:
        """Share of the budget used up after this measurement. 1 ends the run.

        Wear is read after a batch, which then counts as a whole.
        """
        budget = self.problem.budget
        shares = [] if budget.curves is None else [len(self.outcomes) / budget.curves]
        if budget.seconds is not None:
            shares.append((outcome.finished - self.begun) / (budget.seconds - self.begun))
        if budget.wear is not None and supports(self.microscope, SupportsWear):
            shares.append((self.microscope.wear() - self.wear) / budget.wear)
        return max(shares)

    def check_map(self, count: int | None = None) -> None:
        """Score the map that the evaluation model predicts from the first outcomes, or all.

        One model for all policies compares their choice of sites, and serves those without a model.
        """
        outcomes = self.outcomes[:count]
        if not any(o.usable for o in outcomes):
            return
        mean, std = evaluation_map(self.problem, outcomes)
        self.final = {"mean": mean, "std": std}
        self.rows.append({"n": len(outcomes), **score_map(self.truth, mean, std)})

    def table(self) -> dict[str, FloatArray]:
        names = self.rows[0] if self.rows else {}
        return {k: np.array([row[k] for row in self.rows], float) for k in names}


def evaluation_map(problem: Problem, outcomes: Sequence[Outcome]) -> tuple[FloatArray, FloatArray]:
    """Predict the target at every candidate with the evaluation model, from these outcomes alone.

    The model is the closed-form deep kernel (``dkl`` with its defaults), fitted once: fixed and
    deterministic, and no policy can tune it. Returns mean and standard deviation.
    """
    model = make_policy("dkl", {})
    model.reset(problem, rng=np.random.default_rng(0))
    model.tell(list(outcomes))
    if not supports(model, SupportsPredict):
        raise PolicyError("the evaluation model must be able to predict")
    return model.predict()
