"""Judge curves as they come, look again at suspicious ones, and notice a tip that is gone."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from grainscout.analysis.curves.quality import CONFIRMED, WINDOW, judge_curve
from grainscout.records import ConfigError, IVCurve, Outcome, Proposal, Waveform

#: First words of the reason for the end of a run whose curves are unusable.
SPOILT = "spoilt curves"
#: Share of unusable curves among the latest at which a run stops.
MAX_SPOILT = 0.95
_SAME = 0.2  # rms difference of two curves, as a share of the larger rms, up to which they agree


def check_looks(second_look: int, max_spoilt: float) -> None:
    """ConfigError for settings out of range."""
    if second_look < 0 or not 0.0 < max_spoilt <= 1.0:
        raise ConfigError(
            "second_look must be at least 0 and max_spoilt in (0, 1]; got "
            f"{second_look} and {max_spoilt}"
        )


def judged(outcome: Outcome, waveform: Waveform) -> Outcome:
    """The outcome with the verdict on its curve, if it has one."""
    if outcome.curve is None:
        return outcome
    return replace(outcome, quality=judge_curve(outcome.curve, waveform.voltage))


def confirmed(again: Outcome, first: Outcome) -> Outcome:
    """A second look; if it shows the same as the first, what looked suspicious is real."""
    same = (
        again.curve is not None
        and first.curve is not None
        and again.quality is not None
        and not again.quality.usable
        and agree(first.curve, again.curve)
    )
    if not same or again.quality is None:
        return again
    reasons = (*again.quality.reasons, CONFIRMED)
    return replace(again, quality=replace(again.quality, usable=True, reasons=reasons))


def suspicious(proposal: Proposal, outcomes: Sequence[Outcome], most: int) -> Outcome | None:
    """The outcome of a proposal whose site is to be measured again, at most `most` times."""
    looks = [o for o in outcomes if o.proposal_id == proposal.id]
    first = looks[0]
    looks += [o for o in outcomes if o.proposal_id is None and o.site == first.site]
    over = len(looks) > most or first.curve is None or looks[-1].usable
    return None if over else first


def agree(first: IVCurve, second: IVCurve) -> bool:
    """True if two curves of one sweep differ by at most a fifth of their size (rms)."""
    if len(first) != len(second):
        return False
    a, b = first.current, second.current
    known = np.isfinite(a) & np.isfinite(b)
    if not known.all():
        return False
    size = max(float(np.sqrt(np.mean(a**2))), float(np.sqrt(np.mean(b**2))))
    return float(np.sqrt(np.mean((a - b) ** 2))) <= _SAME * size


class SpoiltCurves:
    """Share of unusable curves among the latest ones. `most` ends the run; a warning comes at half of it."""

    def __init__(self, most: float) -> None:
        self.most = most
        self._latest: deque[Outcome] = deque(maxlen=WINDOW)
        self._warned = False

    def count(self, outcome: Outcome) -> None:
        """Take a measured outcome into account; failed and aborted ones say nothing."""
        if outcome.curve is not None and outcome.quality is not None:
            self._latest.append(replace(outcome, curve=None, status="aborted"))

    @property
    def share(self) -> float:
        """Share of the latest curves that are unusable; 0 while there are too few."""
        if len(self._latest) < WINDOW:
            return 0.0
        return sum(o.quality is not None and not o.quality.usable for o in self._latest) / WINDOW

    def reasons(self) -> str:
        """The reasons in words, the most frequent first."""
        every = Counter(r for o in self._latest if o.quality for r in o.quality.reasons)
        return ", ".join(f"{reason} ({n})" for reason, n in every.most_common())

    def new_warning(self) -> bool:
        """True once, when the share has reached half of what stops the run."""
        if self._warned or self.share < 0.5 * self.most:
            return False
        self._warned = True
        return True

    def stop(self) -> str | None:
        """Why the run must stop, or None."""
        if self.share < self.most:
            return None
        return (
            f"{SPOILT}: {round(self.share * WINDOW)} of the latest {WINDOW} are unusable "
            f"({self.reasons()}); look at the tip"
        )
