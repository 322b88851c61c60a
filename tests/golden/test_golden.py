"""What Grainscout gave before its modules were moved, it still gives: files, runs and results.

The golden files beside this one were made at commit c0a26f9, before the move. update_results.py writes
those results anew that a meant change of behaviour moves. Sites, statuses, ids, texts and whole numbers are
compared to the letter everywhere.  Floats are compared to the last bit on a machine of the kind that
made the files (machine.json: versions, and how its kernels round), elsewhere to 1e-9, and what a network
in single precision has a part in as golden_rig.MAPS and the tests say.
"""

import shutil

import pandas as pd
import pytest
from golden_rig import (
    CHECKPOINT_EVERY,
    HERE,
    MAPS,
    agree,
    columns,
    exact,
    film_digests,
    golden,
    policy_of,
    same_table,
    same_trajectory,
    stage,
    trajectory,
    unpacked,
)

from grainscout.benchmarks import CampaignStore, CellKey, load, run_campaign
from grainscout.config import load_campaign, load_run
from grainscout.experiment import Experiment
from grainscout.journal import Journal
from grainscout.records import JournalError


def test_floats_are_compared_to_the_last_bit():
    if not exact():
        pytest.skip("the golden files are of another kind of machine: floats have a tolerance")


def test_a_film_of_before_opens_to_the_same_film(film):
    agree(film_digests(film), golden("film")["stored"])


#: Journals of policies to which an image shows another structure now (record 0128).
OTHER_FEATURES = {
    *("beacon.gsj", "boundary-dkl.gsj", "co-navigation.gsj", "dkl.gsj", "hypothesis.gsj"),
    *("shuffled-dkl.gsj", "stratified-random.gsj", "structured-gp.gsj"),
}


@pytest.mark.parametrize("name", golden("journals"))
def test_a_journal_of_before_resumes_to_the_same_trajectory(film, tmp_path, name):
    case = golden("journals")[name]
    kept = case["trajectory"]
    with Journal.open(unpacked(name, tmp_path)) as journal:
        assert journal.count() == case["measured"]
        stored = {what: values[: case["measured"]] for what, values in kept.items()}
        assert trajectory(journal.outcomes()) == stored
        scope = stage(film, case["instrument"])
        policy = policy_of(case, film, journal.header().problem)
        settings = {"batch": case["batch"], "checkpoint_every": CHECKPOINT_EVERY}
        if name in OTHER_FEATURES:
            with pytest.raises(JournalError, match="of another experiment"):
                Experiment.resume(journal, scope, policy, **settings).run()
            return
        result = Experiment.resume(journal, scope, policy, **settings).run()
        same_trajectory(trajectory(result.outcomes), kept)
        same_trajectory(trajectory(journal.outcomes()), kept)


def test_the_command_line_resumes_a_journal_of_before_to_the_same_trajectory(tmp_path, grainscout):
    path, kept = unpacked("experiment.gsj", tmp_path), golden("experiment")
    with Journal.read(path) as journal:
        assert 0 < journal.count() < len(kept["sites"])
    config = shutil.copy(HERE / "experiment.toml", tmp_path)
    assert grainscout("run", "--resume", path, config)[0] == 0
    with Journal.read(path) as journal:
        same_trajectory(trajectory(journal.outcomes()), kept)


def test_a_store_of_before_is_gone_on_with_to_the_same_tables(tmp_path):
    plan, kept = load_campaign(str(HERE / "campaign.toml")), golden("campaign")
    path = unpacked("campaign.sqlite", tmp_path)
    finished = {CellKey(task=t, film=f, policy=p) for t, f, p in kept["finished"]}
    run = []
    with CampaignStore(path) as store:  # not by identity: that has the version, which may rise
        assert store.identity["campaign"] == plan.identity()["campaign"]
        assert store.finished() == finished
        assert list(store.failures().values()) == ["the worker was killed"]
        before = {key: seconds for key, seconds, _ in store.payloads()}
        run_campaign(plan, store, progress=lambda key, *_: run.append(key))
        assert {key: s for key, s, _ in store.payloads(sorted(finished))} == before
        assert store.failures() == {}
    assert len(run) == len(set(run))
    assert set(run) == set(plan.cells()) - finished
    loaded = load(path)
    same_table(loaded.frame, kept["table"])
    same_table(loaded.more["maps"], kept["maps"], MAPS)


def test_the_smoke_campaign_ends_in_the_same_tables_ranking_and_winner(tmp_path, grainscout):
    kept = golden("smoke")
    assert grainscout("bench", "smoke", "--jobs", 0, "--out", tmp_path)[0] == 0
    for table, loose in (("table", ()), ("maps", MAPS)):
        same_table(pd.read_parquet(tmp_path / f"{table}.parquet"), kept[table], loose)
    assert (tmp_path / "leaderboard.md").read_text(encoding="utf-8") == kept["leaderboard.md"]
    before = tmp_path / "before.toml"  # without the settings that only other microscopes have
    before.write_text(kept["winner.toml"], encoding="utf-8")
    winner = load_run(before)
    assert (winner.policy.name, winner.task.curves) == ("dkl", 24)
    assert load_run(tmp_path / "winner.toml") == winner


def test_a_table_that_differs_is_noticed():
    """That the comparison itself can fail: one site, one float by more than its tolerance."""
    frame = pd.DataFrame(golden("smoke")["table"])
    kept = columns(frame)
    same_table(frame, kept)
    for column, change in (("row", 1), ("found", 1e-6)):
        other = frame.copy()
        other.loc[5, column] += change
        with pytest.raises(AssertionError):
            same_table(other, kept)
