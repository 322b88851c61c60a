"""One run of a policy on a microscope."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Self

from grainscout.experiment.bookkeeping import (
    ProposalCheck,
    Result,
    Spending,
    Step,
    check_settings,
    require_same,
    step_of,
    unmeasured,
)
from grainscout.experiment.changes import Changes
from grainscout.experiment.drift import MIN_QUALITY, DriftSettings, DriftTracker, carry_over
from grainscout.experiment.evidence import (
    MAX_SPOILT,
    SpoiltCurves,
    check_looks,
    confirmed,
    judged,
    suspicious,
)
from grainscout.experiment.logbook import Logbook
from grainscout.experiment.operator import Aborted, ExternalCurve, OperatorRequests
from grainscout.experiment.outcomes import attached, measure, out_of_reach, unmeasured_at
from grainscout.experiment.retraction import ToldPolicy
from grainscout.experiment.stopping import StopRule
from grainscout.experiment.threads import one_thread
from grainscout.hardware.protocol import Microscope, SupportsPlan, SupportsWear
from grainscout.journal import Journal
from grainscout.policies.protocol import Policy
from grainscout.records.errors import ConfigError, MicroscopeError
from grainscout.records.problem import Outcome, Problem, Proposal
from grainscout.records.scan import Site
from grainscout.records.streams import POLICY_DEFAULTS, spawn_streams
from grainscout.records.supports import SupportsState, supports


class Experiment:
    """One run of a policy on a microscope.

    Parameters
    ----------
    microscope : Microscope
        Put a ``hardware.Guard`` around it to have limits enforced.
    policy, problem : Policy, Problem
        Any object with reset, ask and tell, and what `make_problem` gives.
    seed : int
        Seed of the experiment, from which the policy's generator is spawned.
    journal : Journal, optional
        Where everything is written. Without one the run is kept in memory only.
    batch : int
        Number of sites to ask for at a time.
    decision_seconds : float, optional
        Time charged for a decision on a simulated clock [s]. None charges what it really took.
    checkpoint_every : int
        Batches between stored policy states. A resume replays the rest.
    max_failures : int
        Failed measurements in a row after which the run stops with MicroscopeError.
    judge : bool
        Give each outcome the verdict on its curve (`analysis.curves.quality`).
    second_look : int
        How often the site of an unusable curve is measured again. Curves that agree are real.
    max_spoilt : float
        Share of unusable curves among the latest 20 at which the run stops.
    stop : StopRule, optional
        Ends the run when more curves would bring too little.
    drift : DriftSettings, optional
        Follow the drift of the sample. Without it sites stay where the first image showed them.
    observe : callable, optional
        Called with a `Step` after each batch.

    Raises
    ------
    ConfigError
        For a setting below 1, or a budget of wear on a microscope that does not report wear.
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
        judge: bool = True,
        second_look: int = 0,
        max_spoilt: float = MAX_SPOILT,
        stop: StopRule | None = None,
        drift: DriftSettings | None = None,
        observe: Callable[[Step], None] | None = None,
    ) -> None:
        check_settings(batch=batch, checkpoint_every=checkpoint_every, max_failures=max_failures)
        check_looks(second_look, max_spoilt)
        self.microscope = microscope
        self.policy, self.problem = policy, problem
        self.seed, self.journal, self.batch = seed, journal, batch
        self.decision_seconds, self.checkpoint_every = decision_seconds, checkpoint_every
        self.max_failures, self.stop = max_failures, stop and stop.checked(policy)
        self.judge = judge and microscope.capabilities.unit == "A"
        self.second_look = second_look if microscope.capabilities.revisits else 0
        self._spoilt = SpoiltCurves(max_spoilt)
        self.observe, self._started = observe, False
        self._outcomes: list[Outcome] = []  # without a journal; with one, memory stays flat
        self._spending, self._check = Spending(problem.budget), ProposalCheck(problem)
        self._number = 0
        self._log = Logbook(microscope, journal)
        self._drift = (
            None
            if drift is None
            else DriftTracker(drift, microscope, problem.scan, self._log.event)
        )
        self._displaced = drift is not None  # sites are not where the image showed them
        self._min_quality = MIN_QUALITY if drift is None else drift.min_quality
        self._changes = Changes(problem, microscope)
        self._requests = OperatorRequests(journal, problem, microscope, policy, self._changes)
        self._told = ToldPolicy(policy, problem, journal, self._changes)
        self._pending: Step | None = None  # a batch that was interrupted
        if problem.budget.wear is not None and not supports(microscope, SupportsWear):
            raise ConfigError("budget wear needs a microscope that reports tip wear; this does not")
        streams = spawn_streams(seed) if journal is None else journal.header()
        policy.reset(problem, rng=streams.policy_rng())

    @classmethod
    def resume(
        cls, journal: Journal, microscope: Microscope, policy: Policy, **settings: Any
    ) -> Self:
        """Open the experiment of a journal, ready to `run` on.

        The policy is restored from its last state and decides the later batches again. Each answer
        is compared with the record. `settings` are those of the constructor.

        Raises
        ------
        JournalError
            If an answer differs: the journal is of another policy, version or seed.
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
        """Measure until the budget is used up or the policy asks for nothing.

        Whatever ends the run, the microscope is parked and the journal says why. Requests that
        operators left in the journal are carried out before each measurement (see `REQUESTS`).

        Raises
        ------
        MicroscopeError, LimitError, PolicyError, JournalError
            After the microscope was parked. KeyboardInterrupt passes likewise.
        """
        with nullcontext() if self.journal is None else self.journal.locked():
            reason = self._run_and_park()
        outcomes = self._outcomes if self.journal is None else self.journal.outcomes()
        return Result(outcomes=tuple(outcomes), reason=reason)

    def _run_and_park(self) -> str:
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
                self._log.note_faults()
                self._log.event("end", reason=reason)
        return reason

    def _loop(self) -> str:
        if not self._started:
            self._started = True
            self._log.start()
        if self._log.new_image and self._exhausted() is None:
            self._find_sites()
        if self._pending is not None:
            step, self._pending = self._pending, None
            self._finish(step)
        while (reason := self._exhausted()) is None:
            if not self._turn():
                return "the policy has nothing left to ask"
        return reason

    def _find_sites(self) -> None:
        """Carry the sites over to a new image of a microscope that was left."""
        if self.microscope.capabilities.light:
            self.microscope.light(self.problem.light)
        found = carry_over(self.microscope, self.problem.scan, self._min_quality)
        self._log.event("registered", **vars(found))
        if self._drift is not None:
            self._drift.begin(-found.rows, -found.columns)
        self._log.new_image, self._displaced = False, True

    def _turn(self) -> bool:
        self._told.update(self._number)
        wanted = self._spending.left(self.batch)
        begun = time.perf_counter()
        proposals = self._check.checked(self._told.ask(wanted), wanted)
        decision_s = time.perf_counter() - begun
        if not proposals:
            return False
        if self.journal is not None:
            self.journal.record_batch(self._number, proposals, decision_s)
        step = Step(number=self._number, proposals=proposals, outcomes=[], decision_s=decision_s)
        self._charge(step)
        if supports(self.microscope, SupportsPlan):
            self.microscope.plan([p.site for p in proposals])
        self._finish(step)
        return True

    def _charge(self, step: Step) -> None:
        fixed = self.decision_seconds
        self.microscope.clock.spend(step.decision_s if fixed is None else fixed)

    def _finish(self, step: Step) -> None:
        """Measure what is left of a batch and tell the policy."""
        for proposal in step.proposals:
            if not any(o.proposal_id == proposal.id for o in step.outcomes):
                self._requests.apply(
                    measure=lambda site: self._record(self._measured(site), step),
                    attach=lambda curve: self._record(self._attached(curve), step),
                    retract=self._told.retractions.append,
                    batch=self._number,
                )
                self._spending.budget = self._changes.budget
                self._record(self._outcome_of(proposal), step)
            self._look_again(proposal, step)
        self._told.tell(step.outcomes)
        due = (self._number + 1) % self.checkpoint_every == 0
        if self.journal is not None and due and supports(self.policy, SupportsState):
            self.journal.record_policy(self._number, self.policy.state())
        if self.observe is not None:
            self.observe(step)
        self._number += 1
        self._log.note_faults()
        if self._spoilt.new_warning():
            self._log.event("warning", what="spoilt curves", share=self._spoilt.share)
        if (failed := self._spending.failures) >= self.max_failures:
            raise MicroscopeError(
                f"{failed} measurements in a row failed, the last with: {step.outcomes[-1].message}. "
                "Look at the tip, then resume"
            )

    def _record(self, outcome: Outcome, step: Step) -> None:
        if self.journal is not None:
            self.journal.record_outcome(self._number, outcome, self._log.state())
        self._count(outcome)
        step.outcomes.append(outcome)

    def _look_again(self, proposal: Proposal, step: Step) -> None:
        """Measure the site of an unusable curve again, while the budget has room for it."""
        while (first := self._suspicious(proposal, step)) is not None:
            self._record(confirmed(self._measured(first.site), first), step)

    def _suspicious(self, proposal: Proposal, step: Step) -> Outcome | None:
        waiting = len(unmeasured(step))
        room = self._spending.left(1 + waiting) > waiting
        return suspicious(proposal, step.outcomes, self.second_look) if room else None

    def _outcome_of(self, proposal: Proposal) -> Outcome:
        why = self._changes.forbids(proposal.site, self._spending.curves)
        if proposal.id not in self._requests.vetoed and not why:
            return self._measured(proposal.site, proposal.id)
        visit, words = self._spending.visit(proposal.site), {"message": why} if why else {}
        return unmeasured_at(proposal.site, proposal.id, visit=visit, at=self._log.now(), **words)

    def _measured(self, site: Site, proposal_id: str | None = None) -> Outcome:
        wave, visit = self.problem.waveform, self._spending.visit(site)
        if self._drift is not None:
            self._drift.follow(self._spending.outcomes, self._log.now)
        if self._displaced and (why := out_of_reach(self.microscope, site, wave)):
            now = self._log.now()
            return unmeasured_at(site, proposal_id, visit=visit, at=now, message=why)
        outcome = measure(
            self.microscope, wave, site, visit=visit, now=self._log.now, proposal_id=proposal_id
        )
        return self._judged(outcome)

    def _attached(self, external: ExternalCurve) -> Outcome:
        visit = self._spending.visit(external.site)
        return self._judged(
            attached(external.site, external.curve, visit=visit, at=self._log.now())
        )

    def _judged(self, outcome: Outcome) -> Outcome:
        return judged(outcome, self.problem.waveform) if self.judge else outcome

    def _count(self, outcome: Outcome) -> None:
        if self.journal is None:
            self._outcomes.append(outcome)
        self._spending.count(outcome)
        self._spoilt.count(outcome)

    def _exhausted(self) -> str | None:
        spent = self._spoilt.stop() or self._spending.exhausted(self._log.now(), self._log.worn())
        if spent is not None or self.stop is None:
            return spent
        return self.stop.reason(self.policy, self._spending.curves)

    def _replay(self, journal: Journal) -> None:
        """Bring policy, counts and microscope to the end of the journal."""
        restored = -1
        # A run that began without verdicts goes on without them: its trajectory stays the one it had.
        recorded = next((o for o in journal.outcomes() if o.curve is not None), None)
        self.judge = self.judge and (recorded is None or recorded.quality is not None)
        stored = journal.checkpoint("policy")
        defaults = int(journal.header().versions.get("policy_defaults", 1))
        earlier = getattr(self.policy, "take_earlier_defaults", None)
        if defaults < POLICY_DEFAULTS and earlier is not None:
            earlier(defaults)
        if stored is not None and supports(self.policy, SupportsState):
            restored, state = stored
            self.policy.restore(state)
        self._changes.restore(e for e in journal.events() if e.kind == "request")
        self._spending.budget = self._changes.budget
        self._told.resume(restored)
        for batch in (batches := journal.batches()):
            self._check.ids.update(p.id for p in batch.proposals)
            if batch.number > restored:
                self._told.update(batch.number)
                require_same(self._told.ask(len(batch.proposals)), batch, journal)
            for outcome in batch.outcomes:
                self._count(outcome)
            self._number = batch.number
            step = step_of(batch)
            if not batch.complete or (
                batch is batches[-1]
                and batch.number > restored
                and any(self._suspicious(p, step) is not None for p in step.proposals)
            ):
                self._pending = step
                break
            if batch.number > restored:
                self._told.tell(batch.outcomes)
            self._number = batch.number + 1
        self._take_up(journal)

    def _take_up(self, journal: Journal) -> None:
        """Restore the microscope, the drift and the vetoes of a journal."""
        events = journal.events()
        seconds = self.microscope.capabilities.exposure(self.problem.waveform)
        exposed = {site: n * seconds for site, n in self._spending.visited().items()}
        self._log.restore(journal, events, self._spending.curves, exposed)
        self._started = any(e.kind == "start" for e in events)
        if self._drift is not None and not self._log.new_image:
            self._drift.resume(events, self._spending.outcomes)
        asked = [e.detail for e in events if e.kind == "request"]
        self._requests.vetoed |= {str(d.get("id")) for d in asked if d["asked"] == "veto"}
        remeasured: list[str] = []
        if self._pending is not None:
            waiting = unmeasured(self._pending)
            remeasured = [
                p.id
                for p in self._pending.proposals
                if p in waiting or self._suspicious(p, self._pending) is not None
            ]
            if not self._pending.outcomes:  # the decision was made, its time is in no stored state
                self._charge(self._pending)
        self._log.event("resume", outcomes=journal.count(), perhaps_measured_twice=remeasured)
