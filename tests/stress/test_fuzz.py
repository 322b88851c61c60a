"""Damaged and hostile files: an error of ours or a result, in time and within bounded memory."""

import contextlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tomli_w
from rigs_answers import Wire, count, night
from rigs_formats import bomb_h5, bombs_of, corpus, recording
from rigs_fuzz import Mutator, refused, siege
from stress import Size, Tally, nothing_lost, tally, times

from grainscout.analysis.formats import read, read_traces
from grainscout.config import builtin_campaigns, load_campaign, load_run
from grainscout.hardware.adapters.nanonis import connection
from grainscout.hardware.limits import Limits
from grainscout.journal import Header, Journal, recording_of
from grainscout.journal.schema import TABLES, row_digest
from grainscout.records import Budget, IVCurve, Outcome, Problem, Proposal, Site, pack, unpack
from grainscout.records.encoding import hdf5
from grainscout.simulator import PRESETS, Film

_GROWTH = 1_500_000_000  # bytes of address space that one process may need more


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder in memory where there is one, that is gone at the end."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as name:
        yield Path(name)


def _tally(what: str, cases: int, one: Callable[[int], str], **limits: float) -> Tally:
    lost, peak = siege(range(cases), one, memory=_GROWTH, **limits)
    return tally(what, cases, lost, f"at most {peak / 1e6:.0f} MB more memory")


# Configuration.

RUN = {
    "seed": 3,
    "decision_s": 0.5,
    "task": {
        "target": "loop_area",
        "light_suns": 0.1,
        "curves": 20,
        "waveform": {"kind": "triangle", "peak_V": 1.5, "samples": 51, "duration_s": 1.0},
        "microscope": {"kind": "simulated", "film": "s26", "instrument": "reference"},
    },
    "policy": {"name": "dkl", "options": {"seed_points": 10}},
    "limits": {"voltage_V": 2.0, "frame_m": [0.0, 0.0, 1e-6, 1e-6], "curves": 40},
    "link": {"address": "tcp://127.0.0.1:5571", "patience_s": 5.0},
}


def toml(tree: object) -> bytes:
    """TOML of a tree if it has one (no null, no 128-bit number), else something near it."""
    try:
        return tomli_w.dumps(tree).encode("utf-8", "surrogatepass")  # type: ignore[arg-type]
    except (TypeError, ValueError, AttributeError, RecursionError):
        return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


@nothing_lost
def test_changed_configurations_are_refused_or_valid(size: Size) -> list[Tally]:
    """Runs and campaigns as TOML: valid files changed as trees, as bytes, and noise."""
    campaigns = [path.read_bytes() for path in builtin_campaigns().values()]
    with _folder() as folder:
        place = folder / "x.toml"

        def one(case: int) -> str:
            m = Mutator(("config", case))
            if case % 4 == 0:
                data = m.raw(m.random.choice([toml(RUN), *campaigns]))
            elif case % 40 == 1:
                data = m.random.randbytes(m.random.randrange(300))
            else:
                data = toml(m.tree(RUN))
            place.write_bytes(data)
            load = load_campaign if b"[[task]]" in data else load_run
            return refused(lambda: load(str(place) if load is load_campaign else place))

        return [_tally("changed configurations", times(size, short=200, long=40_000), one)]


@nothing_lost
def test_odd_limits_are_refused_or_kept(size: Size) -> list[Tally]:
    """Every odd number as a limit: refused, or kept as it is."""
    m = Mutator("limits")
    lost, cases = [], times(size, short=500, long=20_000)
    names = [n for n in Limits.__dataclass_fields__ if n != "frame_m"]
    for case in range(cases):
        name, value = m.random.choice(names), m.value()
        found = refused(lambda n=name, v=value: Limits(**{n: v}))  # type: ignore[misc]
        if found:
            lost.append(f"case {case}: {name} = {value!r:.40}: {found}")
    return [tally("odd limits", cases, lost)]


# States and journals.


@nothing_lost
def test_changed_packed_states_are_refused(size: Size) -> list[Tally]:
    """Packed states with right checksums and hostile headers, and damaged ones."""
    good = pack({"a": np.arange(6.0).reshape(2, 3), "b": [1, None, "x", {"c": np.ones(2, bool)}]})
    head = json.loads(good[45 : 45 + int.from_bytes(good[37:45], "little")])

    def one(case: int) -> str:
        from hashlib import sha256

        m = Mutator(("unpack", case))
        if case % 3 == 0:
            return refused(lambda: unpack(m.raw(good)))
        header = json.dumps(m.tree(head)).encode()
        if case % 3 == 1:
            header = m.raw(header)
        claimed = len(header) if m.random.random() < 0.9 else m.random.choice((0, 5, 2**63, 10**12))
        body = claimed.to_bytes(8, "little") + header + bytes(m.random.choice((50, 0, 49, 1000)))
        return refused(lambda: unpack(good[:5] + sha256(body).digest() + body))

    return [_tally("packed states", times(size, short=3000, long=500_000), one)]


def _a_journal(path: Path) -> bytes:
    measured = recording()
    wave, budget = measured.waveform, Budget(curves=6)
    problem = Problem(scan=measured.scan, candidates=measured.sites, waveform=wave, budget=budget)
    with Journal.create(path, Header(problem=problem, config={"a": 1}, seed=3)) as journal:
        journal.record_event("start", 0.0, wear=0.0)
        for k in range(6):
            site = Site(k // 5, k % 5)
            journal.record_batch(k, [Proposal(id=str(k), site=site)], 0.1)
            curve = IVCurve(voltage=wave.voltage, current=measured.current[k], time=wave.time)
            outcome = Outcome(site=site, status="ok", curve=curve, proposal_id=str(k))
            journal.record_outcome(k, outcome, {"clock": 1.0 * k})
        journal.record_policy(5, {"x": np.arange(4)})
        journal.request("abort")
    return path.read_bytes()


def _read_journal(path: Path) -> None:
    with Journal.read(path) as journal:
        for look in ("header", "batches", "outcomes", "events", "requests"):
            getattr(journal, look)()
        journal.checkpoint("policy")
        journal.checkpoint("microscope")
        recording_of(journal)


def _hostile_row(m: Mutator, path: Path) -> None:
    """Change one value by SQL, and mostly the checksum with it, as somebody does who wants to be believed."""
    table = m.random.choice(list(TABLES))
    column = m.random.choice([*TABLES[table], "digest"]).split()[0]
    value = m.value()
    if isinstance(value, (list, dict)) or m.random.random() < 0.2:
        value = json.dumps(value)
    if isinstance(value, int) and abs(value) >= 2**63:
        value = float(value)
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
        value = value.decode() if m.random.random() < 0.7 else value
    db = sqlite3.connect(path, isolation_level=None)
    with contextlib.suppress(sqlite3.Error):
        db.execute(f"UPDATE {table} SET {column} = ?", (value,))
        if m.random.random() < 0.8:
            for rowid, *row, _ in db.execute(f"SELECT rowid, * FROM {table}").fetchall():
                digest = row_digest(table, *row)
                db.execute(f"UPDATE {table} SET digest = ? WHERE rowid = ?", (digest, rowid))
    db.close()


@nothing_lost
def test_changed_journals_are_refused_or_read(size: Size) -> list[Tally]:
    """Journals with changed bytes, and with changed values behind valid pages."""
    with _folder() as folder:
        good = _a_journal(folder / "good.gsj")
        path = folder / "bad.gsj"

        def one(case: int) -> str:
            m = Mutator(("journal", case))
            for side in ("-wal", "-shm", "-journal"):
                Path(f"{path}{side}").unlink(missing_ok=True)
            path.write_bytes(m.raw(good) if case % 2 else good)
            if case % 2 == 0:
                _hostile_row(m, path)
            return refused(lambda: _read_journal(path))

        return [_tally("changed journals", times(size, short=400, long=40_000), one)]


# Recorded data.


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Time-out of a library that hangs, for the time of a check."""
    kept, hdf5.PATIENCE = hdf5.PATIENCE, seconds
    try:
        yield
    finally:
        hdf5.PATIENCE = kept


@nothing_lost
def test_changed_files_are_refused_or_read(size: Size) -> list[Tally]:
    """Every imported format, as somebody else's program or disk may hand it over."""
    tallies = []
    with _folder() as folder, _patience(1.0):
        files = corpus(folder)
        bomb = bomb_h5(folder / "bomb.h5")
        for kind, goods in files.items():
            place = folder / f"case.{kind}"
            bombs = [b for good in goods for b in bombs_of(kind, good)]
            bombs += [bomb] if kind == "h5" else []

            def one(case: int, kind=kind, goods=goods, bombs=bombs, place=place) -> str:
                m = Mutator((kind, case))
                data = bombs[case] if case < len(bombs) else m.raw(m.random.choice(goods))
                place.write_bytes(data)
                found = refused(lambda: read(place))
                if not found and kind in ("ibw", "dat", "csv"):
                    found = refused(lambda: read_traces(place))
                return found

            cases = times(size, short=60 if kind == "h5" else 200, long=20_000)
            tallies.append(_tally(f"changed .{kind}, {len(bombs)} bombs", cases, one))
    return tallies


@nothing_lost
def test_a_changed_film_is_refused_or_the_same(size: Size) -> list[Tally]:
    """A film's file, changed: refused, or the same film."""
    with _folder() as folder, _patience(1.0):
        place = folder / "film.h5"
        film = Film.generate(PRESETS["tiny"], 3)
        film.save(place)
        good, truth = place.read_bytes(), film.truth.contact.tobytes()

        def one(case: int) -> str:
            place.write_bytes(Mutator(("film", case)).raw(good))
            contacts: list[bytes] = []
            found = refused(lambda: contacts.append(Film.load(place).truth.contact.tobytes()))
            return found or ("another film" if contacts and contacts != [truth] else "")

        return [_tally("changed films", times(size, short=60, long=10_000), one)]


@nothing_lost
def test_after_a_wrong_answer_of_a_controller_the_tip_is_withdrawn(size: Size) -> list[Tally]:
    """A controller that answers anything to one of its commands: our error or a curve, and the tip withdrawn.

    The first three commands only ask who it is: what it had set by itself is left.
    """
    before, many = connection.TimedSocket, count()

    def one(case: int) -> str:
        m = Mutator(("answers", case))
        wire = Wire(case % many, m.raw)
        found = refused(lambda: night(wire))
        if not found and wire.answers > 3 and (wire.fake.bias or wire.fake.landed):
            found = f"{wire.fake.bias} V, {'landed' if wire.fake.landed else 'withdrawn'}"
        return found

    try:
        return [_tally("changed answers of a controller", times(size, short=100, long=20_000), one)]
    finally:
        connection.TimedSocket = before  # type: ignore[misc]
