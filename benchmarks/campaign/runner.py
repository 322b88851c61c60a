"""Running a campaign, cell by cell. An interrupted one is resumed."""

import json
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass

from grainscout.benchmarks.campaign.campaign import BASELINE, Campaign
from grainscout.benchmarks.campaign.cell import film_seed
from grainscout.benchmarks.campaign.jobs import Job
from grainscout.benchmarks.campaign.leaderboard import IncrementalScores
from grainscout.benchmarks.campaign.made_by import made_by
from grainscout.benchmarks.campaign.scheduler import Workers, make_workers
from grainscout.benchmarks.campaign.stopping import plan_next_block
from grainscout.benchmarks.campaign.store import CampaignStore, CellKey
from grainscout.benchmarks.tasks.environment import make_environment
from grainscout.benchmarks.tasks.ground import needs_anchors
from grainscout.benchmarks.tasks.task import PolicySpec
from grainscout.records import ConfigError, GrainscoutError, unpack


def run_campaign(
    campaign: Campaign,
    store: CampaignStore,
    *,
    jobs: int = 0,
    scheduler: str | None = None,
    progress: Callable[[CellKey, str, str], None] | None = None,
    doing: Callable[[str], None] = lambda what: None,
) -> None:
    """Run every cell that the store does not hold as finished.

    A cell that raises, takes longer than the campaign's ``cell_timeout_s`` or needs more than its
    ``cell_memory_GiB`` is stored as failed and the others go on. The next call tries it again. When
    a worker is killed, its cell is run again, once. Whatever ends this call ends the workers.

    Parameters
    ----------
    campaign : Campaign
        What is run.
    store : CampaignStore
        Where results go; finished cells in it are not run again.
    jobs : int
        Worker processes on this machine. 0 runs the cells in this process, where nothing ends a
        cell that hangs.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers then run the cells.
    progress : callable, optional
        Called in this process after each cell with its key, status and traceback, if any.
    doing : callable
        Called in this process with words for what it begins.

    Raises
    ------
    ConfigError
        For a scheduler that cannot be used, and before the first cell for a user's file on which
        none can be run.
    DataError
        For such a file too, and when the store cannot be written; finished cells are in it.
    """
    retire_stale(campaign, store)
    refuse_unfit(campaign, store.finished())
    workers = make_workers(jobs, scheduler)
    made = _made(campaign)
    try:
        settled = store.finished()
        scores = None if campaign.stopping is None else IncrementalScores(campaign, store)
        while True:
            state = plan_next_block(campaign, None if scores is None else scores.table, settled)
            if state.over:
                break
            finished = []
            _find_anchors(campaign, store, state.waiting, workers, doing)
            doing("cells")
            for key, result in workers.run(_jobs(campaign, state.waiting, workers.campaign, store)):
                mark = made[key.task, key.policy] if result.status == "finished" else ""
                store.record(key, result.status, result.seconds, result.payload, result.error, mark)
                settled.add(key)
                if result.status == "finished":
                    finished.append(key)
                if progress is not None:
                    progress(key, result.status, result.error)
            if scores is not None:
                scores.add(finished)
    finally:
        workers.close()


def refuse_unfit(campaign: Campaign, settled: Container[CellKey] = ()) -> None:
    """Refuse a user's file on which no cell can be run, once instead of in each cell."""
    waiting = {key.task for key in campaign.cells() if key not in settled}
    for task in campaign.tasks:
        if task.id not in waiting or getattr(task.microscope, "file", None) is None:
            continue
        try:
            sites = make_environment(task, film_seed(campaign.seed, task.id, 0)).problem()
        except GrainscoutError as error:
            raise type(error)(f"task {task.id}: {error}") from error
        if len(sites.candidates) < 2:
            raise ConfigError(
                f"task {task.id} must have at least 2 sites, or nothing can be compared; its image "
                f"has {len(sites.candidates)} with window_px = {task.window_px}"
            )


@dataclass(frozen=True, kw_only=True)
class Before:
    """Finished cells that a store holds."""

    kept: int
    unknown: int  #: Of these, made by what nobody noted: a version of before
    stale: list[CellKey]  #: What made them has changed since


def retire_stale(campaign: Campaign, store: CampaignStore) -> Before:
    """Take out what an edited policy, model or simulator made before, so that it is run again."""
    now, before = _made(campaign), store.made()
    stale = [k for k, v in before.items() if v and v != now.get((k.task, k.policy), v)]
    store.retire(stale)
    unknown = sum(not v for v in before.values())
    return Before(kept=len(before) - len(stale), unknown=unknown, stale=stale)


def _made(campaign: Campaign) -> dict[tuple[str, str], str]:
    """(task, title of the policy) -> digest of what would make its cells now."""
    return {(t.id, p.title): made_by(t, p) for t in campaign.tasks for p in campaign.policies}


def _find_anchors(
    campaign: Campaign,
    store: CampaignStore,
    keys: Iterable[CellKey],
    workers: Workers,
    doing: Callable[[str], None],
) -> None:
    """Anchors of films that have none yet. Where that fails, the film's cells fail as it did."""
    mapped = {t.id for t in campaign.tasks if needs_anchors(t)}
    films = dict.fromkeys(
        CellKey(task=k.task, film=k.film, policy="") for k in keys if k.task in mapped
    )
    mark = {t.id: made_by(t, PolicySpec(name=BASELINE)) for t in campaign.tasks}
    todo = [k for k in films if (store.noted(_name(k)) or {}).get("made") != mark[k.task]]
    if todo:
        doing(f"scales of maps, {len(todo)} films")
    results = workers.run(_jobs(campaign, todo, workers.campaign, store))
    for done, (key, result) in enumerate(results, 1):
        doing(f"scales of maps, film {done} of {len(todo)}")
        if result.payload is not None:
            anchors = json.loads(unpack(result.payload)["anchors"])
            store.note(_name(key), {"made": mark[key.task], "anchors": anchors})


def _name(key: CellKey) -> str:
    return f"anchors of {key.task}, film {key.film}"


def _jobs(
    campaign: Campaign, keys: Iterable[CellKey], mark: str, store: CampaignStore
) -> Iterator[Job]:
    tasks = {t.id: t for t in campaign.tasks}
    policies = {p.title: p for p in campaign.policies}
    keys = list(keys)
    # Read here: jobs are drawn by threads that may not use the store.
    films = {_name(k) for k in keys if k.policy}
    known = {name: (store.noted(name) or {}).get("anchors") for name in films}
    return (
        Job(
            key=key,
            task=tasks[key.task],
            policy=policies.get(key.policy),
            seed=campaign.seed,
            anchors=known.get(_name(key)) if key.policy else None,
            timeout_s=campaign.cell_timeout_s,
            memory_GiB=campaign.cell_memory_GiB,
            isolate=campaign.isolate,
            campaign=mark,
        )
        for key in keys
    )
