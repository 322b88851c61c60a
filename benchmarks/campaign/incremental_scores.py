"""The scores of a running campaign, brought up to date cell by cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from grainscout.benchmarks.campaign.leaderboard import goal_scores
from grainscout.benchmarks.campaign.store import CampaignStore, CellKey
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.benchmarks.tasks.task import GOALS

if TYPE_CHECKING:
    from grainscout.benchmarks.campaign.campaign import Campaign


class Standing:
    """Scores of the finished cells, without reading the whole store again after each.

    scores : as `goal_scores` of all cells that were added;  finished : those cells.
    """

    def __init__(self, campaign: Campaign, store: CampaignStore) -> None:
        self._tasks = {t.id: t for t in campaign.tasks}
        self._policies = [p.title for p in campaign.policies]
        self._store = store
        self.finished: set[CellKey] = set()
        self.scores = goal_scores(read_tables(store, []), self._tasks)
        self.add(store.finished())

    def add(self, keys: Iterable[CellKey]) -> None:
        """Take finished cells in; a film's scores are made anew, its baseline may be among them."""
        new = {key for key in keys if key.task in self._tasks and key.policy in self._policies}
        self.finished |= new
        touched = {(key.task, key.film) for key in new}
        if not touched:
            return
        again = sorted(
            CellKey(task=task, film=film, policy=policy)
            for task, film in touched
            for policy in self._policies
        )
        made = goal_scores(
            read_tables(self._store, [k for k in again if k in self.finished]), self._tasks
        )
        place = pd.MultiIndex.from_frame(self.scores[["task", "film"]])
        kept = self.scores[~place.isin(list(touched))]
        self.scores = pd.concat([f for f in (kept, made) if len(f)] or [made], ignore_index=True)

    def rows(self, racing: Sequence[str]) -> list[tuple[str, str, float, int]]:
        """(goal, policy, mean score, films) on the films that all `racing` finished, best first."""
        found: list[tuple[str, str, float, int]] = []
        for goal in GOALS:
            part = self.scores[self.scores["goal"] == goal]
            wide = part.pivot(index=["task", "film"], columns="policy", values="score")
            wide = wide.reindex(columns=[p for p in self._policies if p in racing]).dropna()
            if len(wide):
                means = wide.mean().sort_values(ascending=False, kind="stable")
                found += [(goal, str(p), float(m), len(wide)) for p, m in means.items()]
        return found
