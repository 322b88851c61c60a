"""The journal keeps what it was told, says when it cannot, and never overwrites."""

import sqlite3

import numpy as np
import pytest
from samples import curve_of

from grainscout.journal import Header, Journal
from grainscout.records import (
    Budget,
    JournalError,
    Outcome,
    Problem,
    Proposal,
    Scan,
    Site,
    Waveform,
)


def problem():
    height = np.random.default_rng(0).normal(size=(5, 7)) * 1e-9
    return Problem(
        scan=Scan(
            channels={"height": height},
            pixel_size=(2e-9, 3e-9),
            origin=(1e-6, -2e-6),
            angle=0.3,
            units={"height": "m"},
            metadata={"note": "tip 4", "gain": 3},
        ),
        candidates=np.array([[1, 2], [3, 4], [4, 6]]),
        waveform=Waveform.triangle(1.2, 21, 0.5),
        budget=Budget(curves=3, seconds=90.0),
        light=0.1,
        target="turn_on",
    )


def curve(scale=1e-9, railed=False):
    wave = Waveform.triangle(1.2, 21, 0.5)
    current = wave.voltage * scale
    return curve_of(wave, current, saturated=current > 5e-10 if railed else np.zeros(21, bool))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.gsj"


@pytest.fixture
def journal(path):
    with Journal.create(path, Header(problem=problem(), config={"a": [1, "x"]}, seed=7)) as made:
        made.record_batch(
            0,
            [
                Proposal(id="p0", site=Site(1, 2), prediction=1e-9, scores={"ei": 0.25}),
                Proposal(id="p1", site=Site(3, 4)),
            ],
            0.01,
        )
        made.record_outcome(
            0,
            Outcome(site=Site(1, 2), status="ok", curve=curve(), proposal_id="p0", finished=2.5),
            {"clock": 2.5, "u": np.array([0.1, 0.2])},
        )
        made.record_outcome(
            0,
            Outcome(site=Site(3, 4), status="failed", proposal_id="p1", message="no contact"),
            {"clock": 3.5, "u": np.array([0.3, 0.2])},
        )
        made.record_policy(0, {"n": 2})
        made.record_event("fault", 3.5, what="crash")
        yield made


def test_everything_comes_back(journal, path):
    with Journal.read(path) as read:
        header, was = read.header(), problem()
        assert (header.config, header.seed) == ({"a": [1, "x"]}, 7)
        assert "numpy" in header.versions
        found = header.problem
        np.testing.assert_array_equal(found.scan.height, was.scan.height)
        for name in ("pixel_size", "origin", "angle", "units", "metadata"):
            assert getattr(found.scan, name) == getattr(was.scan, name)
        np.testing.assert_array_equal(found.candidates, was.candidates)
        assert (found.waveform, found.budget, found.cost) == (was.waveform, was.budget, was.cost)
        assert (found.light, found.target) == (was.light, was.target)

        (batch,) = read.batches()
        assert batch.complete
        assert [p.id for p in batch.proposals] == ["p0", "p1"]
        assert batch.proposals[0].prediction == 1e-9
        assert batch.proposals[0].scores == {"ei": 0.25}
        first, second = batch.outcomes
        np.testing.assert_array_equal(first.curve.current, curve().current)
        assert (first.site, first.finished) == (Site(1, 2), 2.5)
        assert (second.status, second.curve, second.message) == ("failed", None, "no contact")
        at, state = read.checkpoint("microscope")
        assert (at, state["clock"]) == (0, 3.5)
        np.testing.assert_array_equal(state["u"], [0.3, 0.2])
        assert read.checkpoint("policy") == (0, {"n": 2})
        (event,) = read.events()
        assert (event.kind, event.clock_s, event.detail) == ("fault", 3.5, {"what": "crash"})


def test_saturation_flags_and_lost_samples_survive(journal):
    kept = curve(railed=True)
    current = kept.current.copy()
    current[3] = np.nan
    kept = curve_of(kept, current, saturated=kept.saturated)
    journal.record_batch(1, [Proposal(id="p2", site=Site(4, 6))], 0.0)
    last = Outcome(site=Site(4, 6), status="saturated", curve=kept, proposal_id="p2")
    journal.record_outcome(1, last)
    found = journal.outcomes()[-1].curve
    np.testing.assert_array_equal(found.saturated, kept.saturated)
    np.testing.assert_array_equal(found.current, current)


@pytest.mark.parametrize("value", [-0.0, float("nan"), float("inf"), 5e-324, 1e300, 3])
def test_what_sqlite_gives_back_otherwise_is_no_damage(journal, path, value):
    """It makes 0.0 of -0.0 and nothing of NaN, after which a checksum of what was given would be wrong."""
    proposal = Proposal(id="odd", site=Site(1, 2), prediction=value, uncertainty=value)
    journal.record_batch(1, [proposal], -0.0)
    outcome = Outcome(
        site=Site(1, 2), status="failed", proposal_id="odd", message="no file caf\udce9"
    )
    journal.record_outcome(1, outcome)
    journal.record_event("note", -0.0, what=value)
    with Journal.read(path) as read:
        batch = read.batches()[-1]
        (kept,) = batch.proposals
        assert kept.prediction == kept.uncertainty == (None if np.isnan(value) else value)
        assert batch.outcomes[0].message == "no file caf\\udce9"
        assert batch.decision_s == read.events()[-1].clock_s == 0.0


def test_an_outcome_is_recorded_once(journal):
    again = Outcome(site=Site(1, 2), status="ok", curve=curve(), proposal_id="p0")
    with pytest.raises(JournalError, match="UNIQUE"):
        journal.record_outcome(0, again)
    assert len(journal.outcomes()) == 2


def test_a_failed_commit_leaves_nothing_behind(journal):
    with pytest.raises(TypeError, match="pack cannot store"):
        journal.record_outcome(
            0,
            Outcome(site=Site(4, 6), status="ok", curve=curve(), proposal_id="p9"),
            {"bad": object()},
        )
    assert len(journal.outcomes()) == 2
    assert journal.checkpoint("microscope")[1]["clock"] == 3.5


def test_a_journal_of_another_version_is_refused(journal, path):
    journal.close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="version 3; got 99"):
        Journal.open(path)
