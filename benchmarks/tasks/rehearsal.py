"""A flight on a simulated twin: what an experiment file would do, before it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from grainscout.benchmarks.tasks.environment import set_up
from grainscout.benchmarks.tasks.score import score_run
from grainscout.benchmarks.tasks.task import PolicySpec, Task
from grainscout.experiment import Experiment, Step
from grainscout.hardware import Limits, SupportsWear
from grainscout.policies import make_policy
from grainscout.records import PackedState
from grainscout.records.supports import supports


@dataclass(frozen=True, kw_only=True, eq=False)
class Flight:
    """What a flight showed.

    violations : the limits that would have been broken, in words;  minutes : on the twin's clock;
    travel_m : the tip's way;  wear : fraction of the tip's life;  steps : scores after each
    measurement (see ``score_run``);  reason : why it ended.
    """

    violations: list[str]
    curves: int
    failed: int
    minutes: float
    travel_m: float
    wear: float | None
    peak_V: float
    slew_V_per_s: float
    steps: PackedState
    reason: str

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each number, for people."""
        found = self.steps["found"]
        half = self.steps["found"][len(found) // 2]
        return [
            ("measurements", f"{self.curves}, {self.failed} failed"),
            ("time on the microscope", f"{self.minutes:.1f} min"),
            ("travel", f"{self.travel_m * 1e6:.1f} µm"),
            ("tip wear", "not known" if self.wear is None else f"{self.wear:.1%} of its life"),
            ("largest |voltage|", f"{self.peak_V:g} V"),
            ("largest slew", f"{self.slew_V_per_s:g} V/s"),
            ("wanted examples found half way, at the end", f"{half:.0%}, {found[-1]:.0%}"),
            ("ended with", self.reason),
        ]


def fly(
    task: Task,
    policy: PolicySpec,
    seed: int,
    limits: Limits,
    *,
    decision_s: float = 0.5,
    observe: Callable[[Step], None] | None = None,
) -> Flight:
    """Fly `task` by `policy` on its twin without limits, and say which of `limits` it would break.

    Raises ConfigError if the task's microscope has no twin.
    """
    unlimited = Limits(voltage_V=None, slew_V_per_s=None, dwell_s=None, light_suns=None)
    bench = set_up(task, seed, replace(unlimited, frame_m=limits.frame_m))
    violations = [str(v) for v in limits.of_light(task.light_suns)]
    problem = bench.problem()
    violations += [str(v) for v in limits.of_waveform(problem.waveform)]
    scope = bench.microscope
    result = Experiment(
        scope,
        make_policy(policy.name, policy.options),
        problem=problem,
        seed=seed,
        batch=task.batch,
        decision_seconds=None if decision_s < 0 else decision_s,
        observe=observe,
    ).run()
    outcomes = result.outcomes
    positions = problem.scan.positions(np.array([tuple(o.site) for o in outcomes]))
    violations += [str(v) for v in limits.of_count(len(outcomes) - 1)]
    violations += [str(v) for v in limits.of_time(outcomes[-1].finished)]
    currents = [np.nanmax(np.abs(o.curve.current)) for o in outcomes if o.curve is not None]
    if currents:
        violations += [str(v) for v in limits.of_current(float(max(currents)))]
    return Flight(
        violations=violations,
        curves=len(outcomes),
        failed=sum(o.status == "failed" for o in outcomes),
        minutes=outcomes[-1].finished / 60.0,
        travel_m=float(np.hypot(*np.diff(positions, axis=0).T).sum()),
        wear=scope.wear() if supports(scope, SupportsWear) else None,
        peak_V=problem.waveform.peak,
        slew_V_per_s=problem.waveform.slew,
        steps=score_run(problem, bench.truth(problem), outcomes),
        reason=result.reason,
    )
