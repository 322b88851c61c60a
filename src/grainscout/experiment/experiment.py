"""The experiment object."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

from grainscout.experiment.operator import Aborted, ByHand, Desk
from grainscout.experiment.outcomes import attached, costs, measure, vetoed
from grainscout.experiment.threads import one_thread
from grainscout.hardware.protocol import Microscope, SupportsCheck, SupportsFaults, SupportsWear
from grainscout.journal import Journal
from grainscout.policies.protocol import Policy
from grainscout.records import (
    ConfigError,
    JournalError,
    MicroscopeError,
    Outcome,
    PackedState,
    PolicyError,
    Problem,
    Proposal,
    Site,
    spawn_streams,
)
from grainscout.records.supports import SupportsState, supports


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One turn of the loop, as observers see it: batch number, what was proposed and came back."""

    number: int
    proposals: Sequence[Proposal]
    outcomes: Sequence[Outcome]
    decision_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """All outcomes of a run in order, and why it ended."""

    outcomes: Sequence[Outcome]
    reason: str


class Experiment:
    """One run of a policy on a microscope.

    microscope : anything that follows the protocol; put a ``hardware.Guard`` around it to have
        limits enforced.
    policy : anything with reset, ask and tell.
    problem : from `make_problem`.
    seed : the experiment's seed; the policy's generator is spawned from it.
    journal : where everything is written; None keeps the run in memory only.
    batch : how many sites to ask for at a time.
    decision_seconds : what a decision costs on a *simulated* clock, so that simulated time does not
        depend on how busy this computer is; None charges the time that it really took.  On a
        real clock it passes by itself.
    checkpoint_every : batches between stored policy states (a resume replays the rest).
    max_failures : failed measurements in a row after which the run stops with MicroscopeError.
    observe : called after each batch was told, with a `Step`.
    """

    def __init__(
        self,
        microscope: Microscope,
        policy: Policy,
        *,
        problem: Problem,
        seed: int,
        journal: Journal | None = None,
        batch: int = 1,
        decision_seconds: float | None = 0.5,
        checkpoint_every: int = 10,
        max_failures: int = 10,
        observe: Callable[[Step], None] | None = None,
    ) -> None:
        for name, value in (
            ("batch", batch),
            ("checkpoint_every", checkpoint_every),
            ("max_failures", max_failures),
        ):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value}")
        self.microscope = microscope
        self.policy = policy
        self.problem = problem
        self.seed = seed
        self.journal = journal
        self.batch = batch
        self.decision_seconds = decision_seconds
        self.checkpoint_every = checkpoint_every
        self.max_failures = max_failures
        self.observe = observe
        self._started = False
        self._outcomes: list[Outcome] = []  # without a journal; with one, memory stays flat
        self._spent_curves = 0
        self._visits: Counter[tuple[int, int]] = Counter()
        self._ids: set[str] = set()
        self._number = 0
        self._failures = 0
        self._candidates = {(int(r), int(c)) for r, c in problem.candidates}
        self._wear_start = self._wear()
        self._elapsed = 0.0  # seconds of earlier stretches on a clock that cannot be restored
        self._faults = 0  # how many of the instrument's are in the journal
        self._desk = Desk(journal, problem)
        self._pending: tuple[list[Proposal], list[Outcome], float] | None = None
        if problem.budget.wear is not None and not supports(microscope, SupportsWear):
            raise ConfigError(
                "budget wear needs a microscope that reports tip wear; this one does not"
            )
        policy.reset(problem, rng=spawn_streams(seed).policy_rng())

    @classmethod
    def resume(
        cls, journal: Journal, microscope: Microscope, policy: Policy, **settings: Any
    ) -> Self:
        """The experiment of a journal, ready to `run` on; settings as for the constructor.

        The policy is restored from its last stored state and then led through the recorded batches
        again, each of its answers compared with the record.  JournalError if they differ: the journal
        is then of another policy, version or seed.
        """
        header = journal.header()
        experiment = cls(
            microscope,
            policy,
            problem=header.problem,
            seed=header.seed,
            journal=journal,
            **settings,
        )
        with one_thread():
            experiment._replay(journal)
        return experiment

    def run(self) -> Result:
        """Go on until the budget is used up or the policy has nothing left to ask.

        Whatever happens, the microscope is parked and the journal says why the run ended.  Before each
        measurement the requests that people left in the journal are obeyed (see `REQUESTS`).
        Raises MicroscopeError, LimitError, PolicyError or JournalError; KeyboardInterrupt passes.
        """
        with nullcontext() if self.journal is None else self.journal.claimed():
            reason = self._parked_at_the_end()
        told = self._outcomes if self.journal is None else self.journal.outcomes()
        return Result(outcomes=tuple(told), reason=reason)

    def _parked_at_the_end(self) -> str:
        reason = "error"
        try:
            with one_thread():
                reason = self._loop()
        except Aborted:
            reason = "aborted by hand"
        except KeyboardInterrupt:
            reason = "interrupted"
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            try:
                self.microscope.park()
            finally:
                self._note_faults()
                self._event("end", reason=reason)
        return reason

    def _loop(self) -> str:
        if not self._started:
            self._start()
        if self._pending is not None:
            proposals, outcomes, decision_s = self._pending
            self._pending = None
            self._finish_batch(proposals, outcomes, decision_s)
        while (spent := self._spent()) is None:
            if not self._turn():
                return "the policy has nothing left to ask"
        return spent

    def _start(self) -> None:
        self._started = True
        if self.journal is not None:
            state = self._microscope_state()
            if state is not None:
                self.journal.record_microscope(state)
            self._event("start", wear=self._wear_start)

    # One turn -----------------------------------------------------------------------------------

    def _turn(self) -> bool:
        wanted = self.batch
        if self.problem.budget.curves is not None:
            wanted = min(wanted, self.problem.budget.curves - self._spent_curves)
        begun = time.perf_counter()
        proposals = self._checked(self.policy.ask(wanted), wanted)
        decision_s = time.perf_counter() - begun
        if not proposals:
            return False
        if self.journal is not None:
            self.journal.record_batch(self._number, proposals, decision_s)
        self.microscope.clock.spend(
            decision_s if self.decision_seconds is None else self.decision_seconds
        )
        self._finish_batch(proposals, [], decision_s)
        return True

    def _finish_batch(
        self, proposals: list[Proposal], outcomes: list[Outcome], decision_s: float
    ) -> None:
        done = {o.proposal_id for o in outcomes}
        for proposal in proposals:
            if proposal.id in done:
                continue
            for added in self._desk.obey(self.microscope):
                self._keep(self._come_of(added), outcomes)
            self._keep(self._come_of(proposal.site, proposal.id), outcomes)
        self.policy.tell(outcomes)
        due = (self._number + 1) % self.checkpoint_every == 0
        if self.journal is not None and due and supports(self.policy, SupportsState):
            self.journal.record_policy(self._number, self.policy.state())
        if self.observe is not None:
            self.observe(
                Step(
                    number=self._number,
                    proposals=proposals,
                    outcomes=outcomes,
                    decision_s=decision_s,
                )
            )
        self._number += 1
        self._note_faults()
        if self._failures >= self.max_failures:
            raise MicroscopeError(
                f"{self._failures} measurements in a row failed, the last with: "
                f"{outcomes[-1].message}. Look at the tip, then resume"
            )

    def _keep(self, outcome: Outcome, outcomes: list[Outcome]) -> None:
        if self.journal is not None:
            self.journal.record_outcome(self._number, outcome, self._microscope_state())
        self._count(outcome)
        outcomes.append(outcome)

    def _come_of(self, wanted: Site | ByHand, proposal_id: str | None = None) -> Outcome:
        site = wanted.site if isinstance(wanted, ByHand) else wanted
        visit = self._visits[site[0], site[1]]
        if isinstance(wanted, ByHand):
            return attached(site, wanted.curve, visit=visit, at=self._now())
        if proposal_id is not None and proposal_id in self._desk.vetoed:
            return vetoed(site, proposal_id, visit=visit, at=self._now())
        return measure(
            self.microscope,
            self.problem.waveform,
            site,
            visit=visit,
            now=self._now,
            proposal_id=proposal_id,
        )

    def _checked(self, proposals: list[Proposal], wanted: int) -> list[Proposal]:
        if not isinstance(proposals, list) or not all(isinstance(p, Proposal) for p in proposals):
            raise PolicyError(f"ask({wanted}) must give a list of Proposal; got {proposals!r:.80}")
        if len(proposals) > wanted:
            raise PolicyError(
                f"ask({wanted}) must give at most {wanted} proposals; got {len(proposals)}"
            )
        for p in proposals:
            if (p.site[0], p.site[1]) not in self._candidates:
                raise PolicyError(f"a proposal must be a candidate site; got {tuple(p.site)}")
            if p.id in self._ids:
                raise PolicyError(f"proposal ids must be unique; got {p.id!r} again")
            self._ids.add(p.id)
        return proposals

    # Bookkeeping --------------------------------------------------------------------------------

    def _count(self, outcome: Outcome) -> None:
        if self.journal is None:
            self._outcomes.append(outcome)
        self._spent_curves += costs(outcome)
        if outcome.status != "aborted":
            self._visits[int(outcome.site[0]), int(outcome.site[1])] += 1
        self._failures = self._failures + 1 if outcome.status == "failed" else 0

    def _spent(self) -> str | None:
        budget = self.problem.budget
        if budget.curves is not None and self._spent_curves >= budget.curves:
            return f"budget: {budget.curves} curves"
        if budget.seconds is not None and self._now() >= budget.seconds:
            return f"budget: {budget.seconds:g} s"
        if budget.wear is not None and self._wear() - self._wear_start >= budget.wear:
            return f"budget: {budget.wear:g} of the tip's life"
        return None

    def _wear(self) -> float:
        return self.microscope.wear() if supports(self.microscope, SupportsWear) else 0.0

    def _now(self) -> float:
        return self._elapsed + self.microscope.clock.now()

    def _event(self, kind: str, **detail: Any) -> None:
        if self.journal is not None:
            self.journal.record_event(kind, self._now(), **detail)

    def _note_faults(self) -> None:
        """Faults that a simulated instrument knows of; the journal tells, the policy does not hear."""
        if self.journal is None or not supports(self.microscope, SupportsFaults):
            return
        faults = self.microscope.faults()
        for fault in faults[self._faults :]:
            self._event("fault", what=fault["kind"], at_s=fault["time_s"], **fault["detail"])
        self._faults = len(faults)

    def _microscope_state(self) -> PackedState | None:
        return self.microscope.state() if supports(self.microscope, SupportsState) else None

    # Resuming -----------------------------------------------------------------------------------

    def _replay(self, journal: Journal) -> None:
        batches = journal.batches()
        stored = journal.checkpoint("policy")
        if stored is not None and supports(self.policy, SupportsState):
            self.policy.restore(stored[1])
        restored = -1 if stored is None or not supports(self.policy, SupportsState) else stored[0]
        for batch in batches:
            proposals = list(batch.proposals)
            self._ids.update(p.id for p in proposals)
            if batch.number > restored:
                again = self.policy.ask(len(proposals))
                if [(p.id, tuple(p.site)) for p in again] != [
                    (p.id, tuple(p.site)) for p in proposals
                ]:
                    raise JournalError(
                        f"journal {journal.path} is of another experiment: in batch {batch.number} it "
                        f"has {_names(proposals)}, this policy asks for {_names(again)}"
                    )
            for outcome in batch.outcomes:
                self._count(outcome)
            self._number = batch.number
            if not batch.complete:
                self._pending = (proposals, list(batch.outcomes), batch.decision_s)
                break
            if batch.number > restored:
                self.policy.tell(list(batch.outcomes))
            self._number = batch.number + 1
        self._restore_microscope(journal)

    def _restore_microscope(self, journal: Journal) -> None:
        left = journal.checkpoint("microscope")
        if supports(self.microscope, SupportsState):
            if left is None:
                raise JournalError(
                    f"journal {journal.path} has no state of its microscope: its run was ended before it "
                    "began. Delete it and start again"
                )
            self.microscope.restore(left[1])
            self._wear_start = self._wear()
        else:
            self._elapsed = max((e.clock_s for e in journal.events()), default=0.0)
            if supports(self.microscope, SupportsCheck):
                self.microscope.continue_from(self._spent_curves, self._elapsed)
        for event in journal.events():
            self._faults += event.kind == "fault"
            if event.kind == "start":
                self._wear_start = float(event.detail["wear"])
                self._started = True
            if event.kind == "request" and event.detail["asked"] == "veto":
                self._desk.vetoed.add(str(event.detail.get("id")))
        remeasured: list[str] = []
        if self._pending is not None:
            proposals, outcomes, _ = self._pending
            done = {o.proposal_id for o in outcomes}
            remeasured = [p.id for p in proposals if p.id not in done]
            if not outcomes:  # the decision was made, but its time is in no stored state
                self.microscope.clock.spend(
                    self._pending[2] if self.decision_seconds is None else self.decision_seconds
                )
        self._event("resume", outcomes=journal.count(), perhaps_measured_twice=remeasured)


def _names(proposals: Sequence[Proposal]) -> str:
    return ", ".join(f"{p.id} at {tuple(Site(*p.site))}" for p in proposals) or "nothing"
