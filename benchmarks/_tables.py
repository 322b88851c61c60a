"""A campaign's store as tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grainscout.benchmarks._store import CampaignStore, CellKey


@dataclass(frozen=True, kw_only=True, eq=False)
class Tables:
    """What a campaign measured.

    steps : a row a measurement;  maps : a row a checkpoint;  both are the same for any number of
    workers.  timings : a row a decision, in seconds of the computer that ran it: never the same.
    """

    steps: pd.DataFrame
    maps: pd.DataFrame
    timings: pd.DataFrame


def read_tables(store: CampaignStore, keys: Iterable[CellKey] | None = None) -> Tables:
    """The tables of all finished cells, or of these, ordered by task, film, policy and step."""
    steps, maps, timings = [], [], []
    for key, seconds, payload in store.payloads(keys):
        steps.append(_frame(key, payload["steps"], "step"))
        maps.append(_frame(key, payload["checkpoints"], "checkpoint"))
        timing = _frame(key, payload["timing"], "decision")
        timings.append(timing.assign(cell_s=seconds))
    return Tables(steps=_joined(steps), maps=_joined(maps), timings=_joined(timings))


def _frame(key: CellKey, columns: dict[str, np.ndarray], counter: str) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    frame.insert(0, counter, np.arange(1, len(frame) + 1))
    for place, (name, value) in enumerate(vars(key).items()):
        frame.insert(place, name, value)
    return frame


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    kept = [f for f in frames if len(f)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()
