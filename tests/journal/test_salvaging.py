"""Damaged and incomplete journals: refused in words that help, and what is sound is got out."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from samples import curve_of, problem_on

from grainscout.journal import Header, Journal, is_locked, salvage, salvaged_recordings
from grainscout.journal.lock import lock_file, locked
from grainscout.journal.sqlite_pages import read_wal, wal_lost
from grainscout.records import DataError, JournalError, Outcome, Proposal, Scan, Site, Waveform

WAVE = Waveform.triangle(1.0, 301)
COUNT = 30


def curve(k):
    current = 1e-9 * np.random.default_rng(k).standard_normal(len(WAVE))
    return curve_of(WAVE, current)


def write(path, closed=True):
    """Curves longer than a page of the file, on a scan that is longer still."""
    scan = Scan(channels={"height": np.arange(2500.0).reshape(50, 50)}, pixel_size=(1e-9, 1e-9))
    problem = problem_on(scan, np.array([[1, 1]]), waveform=WAVE, curves=COUNT)
    journal = Journal.create(path, Header(problem=problem, config={}, seed=1))
    for k in range(COUNT):
        journal.record_batch(k, [Proposal(id=f"p{k}", site=Site(k, 3))], 0.01)
        outcome = Outcome(site=Site(k, 3), status="ok", curve=curve(k), proposal_id=f"p{k}")
        journal.record_outcome(k, outcome)
    journal.record_batch(COUNT, [Proposal(id="last", site=Site(1, 3))], 0.01)
    if closed:
        journal.close()
    return journal


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "run.gsj")
    return tmp_path / "run.gsj"


def same(found, numbers):
    assert list(found.outcomes) == list(numbers)
    for number, outcome in found.outcomes.items():
        assert outcome.proposal_id == f"p{number}"
        assert outcome.curve.current.tobytes() == curve(number).current.tobytes()


def test_an_open_journal_is_salvaged_with_its_wal_and_not_without(tmp_path):
    journal = write(tmp_path / "run.gsj", closed=False)
    for name in ("run.gsj", "run.gsj-wal"):
        shutil.copyfile(tmp_path / name, tmp_path / f"copy-{name}")
    journal.close()
    copy = tmp_path / "copy-run.gsj"
    same(salvage(copy), range(COUNT))
    with Journal.read(copy) as read:
        assert read.count() == COUNT
    Path(f"{copy}-wal").unlink()
    before = copy.read_bytes()
    for look in (Journal.read, Journal.open):
        with pytest.raises(JournalError, match="Copy the -wal too"):
            look(copy)
    assert copy.read_bytes() == before


def test_a_run_killed_before_its_first_frame_is_no_copy(path):
    """SQLite changes the mode first and makes the -wal later; the lock's file tells the two apart."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    with pytest.raises(JournalError, match="Copy the -wal too"):
        Journal.read(path)
    lock_file(path).touch()
    with Journal.open(path) as journal:
        assert journal.count() == COUNT


def test_a_kill_while_the_file_is_folded_is_taken_back(path, tmp_path):
    """SQLite leaves a half-written file, and a -journal with the rows of before."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN")
    db.execute("UPDATE outcomes SET message = ?", ("x" * 3000,))
    for name in ("run.gsj", "run.gsj-journal"):
        shutil.copyfile(tmp_path / name, tmp_path / f"copy-{name}")
    db.close()
    assert (tmp_path / "copy-run.gsj").read_bytes() != path.read_bytes()
    with Journal.read(tmp_path / "copy-run.gsj") as journal:
        assert [o.proposal_id for o in journal.outcomes()] == [f"p{k}" for k in range(COUNT)]


def test_damage_costs_its_own_curve_only(path):
    data = bytearray(path.read_bytes())
    where = data.index(curve(7).current.tobytes()[:64])
    data[where + 5] ^= 1
    path.write_bytes(data)
    with Journal.read(path) as journal, pytest.raises(JournalError, match="29 of its outcomes"):
        journal.outcomes()
    found = salvage(path)
    same(found, [k for k in range(COUNT) if k != 7])
    assert found.lost == [7]
    assert [p.id for p in found.unanswered] == ["p7", "last"]
    (recording,) = salvaged_recordings(found)
    assert len(recording) == COUNT - 1
    assert recording.metadata["lost_numbers"] == [7]


def test_a_damaged_name_that_is_no_text_any_more_is_an_error_of_ours(path):
    """SQLite puts the name into its message, which Python then cannot read."""
    data = path.read_bytes()
    assert data.count(b"tableoutcomesoutcomes") == 1
    path.write_bytes(data.replace(b"tableoutcomesoutcomes", b"table\xeeutcomesoutcomes"))
    for look in (Journal.read, Journal.open):
        with pytest.raises(JournalError, match="is damaged or not readable"):
            look(path)
    same(salvage(path), range(COUNT))


@pytest.mark.parametrize(
    "trap",
    [
        "CREATE VIEW trap AS SELECT 1",
        "CREATE VIRTUAL TABLE trap USING fts5(x)",
        "CREATE TRIGGER trap AFTER INSERT ON events BEGIN SELECT 1; END",
        "CREATE INDEX trap ON events (abs(clock_s))",
        "DROP TABLE header; CREATE VIEW header AS SELECT 'k' AS key, x'00' AS value, 'd' AS digest",
    ],
)
def test_a_file_that_would_run_something_when_it_is_read_is_no_journal(path, trap):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(trap)
    for look in (Journal.read, Journal.open):
        with pytest.raises(JournalError, match="tables of a journal and no others"):
            look(path)


def test_curves_come_without_their_scan_where_that_is_damaged(path):
    data = bytearray(path.read_bytes())
    data[data.index(np.arange(1000.0, 1020.0).tobytes())] ^= 1
    path.write_bytes(data)
    found = salvage(path)
    assert found.header is None
    same(found, range(COUNT))
    (recording,) = salvaged_recordings(found)
    assert "damaged" in recording.metadata["scan"]


def test_a_file_that_is_no_journal_gives_nothing(tmp_path):
    (tmp_path / "x").write_bytes(np.random.default_rng(0).bytes(100_000))
    found = salvage(tmp_path / "x")
    assert not found.outcomes
    with pytest.raises(DataError, match="sound curve"):
        salvaged_recordings(found)


def test_the_checksum_of_a_wal_is_sqlites(tmp_path):
    """Every frame that SQLite wrote is sound, and none after a changed bit."""
    journal = write(tmp_path / "run.gsj", closed=False)
    wal = tmp_path / "run.gsj-wal"
    frames = read_wal(wal)
    assert len(frames) > 2 * COUNT
    assert all(f.sound for f in frames)
    assert wal_lost(wal) == 0
    data = bytearray(wal.read_bytes())
    journal.close()
    data[32 + 4120 * 20 + 500] ^= 16
    wal.write_bytes(data)
    assert [f.sound for f in read_wal(wal)] == [True] * 20 + [False] * (len(frames) - 20)
    assert wal_lost(wal) == sum(f.ends for f in frames[20:])


def test_a_claim_is_one_even_within_a_process(path):
    with locked(path):
        with pytest.raises(JournalError, match="one process"), locked(path):
            pass
        with Journal.open(path) as other:
            other.request("pause")
        with pytest.raises(JournalError, match="one process"), locked(path):
            pass
    assert not lock_file(path).exists()


def test_a_claim_s_file_is_removed_while_it_is_still_locked(path, monkeypatch):
    # The other way round, a second process locks the file that goes, a third one makes it anew, and both run.
    remove, held = Path.unlink, []

    def looked_at(self, **options):
        held.append(is_locked(path))
        remove(self, **options)

    monkeypatch.setattr(Path, "unlink", looked_at)
    with locked(path):
        pass
    assert held == [True]
    assert not is_locked(path)
