"""Damaged and hostile files: an error of ours or a result, in time and within bounded memory."""

import contextlib
import itertools
import json
import os
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tomli_w
from rigs_fuzz import Mutator, note, refused, siege
from tally import Size, Tally, check, times

from grainscout.analysis.formats import (
    Recording,
    _probe,
    read,
    read_traces,
    write_csv,
    write_gwy,
    write_nsid,
)
from grainscout.config import builtin_campaigns, load_campaign, load_run
from grainscout.hardware.limits import Limits
from grainscout.journal import Header, Journal, recording_of
from grainscout.records import (
    Budget,
    IVCurve,
    Outcome,
    Problem,
    Proposal,
    Scan,
    Site,
    Waveform,
    pack,
    unpack,
)

_GROWTH = 1_500_000_000  # bytes of address space that one process may need more


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder in memory where there is one, that is gone at the end."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as name:
        yield Path(name)


def _tally(what: str, cases: int, one: Callable[[int], str], **limits: float) -> Tally:
    lost, peak = siege(range(cases), one, memory=_GROWTH, **limits)
    text = note(lost) or f"at most {peak / 1e6:.0f} MB more memory"
    return Tally(what=what, tried=cases, lost=len(lost), note=text)


def _recording() -> Recording:
    rng = np.random.default_rng(3)
    sweep = Waveform.triangle(1.0, 9, 0.1)
    grid = np.argwhere(np.ones((4, 5), bool))
    return Recording(
        scan=Scan(
            channels={"height": rng.random((4, 5)), "current": rng.random((4, 5))},
            units={"height": "m", "current": "A"},
            pixel_size=(1e-8, 2e-8),
            metadata={"note": {"a": [1, "b"]}, "list": np.arange(3.0)},
        ),
        sites=grid,
        waveform=sweep,
        current=rng.normal(0, 1e-9, (20, 9)),
        metadata={"table": np.eye(2)},
    )


# Configuration.

_RUN = {
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


def _toml(tree: object) -> bytes:
    """TOML of a tree if it has one (no null, no 128-bit number), else something near it."""
    try:
        return tomli_w.dumps(tree).encode("utf-8", "surrogatepass")  # type: ignore[arg-type]
    except (TypeError, ValueError, AttributeError, RecursionError):
        return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


@check("fuzz-config")
def configuration(size: Size) -> list[Tally]:
    """Runs and campaigns as TOML: valid files changed as trees, as bytes, and noise."""
    campaigns = [path.read_bytes() for path in builtin_campaigns().values()]
    with _folder() as folder:
        place = folder / "x.toml"

        def one(case: int) -> str:
            m = Mutator(("config", case))
            if case % 4 == 0:
                data = m.raw(m.random.choice([_toml(_RUN), *campaigns]))
            elif case % 40 == 1:
                data = m.random.randbytes(m.random.randrange(300))
            else:
                data = _toml(m.tree(_RUN))
            place.write_bytes(data)
            load = load_campaign if b"[[task]]" in data else load_run
            return refused(lambda: load(str(place) if load is load_campaign else place))

        return [_tally("changed configurations", times(size, short=200, long=40_000), one)]


@check("fuzz-limits")
def limits_of_a_file(size: Size) -> list[Tally]:
    """Every odd number as a limit: refused, or kept as it is."""
    m = Mutator("limits")
    lost, cases = [], times(size, short=500, long=20_000)
    names = [n for n in Limits.__dataclass_fields__ if n != "frame_m"]
    for case in range(cases):
        name, value = m.random.choice(names), m.value()
        found = refused(lambda n=name, v=value: Limits(**{n: v}))  # type: ignore[misc]
        if found:
            lost.append(f"case {case}: {name} = {value!r:.40}: {found}")
    return [Tally(what="odd limits", tried=cases, lost=len(lost), note=note(lost))]


# States and journals.


@check("fuzz-unpack")
def packed_states(size: Size) -> list[Tally]:
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
    recording = _recording()
    problem = Problem(
        scan=recording.scan,
        candidates=recording.sites,
        waveform=recording.waveform,
        budget=Budget(curves=6),
    )
    with Journal.create(path, Header(problem=problem, config={"a": 1}, seed=3)) as journal:
        journal.record_event("start", 0.0, wear=0.0)
        for k in range(6):
            journal.record_batch(k, [Proposal(id=str(k), site=Site(k // 5, k % 5))], 0.1)
            curve = IVCurve(
                voltage=recording.waveform.voltage,
                current=recording.current[k],
                time=recording.waveform.time,
            )
            outcome = Outcome(
                site=Site(k // 5, k % 5), status="ok", curve=curve, proposal_id=str(k)
            )
            journal.record_outcome(k, outcome, {"clock": 1.0 * k})
        journal.record_policy(5, {"x": np.arange(4)})
        journal.request("abort")
    return path.read_bytes()


def _read_journal(path: Path) -> None:
    with Journal.read(path) as journal:
        journal.header()
        journal.batches()
        journal.outcomes()
        journal.checkpoint("policy")
        journal.checkpoint("microscope")
        journal.events()
        journal.requests()
        recording_of(journal)


_COLUMNS = {
    "header": ("key", "value", "digest"),
    "batches": ("batch", "decision_s"),
    "proposals": ("id", "batch", "position", "row", "prediction", "scores", "digest"),
    "outcomes": ("number", "batch", "row", "status", "visit", "started_s", "message", "curve"),
    "checkpoints": ("kind", "batch", "state"),
    "events": ("clock_s", "wall", "kind", "detail"),
    "requests": ("kind", "detail", "handled"),
}


def _hostile_row(m: Mutator, path: Path) -> None:
    """Change one value by SQL, as somebody does who wants to be believed by SQLite."""
    table = m.random.choice(list(_COLUMNS))
    column = m.random.choice(_COLUMNS[table])
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
        db.execute(f'UPDATE {table} SET "{column}" = ?', (value,))
    db.close()


@check("fuzz-journal")
def journals(size: Size) -> list[Tally]:
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


def _grid_3ds() -> bytes:
    rng = np.random.default_rng(1)
    header = (
        'Grid dim="3 x 2"\r\nGrid settings=1E-7;2E-7;3E-8;2E-8;0E+0\r\nFiletype=Linear\r\n'
        'Sweep Signal="Bias (V)"\r\nFixed parameters="Sweep Start;Sweep End"\r\n'
        'Experiment parameters="X (m);Y (m);Z (m);Settling time (s);Integration time (s)"\r\n'
        "# Parameters (4 byte)=7\r\nExperiment size (bytes)=32\r\nPoints=8\r\n"
        'Channels="Current (A);Current [bwd] (A)"\r\nDelay before measuring (s)=0\r\n:HEADER_END:\r\n'
    )
    points = []
    for line, column in itertools.product(range(2), range(3)):
        start = [0.0, 1.0, 9e-8 + 1e-8 * column, 1.9e-7 + 1e-8 * line, 1e-9, 1e-3, 1e-3]
        points.append(np.concatenate([start, rng.normal(0, 1e-9, 16)]))
    return header.encode() + np.array(points).astype(">f4").tobytes()


def _spectrum_dat() -> bytes:
    lines = ["Experiment\tbias spectroscopy\t", "X (m)\t1E-9\t", "Y (m)\t2E-9\t", "Z (m)\t3E-9\t"]
    lines += ["Settling time (s)\t1E-3\t", "Integration time (s)\t1E-3\t", "", "[DATA]"]
    lines += ["Bias calc (V)\tCurrent (A)\tCurrent [bwd] (A)"]
    lines += [f"{v:.3E}\t{v * 1e-9:.3E}\t{v * 2e-9:.3E}" for v in np.linspace(-1, 1, 12)]
    return ("\r\n".join(lines) + "\r\n").encode()


def _waves_ibw() -> list[bytes]:
    from _fake_igor import ibw

    rng = np.random.default_rng(2)
    image = ibw(rng.random((6, 5, 2)), ["HeightRetrace", "CurrentRetrace"], (1e-8, 1e-8), {"a": 1})
    curve = np.column_stack([np.zeros(20), rng.random(20), np.linspace(0, 1, 20)])
    return [image, ibw(curve, ["Defl", "Current", "Bias"], (1e-3,), {"b": 2})]


def _foreign_nsid(path: Path) -> bytes:
    """A spectral image as pyNSID lays it out, without our own marks."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000/Current")
        main = group.create_dataset("Current", data=np.random.default_rng(4).random((4, 3, 6)))
        main.attrs.update({"data_type": "SPECTRAL_IMAGE", "quantity": "Current", "units": "nA"})
        main.attrs["DIMENSION_LABELS"] = ["x", "y", "Voltage"]
        for label, count, unit, kind in (
            ("x", 4, "nm", "SPATIAL"),
            ("y", 3, "nm", "SPATIAL"),
            ("Voltage", 6, "V", "SPECTRAL"),
        ):
            scale = group.create_dataset(label, data=np.linspace(0, 1, count))
            scale.attrs.update({"units": unit, "dimension_type": kind, "quantity": label})
    return path.read_bytes()


def _table_csv() -> bytes:
    rows = [f"{r},{c},{v},{v * r:.3g}" for r in range(2) for c in range(2) for v in (0, 0.5, 1)]
    return ("row,column,Voltage [V],Current [nA]\n" + "\n".join(rows) + "\n").encode()


def corpus(folder: Path) -> dict[str, list[bytes]]:
    """Valid small files of each format by their extension; the small ones of the shared data, too."""
    recording = _recording()
    part = Recording(
        scan=recording.scan,
        sites=recording.sites[::3],
        waveform=recording.waveform,
        current=recording.current[::3],
    )
    files: dict[str, list[bytes]] = {
        "3ds": [_grid_3ds()],
        "dat": [_spectrum_dat()],
        "ibw": _waves_ibw(),
        "csv": [_table_csv()],
        "gwy": [],
        "h5": [_foreign_nsid(folder / "foreign.h5")],
    }
    for k, data in enumerate((recording, part, recording.scan)):
        for kind, write in (("h5", write_nsid), ("csv", write_csv)):
            write(data, folder / f"{k}.{kind}")
            files[kind].append((folder / f"{k}.{kind}").read_bytes())
    write_gwy(recording.scan, folder / "0.gwy")
    files["gwy"].append((folder / "0.gwy").read_bytes())
    shared = Path(os.environ.get("GRAINSCOUT_DATA", Path(__file__).parents[3] / "shared/data"))
    for path in sorted(shared.rglob("*")):
        if path.suffix[1:] in files and path.stat().st_size < 200_000:
            files[path.suffix[1:]].append(path.read_bytes())
    return files


#: An array of texts of a billion bytes each.
_TEXT_BOMB = b'"x": {"__array__": "S1000000000", "values": [1, 2, 3, 4, 5, 6, 7, 8]}, '


def _bombs(kind: str, good: bytes) -> list[bytes]:
    """Headers that promise a tera-point, and bodies that unfold."""
    if kind == "3ds":
        return [
            good.replace(b"3 x 2", b"1000000 x 1000000"),
            good.replace(b"Points=8", b"Points=999999999"),
            good.replace(b"byte)=7", b"byte)=999999999"),
            good.replace(b"3 x 2", b"10000 x 10000"),
        ]
    if kind == "ibw":
        out = []
        for sides in ((10**6, 10**6, 0, 0), (2**31 - 1,) * 4, (-1, 5, 2, 0)):
            raw = bytearray(good)
            struct.pack_into("<4i", raw, 64 + 68, *sides)
            total = sum(struct.unpack("<192h", raw[:384])) - struct.unpack_from("<h", raw, 2)[0]
            struct.pack_into("<h", raw, 2, ((-total + 2**15) % 2**16) - 2**15)
            out.append(bytes(raw))
        return out
    if kind == "gwy":
        return [good.replace(struct.pack("<i", 5), struct.pack("<i", 2**31 - 1), 1)]
    if kind == "csv":
        return [
            good.replace(b"\n1,1,", b"\n99999,99999,"),
            good.replace(b"\n1,1,", b"\n1e300,1,"),
            good + b"9" * 3_000_000 + b"\n",
            b'# grainscout csv 1\n# {"channels": ' + b"[" * 90_000 + b"\n\n# end\n",
            good.replace(b'"scan_metadata": {', b'"scan_metadata": {' + _TEXT_BOMB),
        ]
    return []


def _bomb_h5(path: Path) -> bytes:
    """Some kilobytes that unfold to 5 GB: chunks that were never written."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000/Height")
        main = group.create_dataset(
            "Height", shape=(20_000, 20_000), dtype="f4", chunks=(1000, 1000)
        )
        main.attrs.update({"data_type": "IMAGE", "quantity": "Height", "units": "m"})
        main.attrs["DIMENSION_LABELS"] = ["x", "y"]
        for label in "xy":
            scale = group.create_dataset(label, data=np.linspace(0, 1, 20_000))
            scale.attrs.update({"units": "m", "dimension_type": "SPATIAL"})
    return path.read_bytes()


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Time-out of a library that hangs, for the time of a check."""
    kept, _probe.PATIENCE = _probe.PATIENCE, seconds
    try:
        yield
    finally:
        _probe.PATIENCE = kept


@check("fuzz-formats")
def formats(size: Size) -> list[Tally]:
    """Every imported format, as somebody else's program or disk may hand it over."""
    tallies = []
    with _folder() as folder, _patience(1.0):
        files = corpus(folder)
        bomb = _bomb_h5(folder / "bomb.h5")
        for kind, goods in files.items():
            place = folder / f"case.{kind}"
            bombs = [b for good in goods for b in _bombs(kind, good)]
            bombs += [bomb] if kind == "h5" else []

            def one(
                case: int,
                kind: str = kind,
                goods: list[bytes] = goods,
                bombs: list[bytes] = bombs,
                place: Path = place,
            ) -> str:
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
