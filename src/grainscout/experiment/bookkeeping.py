"""Records of a run, its counts, and checks of proposals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grainscout.experiment.outcomes import costs
from grainscout.journal import Batch, Journal
from grainscout.records.drawn import Axes, Drawn, new_axes
from grainscout.records.errors import ConfigError, JournalError, PolicyError
from grainscout.records.problem import Budget, Outcome, Problem, Proposal
from grainscout.records.scan import Site


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One turn of the loop, as observers see it."""

    number: int  #: Number of the batch, from 0
    proposals: Sequence[Proposal]  #: What the policy asked for
    outcomes: list[Outcome]  #: Their outcomes, and those of what an operator added
    decision_s: float  #: Time that the policy took to decide [s]


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(Drawn):
    """Outcome of a whole run."""

    outcomes: Sequence[Outcome]  #: All of them, in order
    reason: str  #: Why the run ended

    def __repr__(self) -> str:
        states = Counter(o.status for o in self.outcomes)
        told = ", ".join(f"{n} {status}" for status, n in states.most_common())
        return f"Result of {len(self.outcomes)} outcomes ({told or 'none'}): {self.reason}"

    def draw(self, axes: Axes | None = None) -> Axes:
        """Draw the measured sites in their order, by their largest current; return the axes."""
        axes = new_axes(axes)
        seen = [(o.site, o.curve) for o in self.outcomes if o.curve is not None]
        if seen:
            rows, columns = np.array([site for site, _ in seen]).T
            largest = [float(np.nanmax(np.abs(c.current), initial=0.0)) * 1e9 for _, c in seen]
            axes.plot(columns, rows, lw=0.5, color="0.8", zorder=0)
            points = axes.scatter(columns, rows, c=largest, s=12)
            figure: Any = axes.figure
            figure.colorbar(points, ax=axes, label="largest current (nA)")
        axes.set(xlabel="column", ylabel="row", aspect="equal")
        axes.invert_yaxis()
        return axes


class Spending:
    """Curves, visits and failures of a run so far."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._visits: Counter[tuple[int, int]] = Counter()
        self.curves = 0
        self.outcomes = 0
        self.failures = 0  # in a row

    def count(self, outcome: Outcome) -> None:
        """Take an outcome into account."""
        self.outcomes += 1
        self.curves += costs(outcome)
        if outcome.status != "aborted":
            self._visits[int(outcome.site[0]), int(outcome.site[1])] += 1
        self.failures = self.failures + 1 if outcome.status == "failed" else 0

    def visit(self, site: Site) -> int:
        """Number of the next measurement at a site, from 0."""
        return self._visits[site[0], site[1]]

    def visited(self) -> dict[Site, int]:
        """Measurements of each site so far."""
        return {Site(*site): n for site, n in self._visits.items()}

    def left(self, batch: int) -> int:
        """Number of sites to ask for: a batch, or the curves that are left."""
        return batch if self.budget.curves is None else min(batch, self.budget.curves - self.curves)

    def exhausted(self, seconds: float, wear: float) -> str | None:
        """Name the part of the budget that is used up, or None."""
        budget = self.budget
        if budget.curves is not None and self.curves >= budget.curves:
            return f"budget: {budget.curves} curves"
        if budget.seconds is not None and seconds >= budget.seconds:
            return f"budget: {budget.seconds:g} s"
        if budget.wear is not None and wear >= budget.wear:
            return f"budget: {budget.wear:g} of the tip's life"
        return None


class ProposalCheck:
    """Refuses proposals that are no candidates or use an id twice."""

    def __init__(self, problem: Problem) -> None:
        self._candidates = {(int(r), int(c)) for r, c in problem.candidates}
        self.ids: set[str] = set()

    def checked(self, proposals: list[Proposal], wanted: int) -> list[Proposal]:
        """Return the answer to ``ask(wanted)``. PolicyError if it is not as it must be."""
        if not isinstance(proposals, list) or not all(isinstance(p, Proposal) for p in proposals):
            raise PolicyError(f"ask({wanted}) must give a list of Proposal; got {proposals!r:.80}")
        if len(proposals) > wanted:
            raise PolicyError(
                f"ask({wanted}) must give at most {wanted} proposals; got {len(proposals)}"
            )
        for p in proposals:
            if (p.site[0], p.site[1]) not in self._candidates:
                raise PolicyError(f"a proposal must be a candidate site; got {tuple(p.site)}")
            if p.id in self.ids:
                raise PolicyError(f"proposal ids must be unique; got {p.id!r} again")
            self.ids.add(p.id)
        return proposals


def check_settings(**settings: int) -> None:
    """ConfigError for a setting below 1."""
    for name, value in settings.items():
        if value < 1:
            raise ConfigError(f"{name} must be at least 1; got {value}")


def step_of(batch: Batch) -> Step:
    """The turn that a recorded batch was."""
    return Step(
        number=batch.number,
        proposals=list(batch.proposals),
        outcomes=list(batch.outcomes),
        decision_s=batch.decision_s,
    )


def unmeasured(step: Step) -> list[Proposal]:
    """Proposals of a step that have no outcome yet."""
    done = {o.proposal_id for o in step.outcomes}
    return [p for p in step.proposals if p.id not in done]


def require_same(again: Sequence[Proposal], batch: Batch, journal: Journal) -> None:
    """JournalError unless a policy proposes again what was recorded."""
    if [(p.id, tuple(p.site)) for p in again] != [(p.id, tuple(p.site)) for p in batch.proposals]:
        raise JournalError(
            f"journal {journal.path} is of another experiment: in batch {batch.number} it "
            f"has {_names(batch.proposals)}, this policy asks for {_names(again)}"
        )


def _names(proposals: Sequence[Proposal]) -> str:
    return ", ".join(f"{p.id} at {tuple(Site(*p.site))}" for p in proposals) or "nothing"
