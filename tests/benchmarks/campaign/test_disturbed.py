"""`grainscout bench`, interrupted and robbed of its workers or its scheduler: the table stays the same."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import rogues

from grainscout.benchmarks import CampaignStore, run_campaign
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.config import load_campaign

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes in /proc")

# Film by film: a random cell, then one that stands still until it is given a permit.
PLAN = """
name = "disturbed"
seed = 3
films = 5

[[task]]
id = "film/tiny"
microscope = {{ film = "tiny" }}
waveform = {{ samples = 51 }}
light_suns = 0.1
curves = 10
goals = ["discovery"]

[[policy]]
name = "random"

[[policy]]
name = "gated"
options = {{ permits = "{permits}" }}
"""
CELLS = 10
PATIENCE_S = 300.0  # on a machine that is busy with other things


class Stage:
    """The plan, the permits of its cells, and the command."""

    def __init__(self, folder):
        self.permits, self.plan = folder / "permits", folder / "plan.toml"
        self.begun = []
        self.permits.mkdir()
        self.plan.write_text(PLAN.format(permits=self.permits))
        path = os.pathsep.join([str(rogues.install(folder)), os.environ.get("PYTHONPATH", "")])
        self.env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}

    def permit(self, cells):
        for number in range(cells):
            (self.permits / str(number)).touch()

    def bench(self, out, *arguments):
        command = [sys.executable, "-m", "grainscout.cli", "bench", str(self.plan), "--json"]
        bench = subprocess.Popen(
            [*command, "--out", str(out), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )
        self.begun.append(bench)
        return bench

    def finish(self, folder):
        """Run what is left in this process: the cells that were run, and the table."""
        plan, begun = load_campaign(str(self.plan)), []
        with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
            run_campaign(plan, store, progress=lambda key, *_: begun.append(key))
        return begun, table(folder)


@pytest.fixture(scope="module", autouse=True)
def sigint_is_heard():
    """A suite that was started in the background of a shell ignores it, and so would its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    stage = Stage(tmp_path_factory.mktemp("stage"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(stage.plan.parent))
        yield stage
    for bench in stage.begun:  # one that failed is no later test's trouble
        with bench:
            bench.kill()


@pytest.fixture(scope="module")
def undisturbed(stage, tmp_path_factory):
    """The table of a serial run that nothing happened to."""
    stage.permit(5)
    begun, whole = stage.finish(tmp_path_factory.mktemp("undisturbed"))
    assert len(begun) == CELLS
    return whole


def ended(bench):
    """Its exit status, its JSON object if any, and what it said."""
    out, err = bench.communicate(timeout=PATIENCE_S)
    return bench.returncode, json.loads(out) if out else None, err


def table(folder):
    with CampaignStore(folder / "campaign.sqlite") as store:
        return read_tables(store).steps.to_csv()


def finished(folder):
    """(task, film, policy) -> seconds that the cell took: other ones, were it run again."""
    try:
        place = f"file:{folder / 'campaign.sqlite'}?mode=ro"
        with closing(sqlite3.connect(place, uri=True)) as db:
            rows = db.execute("SELECT task, film, policy, seconds, status FROM cells").fetchall()
    except sqlite3.OperationalError:  # it is not there, or just being made
        return {}
    assert all(row[4] == "finished" for row in rows)
    return {row[:3]: row[3] for row in rows}


def wait_for(fact):
    end = time.monotonic() + PATIENCE_S
    while not (found := fact()) and time.monotonic() < end:
        time.sleep(0.02)
    assert found, "it did not come about in time"
    return found


def test_interruptions_and_a_killed_worker_give_the_undisturbed_table(stage, undisturbed, tmp_path):
    kept = {}
    # Each time there is a permit for one cell; `count` are finished when all workers stand still.
    for jobs, how, count in ((2, signal.SIGINT, 4), (1, signal.SIGTERM, 5)):
        stage.permit(1)
        bench = stage.bench(tmp_path, "--jobs", str(jobs))
        wait_for(lambda n=count: len(finished(tmp_path)) == n)
        cells = [pid for _, pid in rogues.cell_processes({bench.pid})]
        assert len(cells) == jobs
        before = f"{len(kept)} cells were there before\n" if kept else ""
        bench.send_signal(how)
        status, said, err = ended(bench)
        wait_for(lambda pids=cells: not any(map(rogues.alive, pids)))
        now = finished(tmp_path)
        assert len(now) == count
        assert now.items() >= kept.items(), "a finished cell was run again"
        kept = now
        assert said is None
        if how == signal.SIGINT:
            assert status == 130
            assert err == (
                f"{before}interrupted: {count} finished cells are kept in {tmp_path}; the same command goes on "
                "with the others\n"
            )
    bench = stage.bench(tmp_path, "--jobs", "2")
    wait_for(lambda: len(finished(tmp_path)) == 6)
    cells = [pid for _, pid in rogues.cell_processes({bench.pid})]
    assert len(cells) == 2
    os.kill(cells[0], signal.SIGKILL)
    stage.permit(3)
    status, said, err = ended(bench)
    assert (status, err) == (0, f"{len(kept)} cells were there before\n")
    assert said["cells"] == {
        "planned": CELLS, "finished": CELLS, "failed": 0, "missing": 0, "saved": 0, "run": 5,
    }  # fmt: skip
    assert finished(tmp_path).items() >= kept.items()
    assert table(tmp_path) == undisturbed


@pytest.fixture
def cluster(stage, tmp_path):
    """A scheduler and its one worker, as processes; its address."""
    pytest.importorskip("distributed")
    place, log = tmp_path / "scheduler.json", tmp_path / "worker.log"
    file = ["--scheduler-file", str(place), "--no-dashboard"]
    begin = [sys.executable, "-m"]
    scheduler = subprocess.Popen(
        [*begin, "distributed.cli.dask_scheduler", *file, "--host", "127.0.0.1", "--port", "0"],
        stderr=subprocess.DEVNULL,
    )
    worker = None
    try:
        wait_for(place.exists)
        with log.open("wb") as told:
            worker = subprocess.Popen(
                [*begin, "distributed.cli.dask_worker", *file, "--no-nanny", "--nthreads", "1"],
                stderr=told,
                cwd=tmp_path,
                env=stage.env,
            )
        wait_for(lambda: "Registered to" in log.read_text())
        yield json.loads(place.read_text())["address"], scheduler, worker
    finally:
        for process in filter(None, (scheduler, worker)):
            process.kill()
            process.wait()


def test_a_lost_scheduler_is_named_and_costs_only_what_was_not_finished(
    stage, undisturbed, tmp_path, cluster
):
    address, scheduler, worker = cluster
    out = tmp_path / "out"
    stage.permit(1)  # the worker then stands still, at a cell that depends on the scheduler's order
    bench = stage.bench(out, "--scheduler", address)
    wait_for(lambda: finished(out) and not any(stage.permits.iterdir()))
    cells = [pid for _, pid in rogues.cell_processes({worker.pid})]
    assert len(cells) == 1
    scheduler.terminate()
    status, said, err = ended(bench)
    assert (status, said) == (1, None)
    assert err.splitlines()[-1] == (
        f"error: the scheduler at {address} is gone. The finished cells are kept; the same command goes "
        "on with the others"
    )
    wait_for(lambda: not rogues.alive(cells[0]))
    kept = finished(out)
    assert 1 <= len(kept) <= 6
    stage.permit(5)
    begun, found = stage.finish(out)
    assert len(begun) == CELLS - len(kept)
    assert finished(out).items() >= kept.items()
    assert found == undisturbed
