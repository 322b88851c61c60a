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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tally import Size, Tally, check, times
from victim import CURVES, POLICIES, digest, experiment_file, run
from warm import forked

from grainscout.journal import Journal
from grainscout.records import JournalError

_PATIENCE_S = 600.0
_KINDS = ("begin", "statement", "told", "measure", "measured", "wal", "time")
_BEGIN = 60  # statements of SQL until the first measurement, about


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The run that nobody disturbed: its outcomes, and how many acts and seconds it took."""

    outcomes: list[str]
    acts: dict[str, int]
    seconds: float


def _wait(process, kill_when=None):
    """Wait for a victim, killing it when told to; whether it was killed.  A hang is an error."""
    end = time.monotonic() + _PATIENCE_S
    while process.is_alive():
        if kill_when is not None and kill_when():
            process.kill()
        if time.monotonic() > end:
            process.kill()
            raise TimeoutError(f"a run of {CURVES} curves took more than {_PATIENCE_S:g} s")
        process.join(0.0 if kill_when is not None else 1.0)
    process.join()
    return process.exitcode == -signal.SIGKILL


def _outcomes(path):
    with Journal.read(path) as journal:
        return [digest(o) for o in journal.outcomes()]


def _undisturbed(folder, config):
    began = time.monotonic()
    process = forked(run, folder, [str(config), "--out", "whole.gsj"], {"statement": 10**9})
    _wait(process)
    seconds = time.monotonic() - began
    acts = Counter(line.split()[0] for line in (folder / "log").read_text().splitlines())
    (folder / "log").unlink()
    acts["measured"] = acts["measure"]
    acts["statement"] = 11 * acts["measure"]  # of which about the last tenth is never reached
    return Whole(outcomes=_outcomes(folder / "whole.gsj"), acts=dict(acts), seconds=seconds)


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


def _told(folder):
    """Digest of each outcome that a policy was ever told, by its proposal."""
    told = {}
    for line in (folder / "log").read_text().splitlines() if (folder / "log").exists() else ():
        kind, *words = line.split()
        if kind == "told":
            told.setdefault(words[0], set()).add(words[1])
    return told


def _wrong(folder, whole, *, finished):
    """What this journal has lost or doubled, in words; none if nothing."""
    path = folder / "killed.gsj"
    wrong = []
    if not path.exists() and not finished:
        return ["acknowledged without a journal"] if _told(folder) else []
    try:
        with Journal.read(path) as journal:
            outcomes, events = journal.outcomes(), journal.events()
    except JournalError as error:
        # Killed before it began: nothing can have been acknowledged.
        return [str(error)] if finished or _told(folder) or "empty" not in str(error) else []
    found = {o.proposal_id: digest(o) for o in outcomes}
    if len(found) != len(outcomes):
        wrong.append("an outcome is there twice")
    for proposal, told in _told(folder).items():
        if told != {found.get(proposal)}:
            wrong.append(
                f"{proposal} was acknowledged and is {'other' if proposal in found else 'lost'}"
            )
    if [digest(o) for o in outcomes] != whole.outcomes[: len(outcomes)]:
        wrong.append("the trajectory is another one")
    if finished:
        if len(outcomes) != len(whole.outcomes):
            wrong.append(f"{len(outcomes)} outcomes of {len(whole.outcomes)}")
        lines = (folder / "log").read_text().splitlines()
        measured = Counter(
            line.removeprefix("measure ") for line in lines if line[:8] == "measure "
        )
        measured.subtract(f"{o.site[0]} {o.site[1]}" for o in outcomes)
        sites = {o.proposal_id: f"{o.site[0]} {o.site[1]}" for o in outcomes}
        marked = Counter(
            sites[id_]
            for e in events
            if e.kind == "resume"
            for id_ in e.detail["perhaps_measured_twice"]
        )
        if measured - marked:
            wrong.append(f"measured twice and not marked: {dict(measured - marked)}")
    return wrong


def _start(folder, config, kill_at):
    path = folder / "killed.gsj"
    if path.exists() and path.stat().st_size == 0:
        for left in folder.glob("killed.gsj*"):  # as its message says: delete it and start again
            left.unlink()
    words = ["--resume", "killed.gsj"] if path.exists() else [str(config), "--out", "killed.gsj"]
    return forked(run, folder, words, kill_at)


@check("kill")
def killed_runs(size: Size) -> list[Tally]:
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
                wholes[policy, batch] = config, _undisturbed(home, config)
            config, whole = wholes[policy, batch]
            folder = Path(scratch) / str(runs)
            folder.mkdir()
            where = f"{policy}, batch {batch}, run {runs}"
            for _ in range(int(rng.integers(1, 3 if size == "short" else 6))):
                kind, kill_at, kill_when = _blow(rng, whole, folder)
                kills[kind] += _wait(_start(folder, config, kill_at), kill_when)
                wrong += [f"{where}: {w}" for w in _wrong(folder, whole, finished=False)]
            _wait(_start(folder, config, {}))
            wrong += [f"{where}: {w}" for w in _wrong(folder, whole, finished=True)]
            runs += 1
    by = ", ".join(f"{n} {kind}" for kind, n in sorted(kills.items()))
    note = f"{runs} runs; {by}" + "".join(f"; {w}" for w in wrong[:3])
    return [
        Tally(
            what="SIGKILL of a run, then --resume", tried=kills.total(), lost=len(wrong), note=note
        )
    ]


@check("kill-new-process")
def killed_commands(size: Size) -> list[Tally]:
    """The same with the command as a person types it, killed some time after it began to measure."""
    rng = np.random.default_rng(9)
    kills, wrong = 0, []
    wanted = times(size, short=1, long=20)
    with tempfile.TemporaryDirectory() as scratch:
        while kills < wanted:
            folder = Path(tempfile.mkdtemp(dir=scratch))
            config = experiment_file(folder / "run.toml", POLICIES[(5 * kills) % len(POLICIES)])
            whole = _undisturbed(folder, config)  # in a forked process: it makes no difference
            victim = _command(folder, [str(config), "--out", "killed.gsj"])
            while victim.poll() is None and not (folder / "killed.gsj-wal").exists():
                time.sleep(0.01)
            with suppress(subprocess.TimeoutExpired):
                victim.wait(float(rng.uniform(0.0, 0.2 * whole.seconds)))
            victim.kill()
            kills += victim.wait() == -signal.SIGKILL
            ended = _command(folder, ["--resume", "killed.gsj"]).wait(_PATIENCE_S)
            if ended != 0 or _outcomes(folder / "killed.gsj") != whole.outcomes:
                wrong.append(f"{config.read_text().split()[-1]}, exit status {ended}")
    what = "SIGKILL of a new `grainscout run`, then --resume"
    return [Tally(what=what, tried=kills, lost=len(wrong), note="; ".join(wrong[:3]))]


def _command(folder, words):
    return subprocess.Popen(
        [sys.executable, "-m", "grainscout.cli", "run", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
