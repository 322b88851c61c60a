"""The maps on the page are those of the run's policy, made without touching it."""

import dataclasses
import time

import numpy as np
import pytest
from flights import flown, scope_on

from grainscout.journal import Journal
from grainscout.policies import make_policy
from grainscout.records import spawn_streams
from grainscout.watch import Reader
from grainscout.watch.explanations import ExplanationWorker, NoMaps, explain_journal
from grainscout.watch.page_renderer import PageRenderer

SEED, OPTIONS = 3, {"seed_points": 4}


@pytest.fixture(scope="module")
def explained_run(film, tmp_path_factory):
    """A finished run whose policy stored its state after the last batch, and that policy."""
    policy = make_policy("dkl", OPTIONS)
    path = tmp_path_factory.mktemp("explanation") / "run.gsj"
    config = {"policy": {"name": "dkl", "options": OPTIONS}}
    scope = scope_on(film, SEED)
    flown(scope, policy, SEED, path, curves=12, config=config, checkpoint_every=1)
    return path, policy


def test_the_copy_has_the_maps_of_the_policy(explained_run):
    path, policy = explained_run
    before = path.read_bytes()
    explanation = explain_journal(path)
    assert (explanation.after, explanation.stored) == (12, 12)
    own = policy.explain()
    assert {"mean", "uncertainty", "image_novelty", "acquisition"} <= set(explanation.maps)
    for name in ("mean", "uncertainty", "image_novelty"):
        np.testing.assert_array_equal(explanation.maps[name], own[name].astype(np.float32))
    assert path.read_bytes() == before


def test_a_copy_from_an_older_state_learns_the_later_outcomes(explained_run, tmp_path):
    path, policy = explained_run
    with Journal.read(path) as journal:
        header, batches = journal.header(), journal.batches()
    older = make_policy("dkl", OPTIONS)
    older.reset(header.problem, rng=spawn_streams(SEED).policy_rng())
    copy = tmp_path / "copy.gsj"
    with Journal.create(copy, header) as journal:
        for batch in batches:
            journal.record_batch(batch.number, batch.proposals, batch.decision_s)
            for outcome in batch.outcomes:
                journal.record_outcome(batch.number, outcome)
            if batch.number <= 7:
                older.ask(1)
                older.tell(batch.outcomes)
            if batch.number == 7:
                journal.record_policy(7, older.state())
    explanation = explain_journal(copy)
    assert (explanation.after, explanation.stored) == (12, 8)
    # The same data; the model may have been refitted at other moments.
    mean, own = explanation.maps["mean"], policy.explain()["mean"]
    known = np.isfinite(own)
    assert np.array_equal(known, np.isfinite(mean))
    assert np.corrcoef(mean[known], own[known])[0, 1] > 0.95


@pytest.mark.parametrize(
    ("config", "says"),
    [({"policy": {"name": "random", "options": {}}}, "shows none"), ({}, "begun from Python")],
)
def test_a_policy_without_maps_raises_no_maps(explained_run, tmp_path, config, says):
    with Journal.read(explained_run[0]) as journal:
        header = dataclasses.replace(journal.header(), config=config)
    path = tmp_path / "none.gsj"
    Journal.create(path, header).close()
    with pytest.raises(NoMaps, match=says):
        explain_journal(path)


def test_the_worker_answers_within_its_patience_and_ends(explained_run):
    path, _ = explained_run
    with ExplanationWorker(path) as worker:
        first = worker.explain()
        process = worker.process
        assert first.trouble == ""
        assert first.rest == pytest.approx(4 * first.seconds)
        worker.patience = 0.0
        assert "no maps within 0 s" in worker.explain().trouble
        assert not process.is_alive()
        worker.patience = 300.0  # and it comes back
        again = worker.explain()
    np.testing.assert_array_equal(again.maps["mean"], first.maps["mean"])
    renderer = PageRenderer(run := Reader(path).update(), control=False)
    renderer.show_maps(again, run)
    page = renderer.page(run, time.time())
    assert page.parts["maps"].count("<svg") == len(again.maps)
    assert "predicted loop area" in page.parts["maps"]
    assert page.pictures["mean"].startswith(b"\x89PNG")
