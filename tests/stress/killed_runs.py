"""Runs of `grainscout run` that are killed, resumed, and compared with the undisturbed one."""

import signal
import time
from collections import Counter
from dataclasses import dataclass

from victim import CURVES, digest, name_of, run
from warm import forked

from grainscout.journal import Journal
from grainscout.records import JournalError

PATIENCE_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The run that nobody disturbed: its outcomes, and how many acts and seconds it took."""

    outcomes: list[str]
    acts: dict[str, int]
    seconds: float


def wait(process, kill_when=None):
    """Wait for a victim, killing it when told to; whether it was killed.  A hang is an error."""
    end = time.monotonic() + PATIENCE_S
    while process.is_alive():
        if kill_when is not None and kill_when():
            process.kill()
        if time.monotonic() > end:
            process.kill()
            raise TimeoutError(f"a run of {CURVES} curves took more than {PATIENCE_S:g} s")
        process.join(0.0 if kill_when is not None else 1.0)
    process.join()
    return process.exitcode == -signal.SIGKILL


def outcomes_of(path):
    with Journal.read(path) as journal:
        return [digest(o) for o in journal.outcomes()]


def undisturbed(folder, config):
    began = time.monotonic()
    process = forked(run, folder, [str(config), "--out", "whole.gsj"], {"statement": 10**9})
    wait(process)
    seconds = time.monotonic() - began
    acts = Counter(line.split()[0] for line in (folder / "log").read_text().splitlines())
    (folder / "log").unlink()
    acts["measured"] = acts["measure"]
    acts["statement"] = 11 * acts["measure"]  # of which about the last tenth is never reached
    return Whole(outcomes=outcomes_of(folder / "whole.gsj"), acts=dict(acts), seconds=seconds)


def acknowledged(folder):
    """Digest of each outcome that a policy was ever given, by its proposal."""
    given = {}
    for line in (folder / "log").read_text().splitlines() if (folder / "log").exists() else ():
        kind, *words = line.split()
        if kind == "told":
            given.setdefault(words[0], set()).add(words[1])
    return given


def wrong_in(folder, whole, *, finished):
    """What this journal has lost or doubled, in words; none if nothing."""
    path = folder / "killed.gsj"
    wrong = []
    if not path.exists() and not finished:
        return ["acknowledged without a journal"] if acknowledged(folder) else []
    try:
        with Journal.read(path) as journal:
            outcomes, events = journal.outcomes(), journal.events()
    except JournalError as error:
        # Killed before it began: nothing can have been acknowledged.
        return [str(error)] if finished or acknowledged(folder) or "empty" not in str(error) else []
    found = {name_of(o): digest(o) for o in outcomes}
    if len(found) != len(outcomes):
        wrong.append("an outcome is there twice")
    for proposal, given in acknowledged(folder).items():
        if given != {found.get(proposal)}:
            fate = "other" if proposal in found else "lost"
            wrong.append(f"{proposal} was acknowledged and is {fate}")
    if [digest(o) for o in outcomes] != whole.outcomes[: len(outcomes)]:
        wrong.append("the trajectory is another one")
    if finished:
        if len(outcomes) != len(whole.outcomes):
            wrong.append(f"{len(outcomes)} outcomes of {len(whole.outcomes)}")
        lines = (folder / "log").read_text().splitlines()
        measured = Counter(ln.removeprefix("measure ") for ln in lines if ln[:8] == "measure ")
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


def start(folder, config, kill_at):
    path = folder / "killed.gsj"
    if path.exists() and path.stat().st_size == 0:
        for left in folder.glob("killed.gsj*"):  # as its message says: delete it and start again
            left.unlink()
    words = ["--resume", "killed.gsj"] if path.exists() else [str(config), "--out", "killed.gsj"]
    return forked(run, folder, words, kill_at)
