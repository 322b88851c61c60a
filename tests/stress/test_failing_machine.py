"""The machine fails: a full disk, a folder that may not be written, no memory, clocks that jump, dead workers.

Errors have names and no traceback, the tip is parked, and what was acknowledged is still there: once the
machine is repaired, --resume gives the run that nobody disturbed.
"""

import datetime
import os
import resource
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from killed_runs import PATIENCE_S, start, undisturbed, wait, wrong_in
from stress import Size, Tally, nothing_lost, tally, times
from victim import experiment_file, run, tiny_task
from warm import forked

import grainscout.journal.journal as journal_module
from grainscout.benchmarks import Campaign, CampaignStore, PolicySpec, run_campaign
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.experiment import Experiment
from grainscout.records import pack


def on_a_full_disk(folder: Path, words: list[str], most: int) -> None:
    """`grainscout run` where no file can be longer than `most` bytes: writing fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    run(folder, words, {})


def without_memory(folder: Path, words: list[str], spare: int) -> None:
    """`grainscout run` that may take `spare` bytes more than it has when it begins to ask."""
    loop = Experiment._loop

    def starved(self: Experiment) -> str:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + spare
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        return loop(self)

    Experiment._loop = starved  # type: ignore[method-assign]
    run(folder, words, {})


def as_nobody(folder: Path, words: list[str]) -> None:
    """`grainscout run` by a person who may not write in `folder`."""
    log = folder.parent / "log"
    log.mkdir(mode=0o777, exist_ok=True)
    log.chmod(0o777)
    with suppress(PermissionError):
        os.setuid(65534)
    run(log, words, {})


class JumpingTime(datetime.datetime):
    """A wall clock that somebody sets, to and fro, while the run goes on."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "JumpingTime":
        """A time within ten years of now."""
        jump = np.random.default_rng(time.perf_counter_ns()).uniform(-10.0, 10.0)
        return super().now(tz) + datetime.timedelta(days=365 * jump)


def with_jumping_clocks(folder: Path, words: list[str]) -> None:
    """`grainscout run` while the computer's clock is set to and fro."""
    journal_module.datetime = JumpingTime  # type: ignore[misc]
    time.time = lambda: JumpingTime.now().timestamp()
    run(folder, words, {})


def _said(folder):
    text = (folder / "said").read_text()
    (folder / "said").unlink()
    return text


def _spoilt(folder, config, whole, target, *arguments):
    """What is wrong after a run on a spoilt machine, and the --resume on a repaired one."""
    words = [str(config), "--out", "killed.gsj"]
    child = forked(target, folder, words, *arguments)
    child.join(PATIENCE_S)
    if child.is_alive():
        child.kill()
        return ["hung"], 0
    said = _said(folder)
    wrong = [said[-300:]] if "Traceback" in said else []
    # A library of C that looks at no malloc may die of it; what the journal has is checked all the same.
    if child.exitcode not in (0, 1, *((-signal.SIGSEGV,) if target is without_memory else ())):
        wrong.append(f"exit status {child.exitcode}: {said[-200:]}")
    if child.exitcode == 1 and "error:" not in said:
        wrong.append("failed without a word")
    wrong += wrong_in(folder, whole, finished=False)
    wait(start(folder, config, {}))
    return wrong + wrong_in(folder, whole, finished=True), child.exitcode


@nothing_lost
def test_a_run_on_a_failing_machine_goes_on_when_it_is_repaired(size: Size) -> list[Tally]:
    """Full disk and no memory at random moments; wall clocks that jump."""
    rng = np.random.default_rng(10)
    tallies = []
    plans = {
        "a disk that fills up": (on_a_full_disk, "sobol", lambda: int(rng.integers(4096, 400_000))),
        "memory that runs out": (without_memory, "kriging", lambda: int(2 ** rng.uniform(10, 18))),
        "clocks that jump": (with_jumping_clocks, "random", None),
    }
    with tempfile.TemporaryDirectory() as scratch:
        for what, (target, policy, draw) in plans.items():
            home = Path(scratch) / what.replace(" ", "-")
            home.mkdir()
            config = experiment_file(home / "run.toml", policy)
            whole = undisturbed(home, config)
            wrong, failed, died = [], 0, 0
            tried = times(size, short=2, long=40)
            for k in range(tried):
                folder = home / str(k)
                folder.mkdir()
                arguments = () if draw is None else (draw(),)
                found, status = _spoilt(folder, config, whole, target, *arguments)
                wrong += [f"{arguments}: {w}" for w in found]
                failed, died = failed + (status == 1), died + (status not in (0, 1))
            tallies.append(tally(what, tried, wrong, f"{failed} ended by it, {died} died of it"))
    return tallies


@nothing_lost
def test_a_read_only_folder_is_one_message_before_any_measurement(size: Size) -> list[Tally]:
    """A folder that may not be written is one message, before anything is measured."""
    del size
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        folder = Path(scratch) / "locked"
        folder.mkdir(mode=0o755)
        config = experiment_file(Path(scratch) / "run.toml", "sobol")
        for out in (folder / "run.gsj", folder / "deeper" / "run.gsj"):
            child = forked(as_nobody, folder, [str(config), "--out", str(out)])
            child.join(PATIENCE_S)
            said = _said(Path(scratch) / "log")
            lines = [line for line in said.splitlines() if "error:" in line]
            if child.exitcode != 1 or len(lines) != 1 or "Traceback" in said:
                wrong.append(f"{child.exitcode}: {said[-200:]}")
            if (Path(scratch) / "log" / "log").read_text():
                wrong.append("something was measured")
    return [tally("runs into a read-only folder", 2, wrong)]


# Campaigns ----------------------------------------------------------------------------------------

HUNGRY = """
import resource
import numpy as np
class Hungry:
    "Asks for more memory than its worker may have."
    def reset(self, problem, *, rng):
        with open("/proc/self/statm") as statm:
            pages = int(statm.read().split()[0])
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**26, before[1]))
        try:
            np.ones(2**28)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
    def ask(self, n=1): return []
    def tell(self, outcomes): pass
"""


def _campaign(*extra):
    task = tiny_task(8, light_suns=0.1, id="film/tiny")
    policies = tuple(PolicySpec(name=n) for n in ("random", "sobol", "grid", *extra))
    return Campaign(name="stress", seed=3, films=2, tasks=(task,), policies=policies)


def campaign(folder: Path, jobs: int) -> None:
    """Run or go on with the campaign whose store is in `folder`."""
    plan = _campaign()
    with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
        run_campaign(plan, store, jobs=jobs)


def _workers(pid):
    """The processes of `pid` that run cells."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"campaign.worker_process" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def _tables(folder):
    plan = _campaign()
    with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
        cells = [(str(key), pack(payload)) for key, _, payload in store.payloads()]
        return cells, read_tables(store).steps.to_csv()


def _steady(cells):
    """Cells without what is measured with a stopwatch."""
    return [key for key, _ in cells]


@nothing_lost
def test_killed_campaigns_end_in_the_same_table(size: Size) -> list[Tally]:
    """SIGKILL of workers and of whole campaigns at random moments, then again: the same table."""
    rng = np.random.default_rng(11)
    wrong, kills, workers, wanted = [], 0, 0, times(size, short=3, long=60)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "whole"
        home.mkdir()
        began = time.monotonic()
        forked(campaign, home, 1).join(PATIENCE_S)
        seconds, whole = time.monotonic() - began, _tables(home)
        runs = 0
        while kills < wanted:
            folder = Path(scratch) / str(runs)
            folder.mkdir()
            jobs, lone = 1 + runs % 2, runs % 3 == 0  # a worker alone: the campaign outlives it
            runs += 1
            for _ in range(int(rng.integers(1, 4))):
                victim, hands = forked(campaign, folder, jobs), []
                end = time.monotonic() + float(rng.uniform(0.1, 0.9)) * seconds
                while victim.is_alive() and (time.monotonic() < end or (lone and not hands)):
                    hands = _workers(victim.pid) if lone else []
                    time.sleep(0.005)
                if hands and victim.is_alive():
                    kills, workers = kills + 1, workers + 1
                    with suppress(ProcessLookupError):
                        os.kill(hands[0], signal.SIGKILL)
                    victim.join(PATIENCE_S)
                    if victim.exitcode != 0:
                        wrong.append(f"campaign {runs}: ended by the death of a worker")
                    elif len(_tables(folder)[0]) != len(whole[0]):
                        wrong.append(f"campaign {runs}: a worker took a cell with it")
                kills += victim.is_alive()
                victim.kill()
                victim.join()
            last = forked(campaign, folder, 1)
            last.join(PATIENCE_S)
            found = _tables(folder) if last.exitcode == 0 else ([], "")
            if found[1] != whole[1] or _steady(found[0]) != _steady(whole[0]):
                wrong.append(f"campaign {runs} with {jobs} jobs: another table")
    return [
        tally("SIGKILL in campaigns", kills, wrong, f"{runs} campaigns of {len(whole[0])} cells"),
        Tally(what="of them of one worker alone", tried=workers, lost=0),
    ]


@nothing_lost
def test_a_worker_without_memory_fails_its_own_cells_only(size: Size) -> list[Tally]:
    """A policy that needs more memory than its worker has fails its own cells, with a name."""
    del size
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "hungry_plugin.py").write_text(HUNGRY)
        info = folder / "hungry_plugin-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hungry-plugin\nVersion: 1.0\n")
        entry = "[grainscout.policies]\nhungry = hungry_plugin:Hungry\n"
        (info / "entry_points.txt").write_text(entry)
        sys.path.insert(0, scratch)
        try:
            plan = _campaign("hungry")
            with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
                run_campaign(plan, store)
                finished, failures = store.finished(), store.failures()
        finally:
            sys.path.remove(scratch)
    named = sum("MemoryError" in why for why in failures.values())
    lost = (len(finished) != 6) + (named != 2) + ({k.policy for k in failures} != {"hungry"})
    return [Tally(what="cells of a worker without memory", tried=8, lost=lost)]
