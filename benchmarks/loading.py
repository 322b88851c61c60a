"""Anything that Grainscout writes or reads, as tables, in one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN, classify
from grainscout.analysis.curves.descriptors import describe, describe_target
from grainscout.analysis.formats import Recording, read, to_xarray
from grainscout.benchmarks.campaign.store import APPLICATION_ID as STORE_ID
from grainscout.benchmarks.campaign.store import CampaignStore
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.journal import Journal, recording_of
from grainscout.records import ConfigError, DataError, IntArray, Scan

if TYPE_CHECKING:
    import xarray

_SQLITE = b"SQLite format 3\x00"
_ID_AT = 68  # where SQLite keeps the application's number


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """What a file holds.

    kind : what it is.
    frame : the table to look at first: a row a measurement (journal, campaign), a curve (recording)
        or a pixel (scan, one column a channel).  A value that is only a bound is left out (NaN) for a
        recording, and marked "censored" for a journal.
    more : further tables by name: "proposals" and "events" of a journal, "maps" and "timings" of a
        campaign.
    data : images and curves as records, None for a campaign or before the first curve of a run.
    Units are in a column's name (``_s``, ``_m``) or in ``frame.attrs["units"]``.
    """

    kind: Literal["journal", "campaign", "recording", "scan"]
    path: Path
    frame: pd.DataFrame
    more: dict[str, pd.DataFrame] = field(default_factory=dict)
    data: Scan | Recording | None = None

    def xarray(self) -> xarray.Dataset:
        """Images and curves with their axes. ConfigError without xarray or for a campaign."""
        if self.data is None:
            raise ConfigError(
                f"{self.path} must hold images or curves to be an xarray Dataset; this {self.kind} "
                "has none. Take its frame"
            )
        return to_xarray(self.data)


def load(path: str | Path) -> Loaded:
    """A run's journal, a campaign's folder or store, or a microscope's file. Known by its content.

    DataError or JournalError if it is missing, foreign or damaged.
    """
    place = Path(path)
    if place.is_dir():
        place = place / "campaign.sqlite"
    if not place.is_file():
        raise DataError(
            f"load must be given a journal, a campaign's folder or a data file; there is none at {place}"
        )
    with place.open("rb") as file:
        head = file.read(_ID_AT + 4)
    if head.startswith(_SQLITE):
        if int.from_bytes(head[_ID_AT:], "big") == STORE_ID:
            return _campaign(place)
        return _journal(place)
    return _file(place)


def _campaign(path: Path) -> Loaded:
    with CampaignStore(path) as store:
        tables = read_tables(store)
    more = {"maps": tables.maps, "timings": tables.timings}
    return Loaded(kind="campaign", path=path, frame=tables.steps, more=more)


def _journal(path: Path) -> Loaded:
    with Journal.read(path) as journal:
        problem = journal.header().problem
        batches, outcomes, events = journal.batches(), journal.outcomes(), journal.events()
        data = recording_of(journal) if any(o.curve is not None for o in outcomes) else None
    proposals = pd.DataFrame(
        {
            "proposal": p.id,
            "batch": batch.number,
            "row": p.site[0],
            "column": p.site[1],
            "prediction": np.nan if p.prediction is None else p.prediction,
            "uncertainty": np.nan if p.uncertainty is None else p.uncertainty,
            **{f"score_{name}": value for name, value in p.scores.items()},
        }
        for batch in batches
        for p in batch.proposals
    )
    frame = _places(problem.scan, np.array([tuple(o.site) for o in outcomes], np.int64))
    frame["status"] = [o.status for o in outcomes]
    frame["visit"] = [o.visit for o in outcomes]
    frame["started_s"] = [o.started for o in outcomes]
    frame["finished_s"] = [o.finished for o in outcomes]
    frame["proposal"] = [o.proposal_id for o in outcomes]
    frame["message"] = [o.message for o in outcomes]
    curves = {k: o.curve for k, o in enumerate(outcomes) if o.curve is not None}
    if curves:
        current = np.array([c.current for c in curves.values()])
        saturated = np.array([c.saturated for c in curves.values()])
        found = describe_target(problem, current, saturated)
        index = frame.index[list(curves)]
        frame[problem.target] = pd.Series(found.value, index)
        frame[f"{problem.target}_sigma"] = pd.Series(found.sigma, index)
        frame["censored"] = pd.Series(found.censored, index).reindex(frame.index, fill_value=False)
        frame["archetype"] = pd.Series(
            _kinds(problem.waveform.voltage, current, saturated), index
        ).reindex(frame.index, fill_value="unknown")
        frame.attrs["units"] = {problem.target: found.unit}
    if len(proposals) and len(frame):
        further = proposals.drop(columns=["batch", "row", "column"])
        units = frame.attrs
        frame = frame.merge(further, on="proposal", how="left", validate="many_to_one")
        frame.attrs = units
    log = pd.DataFrame(
        {"clock_s": e.clock_s, "wall": e.wall, "kind": e.kind, "detail": dict(e.detail)}
        for e in events
    )
    more = {"proposals": proposals, "events": log}
    return Loaded(kind="journal", path=path, frame=frame, more=more, data=data)


def _file(path: Path) -> Loaded:
    data = read(path)
    if isinstance(data, Scan):
        sites = np.argwhere(np.ones(data.shape, bool))
        frame = _places(data, sites)
        for name, image in data.channels.items():
            frame[name] = image.ravel()
        frame.attrs["units"] = dict(data.units)
        return Loaded(kind="scan", path=path, frame=frame, data=data)
    frame = _places(data.scan, data.sites)
    frame["saturated"] = np.asarray(data.saturated.any(axis=1))
    units = {}
    for name in ("max_current", "loop_area", "turn_on"):
        if data.unit != "A":
            break  # the source recorded no current
        found = describe(name, data.waveform.voltage, data.current, data.saturated)
        frame[name] = np.where(found.censored, np.nan, found.value)
        units[name] = found.unit
    if units:
        frame["archetype"] = _kinds(data.waveform.voltage, data.current, data.saturated)
    frame.attrs["units"] = units
    return Loaded(kind="recording", path=path, frame=frame, data=data)


def _places(scan: Scan, sites: IntArray) -> pd.DataFrame:
    """A row a site (n, 2): its pixel and its position."""
    row, column = sites.reshape(-1, 2).T
    x, y = scan.positions(sites.reshape(-1, 2)).T
    return pd.DataFrame({"row": row, "column": column, "x_m": x, "y_m": y})


def _kinds(voltage: Any, current: Any, saturated: Any) -> list[str]:
    found = classify(voltage, current, saturated)
    return ["unknown" if k == UNKNOWN else ARCHETYPE_NAMES[k] for k in found]
