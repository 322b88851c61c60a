"""Disk, folder, memory, clock or worker fails: a message, a parked tip, and --resume gives the whole run."""

import datetime
import os
import resource
import signal
import time
from contextlib import suppress

import numpy as np
import psutil
import pytest
import rogues
from killed_runs import start, undisturbed, wait, wrong_in
from victim import experiment_file, run
from warm import PATIENCE_S, ended, forked

import grainscout.journal.journal as journal_module
from grainscout.benchmarks import CampaignStore, PolicySpec
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.experiment import Experiment


def on_a_full_disk(folder, words, most):
    """`grainscout run` where no file can be longer than `most` bytes: writing fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    run(folder, words, {})


def without_memory(folder, words, spare):
    """`grainscout run` that may take `spare` bytes more than it has when it begins to ask."""
    loop = Experiment._loop

    def starved(self):
        most = psutil.Process().memory_info().vms + spare
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        return loop(self)

    Experiment._loop = starved
    run(folder, words, {})


def as_nobody(folder, words):
    """`grainscout run` by a person who may not write in the folder above `folder`."""
    folder.chmod(0o777)
    with suppress(PermissionError):
        os.setuid(65534)
    run(folder, words, {})


class JumpingTime(datetime.datetime):
    """A wall clock that somebody sets, to and fro, while the run goes on."""

    @classmethod
    def now(cls, tz=None):
        """A time within ten years of now."""
        jump = np.random.default_rng(time.perf_counter_ns()).uniform(-10.0, 10.0)
        return super().now(tz) + datetime.timedelta(days=365 * jump)


def with_jumping_clocks(folder, words):
    """`grainscout run` while the computer's clock is set to and fro."""
    journal_module.datetime = JumpingTime
    time.time = lambda: JumpingTime.now().timestamp()
    run(folder, words, {})


@pytest.mark.parametrize(
    ("what", "target", "policy", "draw"),
    [
        ("a full disk", on_a_full_disk, "sobol", lambda rng: (int(rng.integers(4096, 400_000)),)),
        ("no memory", without_memory, "kriging", lambda rng: (int(2 ** rng.uniform(10, 18)),)),
        ("clocks that jump", with_jumping_clocks, "random", lambda rng: ()),
    ],
)
def test_a_run_on_a_failing_machine_goes_on_when_it_is_repaired(
    tally, times, scratch, what, target, policy, draw
):
    rng = np.random.default_rng(10)
    config = experiment_file(scratch / "whole", policy)
    whole, words = undisturbed(config.parent, config), [str(config), "--out", "killed.gsj"]
    # A library of C that looks at no malloc may die of it; what the journal has is checked all the same.
    ends = (0, 1, -signal.SIGSEGV) if target is without_memory else (0, 1)
    for k in range(times(short=2, long=40)):
        folder, arguments = scratch / str(k), draw(rng)
        folder.mkdir()
        status = ended(target, folder, words, *arguments)
        said = (folder / "said").read_text()
        wrong = [said[-300:]] if "Traceback" in said else []
        if status not in ends or (status == 1 and "error:" not in said):
            wrong.append(f"exit status {status}: {said[-200:]}")
        wrong += wrong_in(folder, whole, finished=False)
        wait(start(folder, config, {}))
        wrong += wrong_in(folder, whole, finished=True)
        tally(what, *(f"{arguments}: {w}" for w in wrong), note=f"last exit status {status}")


def test_a_read_only_folder_is_one_message_before_any_measurement(tally, scratch):
    scratch.chmod(0o755)
    config = experiment_file(scratch / "locked", "sobol")
    for k, out in enumerate(("run.gsj", "deeper/run.gsj")):
        log = scratch / str(k)
        log.mkdir()
        status = ended(as_nobody, log, [str(config), "--out", str(config.parent / out)])
        said = (log / "said").read_text()
        lines = [line for line in said.splitlines() if "error:" in line]
        fine = status == 1 and len(lines) == 1 and "Traceback" not in said
        measured = "something was measured" if (log / "log").read_text() else ""
        tally("runs into a read-only folder", measured, "" if fine else f"{status}: {said[-200:]}")


PLAN = rogues.campaign(*(PolicySpec(name=n) for n in ("random", "sobol", "grid")))


def campaign(folder, jobs):
    """Run or go on with the campaign whose store is in `folder`."""
    rogues.run(PLAN, folder, jobs=jobs)


def _tables(folder):
    """The cells, and the table without what is measured with a stopwatch."""
    with CampaignStore(folder / "campaign.sqlite", PLAN.identity()) as store:
        return [str(key) for key, *_ in store.payloads()], read_tables(store).steps.to_csv()


def test_killed_campaigns_end_in_the_same_table(tally, times, scratch):
    rng, runs, home = np.random.default_rng(11), 0, scratch / "whole"
    wanted, what = times(short=3, long=60), "SIGKILL in campaigns"
    home.mkdir()
    began = time.monotonic()
    assert ended(campaign, home, 1) == 0
    seconds, whole = time.monotonic() - began, _tables(home)
    while tally.tried[what] < wanted:
        folder = scratch / str(runs)
        folder.mkdir()
        jobs, lone = 1 + runs % 2, runs % 3 == 0  # a worker alone: the campaign outlives it
        runs += 1
        for _ in range(int(rng.integers(1, 4))):
            victim, hands = forked(campaign, folder, jobs), []
            end = time.monotonic() + float(rng.uniform(0.1, 0.9)) * seconds
            while victim.is_alive() and (time.monotonic() < end or (lone and not hands)):
                hands = rogues.cell_processes({victim.pid}) if lone else []
                time.sleep(0.005)
            if hands and victim.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(hands[0][1], signal.SIGKILL)
                victim.join(PATIENCE_S)
                same = victim.exitcode == 0 and len(_tables(folder)[0]) == len(whole[0])
                tally("of one worker alone", f"campaign {runs}: ended by it" * (not same))
                tally(what)
            tally(what, tried=victim.is_alive())
            victim.kill()
            victim.join()
        same = ended(campaign, folder, 1) == 0 and _tables(folder) == whole
        tally(what, f"campaign {runs} with {jobs} jobs: another table" * (not same), tried=0)
