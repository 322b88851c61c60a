"""Rehearsal of an experiment file on a simulated twin, before the real run."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from grainscout.benchmarks.tasks.environment import make_environment
from grainscout.benchmarks.tasks.score import score_run
from grainscout.benchmarks.tasks.task import PolicySpec, Task
from grainscout.experiment import DriftSettings, Experiment, Step
from grainscout.experiment.evidence import MAX_SPOILT
from grainscout.hardware import Limits, SimulatedMicroscope, SupportsWear
from grainscout.hardware.paper import refused_on_paper
from grainscout.hardware.protocol import Capabilities, Paper
from grainscout.policies import make_policy
from grainscout.records import PackedState
from grainscout.records.supports import supports


@dataclass(frozen=True, kw_only=True, eq=False)
class Rehearsal:
    """Result of a rehearsal."""

    violations: list[str]  #: Limits that would have been broken
    #: curves, failed: Measurements, and those that failed.
    curves: int
    failed: int
    minutes: float  #: Time on the twin's clock [min]
    images: str  #: Names of the images
    images_min: float  #: Time of them, the first part of `minutes` [min]
    travel_m: float  #: Way of the tip [m]
    wear: float | None  #: Share of the tip's life
    peak_V: float  #: Largest voltage [V]
    slew_V_per_s: float  #: Largest slew [V/s]
    steps: PackedState  #: Scores after each measurement, see ``score_run``
    reason: str  #: Why it ended

    def rows(self) -> list[tuple[str, str]]:
        """Return name and value of each number, in words."""
        shares = self.steps["found"]
        return [
            ("measurements", f"{self.curves}, {self.failed} failed"),
            ("time on the microscope", f"{self.minutes:.1f} min"),
            (f"of it for images ({self.images})", f"{self.images_min:.1f} min"),
            ("travel", f"{self.travel_m * 1e6:.1f} µm"),
            ("tip wear", "not known" if self.wear is None else f"{self.wear:.1%} of its life"),
            ("largest |voltage|", f"{self.peak_V:g} V"),
            ("largest slew", f"{self.slew_V_per_s:g} V/s"),
            (
                "wanted examples found half way, at the end",
                f"{shares[len(shares) // 2]:.0%}, {shares[-1]:.0%}",
            ),
            ("ended with", self.reason),
        ]


def rehearse(
    task: Task,
    policy: PolicySpec,
    seed: int,
    limits: Limits,
    *,
    decision_s: float = 0.5,
    judge: bool = True,
    max_spoilt: float = MAX_SPOILT,
    drift: DriftSettings | None = None,
    paper: Paper | None = None,
    observe: Callable[[Step], None] | None = None,
) -> Rehearsal:
    """Run a task on its twin without limits, and list the limits that it would break.

    Parameters
    ----------
    task : Task
        Task on a simulated or replayed microscope.
    policy : PolicySpec
        Policy that chooses the sites.
    seed : int
        Seed of film, instrument and policy.
    limits : Limits
        Limits that are checked.
    decision_s : float
        Time charged for a decision [s]; negative for the real time.
    judge : bool
        Judge each curve as it comes.
    max_spoilt : float
        Share of unusable curves among the latest 20 that ends the run.
    drift : DriftSettings, optional
        How sites follow the sample.
    paper : Paper, optional
        What the instrument says of itself. The twin has its cost, and what it would refuse is listed.
    observe : callable, optional
        Called after each step.

    Raises
    ------
    ConfigError
        If the task's microscope has no truth.
    """
    unlimited = Limits(voltage_V=None, slew_V_per_s=None, dwell_s=None, light_suns=None)
    environment = make_environment(task, seed, replace(unlimited, frame_m=limits.frame_m))
    scope = environment.microscope
    if paper is not None and isinstance(scope.microscope, SimulatedMicroscope):
        scope.microscope.take_cost(paper.cost)
    suns = max(task.light_suns, task.scan_light_suns or 0.0)
    violations = [str(v) for v in limits.of_light(suns)]
    violations += [str(v) for v in limits.of_bias(task.scan_bias_V or 0.0)]
    problem = environment.problem()
    imaged = environment.microscope.clock.now()
    paper = paper or Paper(capabilities=Capabilities(light=True), cost=scope.cost)
    violations += refused_on_paper(paper, limits, problem.waveform, suns)
    result = Experiment(
        scope,
        make_policy(policy.name, policy.options),
        problem=problem,
        seed=seed,
        batch=task.batch,
        decision_seconds=None if decision_s < 0 else decision_s,
        judge=judge,
        second_look=task.second_look,
        stop=task.stop,
        max_spoilt=max_spoilt,
        drift=drift,
        observe=observe,
    ).run()
    outcomes = result.outcomes
    positions = problem.scan.positions(np.array([tuple(o.site) for o in outcomes]))
    violations += [str(v) for v in limits.of_count(len(outcomes) - 1)]
    violations += [str(v) for v in limits.of_time(outcomes[-1].finished)]
    currents = [np.nanmax(np.abs(o.curve.current)) for o in outcomes if o.curve is not None]
    if currents:
        violations += [str(v) for v in limits.of_current(float(max(currents)))]
    return Rehearsal(
        violations=violations,
        curves=len(outcomes),
        failed=sum(o.status == "failed" for o in outcomes),
        minutes=outcomes[-1].finished / 60.0,
        images=", ".join(problem.scan.channels),
        images_min=imaged / 60.0,
        travel_m=float(np.hypot(*np.diff(positions, axis=0).T).sum()),
        wear=scope.wear() if supports(scope, SupportsWear) else None,
        peak_V=problem.waveform.peak,
        slew_V_per_s=problem.waveform.slew,
        steps=score_run(problem, environment.truth(problem), outcomes),
        reason=result.reason,
    )


#: The names of before.
Flight = Rehearsal
fly = rehearse
