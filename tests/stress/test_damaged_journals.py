"""Damaged journals: noticed, refused, left as they are, and what is sound in them is got out unchanged."""

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from damage import (
    campaign_content,
    content,
    copy_run,
    flip,
    sound_only,
    truth_of,
    write_campaign,
    write_run,
)

from grainscout.analysis.formats import Recording, read
from grainscout.benchmarks import CampaignStore
from grainscout.journal import Journal, is_locked, salvage
from grainscout.journal.schema import torn
from grainscout.records import DataError, JournalError


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with `whole.gsj`, and `open.gsj` with its -wal, whose run was killed."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "whole.gsj")
    write_run(folder / "open.gsj", killed=True)
    return folder


@pytest.fixture
def verdict(tally):
    """Counts, and notes how often each, what is "same", "refused", "noted", or lost in other words."""
    counts = {}

    def count(what, said):
        counts.setdefault(what, Counter())[said] += 1
        lost = "" if said in ("same", "refused", "noted") else said
        tally(what, lost, note=", ".join(f"{n} {word}" for word, n in counts[what].items()))

    return count


def _said(path, before):
    """What opening a damaged copy gives; it must be left as it is."""
    bytes_before = path.read_bytes()
    said = _outcome(lambda: content(path) == before, JournalError)
    if said == "another content" and torn(path):
        said = "noted"  # the last two commits of a -wal: a power cut does that, so it is no refusal
    return said if path.read_bytes() == bytes_before else "the damaged file was changed"


def _outcome(same, refusal):
    try:
        return "same" if same() else "another content"
    except refusal:
        return "refused"
    except Exception as error:  # noqa: BLE001 -- any other error is a traceback for the user
        return f"{type(error).__name__}: {error}"


def test_flipped_bits_never_change_what_a_journal_says(runs, tally, verdict, times, scratch):
    rng, damaged = np.random.default_rng(3), scratch / "damaged.gsj"
    for name, where in (("whole.gsj", ""), ("open.gsj", ""), ("open.gsj", "-wal")):
        before, truth = content(runs / name), truth_of(runs / name)
        for trial in range(times(short=20, long=4000)):
            copy_run(runs / name, damaged)
            target = Path(f"{damaged}{where}")
            target.write_bytes(flip(target.read_bytes(), rng, trial))
            saved, wrong = sound_only(damaged, truth)
            place = f"{name}{where}"
            verdict(f"bits turned over in {place}", _said(damaged, before))
            tally(f"outcomes salvaged from {place}", f"{wrong} wrong" * bool(wrong), tried=saved)


def test_flipped_bits_of_a_store_lose_only_the_cells_named(verdict, times, scratch):
    """A campaign's store with bits turned over has the content of before, or is refused.

    What can be opened can be repaired: it has then forgotten the cells that it names, and no others.
    """
    rng, damaged = np.random.default_rng(13), scratch / "damaged.sqlite"
    plan = write_campaign(scratch / "whole.sqlite")
    with CampaignStore(scratch / "whole.sqlite") as store:
        before = campaign_content(store)

    def repaired(store):
        """Whether a repaired store has lost what it says, and nothing else."""
        lost, found = store.repair(), campaign_content(store)
        return len(found) == len(before) - len(lost) and found.items() <= before.items()

    for trial in range(times(short=50, long=4000)):
        copy_run(scratch / "whole.sqlite", damaged)
        damaged.write_bytes(flip(damaged.read_bytes(), rng, trial))
        what = "bits turned over in a campaign's store"
        try:
            with CampaignStore(damaged, plan) as store:
                verdict(what, _outcome(lambda s=store: campaign_content(s) == before, DataError))
                said = _outcome(lambda s=store: repaired(s), ())
                verdict("those that can be opened, repaired", said)
        except DataError:
            verdict(what, "refused")


def test_a_cut_journal_gives_no_wrong_value(runs, tally, verdict, times, scratch):
    rng, damaged = np.random.default_rng(4), scratch / "damaged.gsj"
    whole, truth = content(runs / "whole.gsj"), truth_of(runs / "whole.gsj")
    data = (runs / "whole.gsj").read_bytes()
    for keep in rng.integers(1, len(data), times(short=30, long=1500)).tolist():
        (scratch / "cut.gsj").write_bytes(data[:keep])
        copy_run(scratch / "cut.gsj", damaged)
        wrong = sound_only(damaged, truth)[1]
        tally("salvaged from journals cut short", f"{wrong} wrong" * bool(wrong))
        verdict("journals cut short", _said(damaged, whole))
    truth, wal = truth_of(runs / "open.gsj"), (runs / "open.gsj-wal").read_bytes()
    for keep in rng.integers(1, len(wal), times(short=20, long=1000)).tolist():
        copy_run(runs / "open.gsj", damaged)
        Path(f"{damaged}-wal").write_bytes(wal[:keep])
        said = _outcome(lambda: truth_of(damaged).items() <= truth.items(), JournalError)
        verdict("-wal files cut short, as by a power cut", said)


def test_parts_of_a_journal_are_refused_and_left_as_they_are(runs, scratch):
    (scratch / "empty.gsj").write_bytes(b"")
    (scratch / "short.gsj").write_bytes((runs / "whole.gsj").read_bytes()[:50])
    for name, said in (("empty.gsj", "is empty"), ("short.gsj", "not readable")):
        before = (scratch / name).read_bytes()
        for look in (Journal.read, Journal.open):
            with pytest.raises(JournalError, match=said):
                look(scratch / name)
        assert (scratch / name).read_bytes() == before


def test_salvage_exports_no_wrong_curve(runs, tally, times, scratch):
    rng, damaged = np.random.default_rng(6), scratch / "damaged.gsj"
    for k in range(times(short=1, long=10)):
        data = flip((runs / "whole.gsj").read_bytes(), rng, 3 * k)
        damaged.write_bytes(data[: len(data) * 3 // 4])
        before, outcomes = damaged.read_bytes(), salvage(damaged).outcomes
        assert 0 < len(outcomes) < len(truth_of(runs / "whole.gsj"))
        curves = {tuple(o.site): o.curve.current.tobytes() for o in outcomes.values() if o.curve}
        for out in (scratch / f"{k}.h5", scratch / f"{k}.csv"):
            words = ["export", "--salvage", str(damaged), str(out)]
            words = [sys.executable, "-m", "grainscout.cli", *words]
            said = subprocess.run(words, capture_output=True, text=True, check=False)
            assert said.returncode == 0, said.stderr
            assert f"{len(outcomes)} outcomes are sound" in said.stdout
            found = read(out)
            assert isinstance(found, Recording)
            currents = zip(found.sites.tolist(), found.current, strict=True)
            same = {tuple(site): current.tobytes() for site, current in currents} == curves
            tally("export --salvage to .h5 and .csv", "other curves" * (not same))
        assert damaged.read_bytes() == before


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


def test_two_processes_never_hold_one_journal(tally, times, scratch):
    path = scratch / "run.gsj"
    path.touch()
    words = [sys.executable, "-c", _RIVAL, str(path), str(times(short=1, long=60))]
    rivals = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    random = np.random.default_rng(9)
    while any(rival.poll() is None for rival in rivals):  # widens every gap between two steps
        rival = rivals[random.integers(len(rivals))]
        rival.send_signal(signal.SIGSTOP)
        time.sleep(random.uniform(0.001, 0.01))
        rival.send_signal(signal.SIGCONT)
        time.sleep(random.uniform(0.0, 0.004))
    for rival in rivals:
        held, both = map(int, rival.communicate()[0].split())  # one that died said nothing
        lost = f"two held it {both} times" * bool(both)
        tally("locks of one journal by three processes", lost, tried=held)
    assert not is_locked(path)
