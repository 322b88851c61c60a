"""Campaigns: the same table for any number of workers and interruptions, failures kept apart."""

import dataclasses
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rogues import TASK, campaign

from grainscout.benchmarks import (
    CampaignStore,
    CellKey,
    MicroscopeSpec,
    PolicySpec,
    run_campaign,
    write_results,
)
from grainscout.benchmarks.campaign.cell import film_seed
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.config import load_run
from grainscout.hardware import Limits
from grainscout.records import ConfigError, DataError
from grainscout.simulator import PRESETS, Film


def run(plan, path, jobs=0, **settings):
    with CampaignStore(path, plan.identity()) as store:
        run_campaign(plan, store, jobs=jobs, **settings)
        return read_tables(store)


PLAN = campaign(PolicySpec(name="random"), PolicySpec(name="grid"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run(PLAN, path := tmp_path_factory.mktemp("finished") / "campaign.sqlite")
    return path


@pytest.fixture
def whole(finished, tmp_path):
    """A copy of the store of a finished campaign."""
    return shutil.copy(finished, tmp_path)


def same(one, other):
    pd.testing.assert_frame_equal(one.steps, other.steps, check_exact=True)
    pd.testing.assert_frame_equal(one.maps, other.maps, check_exact=True)


def test_a_failed_cell_is_recorded_as_failed_and_tried_again(tmp_path):
    broken = campaign(PolicySpec(name="random"), PolicySpec(name="dkl", options={"window": 999}))
    path = tmp_path / "campaign.sqlite"
    tables = run(broken, path)
    assert set(tables.steps["policy"]) == {"random"}
    with CampaignStore(path, broken.identity()) as store:
        failures = store.failures()
        assert set(failures) == {CellKey(task=TASK.id, film=f, policy="dkl") for f in (0, 1)}
        assert all("999" in trace and "Traceback" in trace for trace in failures.values())
        again = []
        run_campaign(broken, store, progress=lambda key, *_: again.append(key))
        assert set(again) == set(failures)
        results = write_results(broken, store, tmp_path)
    assert results.missing == 2
    page = results.files["report"].read_text()
    assert "2 cells failed" in page
    assert "999" in page


def test_the_winner_is_an_experiment_on_the_task_that_was_asked_for(tmp_path):
    film = tmp_path / "film.h5"
    Film.generate(PRESETS["tiny"], 1).save(film)
    spec = MicroscopeSpec(film_file=film)
    mine = dataclasses.replace(TASK, id="mine", microscope=spec, goals=("discovery",), curves=3)
    first = dataclasses.replace(mine, id="first")
    plan = campaign(films=1, tasks=(first, mine), policies=(PolicySpec(name="random"),))
    folder = tmp_path / "out"
    folder.mkdir()
    with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
        run_campaign(plan, store)
        path = write_results(plan, store, folder, task="mine").files["winner"]
        with pytest.raises(ConfigError, match="task must be one of first, mine; got 'other'"):
            write_results(plan, store, folder, task="other")
    text = path.read_text()
    assert 'film_file = "../film.h5"' in text
    assert "# The guard refuses" in text
    settings = load_run(path)
    assert settings.task == mine
    assert settings.limits == Limits()


def test_results_say_what_they_must(whole, tmp_path):
    with CampaignStore(whole, PLAN.identity()) as store:
        results = write_results(PLAN, store, tmp_path)
    for path in results.files.values():
        assert path.stat().st_size > 0
    table = pd.read_parquet(results.files["table"])
    assert table["step"].tolist() == list(range(1, TASK.curves + 1)) * 4
    runs = table[["film", "policy"]].drop_duplicates()
    assert runs.values.tolist() == [[0, "grid"], [0, "random"], [1, "grid"], [1, "random"]]
    assert (table.groupby(["film", "policy"])["finished_s"].apply(np.diff).map(np.min) > 0).all()
    page = results.files["report"].read_text()
    assert page.count("<img") == page.count("data:image/png;base64,") >= 8
    assert page.count('alt="') == page.count("<img")
    assert "http" not in page  # opens without a network
    board = results.files["leaderboard"].read_text()
    assert "| random |" in board
    assert "| grid |" in board
    assert "measured the same sites" not in page


def test_films_are_shared_by_policies_and_by_nothing_else():
    seeds = {film_seed(s, t, f) for s in (0, 1) for t in ("a", "b") for f in range(3)}
    assert len(seeds) == 12


def test_a_store_of_another_campaign_is_left_as_it_is_and_told_what_differs(tmp_path):
    path = tmp_path / "campaign.sqlite"
    plan = campaign(films=2, policies=(PolicySpec(name="random"),))
    CampaignStore(path, plan.identity())
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"campaign\.seed was 3, is 4"):
        CampaignStore(path, dataclasses.replace(plan, seed=4).identity())
    with pytest.raises(DataError, match=r"must be of this campaign.*campaign\.films was 2, is 1"):
        CampaignStore(path, dataclasses.replace(plan, films=1).identity())
    other = (PolicySpec(name="grid"), PolicySpec(name="random", options={"x": 1}))
    others = (dataclasses.replace(plan.tasks[0], id="other"),)
    fewer = dataclasses.replace(plan, policies=other, tasks=others)
    with pytest.raises(DataError) as told:
        CampaignStore(path, fewer.identity())
    for said in (
        f"task {plan.tasks[0].id!r} is not there any more",
        "policy 'grid' is new",
        "policy 'random'.options.x was None, is 1",
    ):
        assert said in str(told.value)
    assert path.read_bytes() == before


def test_a_campaign_goes_on_with_more_films_as_if_it_had_begun_with_them(tmp_path):
    few = campaign(films=1, policies=(PolicySpec(name="random"),))
    more = dataclasses.replace(few, films=3, description="Other words change no result")
    run(few, tmp_path / "grown.sqlite")
    begun = []
    grown = run(more, tmp_path / "grown.sqlite", progress=lambda key, *_: begun.append(key.film))
    assert set(begun) == {1, 2}
    same(grown, run(more, tmp_path / "whole.sqlite"))
    with (
        CampaignStore(tmp_path / "grown.sqlite") as one,
        CampaignStore(tmp_path / "whole.sqlite") as other,
    ):
        assert one.identity == other.identity


def test_foreign_and_damaged_stores_are_refused(tmp_path):
    path = tmp_path / "campaign.sqlite"
    path.write_text("not a database" * 100)
    with pytest.raises(DataError, match="not usable"):
        CampaignStore(path, {})
    with pytest.raises(DataError, match="there is none"):
        CampaignStore(tmp_path / "absent.sqlite")


def test_a_damaged_cell_is_refused_until_it_is_repaired(whole):
    hit, other = sorted(PLAN.cells())[:2]
    with closing(sqlite3.connect(whole)) as db:  # as if bits had turned over
        where = "task = ? AND film = ? AND policy = ?"
        at = [(key.task, key.film, key.policy) for key in (hit, other)]
        (blob,) = db.execute(f"SELECT payload FROM cells WHERE {where}", at[0]).fetchone()
        blob = blob[:-3] + bytes([blob[-3] ^ 8]) + blob[-2:]
        db.execute(f"UPDATE cells SET payload = ? WHERE {where}", (blob, *at[0]))
        db.execute(f"UPDATE cells SET film = 77 WHERE {where}", at[1])
        db.commit()
    with CampaignStore(whole, PLAN.identity()) as store:
        with pytest.raises(DataError, match="checksum does not match"):
            store.payload(hit)
        with pytest.raises(DataError, match="checksum of a row"):
            store.finished()
        assert len(store.repair()) == 2
        assert store.finished() == {*PLAN.cells()} - {hit, other}


def test_a_damaged_index_costs_no_cell_and_hides_none(whole):
    path, cells = Path(whole), set(PLAN.cells())
    hit = max(cells)
    data, name = bytearray(path.read_bytes()), hit.policy.encode()
    pages = [data[k : k + 4096] for k in range(0, len(data), 4096)]
    (index,) = [k for k, page in enumerate(pages) if page[0] == 10 and name in page]
    at = 4096 * index + pages[index].rindex(name)
    data[at] ^= 1
    path.write_bytes(data)
    with CampaignStore(path, PLAN.identity()) as store:
        assert store.finished() == cells
        for look in (lambda: list(store.payloads()), lambda: list(store.payloads(sorted(cells)))):
            with pytest.raises(DataError, match="in its table and not in its index"):
                look()
        assert sum(is_damaged(store, k) for k in cells) == 1
        assert store.repair() == []
        assert {key for key, _, _ in store.payloads()} == cells


def is_damaged(store, key):
    try:
        assert store.payload(key) is not None
    except DataError:
        return True
    return False


def test_an_error_that_is_no_unicode_is_kept(tmp_path):
    with CampaignStore(tmp_path / "campaign.sqlite", campaign().identity()) as store:
        key = CellKey(task="film/tiny", film=0, policy="random")
        store.record(key, "failed", -0.0, None, "no file caf\udce9")
        assert store.failures() == {key: "no file caf\\udce9"}
        assert store.repair() == []


def test_a_campaign_that_was_killed_before_its_store_was_made_begins_anew(tmp_path):
    path = tmp_path / "campaign.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    with CampaignStore(path, campaign().identity()) as store:
        assert store.finished() == set()


@pytest.fixture
def path(tmp_path):
    """A store without a cell."""
    with CampaignStore(tmp_path / "campaign.sqlite", campaign().identity()):
        return tmp_path / "campaign.sqlite"


def test_a_store_that_would_run_something_when_it_is_read_is_refused(path):
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE VIEW trap AS SELECT 1")
    with pytest.raises(DataError, match="its own tables and no others"):
        CampaignStore(path)


def test_a_refused_store_is_closed(path, monkeypatch):
    connect, made = sqlite3.connect, []
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **k: made.append(connect(*a, **k)) or made[-1]
    )
    with pytest.raises(DataError, match="of this campaign"):
        CampaignStore(path, campaign(seed=5).identity())
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[0].execute("SELECT 1")


@pytest.mark.parametrize(
    ("pragma", "said"),
    [
        ("user_version = 99", "must be of version 2; got 99"),
        ("application_id = 7", "is not a campaign store of Grainscout"),
    ],
)
def test_stores_of_another_version_or_program_are_refused_by_name(path, pragma, said):
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA {pragma}")
    with pytest.raises(DataError, match=said):
        CampaignStore(path, campaign().identity())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": ()}, "at least one task"),
        ({"policies": ()}, "at least one policy"),
        ({"films": 0}, "films must be at least 1"),
        ({"tasks": (TASK, TASK)}, "'film/tiny' twice"),
        ({"policies": (PolicySpec(name="random"), PolicySpec(name="random"))}, "'random' twice"),
    ],
)
def test_impossible_campaigns_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        campaign(**changes)
