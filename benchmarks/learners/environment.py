"""A task as a Gymnasium environment."""

from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np

try:
    import gymnasium
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "learners need gymnasium and minari, which are not installed. Install the extra: "
        "pip install 'grainscout[learners]'"
    ) from error

from grainscout.benchmarks.campaign.cell import film_seed
from grainscout.benchmarks.learners.observation import Observation, Observer, worth
from grainscout.benchmarks.tasks.environment import Environment, make_environment
from grainscout.benchmarks.tasks.registry import find_task
from grainscout.benchmarks.tasks.task import GOALS, Goal, Task
from grainscout.experiment.evidence import confirmed, judged, suspicious
from grainscout.experiment.outcomes import measure
from grainscout.records import ConfigError, Outcome, Proposal, Site

ID = "grainscout/Task-v0"
#: What a decision costs [s], as in any run.
DECISION_S = 0.5
#: Films to learn on come from other seeds than those of campaigns, which judge.
_LEARNING = crc32(b"films to learn on")


def register() -> None:
    """Register the environment with Gymnasium."""
    if ID not in gymnasium.registry:
        gymnasium.register(
            ID,
            entry_point="grainscout.benchmarks.learners.environment:TaskEnv",
            nondeterministic=False,
        )


class TaskEnv(gymnasium.Env[Observation, np.int64]):
    """One film an episode, one curve a step.

    An action is the number of a candidate, `problem.candidates[action]`. An unusable curve is looked at
    again as in any run, charged to the budget. The episode ends with the budget.

    Parameters
    ----------
    task : str or Task
        A registered task or one of yours. Its budget must be of curves.
    goal : {"discovery", "mapping", "optimisation"}, optional
        What is rewarded. None takes the task's first.
    map_every : int
        Curves between two rewards of mapping, for which a model is fitted.
    curves : int, optional
        Another budget.

    Raises
    ------
    ConfigError
        For an unknown task or goal, or a budget without curves.

    Notes
    -----
    ``reset(seed=k)`` gives film k of the films to learn on; ``reset(options={"seed": 1, "film": k})``
    gives film k of a campaign with that seed, to be judged beside its policies.
    """

    _worth: float
    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        task: str | Task = "film/s26/dark/loop_area",
        *,
        goal: Goal | None = None,
        map_every: int = 10,
        curves: int | None = None,
    ) -> None:
        wanted = find_task(task) if isinstance(task, str) else task
        self.task = replace(wanted, curves=curves) if curves is not None else wanted
        self.goal: Goal = goal or self.task.goals[0]
        if self.goal not in GOALS:
            raise ConfigError(f"goal must be one of {', '.join(GOALS)}; got {goal!r}")
        if map_every < 1:
            raise ConfigError(f"map_every must be at least 1 curve; got {map_every}")
        self.map_every = map_every
        self._open(make_environment(self.task, self._film(0)))
        self.observation_space = self._observer.space()
        self._candidates = len(self.problem.candidates)
        self.action_space = gymnasium.spaces.Discrete(self._candidates)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode on another film."""
        super().reset(seed=seed)
        if options and "film" in options:
            film = film_seed(int(options.get("seed", 0)), self.task.id, int(options["film"]))
        else:
            film = self._film(int(self.np_random.integers(2**31)) if seed is None else seed)
        self._open(make_environment(self.task, film))
        if len(self.problem.candidates) != self._candidates:
            raise ConfigError(
                f"films of a task for learners must have as many candidates each; {self.task.id!r} has "
                f"{self._candidates} and {len(self.problem.candidates)}. Leave out task sites"
            )
        return self._observer(self.outcomes), {"film_seed": film}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Measure at a candidate."""
        if not self.action_space.contains(np.int64(action)):
            raise ConfigError(
                f"action must be the number of a candidate, 0 to {self._candidates - 1}; got {action!r}"
            )
        site = Site(*map(int, self.problem.candidates[int(action)]))
        proposal = Proposal(id=str(len(self.outcomes)), site=site)
        self._environment.microscope.clock.spend(DECISION_S)
        looks = [self._measured(site, proposal.id)]
        while (
            len(self.outcomes) < self._observer.budget
            and (first := suspicious(proposal, looks, self.task.second_look)) is not None
        ):
            looks.append(confirmed(self._measured(site, None), first))
            self.outcomes[-1] = looks[-1]
        done = len(self.outcomes) >= self._observer.budget
        if self.goal != "mapping" or done or len(self.outcomes) % self.map_every == 0:
            before = self._worth
            self._worth = worth(self.goal, self.problem, self._truth, self.outcomes)
            reward = self._worth - before
        else:
            reward = 0.0
        if done:
            self._environment.microscope.park()
        info = {"usable": looks[-1].usable, "curves": len(self.outcomes), "worth": self._worth}
        return self._observer(self.outcomes), reward, done, False, info

    def _film(self, number: int) -> int:
        seeds = np.random.SeedSequence([_LEARNING, crc32(self.task.id.encode()), number])
        return int(seeds.generate_state(1)[0])

    def _open(self, environment: Environment) -> None:
        self._environment = environment
        self.problem = environment.problem()
        self._truth = environment.truth(self.problem)
        self._observer = Observer(problem=self.problem)
        self.outcomes: list[Outcome] = []
        self._worth = worth(self.goal, self.problem, self._truth, [])

    def _measured(self, site: Site, proposal: str | None) -> Outcome:
        microscope = self._environment.microscope
        found = measure(
            microscope,
            self.problem.waveform,
            site,
            visit=sum(o.site == site for o in self.outcomes),
            now=microscope.clock.now,
            proposal_id=proposal,
        )
        outcome = judged(found, self.problem.waveform)
        self.outcomes.append(outcome)
        return outcome
