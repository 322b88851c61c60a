"""The protocol that every microscope follows: simulated, replayed or real.

Positions are pixels of the last scan (:class:`~grainscout.records.Site`) and become metres in
``Scan.position`` only.  Volts are at the sample, currents in amperes, times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from grainscout.records import CostModel, IVCurve, PackedState, Scan, Site, Waveform
from grainscout.records.arrays import IntArray


class Clock(Protocol):
    """The experiment's time."""

    def now(self) -> float:
        """Seconds since the experiment's start; never decreases."""

    def spend(self, seconds: float) -> None:
        """Charge time that passes outside the microscope (a decision); real clocks ignore it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Capabilities:
    """What a microscope can do.

    channels : names that ``scan`` can give.
    light : whether ``light`` can be set.
    sites : (n, 2) int array if only these sites can be measured (a recording), else None.
    waveform : the only waveform that can be applied (a recording), else None.
    revisits : whether a site can be measured again with a new result.
    simulated : whether its clock is simulated.
    slew_factor : steepest slew on the sample, as a multiple of the waveform's; above 1 for a controller
        that ramps from sample to sample and then holds.
    """

    channels: tuple[str, ...] = ("height",)
    light: bool = False
    sites: IntArray | None = None
    waveform: Waveform | None = None
    revisits: bool = True
    simulated: bool = False
    slew_factor: float = 1.0


class Microscope(Protocol):
    """A conductive AFM."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; constant."""

    @property
    def clock(self) -> Clock:
        """Its clock."""

    @property
    def cost(self) -> CostModel:
        """What measurements cost here; a policy is told."""

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take an image; DataError for an unknown channel."""

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Go there, settle, apply the waveform, read the current; MicroscopeError if it fails."""

    def light(self, suns: float) -> None:
        """Set the illumination [suns]; 0 is dark."""

    def park(self) -> None:
        """Bias 0 V and tip withdrawn; safe to call at any time and again."""


@runtime_checkable
class Resumable(Protocol):
    """A simulated microscope whose whole state can be stored, so that a run resumes exactly."""

    def state(self) -> PackedState:
        """Everything that later measurements depend on, for ``records.pack``."""

    def restore(self, state: PackedState) -> None:
        """Continue from `state`."""


@runtime_checkable
class Wears(Protocol):
    """A microscope that knows its tip's wear."""

    def wear(self) -> float:
        """Fraction of the tip's life used up: 0 new, 1 worn out."""


@runtime_checkable
class Closes(Protocol):
    """A microscope with a connection that others need, too: a controller may take one client only."""

    def close(self) -> None:
        """Give the connection back, once or again; the microscope was parked before."""
