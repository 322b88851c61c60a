"""What the watch reads is what the journal says, and reading leaves no trace."""

import tracemalloc

import numpy as np
import pytest

from grainscout.analysis.curves.archetypes import classify
from grainscout.analysis.curves.descriptors import describe
from grainscout.benchmarks.tasks.score import running_diversity
from grainscout.journal import Header, Journal
from grainscout.records import Outcome
from grainscout.watch import Reader
from grainscout.watch.broadcaster import Broadcaster


@pytest.fixture
def growing(finished, tmp_path):
    """A copy of the run that is written outcome by outcome: (path, more(k))."""
    with Journal.read(finished) as journal:
        header, batches = journal.header(), journal.batches()
    path = tmp_path / "growing.gsj"
    copy = Journal.create(path, header)
    left = iter(batches)

    def more(count):
        for batch in [next(left) for _ in range(count)]:
            copy.record_batch(batch.number, batch.proposals, batch.decision_s)
            for outcome in batch.outcomes:
                copy.record_outcome(batch.number, outcome)

    yield path, more, copy
    copy.close()


def test_incremental_reading_equals_reading_at_once(growing, finished):
    path, more, _ = growing
    more(1)
    reader = Reader(path)
    for count in (3, 1, 5, 4):
        more(count)
        assert reader.changed()
        run = reader.update()
        assert not reader.changed()
    with Journal.read(finished) as journal:
        problem, outcomes = journal.header().problem, journal.outcomes()
    assert run.sites.tolist() == [list(o.site) for o in outcomes]
    assert run.finished.tolist() == [o.finished for o in outcomes]
    current = np.array([o.curve.current for o in outcomes])
    found = describe(problem.target, problem.waveform.voltage, current)
    np.testing.assert_allclose(run.value[found.valid], found.value[found.valid])
    assert run.archetype.tolist() == classify(problem.waveform.voltage, current).tolist()
    # The same measure as that of the campaigns' tables.
    np.testing.assert_allclose(run.diversity, running_diversity(problem, outcomes), rtol=1e-9)


def test_a_watched_run_leaves_one_file(growing):
    path, more, copy = growing
    reader = Reader(path)
    with copy.locked():
        more(3)
        assert reader.update().claimed
        more(2)
        reader.update()
    copy.close()
    assert [p.name for p in path.parent.iterdir()] == ["growing.gsj"]
    assert not reader.update().claimed


def test_a_missing_journal_is_an_alert_until_it_returns(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("grainscout.watch.broadcaster.DOUBT_S", 0.0)
    path = tmp_path / "night.gsj"
    path.write_bytes(finished.read_bytes())
    with Broadcaster(path, maps=False) as broadcaster:
        path.rename(tmp_path / "away.gsj")
        assert "no longer follows the run" in broadcaster.update().parts["state"]
        (tmp_path / "away.gsj").rename(path)
        assert "no longer follows the run" not in broadcaster.update().parts["state"]


def test_failures_and_lost_samples_are_counted(growing):
    path, more, copy = growing
    more(2)
    with Journal.read(path) as journal:
        good = journal.outcomes()[-1]
    curve = type(good.curve)(
        voltage=good.curve.voltage,
        current=np.where(np.arange(51) < 5, np.nan, good.curve.current),
        time=good.curve.time,
        saturated=np.zeros(51, bool),
    )
    copy.record_outcome(1, Outcome(site=good.site, status="failed", message="no contact"))
    copy.record_outcome(1, Outcome(site=good.site, status="ok", curve=curve, visit=1))
    run = Reader(path).update()
    assert run.status.tolist() == ["ok", "ok", "failed", "ok"]
    assert run.curve_of.tolist() == [0, 1, 3]
    assert [f.message for f in run.failures] == ["no contact"]
    assert np.isfinite(run.diversity).all()


def test_updates_need_no_more_memory(finished):
    with Broadcaster(finished) as broadcaster:
        for _ in range(5):
            broadcaster.update()
        tracemalloc.start()
        broadcaster.update()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            broadcaster.update()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # A page kept is 60 kB, its snapshot 10 kB; what is left is the interpreter's own.
    assert (after - before) / 20 < 2000


def test_a_journal_without_a_measurement_is_empty(finished, tmp_path):
    with Journal.read(finished) as journal:
        header = journal.header()
    path = tmp_path / "new.gsj"
    Journal.create(path, Header(problem=header.problem, config={}, seed=1)).close()
    run = Reader(path).update()
    assert (len(run.sites), run.pace, run.diversity.tolist()) == (0, None, [])
