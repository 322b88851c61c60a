"""Scores of a running campaign, brought up to date cell by cell."""

from collections.abc import Iterable, Sequence

import pandas as pd

from grainscout.benchmarks.campaign.campaign import Campaign
from grainscout.benchmarks.campaign.leaderboard import goal_scores
from grainscout.benchmarks.campaign.store import CampaignStore, CellKey
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.benchmarks.tasks.task import GOALS


class IncrementalScores:
    """`table`, as of `goal_scores`, of the cells `finished`, without reading all of the store again."""

    def __init__(self, campaign: Campaign, store: CampaignStore) -> None:
        self._tasks = {t.id: t for t in campaign.tasks}
        self._policies = [p.title for p in campaign.policies]
        self._store = store
        self.finished: set[CellKey] = set()
        self.table = goal_scores(read_tables(store, []), self._tasks)
        self.add(store.finished())

    def add(self, keys: Iterable[CellKey]) -> None:
        """Add finished cells. All scores of their films change, as their baseline may be new."""
        new = {key for key in keys if key.task in self._tasks and key.policy in self._policies}
        self.finished |= new
        changed = {(key.task, key.film) for key in new}
        if not changed:
            return
        again = sorted(
            CellKey(task=task, film=film, policy=policy)
            for task, film in changed
            for policy in self._policies
        )
        tables = read_tables(self._store, [k for k in again if k in self.finished])
        made = goal_scores(tables, self._tasks)
        place = pd.MultiIndex.from_frame(self.table[["task", "film"]])
        kept = self.table[~place.isin(list(changed))]
        self.table = pd.concat([f for f in (kept, made) if len(f)] or [made], ignore_index=True)

    def rows(self, racing: Sequence[str]) -> list[tuple[str, str, float, int]]:
        """List (goal, policy, mean score, films), best first, on films that all `racing` finished."""
        rows: list[tuple[str, str, float, int]] = []
        for goal in GOALS:
            part = self.table[self.table["goal"] == goal]
            wide = part.pivot(index=["task", "film"], columns="policy", values="score")
            wide = wide.reindex(columns=[p for p in self._policies if p in racing]).dropna()
            if len(wide):
                means = wide.mean().sort_values(ascending=False, kind="stable")
                rows += [(goal, str(p), float(m), len(wide)) for p, m in means.items()]
        return rows
