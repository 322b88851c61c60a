"""One cell of a campaign: one policy on one film, scored against the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from grainscout.benchmarks.campaign.isolation import isolated_policy
from grainscout.benchmarks.campaign.store import CellKey
from grainscout.benchmarks.campaign.twins import TwinPolicy
from grainscout.benchmarks.tasks.environment import Environment, make_environment
from grainscout.benchmarks.tasks.ground import Ground, find_ground
from grainscout.benchmarks.tasks.referee import evaluation_map as evaluation_map
from grainscout.benchmarks.tasks.referee import maps_by, referee_maps
from grainscout.benchmarks.tasks.score import score_map, score_run
from grainscout.benchmarks.tasks.task import PolicySpec, Task
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.experiment import Experiment, Step
from grainscout.hardware import Guard, SupportsWear
from grainscout.policies import Policy, make_policy
from grainscout.policies.protocol import SupportsExpectedGain, SupportsPredict
from grainscout.records.arrays import FloatArray
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import ConfigError, PolicyError
from grainscout.records.problem import Outcome, Problem
from grainscout.records.supports import supports

#: Maps are scored at these numbers of measurements, as fractions of the budget, and at its end.
_CHECKPOINTS = (0.15, 0.3, 0.45, 0.6, 0.8)


def film_seed(seed: int, task: str, film: int) -> int:
    """Seed of film k of a task: one for all policies, another for each task, which are then independent."""
    return int(np.random.SeedSequence([seed, crc32(task.encode()), film]).generate_state(1)[0])


def film_anchors(key: CellKey, task: Task, seed: int) -> dict[str, Any] | None:
    """What maps of a cell's film are held against, as JSON holds it: `Anchors.plain`."""
    anchors = find_ground(task, film_seed(seed, key.task, key.film)).anchors
    return None if anchors is None else anchors.plain()


def run_cell(
    key: CellKey,
    task: Task,
    policy: PolicySpec,
    seed: int,
    anchors: Mapping[str, Any] | None = None,
    *,
    isolate: bool = False,
) -> PackedState:
    """Run and score one cell. Anchors that are not given are computed.

    With `isolate` the policy runs in a process of its own, which never holds the film.

    The packable tree holds `steps` (one value a measurement, identical on every machine of a kind:
    those of ``score_run`` and the share of the budget spent then), `checkpoints` (scores of predicted
    maps, see `_map_rows`), `timing` (seconds of this computer, not reproducible), `final` (the
    referee's mean and standard deviation of every candidate, float32) and `curves` ((n, samples)
    currents [A] of the usable ones at curve_sites).
    """
    cell_seed = film_seed(seed, key.task, key.film)
    ground = find_ground(task, cell_seed, anchors)
    environment = make_environment(task, cell_seed)
    problem = environment.problem()
    with _raced(policy, task, ground.truth, isolate) as raced:
        return _run(raced, policy, task, cell_seed, ground, environment, problem)


def _run(
    raced: Policy,
    policy: PolicySpec,
    task: Task,
    seed: int,
    ground: Ground,
    environment: Environment,
    problem: Problem,
) -> PackedState:
    scorer = _RunScorer(problem, task, environment.microscope, raced)
    result = Experiment(
        environment.microscope,
        raced,
        problem=problem,
        seed=seed,
        batch=task.batch,
        second_look=task.second_look,
        stop=task.stop if supports(raced, SupportsExpectedGain) else None,
        observe=scorer.observe,
    ).run()
    if not result.outcomes:
        raise PolicyError(f"policy {policy.title!r} asked for no measurement at all")
    scorer.look(len(result.outcomes), 1.0)
    rows, final = _map_rows(problem, ground, scorer)
    if rows and supports(raced, SupportsPredict) and not policy.uses_truth:
        rows[-1]["own_nrmse_random_sites"] = _on_random_sites(raced, problem, ground)
    good = [o for o in result.outcomes if o.usable and o.curve is not None]
    return {
        "reason": result.reason,
        "steps": {
            **score_run(problem, ground.truth, result.outcomes),
            "spent": np.array(scorer.spent),
        },
        "checkpoints": {
            k: np.array([row.get(k, np.nan) for row in rows], float)
            for k in dict.fromkeys(k for row in rows for k in row)
        },
        "timing": {"decision_s": np.array(scorer.decisions)},
        "final": {k: v.astype(np.float32) for k, v in final.items()},
        "curves": np.array([o.curve.current for o in good if o.curve is not None], np.float32),
        "curve_sites": np.array([tuple(o.site) for o in good], np.int64).reshape(-1, 2),
    }


def _map_rows(
    problem: Problem, ground: Ground, scorer: _RunScorer
) -> tuple[list[dict[str, float]], dict[str, FloatArray]]:
    """Scores of the maps at each checkpoint, and the referee's last map.

    n : measurements.  nrmse, nll, crps, spearman, coverage : the referee's map from these sites, and with
    own_ before it the policy's own map (the referee's for a policy without a model).  ..._random,
    nrmse_ideal, nrmse_optimal : what they are held against (`Anchors`).  own_acceleration : times as
    many random curves for the error of the own map.  own_nrmse_random_sites : error at the end of the
    policy's own model on the random policy's sites.
    """
    looks = [look for look in scorer.looks if any(o.usable for o in scorer.outcomes[: look.count])]
    rows, final = [], {}
    maps = referee_maps(problem, scorer.outcomes, [look.count for look in looks])
    for look, (mean, std) in zip(looks, maps, strict=True):
        final = {"mean": mean, "std": std}
        sites = score_map(ground.truth, mean, std, problem)
        own = sites if look.own is None else score_map(ground.truth, *look.own, problem)
        row = {"n": float(look.count), **sites, **{f"own_{k}": v for k, v in own.items()}}
        if ground.anchors is not None:
            pace = look.count if scorer.counts_curves else look.share * len(ground.random)
            row |= ground.anchors.at(pace)
            row["own_acceleration"] = ground.anchors.acceleration(pace, own["nrmse"])
        rows.append(row)
    return rows, final


def _on_random_sites(raced: Policy, problem: Problem, ground: Ground) -> float:
    """Error of the policy's own model on the random policy's curves. NaN if it cannot learn them."""
    try:
        maps = maps_by(raced, problem, ground.random, [len(ground.random)])
        return score_map(ground.truth, *next(maps))["nrmse"]
    except PolicyError:
        return float("nan")


@contextmanager
def _raced(spec: PolicySpec, task: Task, truth: TaskTruth, isolate: bool) -> Iterator[Policy]:
    options = dict(spec.options)
    if spec.uses_truth:
        # A control that is given the answer: the class of each site, or its value.
        wanted = np.isin(truth.archetype, truth.wanted)
        kinds = np.where(wanted, truth.archetype.astype(float), np.nan)
        aim = options.setdefault("aim", "largest" if task.goals == ("optimisation",) else "classes")
        options["truth"] = kinds if aim == "classes" else truth.target
    apart = isolate and not spec.uses_truth
    with (
        isolated_policy(spec, options)
        if apart
        else nullcontext(make_policy(spec.name, options)) as policy
    ):
        yield TwinPolicy(policy, spec.twin) if spec.twin else policy


@dataclass(frozen=True, kw_only=True, eq=False)
class _Look:
    """A checkpoint: measurements so far, share of the budget, the policy's own map if it has one."""

    count: int
    share: float
    own: tuple[FloatArray, FloatArray] | None


class _RunScorer:
    """Observer of a run that looks at the policy's map at the checkpoints."""

    def __init__(self, problem: Problem, task: Task, microscope: Guard, policy: Policy) -> None:
        self.problem = problem
        self.policy = policy
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
        self.looks: list[_Look] = []
        # In measurements where these alone are limited, else in shares of the budget.
        self.counts_curves = task.counts_curves
        most = budget.curves or 0
        self._due: list[float] = list(_CHECKPOINTS)
        if self.counts_curves:
            counts = task.checkpoints or [max(2, round(f * most)) for f in _CHECKPOINTS]
            self._due = [float(n) for n in counts if n < most or not task.checkpoints]

    def observe(self, step: Step) -> None:
        self.decisions.append(step.decision_s)
        for outcome in step.outcomes:
            self.outcomes.append(outcome)
            self.spent.append(self._share(outcome))
        at = len(self.outcomes) if self.counts_curves else self.spent[-1] if self.spent else 0.0
        if self._due and at >= self._due[0] and len(self.outcomes) >= 2:
            first = self._due[0]
            self._due = [d for d in self._due if d > at]
            # A second look would move the checkpoint away from that of the other cells.
            looks = sum(o.proposal_id is None for o in step.outcomes)
            count = max(int(first) if self.counts_curves else 0, len(self.outcomes) - looks)
            self.look(count, first)

    def _share(self, outcome: Outcome) -> float:
        """Share of the budget used up by now; 1 ends the run. Wear is read after a whole batch."""
        budget = self.problem.budget
        shares = [] if budget.curves is None else [len(self.outcomes) / budget.curves]
        if budget.seconds is not None:
            shares.append((outcome.finished - self.begun) / (budget.seconds - self.begun))
        if budget.wear is not None and supports(self.microscope, SupportsWear):
            shares.append((self.microscope.wear() - self.wear) / budget.wear)
        return max(shares)

    def look(self, count: int, share: float) -> None:
        """Keep the policy's own map. One that cannot predict yet has none."""
        own = None
        if supports(self.policy, SupportsPredict):
            with suppress(PolicyError):
                own = self.policy.predict()
        self.looks.append(_Look(count=count, share=share, own=own))
