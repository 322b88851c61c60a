"""Campaigns on a Dask cluster of two workers, started here."""

import os
import signal
import socket
import warnings

import pandas as pd
import pytest
import rogues

from grainscout.benchmarks import CampaignStore, PolicySpec, run_campaign
from grainscout.benchmarks.campaign import scheduler as scheduler
from grainscout.benchmarks.campaign.jobs import Job
from grainscout.benchmarks.campaign.process_pool import attempt
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.records import ConfigError

distributed = pytest.importorskip("distributed")

# Dask leaves sockets and pipes of workers that were killed to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="finds processes in /proc"),
]


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as made:
            yield made


def worker_processes(cluster):
    return {worker.pid for worker in cluster.workers.values()}


def test_a_killed_worker_loses_its_cell_alone_and_the_table_is_the_serial_one(cluster, tmp_path):
    plan = rogues.campaign()
    tables = {}
    runs = {"serial": {}, "cluster": {"scheduler": cluster.scheduler_address}}
    for name, settings in runs.items():
        killed, cells = [], []

        def kill(key, status, error, killed=killed, cells=cells, on=name):
            cells.append((key, status))
            if on == "cluster" and not killed:
                # Both are at a cell, or have just ended one: kill the worker and not its cell alone.
                killed.extend(p for p, _ in rogues.cell_processes(worker_processes(cluster))[:1])
                os.kill(killed[0], signal.SIGKILL)

        with CampaignStore(tmp_path / f"{name}.sqlite", plan.identity()) as store:
            run_campaign(plan, store, progress=kill, **settings)
            assert sorted(cells) == sorted((key, "finished") for key in plan.cells())
            tables[name] = read_tables(store)
    assert killed
    for table in ("steps", "maps"):
        one, other = (getattr(tables[name], table) for name in runs)
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert not rogues.cell_processes(worker_processes(cluster) | set(killed))


def test_workers_of_another_version_are_refused_by_name(cluster, tmp_path, monkeypatch):
    ours = {**scheduler.package_versions(), "grainscout": "9.9.9"}
    monkeypatch.setattr(scheduler, "package_versions", lambda: ours)
    plan = rogues.campaign(PolicySpec(name="random"), films=1)
    with pytest.raises(ConfigError, match=r"worker tcp://.* must have grainscout 9\.9\.9"):
        rogues.run(plan, tmp_path, scheduler=cluster.scheduler_address)


def test_an_interrupted_campaign_leaves_no_cell_running_on_the_cluster(cluster, tmp_path):
    class Stop(Exception):
        pass

    def stop(key, status, error):
        raise Stop

    plan = rogues.campaign(films=8)
    with CampaignStore(tmp_path / "c.sqlite", plan.identity()) as store:
        with pytest.raises(Stop):
            run_campaign(plan, store, scheduler=cluster.scheduler_address, progress=stop)
        assert 1 <= len(store.finished()) < len(plan.cells())
    assert not rogues.cell_processes(worker_processes(cluster))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", "must be an address such as tcp://host:8786; got 'nonsense'"),
        ("tcp://127.0.0.1", "must be an address"),
        ("tcp://127.0.0.1:{closed}", "none answers at tcp://127.0.0.1:.*refused"),
        ("tcp://127.0.0.1:{mute}", "none answers at tcp://127.0.0.1:"),
    ],
)
def test_a_scheduler_that_is_not_there_is_said_so(address, said, tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "_ANSWER_S", 0.5)
    plan = rogues.campaign(PolicySpec(name="random"), films=1)
    with socket.socket() as closed, socket.socket() as mute:
        for one in (closed, mute):
            one.bind(("127.0.0.1", 0))
        mute.listen()  # and says nothing
        ports = {"closed": closed.getsockname()[1], "mute": mute.getsockname()[1]}
        with pytest.raises(ConfigError, match=said):
            rogues.run(plan, tmp_path, scheduler=address.format(**ports))


def test_a_scheduler_without_workers_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "_ANSWER_S", 2.0)
    plan = rogues.campaign(PolicySpec(name="random"), films=1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(ConfigError, match="must have workers; it has none"),
    ):
        rogues.run(plan, tmp_path, scheduler=empty.scheduler_address)


def test_a_worker_of_another_version_that_joins_later_fails_its_cells_by_name():
    key, random = rogues.campaign().cells()[0], PolicySpec(name="random")
    call = Job(key=key, task=rogues.TASK, policy=random, seed=0, version="9.9.9")
    reply = attempt(call.to_json())
    assert reply.status == "failed"
    assert "must have grainscout 9.9.9" in reply.error
