"""Finished runs and campaigns as episodes for offline learners, in the form of Minari."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.benchmarks.campaign.cell import film_seed
from grainscout.benchmarks.campaign.store import CampaignStore, CellKey
from grainscout.benchmarks.learners.observation import Observation, Observer, worth
from grainscout.benchmarks.tasks.environment import make_environment
from grainscout.benchmarks.tasks.task import Goal, Task
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.journal import Journal
from grainscout.records import DataError, IVCurve, Outcome, Problem, Site


@dataclass(frozen=True, kw_only=True, eq=False)
class Episode:
    """One run: n actions and rewards, and n + 1 observations."""

    observations: tuple[Observation, ...]
    actions: np.ndarray[Any, np.dtype[np.int64]]
    rewards: np.ndarray[Any, np.dtype[np.float64]]
    observer: Observer
    candidates: int


def journal_episode(path: str | Path, task: Task, seed: int, goal: Goal | None = None) -> Episode:
    """Return a simulated run as an episode, rewarded by the truth of its film.

    Parameters
    ----------
    path : path
        Journal of the run.
    task, seed : Task, int
        What the run's configuration says.
    goal : str, optional
        What is rewarded. None takes the task's first.

    Raises
    ------
    DataError
        If the journal is of another image or measured beyond the candidates.
    """
    environment = make_environment(task, seed)
    own = environment.problem()
    with Journal.open(path) as journal:
        problem, outcomes = journal.header().problem, journal.outcomes()
    same = np.array_equal(problem.candidates, own.candidates) and all(
        name in problem.scan.channels
        and np.array_equal(problem.scan.channels[name], image, equal_nan=True)
        for name, image in own.scan.channels.items()
    )
    if not same:
        raise DataError(f"{path} must be of task {task.id!r} and seed {seed}; its image is another")
    return _episode(problem, environment.truth(own), outcomes, goal or task.goals[0])


def store_episodes(
    path: str | Path, tasks: Iterable[Task], goal: Goal | None = None
) -> dict[CellKey, Episode]:
    """Return the finished cells of a campaign's store, of these tasks, as episodes."""
    known = {task.id: task for task in tasks}
    with CampaignStore(path) as store:
        seed = int(store.identity["campaign"]["seed"])
        cells = {key: cell for key, _, cell in store.payloads() if key.task in known}
    if not cells:
        raise DataError(f"{path} must hold finished cells of {', '.join(known)}; it has none")
    episodes = {}
    for key, cell in cells.items():
        task = known[key.task]
        environment = make_environment(task, film_seed(seed, key.task, key.film))
        problem = environment.problem()
        outcomes = _outcomes(problem, cell)
        episodes[key] = _episode(
            problem, environment.truth(problem), outcomes, goal or task.goals[0]
        )
    return episodes


def save_dataset(name: str, episodes: Sequence[Episode], **about: Any) -> Any:
    """Write episodes of one task as a Minari dataset, such as ``"grainscout/s26-v0"``.

    It goes where Minari keeps its datasets (the variable MINARI_DATASETS_PATH). `about` are Minari's
    own words for it: author, author_email, code_permalink, algorithm_name, description.
    """
    import minari
    from gymnasium.spaces import Discrete
    from minari.data_collector import EpisodeBuffer

    if not episodes:
        raise DataError("episodes must be at least one; got none")
    buffers = [
        EpisodeBuffer(
            id=k,
            observations={n: np.array([o[n] for o in e.observations]) for n in e.observations[0]},
            actions=e.actions,
            rewards=e.rewards.tolist(),
            terminations=[*[False] * (len(e.actions) - 1), True],
            truncations=[False] * len(e.actions),
            infos={},
        )
        for k, e in enumerate(episodes)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # one for each word that was not given
        return minari.create_dataset_from_buffers(
            name,
            buffers,
            observation_space=episodes[0].observer.space(),
            action_space=Discrete(episodes[0].candidates),
            **about,
        )


def _episode(
    problem: Problem, truth: TaskTruth, outcomes: Sequence[Outcome], goal: Goal
) -> Episode:
    observer = Observer(problem=problem)
    actions = problem.index_of(np.array([tuple(o.site) for o in outcomes], np.int64).reshape(-1, 2))
    if not len(outcomes) or (actions < 0).any():
        raise DataError(
            "an episode must be of measurements at candidates; this run has none or others"
        )
    every = 10 if goal == "mapping" else 1
    levels, at = [worth(goal, problem, truth, [])], len(outcomes)
    for n in range(1, at + 1):
        due = n % every == 0 or n == at
        levels.append(worth(goal, problem, truth, outcomes[:n]) if due else levels[-1])
    return Episode(
        observations=tuple(observer(outcomes[:n]) for n in range(at + 1)),
        actions=actions,
        rewards=np.diff(levels),
        observer=observer,
        candidates=len(problem.candidates),
    )


def _outcomes(problem: Problem, cell: Any) -> list[Outcome]:
    """The measurements of a cell. A store keeps the sites of all, and the curves that are usable."""
    steps, curves = cell["steps"], iter(cell["curves"])
    voltage, time = problem.waveform.voltage, problem.waveform.time
    made = []
    for row, column, ok, at in zip(
        *(steps[k] for k in ("row", "column", "ok", "finished_s")), strict=True
    ):
        curve = None
        if ok:
            curve = IVCurve(voltage=voltage, current=next(curves).astype(float), time=time)
        site = Site(int(row), int(column))
        made.append(
            Outcome(site=site, status="ok" if ok else "failed", curve=curve, finished=float(at))
        )
    return made
