"""Damaged journals: noticed, refused, left as they are, and what is sound in them is got out unchanged."""

import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from damage import (
    bare,
    campaign_content,
    content,
    copy_run,
    flip,
    outcome_bytes,
    sound_only,
    write_campaign,
    write_run,
)
from stress import Size, Tally, nothing_lost, tally, times

from grainscout.analysis.formats import Recording, read
from grainscout.benchmarks import CampaignStore
from grainscout.journal import Journal, is_locked, salvage
from grainscout.journal.schema import torn
from grainscout.records import DataError, JournalError


@contextmanager
def _runs():
    """A folder with `whole.gsj`, and `open.gsj` with its -wal, whose run was killed."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_run(folder / "whole.gsj")
        write_run(folder / "open.gsj", killed=True)
        Path(folder / "open.gsj-lock").unlink(missing_ok=True)
        yield folder


def _truth(path):
    with Journal.read(path) as journal:
        return {n: outcome_bytes(o) for n, o in enumerate(journal.outcomes())}


def _verdict(path, before):
    """ "same", "refused" or what went wrong, of a damaged copy; it must be left as it is."""
    bytes_before = path.read_bytes()
    try:
        said = "same" if content(path) == before else "another content without a word"
        if said != "same" and torn(path):
            said = "noted"  # the last two commits of a -wal: a power cut does that, so it is no refusal
    except JournalError:
        said = "refused"
    except Exception as error:  # noqa: BLE001 -- any other error is a traceback for the user
        said = f"{type(error).__name__}: {error}"
    return said if path.read_bytes() == bytes_before else "the damaged file was changed"


def _tally(what, verdicts):
    lost = [v for v in verdicts if v not in ("same", "refused", "noted")]
    words = {"refused": "refused", "same": "harmless", "noted": "noted as torn"}
    note = ", ".join(f"{verdicts.count(v)} {word}" for v, word in words.items() if v in verdicts)
    return tally(what, len(verdicts), lost, note)


@nothing_lost
def test_flipped_bits_never_change_what_a_journal_says(size: Size) -> list[Tally]:
    """A journal with bits turned over has the content of before, or is refused; salvage is never wrong."""
    rng = np.random.default_rng(3)
    tallies = []
    with _runs() as folder:
        damaged = folder / "damaged.gsj"
        for name, where in (("whole.gsj", ""), ("open.gsj", ""), ("open.gsj", "-wal")):
            before, truth = content(folder / name), _truth(folder / name)
            verdicts, saved, tried, wrong = [], 0, 0, 0
            for trial in range(times(size, short=20, long=4000)):
                bare(damaged)
                copy_run(folder / name, damaged)
                target = Path(f"{damaged}{where}")
                data = bytearray(target.read_bytes())
                flip(data, rng, bits=1 if trial % 3 else int(rng.integers(2, 20)))
                target.write_bytes(data)
                found, mistakes = sound_only(damaged, truth)
                saved, tried, wrong = saved + found, tried + len(truth), wrong + mistakes
                verdicts.append(_verdict(damaged, before))
            place = f"{'the -wal of ' * bool(where)}a {name.split('.')[0]} journal"
            what = f"outcomes salvaged, bits turned over in {place}"
            note = f"{100 * saved / tried:.1f} % got out, {wrong} of them wrong"
            tallies += [
                _tally(f"bits turned over in {place}", verdicts),
                Tally(what=what, tried=tried, lost=wrong, note=note),
            ]
    return tallies


@nothing_lost
def test_flipped_bits_of_a_store_lose_only_the_cells_named(size: Size) -> list[Tally]:
    """A campaign's store with bits turned over has the content of before, or is refused.

    What can be opened can be repaired: it has then forgotten the cells that it names, and no others.
    """
    rng = np.random.default_rng(13)
    as_it_is: list[str] = []
    when_repaired: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        whole, damaged = Path(scratch) / "whole.sqlite", Path(scratch) / "damaged.sqlite"
        plan = write_campaign(whole)
        with CampaignStore(whole) as store:
            before = campaign_content(store)
        for trial in range(times(size, short=50, long=4000)):
            data = bytearray(whole.read_bytes())
            flip(data, rng, bits=1 if trial % 3 else int(rng.integers(2, 20)))
            bare(damaged)
            damaged.write_bytes(data)
            try:
                with CampaignStore(damaged, plan) as store:
                    as_it_is.append(_outcome(lambda s=store: campaign_content(s) == before))
                    when_repaired.append(
                        _outcome(lambda s=store: _repaired(s, before), refusal=False)
                    )
            except DataError:
                as_it_is.append("refused")
    return [
        _tally("bits turned over in a campaign's store", as_it_is),
        _tally("those that can be opened, repaired", when_repaired),
    ]


def _repaired(store, before):
    """Whether a repaired store has lost what it says, and nothing else."""
    lost, found = store.repair(), campaign_content(store)
    return len(found) == len(before) - len(lost) and all(found[k] == before[k] for k in found)


def _outcome(same, refusal=True):
    try:
        return "same" if same() else "another content"
    except DataError as error:
        return "refused" if refusal else f"refused: {error}"
    except Exception as error:  # noqa: BLE001 -- any other error is a traceback for the user
        return f"{type(error).__name__}: {error}"


@nothing_lost
def test_a_cut_journal_gives_no_wrong_value(size: Size) -> list[Tally]:
    """Cut off anywhere: refused, or (a -wal, as by a power cut) an earlier state of the same run."""
    rng = np.random.default_rng(4)
    with _runs() as folder:
        damaged = folder / "damaged.gsj"
        whole, truth = folder / "whole.gsj", _truth(folder / "whole.gsj")
        before, data = content(whole), whole.read_bytes()
        verdicts, mistakes = [], 0
        for keep in rng.integers(1, len(data), times(size, short=30, long=1500)).tolist():
            bare(damaged)
            damaged.write_bytes(data[:keep])
            mistakes += sound_only(damaged, truth)[1]
            verdicts.append(_verdict(damaged, before))
        verdicts += ["a salvaged outcome was wrong"] * mistakes
        truth, earlier = _truth(folder / "open.gsj"), []
        wal = Path(f"{folder / 'open.gsj'}-wal").read_bytes()
        for keep in rng.integers(1, len(wal), times(size, short=20, long=1000)).tolist():
            bare(damaged)
            copy_run(folder / "open.gsj", damaged)
            Path(f"{damaged}-wal").write_bytes(wal[:keep])
            try:
                found = _truth(damaged)
                same = all(truth[n] == found[n] for n in found)
                earlier.append("same" if same else "no earlier state of the run")
            except JournalError:
                earlier.append("refused")
    return [
        _tally("journals cut short", verdicts),
        _tally("-wal files cut short, as by a power cut", earlier),
    ]


@nothing_lost
def test_side_files_of_other_runs_change_nothing(size: Size) -> list[Tally]:
    """What is no journal, or only a part of one, is refused in words that help."""
    del size
    wrong, tried = [], 0
    with _runs() as folder:
        for name, said in _strange_files(folder).items():
            tried += 1
            path = folder / name
            before = {p.name: p.read_bytes() for p in folder.iterdir() if p.name.startswith(name)}
            for look in (Journal.read, Journal.open):
                try:
                    look(path).close()
                    wrong.append(f"{name} was opened")
                except JournalError as error:
                    if said not in str(error):
                        wrong.append(f"{name}: {error}")
            after = {p.name: p.read_bytes() for p in folder.iterdir() if p.name.startswith(name)}
            if {k: v for k, v in after.items() if not k.endswith("-shm")} != before:
                wrong.append(f"{name} was changed: {sorted(after)}")
    return [tally("foreign files and parts of a journal", tried, wrong)]


def _strange_files(folder):
    """File name -> what its refusal must say."""
    (folder / "text.gsj").write_text("no database at all " * 60)
    (folder / "empty.gsj").write_bytes(b"")
    (folder / "noise.gsj").write_bytes(np.random.default_rng(1).bytes(50_000))
    (folder / "short.gsj").write_bytes((folder / "whole.gsj").read_bytes()[:50])
    db = sqlite3.connect(folder / "other.gsj")
    db.execute("CREATE TABLE outcomes (x)")
    db.commit()
    db.close()
    copy_run(folder / "open.gsj", folder / "lonely.gsj", wal=False)
    # Another run's -wal beside a journal that has none of its own: SQLite alone would believe it.
    copy_run(folder / "whole.gsj", folder / "mixed.gsj")
    Path(folder / "mixed.gsj-wal").write_bytes(Path(folder / "open.gsj-wal").read_bytes()[:-4120])
    return {
        "text.gsj": "not readable",
        "empty.gsj": "is empty",
        "noise.gsj": "not readable",
        "short.gsj": "not readable",
        "other.gsj": "not a Grainscout journal",
        "lonely.gsj": "Copy the -wal too",
    }


@nothing_lost
def test_salvage_exports_no_wrong_curve(size: Size) -> list[Tally]:
    """`grainscout export --salvage` as a person uses it: .h5 and .csv, equal to what was measured."""
    rng = np.random.default_rng(6)
    wrong, tried = [], times(size, short=1, long=10)
    with _runs() as folder:
        truth = _truth(folder / "whole.gsj")
        for k in range(tried):
            data = bytearray((folder / "whole.gsj").read_bytes())
            flip(data, rng, bits=6)
            damaged = folder / f"damaged{k}.gsj"
            damaged.write_bytes(data[: len(data) * 3 // 4])
            before = damaged.read_bytes()
            expected = salvage(damaged)
            for out in (folder / f"out{k}.h5", folder / f"out{k}.csv"):
                words = ["export", "--salvage", str(damaged), str(out)]
                words = [sys.executable, "-m", "grainscout.cli", *words]
                said = subprocess.run(words, capture_output=True, text=True, check=False)
                curves = {tuple(o.site): o.curve for o in expected.outcomes.values() if o.curve}
                sound = f"{len(expected.outcomes)} outcomes are sound"
                if said.returncode or sound not in said.stdout:
                    wrong.append(said.stdout + said.stderr)
                    continue
                found = read(out)
                if not isinstance(found, Recording) or len(found) != len(curves):
                    wrong.append(f"{out.name} holds {len(found)} curves of {len(curves)}")
                    continue
                for site, current in zip(found.sites.tolist(), found.current, strict=True):
                    if current.tobytes() != curves[tuple(site)].current.tobytes():
                        wrong.append(f"another curve at {site}")
            if damaged.read_bytes() != before or not 0 < len(expected.outcomes) < len(truth):
                wrong.append("the damaged file was changed, or nothing was lost")
    return [tally("export --salvage to .h5 and .csv", 2 * tried, wrong)]


_RIVAL = """
import sys, time, os
from pathlib import Path
from grainscout.journal.lock import locked
from grainscout.records import JournalError
path, end = Path(sys.argv[1]), time.monotonic() + float(sys.argv[2])
held = both = 0
while time.monotonic() < end:
    try:
        with locked(path):
            held += 1
            os.close(os.open(str(path) + ".held", os.O_CREAT | os.O_EXCL))
            time.sleep(0.0005)
            os.unlink(str(path) + ".held")
    except JournalError:
        pass
    except FileExistsError:
        both += 1
print(held, both)
"""


@nothing_lost
def test_two_processes_never_hold_one_journal(size: Size) -> list[Tally]:
    """Many processes that want one journal, each stopped at any moment: never do two of them hold it."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "run.gsj"
        path.touch()
        seconds = times(size, short=1, long=60)
        words = [sys.executable, "-c", _RIVAL, str(path), str(seconds)]
        rivals = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        random = np.random.default_rng(9)
        while any(rival.poll() is None for rival in rivals):  # widens every gap between two steps
            rival = rivals[random.integers(len(rivals))]
            rival.send_signal(signal.SIGSTOP)
            time.sleep(random.uniform(0.001, 0.01))
            rival.send_signal(signal.SIGCONT)
            time.sleep(random.uniform(0.0, 0.004))
        said = [rival.communicate()[0] for rival in rivals]
        left = is_locked(path)
    counts = [[int(word) for word in words.split()] for words in said if words]
    held, both = (sum(c[k] for c in counts) for k in (0, 1))
    lost = both + left + sum(not words for words in said)  # one that died said nothing
    return [Tally(what="locks of one journal by three processes", tried=held, lost=lost)]
