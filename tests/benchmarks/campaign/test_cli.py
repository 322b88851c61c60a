"""`grainscout bench` as people and machines call it: JSON, progress, and a world that fails."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from functools import partial

import numpy as np
import pandas as pd
import pytest
import rogues

from grainscout.analysis.formats import write_gwy
from grainscout.benchmarks import CampaignStore, PolicySpec, run_campaign
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.cli import bench as command
from grainscout.records import DataError, Scan

PLAN = """
name = "little"
description = "What is said"
seed = 3
films = 2
cell_timeout_s = 300

[[task]]
id = "film/tiny"
microscope = { film = "tiny" }
waveform = { samples = 51 }
light_suns = 0.1
curves = 10

[[policy]]
name = "random"

[[policy]]
name = "grid"
"""
#: Without maps, whose scale takes longer than the cells.
FINDING = PLAN.replace("curves = 10", 'curves = 10\ngoals = ["discovery"]')


@pytest.fixture
def bench(tmp_path, monkeypatch, grainscout):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN)
    return partial(grainscout, "bench")


def test_json_is_one_object_with_everything_that_machines_are_promised(bench, tmp_path):
    status, out, err = bench("plan.toml", "--jobs", 0, "--json", "--out", "o")
    assert status == 0
    assert err == ""  # nobody looks at a pipe
    said = json.loads(out)
    assert said["format"] == "grainscout-bench-1"
    assert set(said) == {
        "format", "grainscout", "campaign", "seed", "seconds", "cells", "winner", "boards",
        "failures", "files",
    }  # fmt: skip
    assert (said["campaign"], said["seed"]) == ("little", 3)
    assert said["cells"] == {
        "planned": 4, "finished": 4, "failed": 0, "missing": 0, "saved": 0, "run": 4,
    }  # fmt: skip
    assert said["failures"] == []
    assert [board["goal"] for board in said["boards"]] == ["discovery", "mapping"]
    for board in said["boards"]:
        assert set(board) == {
            "goal", "after_curves", "films", "best", "not_decided_against", "verdict", "ranking",
            "comparisons",
        }  # fmt: skip
        assert board["films"] == 2
        assert {row["policy"] for row in board["ranking"]} == {"random", "grid"}
        assert board["ranking"][0]["policy"] == board["best"]
        (pair,) = board["comparisons"]
        assert {pair["policy"], pair["against"]} == {"random", "grid"}
        assert pair["low"] <= pair["difference"] <= pair["high"]
    for path in said["files"].values():
        assert os.path.getsize(path) > 0
    again = json.loads(bench("plan.toml", "--jobs", 0, "--json", "--out", "o")[1])
    assert again["cells"] == {**said["cells"], "run": 0}
    assert again["boards"] == said["boards"]


def test_damaged_cells_are_named_and_run_again_to_the_same_table(bench, tmp_path):
    (tmp_path / "plan.toml").write_text(FINDING)
    assert bench("plan.toml", "--jobs", 0, "--out", "o")[0] == 0
    table = (tmp_path / "o" / "table.parquet").read_bytes()
    with closing(sqlite3.connect(tmp_path / "o" / "campaign.sqlite")) as db:
        db.execute("UPDATE cells SET seconds = seconds + 1 WHERE film = 1 AND policy = 'grid'")
        db.commit()
    status, out, err = bench("plan.toml", "--jobs", 0, "--json", "--out", "o")
    assert status == 0
    said = "damaged in the store and run again (1): film 1 of film/tiny by grid"
    assert said in " ".join(err.split())
    assert json.loads(out)["cells"]["run"] == 1
    assert (tmp_path / "o" / "table.parquet").read_bytes() == table


def test_json_of_a_campaign_names_failures_and_the_status_is_1(bench, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(rogues.install(tmp_path)))
    (tmp_path / "plan.toml").write_text(FINDING + '[[policy]]\nname = "raiser"\n')
    status, out, err = bench("plan.toml", "--jobs", 0, "--json", "--out", "o")
    assert status == 1
    said = json.loads(out)
    assert said["cells"]["failed"] == 2
    assert said["failures"][0] == {
        "task": "film/tiny", "film": 0, "policy": "raiser",
        "reason": "RuntimeError: the policy of a friend",
    }  # fmt: skip
    assert "failed: raiser on film/tiny, film 0: RuntimeError: the policy of a friend" in err
    assert "2 of 6 cells failed" in err


def test_a_terminal_shows_time_left_and_who_leads(bench, monkeypatch):
    from rich.console import Console

    screen = Console(stderr=True, force_terminal=True, width=100)
    monkeypatch.setattr(command, "notes", screen)
    status, out, err = bench("plan.toml", "--jobs", 0, "--json", "--out", "o")
    assert status == 0
    json.loads(out)
    assert "4/4" in err
    assert "left" in err
    assert "score so far" in err
    assert "scales of maps, film 1 of 2" in err
    assert "random" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scheduler", "nonsense"], "scheduler must be an address"),
        (["--scheduler", "tcp://127.0.0.1:1"], "none answers at tcp://127.0.0.1:1"),
        (["--scheduler", "tcp://127.0.0.1:1", "--jobs", 2], "exclude each other"),
        (["--cell-timeout", "-1"], "cell_timeout_s must be a finite number >= 0"),
    ],
)
def test_mistakes_are_one_message_and_status_2(bench, arguments, said):
    status, out, err = bench("plan.toml", "--json", "--out", "o", *arguments)
    assert (status, out) == (2, "")
    assert said in err


@contextmanager
def no_file_above(size):
    """No file of this process may grow beyond so many bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def only_so_much_room(folder, size):
    """The disk of `folder` has so many bytes to spare."""
    disk = os.statvfs(folder)
    filler = folder / "filler"
    filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize - size))
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture(params=["limit", "disk"])
def small_disk(request, tmp_path):
    """A folder, and what leaves only some bytes of room in it for a while."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limit":
        yield folder, no_file_above
        return
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"a disk of its own needs rights: {made.stderr.decode().strip()}")
    # Beside the store there are its log and the index of that.
    yield folder, lambda size: only_so_much_room(folder, 2 * size)
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("side", "relief", "said"),
    [(16, 3e-8, "at least 2 sites"), (40, 0.0, "every pixel is the same"), (40, 30.0, "in metres")],
)
def test_an_image_on_which_nothing_can_be_run_is_refused_once(bench, side, relief, said):
    heights = relief * np.random.default_rng(0).normal(size=(side, side))
    write_gwy(Scan(channels={"height": heights}, pixel_size=(2e-8, 2e-8)), "image.gwy")
    err = bench("smoke", "--topography", "image.gwy", "--jobs", 0, "--out", "o")[2]
    assert (said in err, err.count("error:")) == (True, 1)
    assert not os.path.exists("o")  # which another campaign may take then


@pytest.mark.skipif(os.name == "nt", reason="limits and mounts of POSIX")
def test_a_full_disk_is_said_so_and_finished_cells_are_kept(tmp_path, small_disk):
    folder, room = small_disk
    plan = rogues.campaign(PolicySpec(name="random"), PolicySpec(name="grid"), films=3)
    path, whole = folder / "campaign.sqlite", tmp_path / "whole.sqlite"
    with CampaignStore(whole, plan.identity()) as store:
        run_campaign(plan, store)
        expected = read_tables(store).steps
    with (
        room(2 * whole.stat().st_size // 3),
        CampaignStore(path, plan.identity()) as store,
        pytest.raises(DataError, match=r"campaign store .* could not be written: .*disk"),
    ):
        run_campaign(plan, store)
    rest = []
    with CampaignStore(path, plan.identity()) as store:
        kept = store.finished()
        assert 1 <= len(kept) < len(plan.cells())
        run_campaign(plan, store, progress=lambda key, *_: rest.append(key))
        steps = read_tables(store).steps
    assert kept | set(rest) == set(plan.cells())
    assert not kept & set(rest)
    pd.testing.assert_frame_equal(steps, expected, check_exact=True)
