"""Curves that a person takes out again, sites that are excluded, and how the policy learns of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from grainscout.experiment.changes import EXCLUDED, Changes, inside
from grainscout.experiment.outcomes import unmeasured_at
from grainscout.journal import Journal
from grainscout.journal.models import Retraction
from grainscout.policies.protocol import Policy, SupportsRetract
from grainscout.records.errors import ConfigError
from grainscout.records.problem import Outcome, Problem, Proposal
from grainscout.records.scan import Site
from grainscout.records.supports import SupportsState, supports


def retraction(journal: Journal, detail: Mapping[str, Any], before: int) -> Retraction:
    """Check what a request to retract names, told before batch `before`. ConfigError says what is wrong."""
    number, reason = detail.get("outcome"), detail.get("reason")
    if not (isinstance(number, int) and isinstance(reason, str) and reason.strip()):
        raise ConfigError(
            f"retract needs the number of an outcome and a reason; got {number!r}, {reason!r}"
        )
    outcome = journal.as_told(number) if number >= 0 else None
    if outcome is None or outcome.curve is None:
        raise ConfigError(f"retract needs an outcome with a curve; number {number} has none")
    if any(known.outcome == number for known in journal.retractions()):
        raise ConfigError(f"the curve of outcome {number} was taken out before")
    return Retraction(outcome=number, reason=reason.strip(), before=before)


def can_forget(policy: Policy) -> None:
    """ConfigError unless a policy can go on without a curve that it was told."""
    if not (supports(policy, SupportsRetract) or supports(policy, SupportsState)):
        raise ConfigError(
            "retract needs a policy that can forget a curve, or whose state can be stored; "
            f"{type(policy).__name__} can do neither. Leave the curve out after the run"
        )


class ToldPolicy:
    """The policy of a run, the curves that were taken out again, and the sites that are excluded.

    It hears of an excluded site as one that could not be measured, before its next decision. If it
    asks for one all the same, it is told so and asked again; neither is in the journal, as the
    request in there gives both again.

    A policy without ``retract`` begins anew and is told everything else. Its proposal ids begin
    again then, so that the loop adds the number of the batch to them.
    """

    def __init__(
        self, policy: Policy, problem: Problem, journal: Journal | None, changes: Changes
    ) -> None:
        self._policy, self._problem, self._journal = policy, problem, journal
        self._changes, self._excluded = changes, changes.until(-1)  # what the policy knows of
        self.retractions: list[Retraction] = []  # that the policy does not know yet
        self._mark = ""  # ends the ids of a policy that began anew

    def ask(self, n: int) -> list[Proposal]:
        """Ask the policy for sites."""
        proposals = self._policy.ask(n)
        for _ in range(2 * len(self._problem.candidates)):  # a policy that never learns ends, too
            if not isinstance(proposals, list) or not self._excluded.any():
                break
            out = [p for p in proposals if inside(p.site, self._excluded, self._problem)]
            if not out:
                break
            self._policy.tell([_excluded(p.site, p.id) for p in out])
            kept = [p for p in proposals if p not in out]
            proposals = [*kept, *self._policy.ask(n - len(kept))]
        if not self._mark or not isinstance(proposals, list):
            return proposals
        return [replace(p, id=p.id + self._mark) for p in proposals]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Tell the policy outcomes under its own ids."""
        self._policy.tell([self._own(o) for o in outcomes])

    def update(self, batch: int) -> None:
        """Let the policy know what was taken out or excluded before a batch."""
        self._retract(batch)
        before, self._excluded = self._excluded, self._changes.until(batch)
        sites = self._problem.candidates[self._excluded & ~before].tolist()
        if sites:
            self._policy.tell([_excluded(Site(*site), None) for site in sites])

    def _retract(self, batch: int) -> None:
        due = [r for r in self.retractions if r.before <= batch]
        if not due or self._journal is None:
            return
        self.retractions = [r for r in self.retractions if r.before > batch]
        if supports(self._policy, SupportsRetract):
            outcomes = [self._journal.as_told(r.outcome) for r in due]
            self._policy.retract([o for o in outcomes if o is not None])
            return
        gone = {r.outcome for r in self._journal.retractions() if r.before <= batch}
        told = [o for b in self._journal.batches() if b.number < batch for o in b.outcomes]
        self._policy.reset(self._problem, rng=self._journal.header().policy_rng())
        self._excluded = self._changes.until(-1)
        self._mark = _mark(batch)
        self.tell([o for k, o in enumerate(told) if k not in gone])

    def resume(self, restored: int) -> None:
        """Continue from the journal, with the policy's state after batch `restored`; -1 for none."""
        self._excluded = self._changes.until(restored)
        every = [] if self._journal is None else self._journal.retractions()
        self.retractions = [r for r in every if r.before > restored]
        known = [r.before for r in every if r.before <= restored]
        if known and not supports(self._policy, SupportsRetract):
            self._mark = _mark(max(known))

    def _own(self, outcome: Outcome) -> Outcome:
        """The outcome under the policy's own proposal id; none for those of before it began anew."""
        if not self._mark or outcome.proposal_id is None:
            return outcome
        ours = outcome.proposal_id.endswith(self._mark)
        return replace(
            outcome, proposal_id=outcome.proposal_id.removesuffix(self._mark) if ours else None
        )


def _excluded(site: Site, proposal_id: str | None) -> Outcome:
    return unmeasured_at(site, proposal_id, visit=0, at=0.0, message=EXCLUDED)


def _mark(batch: int) -> str:
    return f"+{batch}"
