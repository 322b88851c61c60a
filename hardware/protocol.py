"""The protocol of every microscope: simulated, replayed or real.

Positions are pixels of the last scan (:class:`~grainscout.records.Site`) and become metres in
``Scan.position`` only. Volts are at the sample, currents in amperes, times in seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from grainscout.hardware.limits import Limits, Violation
from grainscout.records import CostModel, IntArray, IVCurve, PackedState, Scan, Site, Waveform
from grainscout.records.supports import SupportsState as SupportsState


class Clock(Protocol):
    """The experiment's time."""

    def now(self) -> float:
        """Return the seconds since the experiment's start. Never decreases."""

    def spend(self, seconds: float) -> None:
        """Charge time outside the microscope (a decision) [s]. Real clocks ignore it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Capabilities:
    """Capabilities of a microscope."""

    channels: tuple[str, ...] = ("height",)  #: Images that `Microscope.scan` can give
    light: bool = False  #: True if the light can be set
    sites: IntArray | None = None  #: The only sites that can be measured (a recording)
    waveform: Waveform | None = None  #: The only waveform that can be applied (a recording)
    revisits: bool = True  #: True if a site measured again gives a new result
    simulated: bool = False  #: True if the clock is simulated
    #: Steepest slew on the sample, as a multiple of the waveform's. Above 1 for a controller that
    #: ramps from sample to sample and then holds.
    slew_factor: float = 1.0
    #: Time of one step [s], for a source that jumps from sample to sample. 0 if none does.
    rise_s: float = 0.0
    unit: str = "A"  #: Unit of what is measured. The quality of curves is judged for currents only.
    waveforms: tuple[str, ...] = ()  #: Kinds of waveforms that can be applied. Empty for any.
    scan_bias_V: float = 0.0  #: Bias during an image [V]
    rail_A: float | None = None  #: Full scale of the current amplifier [A]
    sweeps: int = 1  #: Sweeps of one measurement: those averaged, times the setpoints
    #: Samples' times by which the controller's sweep is longer than the waveform.
    held_samples: int = 0
    #: Longest that one command may take, by the microscope's own time-outs [s].
    patience_s: float = 60.0
    rescue: str = "withdraw it by hand"  #: What a person does at the instrument when parking failed

    def exposure(self, waveform: Waveform) -> float:
        """Return the seconds under bias that one measurement of this waveform takes."""
        held = self.held_samples / (len(waveform) - 1)
        return self.sweeps * waveform.duration * (1.0 + held)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What is known of a microscope from its options, before it is opened.

    `applies` raises MicroscopeError for a waveform that it cannot apply.
    """

    capabilities: Capabilities
    cost: CostModel
    applies: Callable[[Waveform], object] = lambda _: None


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
class SupportsImageBias(Protocol):
    """A microscope that can set a bias for images."""

    def image_bias(self, volts: float) -> None:
        """Set the sample's bias during later current images [V]. `park` does not change it."""


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
class SupportsPlan(Protocol):
    """A microscope that wants to know which sites come next."""

    def plan(self, sites: Sequence[Site]) -> None:
        """Take the sites of a batch, in the order in which they will be measured."""


class Part(NamedTuple):
    """A part of the last image [pixels]."""

    row: int
    column: int
    rows: int
    columns: int


@runtime_checkable
class SupportsLook(Protocol):
    """A microscope that can look at a part of its image again."""

    def look(self, part: Part) -> Scan:
        """Take a fast image of a part, displaced as its sites are. The last image stays the reference."""


@runtime_checkable
class SupportsDisplace(Protocol):
    """A microscope whose sites can follow a drifting sample. A guard does it for any, in whole pixels."""

    def displace(self, rows: float, columns: float) -> None:
        """Displace later sites and looks by [pixels] from the last image, in place of the one before."""


@runtime_checkable
class SupportsSettings(Protocol):
    """A microscope that reads what is set at its instrument."""

    def settings(self) -> PackedState:
        """Return plain values: controller, setpoint, gain, calibration, polarity, lamp."""


@runtime_checkable
class SupportsContact(Protocol):
    """A microscope that confirms landings by its controller."""

    def contact(self) -> bool:
        """Tell if the tip is in contact now. False only if it is confirmed to be up."""

    def landings(self) -> int:
        """Return the number of landings confirmed so far."""


@dataclass(frozen=True, kw_only=True)
class Rescue:
    """How another process parks an instrument: ``"module:function"`` and plain arguments.

    The function connects and returns a callable that parks.
    """

    target: str
    options: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class SupportsRescue(Protocol):
    """A microscope that a watchdog process can park over a connection of its own."""

    def rescues(self) -> Sequence[Rescue]:
        """Return what must be parked, in order."""


@runtime_checkable
class SupportsGo(Protocol):
    """A microscope that can place its tip without measuring."""

    def go(self, site: Site) -> None:
        """Put the tip on a site, in contact, at 0 V. MicroscopeError if it does not arrive."""


class Mover(Microscope, SupportsGo, Protocol):
    """A part that images and places the tip. Any microscope with ``go`` is one."""


class Meter(Protocol):
    """A part that applies waveforms and reads currents.

    Optional: `SupportsLimitCurrent`, `SupportsSettings`, `SupportsRescue`.
    """

    @property
    def rise_s(self) -> float:
        """Time of one step of its source [s]. 0 for a source that ramps."""

    def sweep(self, waveform: Waveform) -> IVCurve:
        """Apply the waveform and read. The output is at 0 V before and after."""

    def off(self) -> None:
        """Set 0 V and switch the output off. Safe at any time and again."""

    def close(self) -> None:
        """Close the connection, once or again."""


class Lamp(Protocol):
    """A part that illuminates the sample."""

    def set(self, suns: float) -> None:
        """Set the illumination [suns]. MicroscopeError if it cannot be that."""

    def settings(self) -> PackedState:
        """Return what is set, in plain values with ``suns``."""

    def close(self) -> None:
        """Switch off, if it can, and close the connection, once or again."""


F = TypeVar("F", bound=Callable[..., object])


def on_paper(paper: Callable[..., Paper | None]) -> Callable[[F], F]:
    """Decorate a factory with what is known before it is called. See `registry.paper_of`."""

    def wrap(factory: F) -> F:
        vars(factory)["on_paper"] = paper
        return factory

    return wrap


@runtime_checkable
class SupportsCheck(Protocol):
    """A microscope with limits, such as a guard."""

    limits: Limits

    def narrow(self, limits: Limits) -> None:
        """Take narrower limits. ConfigError if one of them is wider."""

    def check(self, site: Site, waveform: Waveform) -> list[Violation]:
        """List the limits that this measurement would break now."""

    def continue_from(
        self, issued: int, elapsed_s: float, exposed_s: Mapping[Site, float] | None = None
    ) -> None:
        """Count on from an earlier part of the run: measurements, seconds, and each site's under bias."""


# Earlier names.
Resumable = SupportsState
Wears = SupportsWear
Closes = SupportsClose
