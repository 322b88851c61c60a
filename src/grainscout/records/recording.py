"""Recorded curves at sites of a scan, and columns of a single curve."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from grainscout.records.arrays import BoolArray, FloatArray, IntArray, freeze
from grainscout.records.curve import IVCurve
from grainscout.records.drawn import Axes, Drawn, draw_curves
from grainscout.records.errors import DataError
from grainscout.records.problem import Outcome
from grainscout.records.rails import find_rails as find_rails
from grainscout.records.scan import Scan, Site, checked_sites
from grainscout.records.waveform import Waveform


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording(Drawn):
    """Curves of one waveform, measured at sites of a scan.

    Attributes
    ----------
    scan : Scan
        Images of the place.
    sites : (n, 2) array of int
        Rows and columns on the scan, all different.
    waveform : Waveform
        Applied at each site.
    current : (n, samples) array of float
        Currents [A]. NaN where a sample was lost.
    saturated : (n, samples) array of bool
        True where the amplifier was at its rail.
    unit : str
        Unit of ``current``. Other than "A" only where the source recorded no current (a hysteresis
        loop in arbitrary units).
    metadata : mapping
        Notes of the source, arrays included.

    Raises
    ------
    DataError
        For a wrong shape, a site twice or a site off the scan.
    """

    scan: Scan
    sites: IntArray
    waveform: Waveform
    current: FloatArray
    saturated: BoolArray = field(default_factory=lambda: np.zeros((0, 0), bool))
    unit: str = "A"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sites = checked_sites("Recording sites", self.sites, self.scan.shape)
        current = np.array(self.current, dtype=np.float64)
        saturated = np.array(self.saturated, dtype=bool)
        if saturated.size == 0:
            saturated = np.zeros(current.shape, bool)
        expected = (len(sites), len(self.waveform))
        if current.shape != expected or saturated.shape != expected:
            raise DataError(
                f"Recording current and saturated must have shape (sites, samples) = {expected}; got "
                f"{current.shape} and {saturated.shape}"
            )
        unique = np.unique(sites, axis=0)
        if len(unique) != len(sites):
            raise DataError(
                f"Recording sites must all be different; {len(sites) - len(unique)} of {len(sites)} "
                "are repeated. Keep one visit of each"
            )
        freeze(self, sites=sites, current=current, saturated=saturated)

    def __len__(self) -> int:
        return len(self.sites)

    def __repr__(self) -> str:
        volts = self.waveform.voltage
        return (
            f"Recording of {len(self)} curves [{self.unit}], {len(self.waveform)} samples from "
            f"{volts.min():g} to {volts.max():g} V, on {self.scan!r}"
        )

    def draw(self, axes: Axes | None = None) -> Axes:
        """Draw up to 50 curves, and return the axes."""
        return draw_curves(axes, self.waveform.voltage, self.current, self.unit)

    @cached_property
    def _index(self) -> dict[tuple[int, int], int]:
        return {(int(r), int(c)): i for i, (r, c) in enumerate(self.sites)}

    def index(self, site: Site) -> int:
        """Row of `site` in ``sites``. DataError if it was not recorded."""
        key = (int(site[0]), int(site[1]))
        if key not in self._index:
            raise DataError(f"site must be one of the {len(self)} recorded ones; got {key}")
        return self._index[key]

    def curve(self, site: Site) -> IVCurve:
        """The recorded curve at `site`, unchanged."""
        i = self.index(site)
        return IVCurve(
            voltage=self.waveform.voltage,
            current=self.current[i],
            time=self.waveform.time,
            saturated=self.saturated[i],
        )

    @property
    def positions(self) -> FloatArray:
        """(n, 2) x and y [m] of the sites in the scan frame."""
        return self.scan.positions(self.sites)

    @property
    def complete(self) -> bool:
        """True if every pixel of the scan has a curve."""
        rows, columns = self.scan.shape
        return len(self) == rows * columns


@dataclass(frozen=True, kw_only=True, eq=False)
class Traces:
    """Columns of one curve.

    Attributes
    ----------
    channels : mapping of str to (n,) array of float
        Columns, each in the unit ``units[name]``.
    units : mapping of str to str
        Units of the columns that have one.
    time : (n,) array of float
        Times [s], in order.
    metadata : mapping
        Notes of the source.
    """

    channels: Mapping[str, FloatArray]
    units: Mapping[str, str]
    time: FloatArray
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def channel(self, name: str) -> FloatArray:
        """The column of that name. DataError lists the columns if there is none."""
        if name not in self.channels:
            raise DataError(f"Traces have no column {name!r}; they have {', '.join(self.channels)}")
        return self.channels[name]

    def curve(self, voltage: str, current: str, *, rail: float | None = None) -> IVCurve:
        """The current-voltage curve of two columns in V and A. Rail [A] as in `find_rails`."""
        for name, unit in ((voltage, "V"), (current, "A")):
            self.channel(name)
            if self.units.get(name) != unit:
                raise DataError(
                    f"column {name!r} must be in {unit}; got {self.units.get(name, 'no unit')!r}"
                )
        return IVCurve(
            voltage=self.channel(voltage),
            current=self.channel(current),
            time=self.time,
            saturated=find_rails(
                self.channel(current)[None], rail=rail, voltage=self.channel(voltage)
            )[0],
        )


def record_outcomes(scan: Scan, outcomes: Iterable[Outcome]) -> Recording:
    """The curves of a run as a recording, for export or replay.

    Parameters
    ----------
    scan : Scan
        Scan of the run.
    outcomes : iterable of Outcome
        In any order. The first usable curve of each site is kept.

    Returns
    -------
    Recording
        Its metadata list the others: "later_visits" and "failed" are (n, 2) rows and columns.
        "started" and "finished" are the times (n,) of the kept ones [s].

    Raises
    ------
    DataError
        If there is no curve, or the curves are not of one sweep: equal voltages, and times within
        1 % of the sweep's duration.
    """
    kept: dict[Site, tuple[Outcome, IVCurve]] = {}
    later, failed = [], []
    for outcome in outcomes:
        site = Site(int(outcome.site[0]), int(outcome.site[1]))
        if outcome.curve is None:
            failed.append(site)
        elif site in kept:
            later.append(site)
        else:
            kept[site] = (outcome, outcome.curve)
    if not kept:
        raise DataError("a recording must have at least one curve; the outcomes have none")
    curves = [curve for _, curve in kept.values()]
    first = curves[0]
    for site, (_, curve) in kept.items():
        if (
            len(curve) != len(first)
            or np.abs(curve.voltage - first.voltage).max() > 1e-9
            or np.abs(curve.time - first.time).max() > 0.01 * np.ptp(first.time)
        ):
            raise DataError(
                f"the curves of a recording must be of one sweep; that at {tuple(site)} differs from "
                f"that at {tuple(next(iter(kept)))}. Export them in groups"
            )
    return Recording(
        scan=scan,
        sites=np.array(list(kept), dtype=np.int64),
        waveform=Waveform(voltage=first.voltage, time=first.time, kind="recorded"),
        current=np.array([c.current for c in curves]),
        saturated=np.array([c.saturated for c in curves]),
        metadata={
            "source": "Grainscout run",
            "started": np.array([o.started for o, _ in kept.values()]),
            "finished": np.array([o.finished for o, _ in kept.values()]),
            "later_visits": np.array(later, dtype=np.int64).reshape(-1, 2),
            "failed": np.array(failed, dtype=np.int64).reshape(-1, 2),
        },
    )
