"""Progress of ``grainscout bench``."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from grainscout.cli.console import note, notes

if TYPE_CHECKING:
    from grainscout.benchmarks import Campaign, CampaignStore, CellKey

#: Largest share of the time that the leaderboard may take.
_SHARE = 0.01


class CampaignDisplay:
    """Live leaderboard on a terminal, elsewhere lines of failures.

    ``run`` counts the cells that ended while it was open.
    """

    def __init__(self, campaign: Campaign, store: CampaignStore) -> None:
        self._campaign = campaign
        self._store = store
        self.run = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            speed_estimate_period=1800.0,
        )
        self._task = self._bar.add_task("cells", total=len(campaign.cells()))
        self._new: list[CellKey] = []
        self._due = 0.0
        shown = notes.is_terminal
        self._live = Live(self._bar, console=notes, refresh_per_second=4) if shown else None

    def __enter__(self) -> Self:
        from grainscout.benchmarks.campaign.incremental_scores import IncrementalScores

        if self._live is not None:
            self._live.start()
            self._scores = IncrementalScores(self._campaign, self._store)
            self._bar.update(self._task, completed=len(self._scores.finished))
            self._refresh(self._live)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            if kind is None:
                self._refresh(self._live)
            self._live.stop()

    def tick(self, key: CellKey, status: str, error: str) -> None:
        """Count a cell that has ended."""
        self.run += 1
        if status == "failed":
            why = error.strip().splitlines()[-1]
            note(f"failed: {key.policy} on {key.task}, film {key.film}: {why}")
        else:
            self._new.append(key)
        if self._live is not None:
            self._bar.advance(self._task)
            if time.monotonic() >= self._due:
                self._refresh(self._live)

    def _refresh(self, live: Live) -> None:
        from grainscout.benchmarks.campaign.stopping import plan_next_block

        begun = time.monotonic()
        self._scores.add(self._new)
        self._new = []
        now = plan_next_block(self._campaign, self._scores.table, self._scores.finished)
        if now.over:
            self._bar.update(self._task, total=now.planned - now.saved)
        table = Table("goal", "policy", "score so far", "films", box=None)
        rows = self._scores.rows(now.racing or [p.title for p in self._campaign.policies])
        for goal, policy, score, films in rows:
            table.add_row(goal, policy, f"{score:.2f}", str(films))
        live.update(Group(self._bar, table) if rows else self._bar)
        ended = time.monotonic()
        self._due = ended + (ended - begun) / _SHARE
