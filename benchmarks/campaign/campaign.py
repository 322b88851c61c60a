"""Campaigns: tasks x policies x films, resumable at the level of one cell."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import grainscout
from grainscout.benchmarks.campaign.incremental_scores import Standing
from grainscout.benchmarks.campaign.jobs import Call
from grainscout.benchmarks.campaign.leaderboard import BASELINE
from grainscout.benchmarks.campaign.scheduler import make_workers
from grainscout.benchmarks.campaign.stopping import Stopping, course
from grainscout.benchmarks.campaign.store import CampaignStore, CellKey
from grainscout.benchmarks.tasks.task import PolicySpec, Task, plain
from grainscout.records import ConfigError

#: Settings of how cells are run, which say nothing of what is run.
_BOUNDS = ("cell_timeout_s", "cell_memory_GiB")


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Tasks x policies x films.

    films : how many films (seeds) each task is run on; policies meet the same films and noise.
    seed : film k of every task is made from (seed, k).
    cell_timeout_s, cell_memory_GiB : what one cell may take in a worker process; 0 is no bound.  They
        say nothing of the results, and may change when a campaign is resumed.
    stopping : when to stop comparisons; without, every policy runs on every film.
    """

    name: str
    description: str = ""
    seed: int = 0
    films: int = 3
    tasks: tuple[Task, ...] = ()
    policies: tuple[PolicySpec, ...] = ()
    cell_timeout_s: float = 600.0
    cell_memory_GiB: float = 4.0
    stopping: Stopping | None = None

    def __post_init__(self) -> None:
        if self.films < 1:
            raise ConfigError(f"campaign films must be at least 1; got {self.films}")
        if self.seed < 0:
            raise ConfigError(f"campaign seed must be >= 0; got {self.seed}")
        for name in _BOUNDS:
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(
                    f"campaign {name} must be a finite number >= 0, 0 for no bound; "
                    f"got {getattr(self, name)}"
                )
        for what, names in (
            ("task", [t.id for t in self.tasks]),
            ("policy", [p.title for p in self.policies]),
        ):
            if not names:
                raise ConfigError(f"campaign {self.name!r} must have at least one {what}; got none")
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ConfigError(f"campaign {what} names must be unique; got {twice[0]!r} twice")
        if self.stopping is not None and self.stopping.against:
            fair = [p.title for p in self.policies if not p.uses_truth]
            if self.stopping.against not in fair:
                raise ConfigError(
                    f"stopping against must be a policy of the campaign that is not told the truth "
                    f"({', '.join(fair)}); got {self.stopping.against!r}"
                )
        needing = [t.id for t in self.tasks if t.needs_random]
        if needing and not any(p.title == p.name == BASELINE for p in self.policies):
            raise ConfigError(
                f"campaign {self.name!r} must have the policy {BASELINE!r}, without a label: its runs "
                f"are the zero of the goal mapping, and of every goal under a budget of seconds or "
                f"wear. Add it; {needing[0]!r} needs it"
            )

    def task(self, id_: str) -> Task:
        """Return the task of that id; ConfigError lists the ids if there is none."""
        known = {t.id: t for t in self.tasks}
        if id_ not in known:
            raise ConfigError(f"task must be one of {', '.join(known)}; got {id_!r}")
        return known[id_]

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
        campaign = plain(self, stored=True)
        for name in _BOUNDS:
            del campaign[name]
        return {"campaign": campaign, "grainscout": grainscout.__version__}

    def cells(self) -> list[CellKey]:
        """All cells, film by film: an interrupted campaign is whole as far as it went.

        Those on one film of a task stand together, so that a worker makes it once.
        A replayed recording is the same for every seed, but policies are not: it is run on as many.
        """
        return [
            CellKey(task=task.id, film=film, policy=policy.title)
            for film in range(self.films)
            for task in self.tasks
            for policy in self.policies
        ]


def run_campaign(
    campaign: Campaign,
    store: CampaignStore,
    *,
    jobs: int = 0,
    scheduler: str | None = None,
    progress: Callable[[CellKey, str, str], None] | None = None,
) -> None:
    """Run every cell that the store does not hold as finished.

    jobs : worker processes on this machine; 0 runs the cells in this process, where nothing ends
        a cell that hangs.  scheduler : address of a Dask scheduler, whose workers then run them.
    progress : called in this process after each cell with its key, status and traceback, if any.

    A cell that raises, takes longer than the campaign's ``cell_timeout_s`` or needs more than its
    ``cell_memory_GiB`` is stored as failed and the others go on; the next call tries it again.  When
    a worker is killed, the cell that it was at is run again, once.  Whatever ends this call ends
    the workers.  ConfigError for a scheduler that cannot be used, DataError when the store cannot be
    written; finished cells are in it.
    """
    workers = make_workers(jobs, scheduler)
    try:
        settled = store.finished()
        standing = None if campaign.stopping is None else Standing(campaign, store)
        while True:
            now = course(campaign, None if standing is None else standing.scores, settled)
            if now.over:
                break
            done = []
            for key, reply in workers.run(_calls(campaign, now.waiting, workers.campaign)):
                store.record(key, reply.status, reply.seconds, reply.payload, reply.error)
                settled.add(key)
                if reply.status == "finished":
                    done.append(key)
                if progress is not None:
                    progress(key, reply.status, reply.error)
            if standing is not None:
                standing.add(done)
    finally:
        workers.close()


def _calls(campaign: Campaign, keys: Iterable[CellKey], mark: str) -> Iterator[Call]:
    tasks = {t.id: t for t in campaign.tasks}
    policies = {p.title: p for p in campaign.policies}
    for key in keys:
        yield Call(
            key=key,
            task=tasks[key.task],
            policy=policies[key.policy],
            seed=campaign.seed,
            timeout_s=campaign.cell_timeout_s,
            memory_GiB=campaign.cell_memory_GiB,
            campaign=mark,
        )
