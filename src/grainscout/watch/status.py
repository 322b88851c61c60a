"""What a person must know first: does it run, is anything wrong, how long will it take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN
from grainscout.records import Budget
from grainscout.watch.journal_reader import Snapshot

Mood = Literal["good", "rest", "warn", "bad"]
_LATELY = 10
_QUIET_S, _QUIET_PACES = 60.0, 8.0


@dataclass(frozen=True, kw_only=True)
class State:
    """What the run is doing.

    name : starting, running, paused, finished, aborted, interrupted, failed or stopped.
    """

    name: str
    words: str
    mood: Mood

    @property
    def going(self) -> bool:
        """Whether a process runs the experiment and can be asked something."""
        return self.name in ("starting", "running", "paused")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that may be wrong."""

    text: str
    mood: Mood


@dataclass(frozen=True, kw_only=True)
class Left:
    """How much of the budget is used, 0 to 1, and what is left of it.

    seconds : of wall time, if it can be told.
    """

    share: float
    words: str
    seconds: float | None


def state_of(run: Snapshot) -> State:
    """The state, from the journal's last words and from who holds it."""
    course = [e for e in run.events if e.kind in ("start", "resume", "end")]
    if course and course[-1].kind == "end":
        return _ended(str(course[-1].detail.get("reason", "")))
    if not run.claimed:
        return State(
            name="stopped",
            words="It stopped without a word: killed, or a power cut. Look at the tip: its bias may "
            "still be on. Then resume the run.",
            mood="bad",
        )
    if not course:
        return State(name="starting", words="Not a measurement yet.", mood="rest")
    if _paused(run):
        return State(name="paused", words="Paused by a person; the tip is parked.", mood="rest")
    return State(name="running", words="", mood="good")


def _ended(reason: str) -> State:
    if reason.startswith("budget"):
        return State(name="finished", words=f"Its budget is used up ({reason[8:]}).", mood="rest")
    if reason == "the policy has nothing left to ask":
        return State(name="finished", words="The policy has nothing left to ask.", mood="rest")
    if reason == "aborted by hand":
        return State(
            name="aborted", words="Ended by a person; parked. It can be resumed.", mood="rest"
        )
    if reason == "interrupted":
        return State(
            name="interrupted", words="Interrupted; parked. It can be resumed.", mood="warn"
        )
    return State(name="failed", words=f"Ended by an error; {reason}", mood="bad")


def _paused(run: Snapshot) -> bool:
    for event in reversed(run.events):
        if event.kind in ("start", "resume"):
            return False
        if event.kind == "request" and "refused" not in event.detail:
            asked = event.detail.get("asked")
            if asked in ("pause", "resume"):
                return bool(asked == "pause")
    return False


def alerts_of(run: Snapshot, state: State, now: float) -> list[Alert]:
    """Everything that may be wrong, the worst first; `now` in seconds since 1970."""
    found: list[Alert] = []
    if state.mood == "bad":
        found.append(Alert(text=state.words, mood="bad"))
    found += _failures(run)
    quiet = max(_QUIET_S, _QUIET_PACES * (run.pace or 0.0))
    if state.name == "running" and now - run.seen > quiet:
        found.append(
            Alert(
                text=f"Nothing came for {duration(now - run.seen)}"
                + (f"; usual is {duration(run.pace)}." if run.pace else "."),
                mood="bad",
            )
        )
    found += _strange_curves(run)
    if state.going:
        found += [
            Alert(text=f"Asked: {r.kind}. It is done before the next measurement.", mood="rest")
            for r in run.asked
        ]
    return sorted(found, key=lambda a: ("bad", "warn", "rest", "good").index(a.mood))


def _failures(run: Snapshot) -> list[Alert]:
    lately = run.status[-_LATELY:]
    failed = int((lately == "failed").sum())
    if not failed:
        return []
    message = run.failures[-1].message
    in_a_row = int(np.argmax(np.append(run.status[::-1] != "failed", True)))
    limit = run.header.config.get("max_failures")
    text = (
        f"The last {in_a_row} measurements failed"
        + (f" (the run stops at {limit})" if limit else "")
        if in_a_row > 1
        else f"{failed} of the last {len(lately)} measurements failed"
    )
    return [Alert(text=f"{text}: {message}" if message else f"{text}.", mood="bad")]


def _strange_curves(run: Snapshot) -> list[Alert]:
    found = []
    railed = int((run.status[-_LATELY:] == "saturated").sum())
    if railed >= _LATELY // 2:
        found.append(
            f"{railed} of the last {_LATELY} curves hit the rail of the current amplifier."
        )
    kinds = run.kind[run.kind != UNKNOWN]
    silent = ARCHETYPE_NAMES.index("insulating")
    last, before = kinds[-_LATELY:], kinds[:-_LATELY]
    if len(before) >= _LATELY and (last == silent).all() and (before == silent).mean() < 0.5:
        found.append(
            f"The last {_LATELY} curves are all insulating, {(before == silent).mean():.0%} of those "
            "before were: is the tip still in contact?"
        )
    if len(run.value) > _LATELY and np.isnan(run.value[-_LATELY:]).all():
        found.append(
            f"None of the last {_LATELY} curves tells {run.header.problem.target.replace('_', ' ')}."
        )
    return [Alert(text=text, mood="warn") for text in found]


def left_of(run: Snapshot) -> Left:
    """The budget that will be used up first, as far as the journal tells."""
    budget: Budget = run.header.problem.budget
    clock = float(run.finished[-1]) if len(run.finished) else 0.0
    spent = spent_curves(run)
    step = np.diff(run.finished[-_LATELY:])
    per_curve = float(np.median(step)) if len(step) else None  # on the microscope's clock
    found: list[Left] = []
    if budget.curves is not None:
        over = max(budget.curves - spent, 0)
        found.append(
            Left(
                share=min(spent / budget.curves, 1.0),
                words=f"{over} of {budget.curves} curves",
                seconds=None if run.pace is None else over * run.pace,
            )
        )
    if budget.seconds is not None:
        rest = max(budget.seconds - clock, 0.0)
        known = run.pace is not None and per_curve
        found.append(
            Left(
                share=min(clock / budget.seconds, 1.0),
                words=f"{duration(rest)} of {duration(budget.seconds)} on the microscope's clock",
                seconds=rest * run.pace / per_curve if known and run.pace and per_curve else None,
            )
        )
    if not found:  # the journal keeps the wear with the microscope's own state only
        words = f"until {budget.wear:.0%} of the tip's life is used"
        return Left(share=0.0, words=words, seconds=None)
    return max(found, key=lambda left: left.share)


def spent_curves(run: Snapshot) -> int:
    """Curves that count towards the budget: not those that were vetoed, nor attached ones."""
    return int(((run.status != "aborted") & ~run.attached).sum())


def duration(seconds: float) -> str:
    """Such as "48 s", "12 min", "3 h 05 min"."""
    if seconds < 99.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
