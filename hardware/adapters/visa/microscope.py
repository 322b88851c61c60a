"""A source-meter on any microscope that can place its tip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, runtime_checkable

from grainscout.hardware.adapters.visa.keithley_2400 import Keithley2400
from grainscout.hardware.adapters.visa.keithley_2600 import Keithley2600
from grainscout.hardware.adapters.visa.source_meter import SourceMeter
from grainscout.hardware.protocol import Capabilities, Clock, Microscope, SupportsClose
from grainscout.hardware.registry import make_microscope
from grainscout.records import (
    ConfigError,
    CostModel,
    IVCurve,
    MicroscopeError,
    Scan,
    Site,
    Waveform,
)
from grainscout.records.supports import supports

_METERS: Mapping[str, type[SourceMeter]] = {"2400": Keithley2400, "2600": Keithley2600}


@runtime_checkable
class SupportsGo(Protocol):
    """A microscope that can place its tip without measuring."""

    def go(self, site: Site) -> None:
        """Put the tip on a site, in contact, at 0 V.

        MicroscopeError if it does not arrive.
        """


class Mover(Microscope, SupportsGo, Protocol):
    """An instrument that images and places the tip."""


class SourceMeterMicroscope:
    """A mover places the tip, a source-meter measures the curve. Any waveform, software-timed."""

    def __init__(self, mover: Mover, meter: SourceMeter) -> None:
        self._mover, self._meter = mover, meter

    @property
    def capabilities(self) -> Capabilities:
        """The mover's capabilities, with any waveform."""
        return replace(self._mover.capabilities, waveform=None, slew_factor=1.0)

    @property
    def clock(self) -> Clock:
        """The mover's clock."""
        return self._mover.clock

    @property
    def cost(self) -> CostModel:
        """The mover's cost."""
        return self._mover.cost

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take the mover's image, with the source-meter off."""
        self._meter.off()
        return self._mover.scan(channels)

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Go there with the output off, then sweep."""
        self._meter.off()
        self._mover.go(site)
        return self._meter.sweep(waveform)

    def limit_current(self, amperes: float) -> None:
        """Set the compliance of the source-meter [A]."""
        self._meter.limit_current(amperes)

    def light(self, suns: float) -> None:
        """Set the mover's light."""
        self._mover.light(suns)

    def park(self) -> None:
        """Switch the output off and withdraw, the second even if the first fails."""
        try:
            self._meter.off()
        finally:
            self._mover.park()

    def close(self) -> None:
        """Close both connections."""
        self._meter.close()
        if supports(self._mover, SupportsClose):
            self._mover.close()


def open_source_meter(
    *,
    resource: str,
    mover: str,
    mover_options: Mapping[str, Any] | None = None,
    model: Literal["2400", "2600"] = "2400",
    compliance_A: float = 1e-6,
    nplc: float = 0.1,
    visa_library: str = "",
    timeout_s: float = 5.0,
    lag: float = 0.1,
) -> SourceMeterMicroscope:
    """Open a source-meter on another microscope.

    Parameters
    ----------
    resource : str
        VISA address such as ``GPIB0::24::INSTR``.
    mover : str
        Name of the microscope: "nanonis", "aecroscopy", "aespm" or a third party's.
    mover_options : mapping, optional
        Its options.
    model : {"2400", "2600"}
        Series of the source-meter.
    compliance_A, nplc, visa_library, timeout_s, lag
        As in `SourceMeter`.

    Raises
    ------
    ConfigError
        If that microscope has no ``go``: it cannot place its tip without measuring.
    """
    if model not in _METERS:
        raise ConfigError(f"model must be one of {', '.join(_METERS)}; got {model!r}")
    under = make_microscope(mover, mover_options)
    if not supports(under, SupportsGo):
        raise ConfigError(
            f"mover must be a microscope that places its tip by go(site); {mover!r} has none"
        )
    try:
        meter = _METERS[model](
            resource,
            compliance=compliance_A,
            nplc=nplc,
            visa_library=visa_library,
            timeout=timeout_s,
            lag=lag,
        )
    except (ConfigError, MicroscopeError):
        if supports(under, SupportsClose):
            under.close()
        raise
    return SourceMeterMicroscope(under, meter)
