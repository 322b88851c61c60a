"""What a campaign costs beyond its cells: the runner, a second worker, the tables and the report.

A busy machine takes wall time from everybody: overheads are this process's own CPU seconds over the
seconds of the cells.
"""

from __future__ import annotations

import time

import pytest

from grainscout.benchmarks import Campaign, CampaignStore, PolicySpec, run_campaign, write_results
from grainscout.benchmarks.campaign.campaign import Stopping
from grainscout.benchmarks.campaign.leaderboard import goal_scores
from grainscout.benchmarks.campaign.stopping import plan_next_block
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.config import load_campaign
from grainscout.records import pack

POLICIES = tuple(PolicySpec(name=name) for name in ("random", "grid", "dkl", "dual-novelty"))
REAL_FILMS = 3


def plan(films: int, **changes) -> Campaign:
    """One task of the quick campaign by four policies."""
    settings = {"name": "speed", "films": films, "policies": POLICIES, **changes}
    return Campaign(tasks=load_campaign("quick").tasks[:1], **settings)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A dozen real cells: their results, and the seconds that they took."""
    few = plan(REAL_FILMS)
    with CampaignStore(tmp_path_factory.mktemp("few") / "c.sqlite", few.identity()) as store:
        run_campaign(few, store)
        return {(k.film, k.policy): (s, pack(p)) for k, s, p in store.payloads()}


def fill(store, campaign, cells):
    """Make every cell of a campaign from a few real ones."""
    for key in campaign.cells():
        seconds, payload = cells[key.film % REAL_FILMS, key.policy]
        store.record(key, "finished", seconds, payload, "")


@pytest.fixture
def filled(tmp_path, cells):
    """A finished campaign of 400 cells, and its store."""
    many = plan(100)
    with CampaignStore(tmp_path / "c.sqlite", many.identity()) as store:
        fill(store, many, cells)
        yield many, store


@pytest.mark.benchmark(group="a campaign of 12 cells")
@pytest.mark.parametrize("jobs", [1, 2])
def test_runner(benchmark, tmp_path, cells, jobs):
    few = plan(REAL_FILMS)
    with CampaignStore(tmp_path / "c.sqlite", few.identity()) as store:

        def go():
            begun = time.process_time()
            run_campaign(few, store, jobs=jobs)
            return time.process_time() - begun

        own = benchmark.pedantic(go, rounds=1)
        taken = sum(seconds for _, seconds, _ in store.payloads())
    benchmark.extra_info["runner's own CPU over the cells' seconds"] = own / taken
    benchmark.extra_info["cells' seconds over wall time"] = taken / benchmark.stats.stats.mean
    assert own < 0.02 * taken


@pytest.mark.benchmark(group="a campaign of 400 cells, finished")
def test_report(benchmark, tmp_path, filled):
    begun = time.process_time()
    results = benchmark.pedantic(write_results, (*filled, tmp_path), rounds=1)
    cpu = time.process_time() - begun
    size = results.files["report"].stat().st_size
    benchmark.extra_info.update({"CPU s": cpu, "report MB": size / 1e6})
    assert cpu < 30
    assert size < 15e6


@pytest.mark.benchmark(group="per cell, of a campaign of 400 cells")
def test_writing_cells(benchmark, tmp_path, cells):
    many = plan(100)
    with CampaignStore(tmp_path / "c.sqlite", many.identity()) as store:
        benchmark.pedantic(fill, (store, many, cells), rounds=1)
    benchmark.extra_info["store, kB a cell"] = (tmp_path / "c.sqlite").stat().st_size / 400e3


@pytest.mark.benchmark(group="per cell, of a campaign of 400 cells")
def test_reading_tables_and_scores(benchmark, filled):
    many, store = filled
    tables, tasks = read_tables(store), {t.id: t for t in many.tasks}
    benchmark.pedantic(lambda: goal_scores(read_tables(store), tasks), rounds=2)
    frames = (tables.steps, tables.maps, tables.timings)
    memory = sum(int(frame.memory_usage(deep=True).sum()) for frame in frames)
    benchmark.extra_info["tables, kB a cell"] = memory / 400e3


@pytest.mark.benchmark(group="per cell, of a campaign of 400 cells")
def test_looking_whether_comparisons_are_decided(benchmark, filled):
    many, store = filled
    scores = goal_scores(read_tables(store), {t.id: t for t in many.tasks})
    tested = plan(100, stopping=Stopping())
    benchmark.pedantic(plan_next_block, (tested, scores, store.finished()), rounds=3)
