"""Runs of `grainscout run` that are killed, resumed, and compared with the undisturbed one."""

import signal
import time
from collections import Counter
from dataclasses import dataclass

from victim import CURVES, digest, name_of, run
from warm import PATIENCE_S, forked

from grainscout.journal import Journal
from grainscout.records import JournalError


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The run that nobody disturbed: its outcomes, and how many acts and seconds it took."""

    outcomes: list[str]
    acts: dict[str, int]
    seconds: float


def wait(process, kill_when=lambda: False):
    """Wait for a victim, killing it when told to; whether it was killed.  A hang is an error."""
    end = time.monotonic() + PATIENCE_S
    while process.is_alive():
        if kill_when():
            process.kill()
        if time.monotonic() > end:
            process.kill()
            raise TimeoutError(f"a run of {CURVES} curves took more than {PATIENCE_S:g} s")
        process.join(0.001)
    process.join()
    return process.exitcode == -signal.SIGKILL


def outcomes_of(path):
    with Journal.read(path) as journal:
        return [digest(o) for o in journal.outcomes()]


def logged(folder):
    """The words of each act in the log of a victim."""
    log = folder / "log"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def undisturbed(folder, config):
    began = time.monotonic()
    wait(forked(run, folder, [str(config), "--out", "whole.gsj"], {}))
    seconds = time.monotonic() - began
    acts = Counter(kind for kind, *_ in logged(folder))
    (folder / "log").unlink()
    acts["measured"] = acts["measure"]
    acts["statement"] = 11 * acts["measure"]  # of which about the last tenth is never reached
    return Whole(outcomes=outcomes_of(folder / "whole.gsj"), acts=dict(acts), seconds=seconds)


def wrong_in(folder, whole, *, finished):
    """What this journal has lost or doubled, in words; none if nothing."""
    path, given = folder / "killed.gsj", {}
    for kind, *words in logged(folder):
        if kind == "told":  # that is what was acknowledged
            given.setdefault(words[0], set()).add(words[1])
    if not path.exists() and not finished:
        return ["acknowledged without a journal"] if given else []
    try:
        with Journal.read(path) as journal:
            outcomes, events = journal.outcomes(), journal.events()
    except JournalError as error:
        # Killed before it began: nothing can have been acknowledged.
        return [str(error)] if finished or given or "empty" not in str(error) else []
    found = {name_of(o): digest(o) for o in outcomes}
    wrong = ["an outcome is there twice"] * (len(found) != len(outcomes))
    for proposal, digests in given.items():
        if digests != {found.get(proposal)}:
            fate = "other" if proposal in found else "lost"
            wrong.append(f"{proposal} was acknowledged and is {fate}")
    if [digest(o) for o in outcomes] != whole.outcomes[: len(outcomes)]:
        wrong.append("the trajectory is another one")
    if not finished:
        return wrong
    if len(outcomes) != len(whole.outcomes):
        wrong.append(f"{len(outcomes)} outcomes of {len(whole.outcomes)}")
    twice = Counter(tuple(map(int, at)) for kind, *at in logged(folder) if kind == "measure")
    twice.subtract(tuple(o.site) for o in outcomes)
    sites = {o.proposal_id: tuple(o.site) for o in outcomes}
    resumes = [e.detail["perhaps_measured_twice"] for e in events if e.kind == "resume"]
    if lost := twice - Counter(sites[id_] for ids in resumes for id_ in ids):
        wrong.append(f"measured twice and not marked: {dict(lost)}")
    return wrong


def start(folder, config, kill_at):
    path = folder / "killed.gsj"
    if path.exists() and path.stat().st_size == 0:
        for left in folder.glob("killed.gsj*"):  # as its message says: delete it and start again
            left.unlink()
    words = ["--resume", "killed.gsj"] if path.exists() else [str(config), "--out", "killed.gsj"]
    return forked(run, folder, words, kill_at)
