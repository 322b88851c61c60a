"""Damaged and hostile files: an error of ours or a result, in time and within bounded memory."""

import contextlib
import json
import sqlite3
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from rigs_answers import Wire, night
from rigs_formats import bombs_of, corpus, recording
from rigs_fuzz import Mutator, refused, siege
from samples import curve_of, problem_on

from grainscout.analysis.formats import read, read_traces
from grainscout.config import builtin_campaigns, load_campaign, load_run
from grainscout.hardware.limits import Limits
from grainscout.journal import Header, Journal, recording_of
from grainscout.journal.schema import TABLES, row_digest
from grainscout.records import Outcome, Proposal, Site, pack, unpack
from grainscout.records.encoding import hdf5
from grainscout.simulator import PRESETS, Film


@pytest.fixture
def besieged(tally, monkeypatch):
    """Counts what so many cases lose; a library that hangs has a second."""
    monkeypatch.setattr(hdf5, "PATIENCE", 1.0)

    def count(what, cases, one, memory=1_500_000_000):
        lost, peak = siege(range(cases), one, memory=memory)
        tally(what, *lost, tried=cases, note=f"at most {peak / 1e6:.0f} MB more memory")

    return count


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


def toml(tree):
    """TOML of a tree if it has one (no null, no 128-bit number), else something near it."""
    try:
        return tomli_w.dumps(tree).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, AttributeError, RecursionError):
        return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


def test_changed_configurations_are_refused_or_valid(besieged, times, in_memory):
    campaigns = [path.read_bytes() for path in builtin_campaigns().values()]
    place = in_memory / "x.toml"

    def one(case):
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

    besieged("changed configurations", times(short=200, long=40_000), one)


def test_odd_limits_are_refused_or_kept(tally, times):
    m = Mutator("limits")
    names = [n for n in Limits.__dataclass_fields__ if n != "frame_m"]
    for _ in range(times(short=500, long=20_000)):
        name, value = m.random.choice(names), m.value()
        found = refused(lambda n=name, v=value: Limits(**{n: v}))
        tally("odd limits", found and f"{name} = {value!r:.40}: {found}")


def test_changed_packed_states_are_refused(besieged, times):
    good = pack({"a": np.arange(6.0).reshape(2, 3), "b": [1, None, "x", {"c": np.ones(2, bool)}]})
    head = json.loads(good[45 : 45 + int.from_bytes(good[37:45], "little")])

    def one(case):
        m = Mutator(("unpack", case))
        if case % 3 == 0:
            return refused(lambda: unpack(m.raw(good)))
        header = json.dumps(m.tree(head)).encode()
        if case % 3 == 1:
            header = m.raw(header)
        claimed = len(header) if m.random.random() < 0.9 else m.random.choice((0, 5, 2**63, 10**12))
        body = claimed.to_bytes(8, "little") + header + bytes(m.random.choice((50, 0, 49, 1000)))
        return refused(lambda: unpack(good[:5] + sha256(body).digest() + body))

    besieged("packed states", times(short=3000, long=500_000), one)


def _a_journal(path):
    made = recording()
    problem = problem_on(made.scan, made.sites, waveform=made.waveform, curves=6)
    with Journal.create(path, Header(problem=problem, config={"a": 1}, seed=3)) as journal:
        journal.record_event("start", 0.0, wear=0.0)
        for k in range(6):
            site, curve = Site(k // 5, k % 5), curve_of(made.waveform, made.current[k])
            journal.record_batch(k, [Proposal(id=str(k), site=site)], 0.1)
            outcome = Outcome(site=site, status="ok", curve=curve, proposal_id=str(k))
            journal.record_outcome(k, outcome, {"clock": 1.0 * k})
        journal.record_policy(5, {"x": np.arange(4)})
        journal.request("abort")
    return path.read_bytes()


def _read_journal(path):
    with Journal.read(path) as journal:
        for look in ("header", "batches", "outcomes", "events", "requests"):
            getattr(journal, look)()
        journal.checkpoint("policy")
        journal.checkpoint("microscope")
        recording_of(journal)


def _hostile_row(m, path):
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


def test_changed_journals_are_refused_or_read(besieged, times, in_memory):
    good, path = _a_journal(in_memory / "good.gsj"), in_memory / "bad.gsj"

    def one(case):
        m = Mutator(("journal", case))
        for side in ("-wal", "-shm", "-journal"):
            Path(f"{path}{side}").unlink(missing_ok=True)
        path.write_bytes(m.raw(good) if case % 2 else good)
        if case % 2 == 0:
            _hostile_row(m, path)
        return refused(lambda: _read_journal(path))

    besieged("changed journals", times(short=400, long=40_000), one)


def reads(place):
    """A function that puts bytes into a file of this name, and reads it in every way."""

    def judge(data):
        place.write_bytes(data)
        looks = [read, *([read_traces] if place.suffix in (".ibw", ".dat", ".csv") else [])]
        return next(filter(None, (refused(lambda r=r: r(place)) for r in looks)), "")

    return judge


def test_changed_files_are_refused_or_read(besieged, times, in_memory):
    for kind, goods in corpus(in_memory).items():
        judge = reads(in_memory / f"case.{kind}")
        bombs = [b for good in goods for b in bombs_of(kind, good, in_memory)]

        def one(case, kind=kind, goods=goods, bombs=bombs, judge=judge):
            m = Mutator((kind, case))
            return judge(bombs[case] if case < len(bombs) else m.raw(m.random.choice(goods)))

        cases = times(short=60 if kind == "h5" else 200, long=20_000)
        besieged(f"changed .{kind}, {len(bombs)} bombs", cases, one)


def test_a_changed_film_is_refused_or_the_same(besieged, times, in_memory):
    place, film = in_memory / "film.h5", Film.generate(PRESETS["tiny"], 3)
    film.save(place)
    good, truth = place.read_bytes(), film.truth.contact.tobytes()

    def one(case):
        place.write_bytes(Mutator(("film", case)).raw(good))
        contacts = []
        found = refused(lambda: contacts.append(Film.load(place).truth.contact.tobytes()))
        return found or ("another film" if contacts and contacts != [truth] else "")

    besieged("changed films", times(short=60, long=10_000), one)


def test_after_a_wrong_answer_of_a_controller_the_tip_is_withdrawn(besieged, times, monkeypatch):
    """A controller that answers anything to one of its commands: our error or a curve, and the tip withdrawn.

    The first three commands only ask who it is: what it had set by itself is left.
    """
    undisturbed = Wire(-1, bytes)
    night(undisturbed, monkeypatch)

    def one(case):
        m = Mutator(("answers", case))
        wire = Wire(case % undisturbed.answers, m.raw)
        found = refused(lambda: night(wire, monkeypatch))
        if not found and wire.answers > 3 and (wire.fake.bias or wire.fake.landed):
            found = f"{wire.fake.bias} V, {'landed' if wire.fake.landed else 'withdrawn'}"
        return found

    besieged("changed answers of a controller", times(short=100, long=20_000), one)
