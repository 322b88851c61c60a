"""State, alerts and remaining budget of a run."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN
from grainscout.analysis.curves.quality import WINDOW
from grainscout.experiment.changes import Changes
from grainscout.experiment.evidence import MAX_SPOILT, SPOILT
from grainscout.experiment.stopping import SETTLED
from grainscout.records import Budget
from grainscout.watch.journal_reader import Snapshot

Severity = Literal["bad", "warn", "rest", "good"]
_RECENT = 10
_QUIET_S, _QUIET_PACES = 60.0, 8.0
#: Reason of the end -> name of the state, text and severity.
_ENDS: dict[str, tuple[str, str, Severity]] = {
    "the policy has nothing left to ask": (
        "finished",
        "The policy has nothing left to ask.",
        "rest",
    ),
    "aborted by hand": ("aborted", "Ended by a person; parked. It can be resumed.", "rest"),
    "interrupted": ("interrupted", "Interrupted; parked. It can be resumed.", "warn"),
}


@dataclass(frozen=True, kw_only=True)
class State:
    """Activity of the run."""

    name: str  #: starting, running, paused, finished, aborted, interrupted, failed or stopped
    text: str  #: Explanation for the viewer
    severity: Severity  #: Colour of the state on the page

    @property
    def going(self) -> bool:
        """True if a process runs and accepts requests."""
        return self.name in ("starting", "running", "paused")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Possible fault of the run."""

    text: str
    severity: Severity


@dataclass(frozen=True, kw_only=True)
class RemainingBudget:
    """Used share of the budget, and the rest."""

    share: float
    text: str
    seconds: float | None


def state_of(run: Snapshot) -> State:
    """State by the journal's last events and lock."""
    turns = [e for e in run.events if e.kind in ("start", "resume", "end")]
    if turns and turns[-1].kind == "end":
        return _ended(str(turns[-1].detail.get("reason", "")))
    if not run.claimed:
        return State(
            name="stopped",
            text="The process ended without a message (killed, or power lost). Check the tip: its bias "
            "may still be on. Then resume the run.",
            severity="bad",
        )
    if not turns:
        return State(name="starting", text="Not a measurement yet.", severity="rest")
    if _paused(run):
        return State(name="paused", text="Paused by a person; the tip is parked.", severity="rest")
    return State(name="running", text="", severity="good")


def _ended(reason: str) -> State:
    if reason.startswith("budget"):
        return State(
            name="finished", text=f"Its budget is used up ({reason[8:]}).", severity="rest"
        )
    if reason.startswith(SETTLED):
        return State(name="finished", text=f"Ended early:{reason[8:]}.", severity="rest")
    if reason.startswith(SPOILT):
        return State(name="failed", text=f"Ended because of {reason}.", severity="bad")
    name, text, severity = _ENDS.get(reason, ("failed", f"Ended by an error; {reason}", "bad"))
    return State(name=name, text=text, severity=severity)


def _paused(run: Snapshot) -> bool:
    for event in reversed(run.events):
        if event.kind in ("start", "resume"):
            return False
        asked = event.detail.get("asked")
        if (
            event.kind == "request"
            and "refused" not in event.detail
            and asked in ("pause", "resume")
        ):
            return bool(asked == "pause")
    return False


def alerts_of(run: Snapshot, state: State, now: float) -> list[Alert]:
    """All possible faults at `now`, the worst first."""
    alerts: list[Alert] = []
    if state.severity == "bad":
        alerts.append(Alert(text=state.text, severity="bad"))
    alerts += _failures(run)
    quiet = max(_QUIET_S, _QUIET_PACES * (run.pace or 0.0))
    if state.name == "running" and now - run.seen > quiet:
        usual = f"; usual is {duration(run.pace)}." if run.pace else "."
        text = f"Nothing came for {duration(now - run.seen)}{usual}"
        alerts.append(Alert(text=text, severity="bad"))
    alerts += _unusable_curves(run, state)
    alerts += _strange_curves(run)
    if state.going:
        alerts += [
            Alert(text=f"Asked: {r.kind}. It is done before the next measurement.", severity="rest")
            for r in run.asked
        ]
    return sorted(alerts, key=lambda a: ("bad", "warn", "rest", "good").index(a.severity))


def _failures(run: Snapshot) -> list[Alert]:
    recent = run.status[-_RECENT:]
    failed = int((recent == "failed").sum())
    if not failed:
        return []
    message = run.failures[-1].message
    in_a_row = int(np.argmax(np.append(run.status[::-1] != "failed", True)))
    limit = run.header.config.get("max_failures")
    text = f"{failed} of the last {len(recent)} measurements failed"
    if in_a_row > 1:
        stop = f" (the run stops at {limit})" if limit else ""
        text = f"The last {in_a_row} measurements failed{stop}"
    return [Alert(text=f"{text}: {message}" if message else f"{text}.", severity="bad")]


@dataclass(frozen=True, kw_only=True)
class RecentQuality:
    """Judged and unusable curves among the latest ones, and the reasons in words."""

    judged: int
    unusable: int
    reasons: str


def recent_quality(run: Snapshot) -> RecentQuality:
    """Count the unusable curves among the latest ones."""
    latest = [q for q in run.quality if q is not None][-WINDOW:]
    bad = [q for q in latest if not q.usable]
    counts = Counter(reason for q in bad for reason in q.reasons).most_common()
    return RecentQuality(
        judged=len(latest),
        unusable=len(bad),
        reasons=", ".join(f"{reason} ({number})" for reason, number in counts),
    )


def _unusable_curves(run: Snapshot, state: State) -> list[Alert]:
    recent = recent_quality(run)
    most = float(run.header.config.get("max_spoilt", MAX_SPOILT))
    if not state.going or recent.unusable < 0.5 * most * WINDOW:
        return []
    text = (
        f"{recent.unusable} of the latest {recent.judged} curves are unusable: {recent.reasons}. "
        f"Look at the tip. The run stops at {math.ceil(most * WINDOW)} of {WINDOW}."
    )
    return [Alert(text=text, severity="warn")]


def _strange_curves(run: Snapshot) -> list[Alert]:
    texts = []
    at_rail = int((run.status[-_RECENT:] == "saturated").sum())
    if at_rail >= _RECENT // 2:
        texts.append(
            f"{at_rail} of the last {_RECENT} curves hit the rail of the current amplifier."
        )
    known = run.archetype[run.archetype != UNKNOWN]
    insulating = known == ARCHETYPE_NAMES.index("insulating")
    last, before = insulating[-_RECENT:], insulating[:-_RECENT]
    if len(before) >= _RECENT and last.all() and before.mean() < 0.5:
        texts.append(
            f"The last {_RECENT} curves are all insulating, {before.mean():.0%} of those "
            "before were: is the tip still in contact?"
        )
    if len(run.value) > _RECENT and np.isnan(run.value[-_RECENT:]).all():
        target = run.header.problem.target.replace("_", " ")
        texts.append(f"None of the last {_RECENT} curves has a value of {target}.")
    return [Alert(text=text, severity="warn") for text in texts]


def remaining_budget(run: Snapshot) -> RemainingBudget:
    """The part of the budget that ends first."""
    changes = Changes(run.header.problem, None)
    changes.restore(run.events)
    budget: Budget = changes.budget
    limits: list[RemainingBudget] = []
    if budget.curves is not None:
        spent = spent_curves(run)
        rest = max(budget.curves - spent, 0)
        limits.append(
            RemainingBudget(
                share=min(spent / budget.curves, 1.0),
                text=f"{rest} of {budget.curves} curves",
                seconds=None if run.pace is None else rest * run.pace,
            )
        )
    if budget.seconds is not None:
        clock = float(run.finished[-1]) if len(run.finished) else 0.0
        left = max(budget.seconds - clock, 0.0)
        step = np.diff(run.finished[-_RECENT:])
        per_curve = float(np.median(step)) if len(step) else 0.0  # on the microscope's clock
        limits.append(
            RemainingBudget(
                share=min(clock / budget.seconds, 1.0),
                text=f"{duration(left)} of {duration(budget.seconds)} on the microscope's clock",
                seconds=left * run.pace / per_curve if run.pace and per_curve else None,
            )
        )
    if not limits:  # the journal keeps the wear only in the microscope's own state
        text = f"until {budget.wear:.0%} of the tip's life is used"
        return RemainingBudget(share=0.0, text=text, seconds=None)
    return max(limits, key=lambda limit: limit.share)


def spent_curves(run: Snapshot) -> int:
    """Number of curves that the budget counts."""
    return int(((run.status != "aborted") & ~run.attached).sum())


def duration(seconds: float) -> str:
    """Format seconds, such as "48 s" or "12 min"."""
    if seconds < 99.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
