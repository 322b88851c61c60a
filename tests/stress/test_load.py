"""A day of measurements on the simulated clock, its live page, and a journal of 10^5 curves."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.request import ProxyHandler, build_opener

import numpy as np
from load import SAMPLES, added_to, big_journal, day, predicted_bytes
from warm import ended

from grainscout.journal import Journal

#: No curve stays in memory: ids, and what a simulated microscope knows of where its tip has been.  A curve
#: of 51 samples would add 2 kB and more.
KEPT = 2800  # bytes a measurement
_ONCE = 4_500_000  # bytes that fill up once: SQLite's cache of 2 MB, the latest commands, what is warm only later
OPEN_S = 2.0
SHOWN_S = 4.0  # from the commit to the page: about when the next measurement comes


def test_a_day_of_measurements_keeps_memory_flat(tally, times, scratch):
    curves = times(short=500, long=20_000)
    assert ended(day, scratch, curves, seconds=3600.0) == 0
    report = json.loads((scratch / "report.json").read_text())
    with Journal.read(scratch / "day.gsj") as journal:
        header, written = journal.header(), len(journal.outcomes())
        scan = header.problem.scan.height.nbytes + header.problem.candidates.nbytes
    memory, seconds = np.array(report["memory"], float), np.diff(report["seconds"])
    growth = float(memory[-1] - memory[1] - _ONCE) / (8 * (curves // 10))
    # 100 bytes a curve: the instrument's own log, as a whole state and changes.
    off = report["bytes"] / predicted_bytes(curves, SAMPLES, scan + 100 * curves) - 1
    slower = f"the last tenth took {seconds[-1] / seconds[0]:.1f} times as long as the second"
    what = f"measurements in {report['clock_s'] / 3600:.1f} simulated hours"
    tally(what, f"{written} are written" * (written != curves), tried=curves, note=slower)
    kept = f"{growth:.0f} bytes, at most {KEPT}; {memory[-1] / 1e6:.0f} MB in the end"
    tally("memory of a measurement", kept * (growth > KEPT), tried=curves, note=kept)
    length = f"{report['bytes'] / 1e6:.2f} MB, {100 * off:+.0f} % of what is predicted"
    tally("size of the journal", length * (abs(off) > 0.2), note=length)


def test_a_large_journal_opens_quickly(tally, times, size, scratch):
    curves, path = times(short=2000, long=100_000), scratch / "big.gsj"
    ended(big_journal, path, curves, seconds=3600.0)
    began, busy = time.perf_counter(), time.process_time()
    with Journal.read(path) as journal:
        journal.header()
        count = journal.count()
        last = journal.outcomes(count - 10)
        journal.events()
    busy, seconds = time.process_time() - busy, time.perf_counter() - began
    note = f"{seconds:.2f} s ({busy:.2f} s of them busy) for {path.stat().st_size / 1e6:.0f} MB"
    wrong = count != curves or len(last) != 10 or (size == "long" and busy > OPEN_S)
    tally("curves in an opened journal", note * wrong, tried=curves, note=note)


def test_the_live_page_keeps_up(tally, times, scratch):
    curves, path, answered = times(short=1000, long=20_000), scratch / "big.gsj", []
    ended(big_journal, path, curves, False, seconds=3600.0)
    with Journal.open(path) as journal, journal.locked(), _watch(path) as (address, opened):
        (outcome,) = journal.outcomes(curves - 1)
        for k in range(curves, curves + times(short=5, long=100)):
            added_to(journal, outcome, k)
            began = time.monotonic()
            while f"{k + 1} measured sites" not in _document(address, answered):
                if time.monotonic() - began > 10 * SHOWN_S:
                    break
                time.sleep(0.02)
            what = f"measurements on the page of a run of {curves}, {opened:.1f} s to open"
            _in_time(tally, what, time.monotonic() - began)
    for seconds in answered:
        _in_time(tally, "answers of the page meanwhile", seconds)


def _in_time(tally, what, seconds):
    tally(what, f"after {seconds:.3f} s" * (seconds > SHOWN_S))


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
