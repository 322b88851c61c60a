"""A day of measurements on the simulated clock, its live page, and a journal of 10^5 curves."""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import numpy as np
from load import SAMPLES, added_to, big_journal, day, predicted_bytes
from stress import Size, Tally, nothing_lost, times
from warm import forked

from grainscout.journal import Journal

#: No curve stays in memory: ids, and what a simulated microscope knows of where its tip has been.  A curve
#: of 51 samples would add 2 kB and more.
KEPT = 2800  # bytes a measurement
_ONCE = 4_500_000  # bytes that fill up once: SQLite's cache of 2 MB, the latest commands, what is warm only later
OPEN_S = 2.0
SHOWN_S = 4.0  # from the commit to the page: about when the next measurement comes


@nothing_lost
def test_a_day_of_measurements_keeps_memory_flat(size: Size) -> list[Tally]:
    """No curve stays in memory; a measurement takes no longer for those before; the file is as long as predicted."""
    curves = times(size, short=500, long=20_000)
    with tempfile.TemporaryDirectory() as scratch:
        child = forked(day, Path(scratch), curves)
        child.join(3600.0)
        if child.exitcode != 0:
            return [Tally(what="a day", tried=curves, lost=1, note=f"ended with {child.exitcode}")]
        report = json.loads((Path(scratch) / "report.json").read_text())
        with Journal.read(Path(scratch) / "day.gsj") as journal:
            header = journal.header()
            written = len(journal.outcomes())
            scan = header.problem.scan.height.nbytes + header.problem.candidates.nbytes
        state = 100 * curves  # the instrument's own log, as a whole state and changes
    memory = np.array(report["memory"], float)
    steps = curves // 10
    growth = float(memory[-1] - memory[1] - _ONCE) / (8 * steps)
    expected = predicted_bytes(curves, SAMPLES, scan + state)
    off = report["bytes"] / expected - 1
    hours = report["clock_s"] / 3600
    seconds = np.diff(report["seconds"])
    what = f"measurements in {hours:.1f} simulated hours"
    slower = f"the last tenth took {seconds[-1] / seconds[0]:.1f} times as long as the second"
    kept = f"{growth:.0f} bytes, at most {KEPT}; {memory[-1] / 1e6:.0f} MB in the end"
    size_ = f"{report['bytes'] / 1e6:.2f} MB, {100 * off:+.0f} % of what is predicted"
    return [
        Tally(what=what, tried=curves, lost=curves - written, note=slower),
        Tally(what="memory of a measurement", tried=curves, lost=int(growth > KEPT), note=kept),
        Tally(what="size of the journal", tried=1, lost=int(abs(off) > 0.2), note=size_),
    ]


@nothing_lost
def test_a_large_journal_opens_quickly(size: Size) -> list[Tally]:
    """A journal of 10^5 curves: open, header, how far it is, the last outcomes."""
    curves = times(size, short=2000, long=100_000)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "big.gsj"
        child = forked(big_journal, path, curves)
        child.join(3600.0)
        began, busy = time.perf_counter(), time.process_time()
        with Journal.read(path) as journal:
            journal.header()
            count = journal.count()
            last = journal.outcomes(count - 10)
            journal.events()
        busy, seconds = time.process_time() - busy, time.perf_counter() - began
        length = path.stat().st_size
    wrong = count != curves or len(last) != 10 or (size == "long" and busy > OPEN_S)
    note = f"{seconds:.2f} s ({busy:.2f} s of them busy) for {length / 1e6:.0f} MB"
    return [Tally(what="curves in an opened journal", tried=curves, lost=int(wrong), note=note)]


@nothing_lost
def test_the_live_page_keeps_up(size: Size) -> list[Tally]:
    """The live page of a long run: each further measurement is on it soon, and it answers meanwhile."""
    curves, more = times(size, short=1000, long=20_000), times(size, short=5, long=100)
    shown, answered = [], []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "big.gsj"
        forked(big_journal, path, curves, False).join(3600.0)
        with Journal.open(path) as journal, journal.locked(), _watch(path) as (address, opened):
            (outcome,) = journal.outcomes(curves - 1)
            for k in range(curves, curves + more):
                added_to(journal, outcome, k)
                began = time.monotonic()
                while f"{k + 1} measured sites" not in _document(address, answered):
                    if time.monotonic() - began > 10 * SHOWN_S:
                        break
                    time.sleep(0.02)
                shown.append(time.monotonic() - began)
    return [
        _in_time(f"measurements on the page of a run of {curves}, {opened:.1f} s to open", shown),
        _in_time("answers of the page meanwhile", answered),
    ]


def _in_time(what, seconds):
    late = sum(s > SHOWN_S for s in seconds)
    note = f"after {np.median(seconds):.3f} s, at most {max(seconds):.3f} s"
    return Tally(what=what, tried=len(seconds), lost=late, note=note)


@contextmanager
def _watch(path):
    """`grainscout watch`: the address with its token, and the seconds until it was there."""
    words = [sys.executable, "-m", "grainscout.cli", "watch", path, "--port", "0", "--no-maps"]
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[-1], time.monotonic() - began
        finally:
            process.kill()


def _document(address, answered):
    began = time.monotonic()
    with build_opener(ProxyHandler({})).open(address, timeout=60.0) as reply:
        text = reply.read().decode()
    answered.append(time.monotonic() - began)
    return text
