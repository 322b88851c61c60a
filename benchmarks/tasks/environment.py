"""A task that is set up: its microscope behind its limits, its problem and its truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from grainscout.analysis.curves.descriptors import check_target
from grainscout.analysis.formats import Recording
from grainscout.benchmarks.tasks.task import Task
from grainscout.benchmarks.tasks.truth import TaskTruth, recording_truth
from grainscout.experiment import make_problem
from grainscout.hardware import Guard, Limits
from grainscout.hardware.paper import refused_on_paper
from grainscout.hardware.protocol import Paper
from grainscout.records import ConfigError, LimitError, Problem, Scan, Waveform

if TYPE_CHECKING:
    from grainscout.simulator import Film


@dataclass(frozen=True, kw_only=True, eq=False)
class Environment:
    """A task's microscope behind its limits, and the sample under its tip where it is known."""

    task: Task  #: Task that it was made for
    seed: int  #: Seed of film and instrument
    microscope: Guard  #: The guarded microscope
    film: Film | None = None  #: Simulated film
    recording: Recording | None = None  #: Replayed grid of curves
    #: Gives the truth of a problem; None on a real instrument.
    find_truth: Callable[[Problem], TaskTruth] | None = None
    notes: tuple[str, ...] = ()  #: Sentences on what was assumed, filled or left out of a file

    def problem(self) -> Problem:
        """Set the light, scan, and collect what a policy may know.

        Raises
        ------
        ConfigError
            If the settings do not fit the microscope.
        """
        waveform = self.task.waveform.build() or self.microscope.capabilities.waveform
        if waveform is None:
            raise ConfigError(
                'waveform kind must not be "recorded" on a microscope that can apply any waveform'
            )
        check_target(self.task.target, waveform.voltage)
        scope = self.microscope
        paper = Paper(capabilities=scope.capabilities, cost=scope.cost)
        refused = refused_on_paper(paper, scope.limits, waveform)
        if refused:
            raise LimitError("refused before the first image: " + "; ".join(refused))
        problem = make_problem(
            self.microscope,
            waveform,
            self.task.budget(),
            target=self.task.target,
            light=self.task.light_suns,
            window=self.task.window_px,
            channels=self.task.channels or None,
            scan_bias=self.task.scan_bias_V,
            scan_light=self.task.scan_light_suns,
            together=self.task.scan_together,
            frame=self.microscope.limits.frame_m,
        )
        if self.task.sites == "boundaries":
            problem = on_boundaries(problem)
        if self.recording is not None:
            recording_truth(self.recording, problem)  # refused here, before the first measurement
        return problem

    def truth(self, problem: Problem) -> TaskTruth:
        """Return the truth at the problem's candidates. ConfigError on a real microscope."""
        if self.find_truth is None:
            raise ConfigError(
                f"task {self.task.id!r} must be on a film or a recording to be scored; its microscope "
                f"is {self.task.microscope.kind!r}"
            )
        truth = self.find_truth(problem)
        if "level-set" not in self.task.goals:
            return truth
        level, known = self.task.level, truth.target[truth.mapped]
        return replace(truth, level=float(np.quantile(known, 0.75)) if level is None else level)


def make_environment(
    task: Task, seed: int, limits: Limits | None = None, scan: Scan | None = None
) -> Environment:
    """Open a task's microscope behind its limits. Nothing moves yet.

    Parameters
    ----------
    task : Task
        What is measured, and where.
    seed : int
        Seed of film and instrument, the same for every policy.
    limits : Limits, optional
        What the guard refuses beyond.
    scan : Scan, optional
        Image that sites refer to, if one was taken before (a resumed run).

    Raises
    ------
    ConfigError
        For unknown names.
    DataError
        For unusable files.
    """
    opened = task.microscope.open(seed)
    if opened.recording is not None:
        limits = _of_recording(limits or Limits(), opened.recording.waveform)
    return Environment(
        task=task,
        seed=seed,
        microscope=Guard(opened.microscope, limits, scan=scan),
        film=opened.film,
        recording=opened.recording,
        find_truth=opened.truth,
        notes=opened.notes,
    )


def _of_recording(limits: Limits, waveform: Waveform) -> Limits:
    """Limits of a replay: the sweep was applied long ago. Those that were changed are kept."""
    usual = Limits()
    broken = {violation.limit for violation in usual.of_waveform(waveform)}
    free = {name: None for name in broken if getattr(limits, name) == getattr(usual, name)}
    return replace(limits, **free)


def on_boundaries(problem: Problem) -> Problem:
    """Keep the sites on grain boundaries only, as the image shows them to anyone."""
    from grainscout.microstructure import structure_features

    rows, columns = problem.candidates.T
    on = structure_features(problem.scan).boundary[rows, columns] == 0
    if not on.any():
        raise ConfigError(
            'task sites = "boundaries" needs an image that shows grain boundaries; this one shows none'
        )
    return replace(problem, candidates=problem.candidates[on])


#: The names of before.
Bench = Environment
set_up = make_environment
