"""Campaigns: tasks x policies x films, run by joblib, resumable at the level of one cell."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

import grainscout
from grainscout.benchmarks._cell import run_cell
from grainscout.benchmarks._leaderboard import BASELINE
from grainscout.benchmarks._store import CampaignStore, CellKey
from grainscout.benchmarks._tasks import PolicySpec, Task, plain
from grainscout.experiment import one_thread
from grainscout.records import ConfigError, PackedState


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Tasks x policies x films.

    films : how many films (seeds) each task is run on; policies meet the same films and noise.
    seed : film k of every task is made from (seed, k).
    """

    name: str
    description: str = ""
    seed: int = 0
    films: int = 3
    tasks: tuple[Task, ...] = ()
    policies: tuple[PolicySpec, ...] = ()

    def __post_init__(self) -> None:
        if self.films < 1:
            raise ConfigError(f"campaign films must be at least 1; got {self.films}")
        if self.seed < 0:
            raise ConfigError(f"campaign seed must be >= 0; got {self.seed}")
        for what, names in (
            ("task", [t.id for t in self.tasks]),
            ("policy", [p.title for p in self.policies]),
        ):
            if not names:
                raise ConfigError(f"campaign {self.name!r} must have at least one {what}; got none")
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ConfigError(f"campaign {what} names must be unique; got {twice[0]!r} twice")
        mapped = [t.id for t in self.tasks if "mapping" in t.goals]
        if mapped and not any(p.title == p.name == BASELINE for p in self.policies):
            raise ConfigError(
                f"campaign {self.name!r} must have the policy {BASELINE!r}, without a label: its maps "
                f"are the zero of the goal mapping. Add it, or leave mapping out of the goals of "
                f"{mapped[0]!r}"
            )

    def with_tasks(self, *tasks: Task) -> Campaign:
        """The same campaign with more tasks."""
        return dataclasses.replace(self, tasks=(*self.tasks, *tasks))

    def with_policies(self, *policies: PolicySpec) -> Campaign:
        """The same campaign with more policies; those that it has already stay as they are."""
        known = {p.title for p in self.policies}
        more = [p for p in policies if p.title not in known]
        return dataclasses.replace(self, policies=(*self.policies, *more))

    def identity(self) -> dict[str, Any]:
        """Plain values that say which campaign this is, and by which version it is run."""
        return {"campaign": plain(dataclasses.asdict(self)), "grainscout": grainscout.__version__}

    def cells(self) -> list[CellKey]:
        """All cells; those on one film stand together, so that a worker makes it once.

        A replayed recording is the same for every seed, but policies are not: it is run on as many.
        """
        return [
            CellKey(task=task.id, film=film, policy=policy.title)
            for task in self.tasks
            for film in range(self.films)
            for policy in self.policies
        ]


def run_campaign(
    campaign: Campaign,
    store: CampaignStore,
    *,
    jobs: int = 1,
    progress: Callable[[CellKey, str, str], None] | None = None,
) -> None:
    """Run every cell that the store does not hold as finished.

    jobs : worker processes (loky); 1 runs in this process.  A cell that raises is stored as failed,
    with its traceback, and the others go on; the next call tries it again.  When a worker is killed,
    the cells that were under way are run again; a cell that kills its worker each time has failed.
    progress : called in this process after each cell with its key, status and traceback, if any.
    """
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1; got {jobs}")
    todo = [key for key in campaign.cells() if key not in store.finished()]

    def keep(outcome: _Outcome) -> None:
        key, status, seconds, payload, error = outcome
        store.record(key, status, seconds, payload, error)
        todo.remove(key)
        if progress is not None:
            progress(key, status, error)

    while todo:
        before = len(todo)
        try:
            for outcome in _results(campaign, todo, jobs):
                keep(outcome)
        except TerminatedWorkerError:
            # The pool is gone with the worker: what it was at is run again, by a new one.  If no cell
            # was finished, one of those begun first kills its worker: each alone will show which.
            if len(todo) == before:
                for key in todo[: 2 * jobs]:
                    keep(_alone(campaign, key))


_Outcome = tuple[CellKey, str, float, PackedState | None, str]


def _results(campaign: Campaign, keys: Sequence[CellKey], jobs: int) -> Iterator[_Outcome]:
    tasks = {t.id: t for t in campaign.tasks}
    policies = {p.title: p for p in campaign.policies}
    calls = [(key, tasks[key.task], policies[key.policy], campaign.seed) for key in keys]
    if jobs == 1:
        yield from (_attempt(*call) for call in calls)
        return
    pool = Parallel(n_jobs=jobs, backend="loky", return_as="generator_unordered", batch_size=1)
    yield from pool(delayed(_attempt)(*call) for call in calls)


def _alone(campaign: Campaign, key: CellKey) -> _Outcome:
    """The cell in a worker of its own; if that dies, the cell has failed."""
    begun = time.perf_counter()
    try:
        return next(iter(_results(campaign, [key], 2)))
    except TerminatedWorkerError as error:
        said = f"the worker died: killed, out of memory, or a crash in compiled code\n{error}"
        return key, "failed", time.perf_counter() - begun, None, said


def _attempt(key: CellKey, task: Task, policy: PolicySpec, seed: int) -> _Outcome:
    begun = time.perf_counter()
    try:
        with one_thread():
            payload = run_cell(key, task, policy, seed)
    except Exception:  # noqa: BLE001 - whatever a policy raises must be recorded, not lost
        return key, "failed", time.perf_counter() - begun, None, traceback.format_exc()
    return key, "finished", time.perf_counter() - begun, payload, ""
