"""Running a campaign, cell by cell. An interrupted one is resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from grainscout.benchmarks.campaign.campaign import Campaign
from grainscout.benchmarks.campaign.incremental_scores import IncrementalScores
from grainscout.benchmarks.campaign.jobs import Job
from grainscout.benchmarks.campaign.scheduler import make_workers
from grainscout.benchmarks.campaign.stopping import plan_next_block
from grainscout.benchmarks.campaign.store import CampaignStore, CellKey


def run_campaign(
    campaign: Campaign,
    store: CampaignStore,
    *,
    jobs: int = 0,
    scheduler: str | None = None,
    progress: Callable[[CellKey, str, str], None] | None = None,
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

    Raises
    ------
    ConfigError
        For a scheduler that cannot be used.
    DataError
        When the store cannot be written; finished cells are in it.
    """
    workers = make_workers(jobs, scheduler)
    try:
        settled = store.finished()
        scores = None if campaign.stopping is None else IncrementalScores(campaign, store)
        while True:
            state = plan_next_block(campaign, None if scores is None else scores.table, settled)
            if state.over:
                break
            finished = []
            for key, result in workers.run(_jobs(campaign, state.waiting, workers.campaign)):
                store.record(key, result.status, result.seconds, result.payload, result.error)
                settled.add(key)
                if result.status == "finished":
                    finished.append(key)
                if progress is not None:
                    progress(key, result.status, result.error)
            if scores is not None:
                scores.add(finished)
    finally:
        workers.close()


def _jobs(campaign: Campaign, keys: Iterable[CellKey], mark: str) -> Iterator[Job]:
    tasks = {t.id: t for t in campaign.tasks}
    policies = {p.title: p for p in campaign.policies}
    for key in keys:
        yield Job(
            key=key,
            task=tasks[key.task],
            policy=policies[key.policy],
            seed=campaign.seed,
            timeout_s=campaign.cell_timeout_s,
            memory_GiB=campaign.cell_memory_GiB,
            campaign=mark,
        )
