"""The protocol of every microscope: simulated, replayed or real.

Positions are pixels of the last scan (:class:`~grainscout.records.Site`) and become metres in
``Scan.position`` only. Volts are at the sample, currents in amperes, times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from grainscout.hardware.limits import Violation
from grainscout.records import CostModel, IVCurve, PackedState, Scan, Site, Waveform
from grainscout.records.arrays import IntArray
from grainscout.records.supports import SupportsState as SupportsState


class Clock(Protocol):
    """The experiment's time."""

    def now(self) -> float:
        """Return the seconds since the experiment's start. Never decreases."""

    def spend(self, seconds: float) -> None:
        """Charge time outside the microscope (a decision) [s]. Real clocks ignore it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Capabilities:
    """Capabilities of a microscope.

    Parameters
    ----------
    channels : tuple of str
        Images that `Microscope.scan` can give.
    light : bool
        True if the light can be set.
    sites : (n, 2) array of int, optional
        The only sites that can be measured (a recording).
    waveform : Waveform, optional
        The only waveform that can be applied (a recording).
    revisits : bool
        True if a site measured again gives a new result.
    simulated : bool
        True if the clock is simulated.
    slew_factor : float
        Steepest slew on the sample, as a multiple of the waveform's. Above 1 for a controller that
        ramps from sample to sample and then holds.
    unit : str
        Unit of what is measured. The quality of curves is judged for currents only.
    """

    channels: tuple[str, ...] = ("height",)
    light: bool = False
    sites: IntArray | None = None
    waveform: Waveform | None = None
    revisits: bool = True
    simulated: bool = False
    slew_factor: float = 1.0
    unit: str = "A"


class Microscope(Protocol):
    """A conductive AFM."""

    @property
    def capabilities(self) -> Capabilities:
        """Its capabilities. Constant."""

    @property
    def clock(self) -> Clock:
        """Its clock."""

    @property
    def cost(self) -> CostModel:
        """Expected cost of a measurement."""

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take an image. DataError for an unknown channel."""

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Move there, settle and sweep. MicroscopeError if it fails."""

    def light(self, suns: float) -> None:
        """Set the illumination [suns]. 0 is dark."""

    def park(self) -> None:
        """Set 0 V and withdraw the tip. Safe at any time and again."""


@runtime_checkable
class SupportsWear(Protocol):
    """A microscope that knows its tip's wear."""

    def wear(self) -> float:
        """Fraction of the tip's life used up: 0 new, 1 worn out."""


@runtime_checkable
class SupportsFaults(Protocol):
    """A simulated microscope that logs its own faults, for journals and scores."""

    def faults(self) -> list[PackedState]:
        """All faults so far, in order: dictionaries with time_s [s], kind and detail."""


@runtime_checkable
class SupportsClose(Protocol):
    """A microscope with a connection. A controller may accept one client only."""

    def close(self) -> None:
        """Close the connection, once or again. The microscope was parked before."""


@runtime_checkable
class SupportsLimitCurrent(Protocol):
    """A microscope that can limit its current by itself."""

    def limit_current(self, amperes: float) -> None:
        """Set the compliance [A]. Samples at it are flagged as saturated."""


@runtime_checkable
class SupportsCheck(Protocol):
    """A microscope with limits, such as a guard."""

    def check(self, site: Site, waveform: Waveform) -> list[Violation]:
        """List the limits that this measurement would break now."""

    def continue_from(self, issued: int, elapsed_s: float) -> None:
        """Count on from an earlier part of the run: measurements and seconds [s]."""


# Earlier names.
Resumable = SupportsState
Wears = SupportsWear
Closes = SupportsClose
