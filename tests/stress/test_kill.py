"""SIGKILL at random moments: nothing acknowledged is lost or doubled, and the run goes on as if it had not.

The victim is `grainscout run` in a forked process of its own (`victim.py`); some are new Python processes.
A kill comes after a random time, at a random act of the run (before or inside a transaction, before
and after a measurement, before the policy is told), or as soon as SQLite has written to its -wal, which
is between the write and the fsync of a commit.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
from killed_runs import PATIENCE_S, outcomes_of, start, undisturbed, wait, wrong_in
from stress import Size, Tally, nothing_lost, tally, times
from victim import CURVES, POLICIES, experiment_file

_KINDS = ("begin", "statement", "told", "measure", "measured", "wal", "time")
_BEGIN = 60  # statements of SQL until the first measurement, about


def _blow(rng, whole, folder):
    """How this victim dies: (kill_at, kill_when)."""
    kind = str(rng.choice(_KINDS))
    if kind == "begin":
        return kind, {"statement": int(rng.integers(1, _BEGIN))}, None
    if kind in whole.acts:
        return kind, {kind: int(rng.integers(1, whole.acts[kind] + 1))}, None
    if kind == "time":
        end = time.monotonic() + float(rng.uniform(0.0, 1.1 * whole.seconds))
        return kind, {}, lambda: time.monotonic() >= end
    wal, left, last = folder / "killed.gsj-wal", [int(rng.integers(1, CURVES * 3))], [0]

    def grown():
        try:
            size = wal.stat().st_size
        except FileNotFoundError:  # not yet, or folded in
            size = 0
        if size > last[0]:
            left[0] -= 1
        last[0] = size
        return left[0] <= 0

    return kind, {}, grown


@nothing_lost
def test_a_killed_run_goes_on_as_if_undisturbed(size: Size) -> list[Tally]:
    """Kill, look, resume, kill again; in the end compare with the run that nobody disturbed."""
    rng = np.random.default_rng(8)
    wanted = times(size, short=25, long=500)
    policies = POLICIES[::3] if size == "short" else POLICIES
    kills, runs, wrong = Counter(), 0, []
    wholes = {}
    with tempfile.TemporaryDirectory() as scratch:
        while kills.total() < wanted:
            policy, batch = policies[runs % len(policies)], 1 + 3 * (runs // len(policies) % 2)
            if (policy, batch) not in wholes:
                home = Path(scratch) / f"{policy}-{batch}"
                home.mkdir()
                config = experiment_file(home / "run.toml", policy, batch=batch)
                wholes[policy, batch] = config, undisturbed(home, config)
            config, whole = wholes[policy, batch]
            folder = Path(scratch) / str(runs)
            folder.mkdir()
            where = f"{policy}, batch {batch}, run {runs}"
            for _ in range(int(rng.integers(1, 3 if size == "short" else 6))):
                kind, kill_at, kill_when = _blow(rng, whole, folder)
                kills[kind] += wait(start(folder, config, kill_at), kill_when)
                wrong += [f"{where}: {w}" for w in wrong_in(folder, whole, finished=False)]
            wait(start(folder, config, {}))
            wrong += [f"{where}: {w}" for w in wrong_in(folder, whole, finished=True)]
            runs += 1
    by = ", ".join(f"{n} {kind}" for kind, n in sorted(kills.items()))
    return [tally("SIGKILL of a run, then --resume", kills.total(), wrong, f"{runs} runs; {by}")]


@nothing_lost
def test_a_killed_command_goes_on_as_if_undisturbed(size: Size) -> list[Tally]:
    """The same with the command as a person types it, killed some time after it began to measure."""
    rng = np.random.default_rng(9)
    kills, wrong = 0, []
    wanted = times(size, short=1, long=20)
    with tempfile.TemporaryDirectory() as scratch:
        while kills < wanted:
            folder = Path(tempfile.mkdtemp(dir=scratch))
            config = experiment_file(folder / "run.toml", POLICIES[(5 * kills) % len(POLICIES)])
            whole = undisturbed(folder, config)  # in a forked process: it makes no difference
            victim = _command(folder, [str(config), "--out", "killed.gsj"])
            while victim.poll() is None and not (folder / "killed.gsj-wal").exists():
                time.sleep(0.01)
            with suppress(subprocess.TimeoutExpired):
                victim.wait(float(rng.uniform(0.0, 0.2 * whole.seconds)))
            victim.kill()
            kills += victim.wait() == -signal.SIGKILL
            ended = _command(folder, ["--resume", "killed.gsj"]).wait(PATIENCE_S)
            if ended != 0 or outcomes_of(folder / "killed.gsj") != whole.outcomes:
                wrong.append(f"{config.read_text().split()[-1]}, exit status {ended}")
    return [tally("SIGKILL of a new `grainscout run`, then --resume", kills, wrong)]


def _command(folder, words):
    words = [sys.executable, "-m", "grainscout.cli", "run", *words]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(words, cwd=folder, **silent)
