"""A campaign's store as tables."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from grainscout.benchmarks.campaign.store import CampaignStore, CellKey


@dataclass(frozen=True, kw_only=True, eq=False)
class Tables:
    """What a campaign measured.

    steps : a row a measurement;  maps : a row a checkpoint;  both are the same for any number of
    workers.  timings : a row a decision, in seconds of the computer that ran it: never the same.
    altered : policy -> what it altered of the process that ran it.
    """

    steps: pd.DataFrame
    maps: pd.DataFrame
    timings: pd.DataFrame
    altered: dict[str, list[str]] = field(default_factory=dict)


def read_tables(store: CampaignStore, keys: Iterable[CellKey] | None = None) -> Tables:
    """The tables of all finished cells, or of these, ordered by task, film, policy and step."""
    steps, maps, timings = _Columns("step"), _Columns("checkpoint"), _Columns("decision")
    altered: dict[str, set[str]] = {}
    for key, seconds, payload in store.payloads(keys):
        steps.add(key, payload["steps"])
        maps.add(key, payload["checkpoints"])
        if what := payload.get("altered"):
            altered.setdefault(key.policy, set()).update(what)
        timing = payload["timing"]
        timings.add(key, {**timing, "cell_s": np.full(len(timing["decision_s"]), seconds)})
    named = {policy: sorted(what) for policy, what in sorted(altered.items())}
    return Tables(steps=steps.frame(), maps=maps.frame(), timings=timings.frame(), altered=named)


class _Columns:
    """The rows of many cells as plain arrays: a frame for each takes four times the memory."""

    def __init__(self, counter: str) -> None:
        self._counter = counter
        self._keys: list[CellKey] = []
        self._sizes: list[int] = []
        self._parts: list[dict[str, np.ndarray]] = []

    def add(self, key: CellKey, columns: dict[str, np.ndarray]) -> None:
        """The rows of one cell. They are copied, for a view would keep its whole result in memory."""
        size = len(next(iter(columns.values()), ()))
        if size:
            self._keys.append(key)
            self._sizes.append(size)
            self._parts.append({name: np.array(column) for name, column in columns.items()})

    def frame(self) -> pd.DataFrame:
        """All rows, NaN where a cell has no such column. The parts are used up."""
        if not self._keys:
            return pd.DataFrame()
        columns: dict[str, Any] = {
            name: pd.Series([getattr(key, name) for key in self._keys]).repeat(self._sizes).array
            for name in ("task", "film", "policy")
        }
        columns[self._counter] = np.concatenate([np.arange(1, n + 1) for n in self._sizes])
        cells = list(zip(self._parts, self._sizes, strict=True))
        for name in dict.fromkeys(name for part in self._parts for name in part):
            columns[name] = np.concatenate(
                [part.pop(name) if name in part else np.full(n, np.nan) for part, n in cells]
            )
        return pd.DataFrame(columns, copy=False)
