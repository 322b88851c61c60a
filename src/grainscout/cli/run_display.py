"""Progress of ``grainscout run``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.progress import Progress

if TYPE_CHECKING:
    from grainscout.experiment import Step
    from grainscout.records import Outcome


class RunDisplay:
    """Row of a progress bar for the budget."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._budget, self._spent = bar, 0, 0
        self._task = bar.add_task("measuring", total=None)

    def begin(self, budget: int | None, outcomes: Sequence[Outcome]) -> None:
        """Show the curves that were measured before."""
        self._budget = budget or 0
        self._show(outcomes)

    def observe(self, step: Step) -> None:
        """Count a step of the loop."""
        self._show(step.outcomes)

    def _show(self, outcomes: Sequence[Outcome]) -> None:
        from grainscout.experiment.outcomes import costs

        self._spent += sum(map(costs, outcomes))
        # Points that the operator added in the last step go beyond the budget.
        total = max(self._budget, self._spent) if self._budget else None
        self._bar.update(self._task, total=total, completed=self._spent)
