"""A VISA source-meter for the current-voltage curve, on any microscope that can move.

Optional extra ``visa`` (pymeasure, pyvisa).  Tested against pyvisa-sim; no instrument was used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from grainscout.hardware.protocol import Capabilities, Clock, SupportsClose
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

_OVERFLOW = 9.9e37  # the instrument's code for a reading over its range is 9.91e37
_NPLC, _MOST_AMPERES, _MOST_VOLTS = (0.01, 10.0), 1.05, 210.0
_OFLO, _COMPLIANCE, _RANGE_COMPLIANCE = 1 << 0, 1 << 3, 1 << 14  # bits of a reading's status word


@runtime_checkable
class Mover(Protocol):
    """The part of a microscope that images and places the tip."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def clock(self) -> Clock:
        """Its clock."""

    @property
    def cost(self) -> CostModel:
        """What a measurement costs there."""

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take an image."""

    def go(self, site: Site) -> None:
        """Put the tip on a site, in contact, at 0 V; MicroscopeError if it does not arrive."""

    def light(self, suns: float) -> None:
        """Set the illumination."""

    def park(self) -> None:
        """Bias 0 V and tip withdrawn."""


class SourceMeter:
    """A Keithley 2400 that sources voltage and reads current, point by point.

    resource : VISA address such as ``GPIB0::24::INSTR``;  compliance : largest current [A];  nplc :
    integration in power-line cycles;  visa_library : of pyvisa, such as ``"@py"``;  timeout : of one
    answer [s];  lag : how late a sample may be, as a fraction of the sweep, before the sweep is
    given up (a slower sweep is another measurement: the sample has memory).

    MicroscopeError if nothing answers or something else does.
    """

    _model = "MODEL 24"

    @staticmethod
    def _driver() -> Any:
        from pymeasure.instruments.keithley import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
            Keithley2400,
        )

        return Keithley2400

    def __init__(
        self,
        resource: str,
        *,
        compliance: float = 1e-6,
        nplc: float = 0.1,
        visa_library: str = "",
        timeout: float = 5.0,
        lag: float = 0.1,
    ) -> None:
        try:
            import pyvisa

            driver = self._driver()
        except ImportError as error:
            raise ConfigError(
                "the source-meter needs the packages pymeasure and pyvisa: pip install "
                "grainscout[visa]"
            ) from error
        for name, value in (("timeout", timeout), ("lag", lag)):
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be positive and finite; got {value}")
        # pymeasure would clip these, and the voltage, without a word.
        if not _NPLC[0] <= nplc <= _NPLC[1]:
            raise ConfigError(f"nplc must be {_NPLC[0]} to {_NPLC[1]}; got {nplc}")
        self._errors: tuple[type[Exception], ...] = (pyvisa.Error, OSError, ValueError)
        self._lag, self._closed = lag, False
        try:
            self._meter: Any = driver(
                resource, visa_library=visa_library, timeout=int(timeout * 1000)
            )
            name = str(self._meter.ask("*IDN?")).strip()
        except self._errors as error:
            raise MicroscopeError(
                f"a source-meter must answer at {resource}; got {error}"
            ) from error
        if "KEITHLEY" not in name.upper() or self._model not in name.upper():
            raise MicroscopeError(
                f"{resource} must be a Keithley {self._model.split()[1]}00; it says {name!r}"
            )
        self.off()
        self._set(source_mode="voltage", current_nplc=nplc)
        self.limit_current(compliance)

    def limit_current(self, amperes: float) -> None:
        """Compliance [A]; samples at it are flagged as saturated."""
        if not 0 < amperes <= _MOST_AMPERES:
            raise ConfigError(
                f"current compliance must be > 0 and at most {_MOST_AMPERES} A; got {amperes}"
            )
        self._set(compliance_current=amperes)
        self._compliance = amperes

    def sweep(self, waveform: Waveform) -> IVCurve:
        """Source each voltage at its time and read the current; the times are those of the readings.

        The output is off before and after.  MicroscopeError if the instrument fails, answers less
        than a reading, or cannot keep up.
        """
        if waveform.peak > _MOST_VOLTS:
            raise MicroscopeError(
                f"a source-meter can source up to {_MOST_VOLTS} V; got {waveform.peak:g} V"
            )
        times: list[float] = []
        currents: list[float] = []
        flags: list[bool] = []
        try:
            self._set(source_voltage=float(waveform.voltage[0]), source_enabled=True)
            begun = time.monotonic()
            for volts, due in zip(waveform.voltage, waveform.time - waveform.time[0], strict=True):
                time.sleep(max(0.0, begun + due - time.monotonic()))
                late = time.monotonic() - begun - due
                if late > self._lag * waveform.duration:
                    raise MicroscopeError(
                        f"the sweep must take {waveform.duration:g} s; the source-meter is {late:.3g} s "
                        f"late after {len(times)} of {len(waveform)} samples. Use fewer samples, a "
                        "longer sweep or a smaller nplc"
                    )
                self._set(source_voltage=float(volts))
                current, saturated = self._read()
                times.append(time.monotonic() - begun)
                currents.append(current)
                flags.append(saturated)
        finally:
            self.off()
        return IVCurve(
            voltage=waveform.voltage,
            current=np.array(currents),
            time=np.array(times),
            saturated=np.array(flags),
        )

    def off(self) -> None:
        """0 V and output off."""
        self._set(source_voltage=0.0, source_enabled=False)

    def close(self) -> None:
        """Output off and connection closed; again is nothing."""
        if not self._closed:
            self.off()
            self._meter.adapter.close()
        self._closed = True

    def _read(self) -> tuple[float, bool]:
        """Current [A] and whether it is at compliance or over the range."""
        try:
            values = [float(v) for v in self._meter.ask(":READ?").split(",")]
        except self._errors as error:
            raise MicroscopeError(f"the source-meter must give a reading; got {error}") from error
        if len(values) != 5 or not math.isfinite(values[4]):
            raise MicroscopeError(
                f"a reading must be voltage, current, resistance, time, status; got {values}"
            )
        current, status = values[1], int(values[4])
        if abs(current) >= _OVERFLOW or status & _OFLO:
            # Over the range, so beyond what may flow: the compliance, with the sign of the code.
            return math.copysign(self._compliance, current), True
        return current, bool(status & (_COMPLIANCE | _RANGE_COMPLIANCE))

    def _set(self, **settings: object) -> None:
        for name, value in settings.items():
            try:
                setattr(self._meter, name, value)
            except self._errors as error:
                raise MicroscopeError(
                    f"the source-meter must take {name} = {value}; {error}"
                ) from error


class SourceMeterMicroscope:
    """A mover places the tip, a source-meter measures the curve; any waveform, software-timed."""

    def __init__(self, mover: Mover, meter: SourceMeter) -> None:
        self._mover, self._meter = mover, meter

    @property
    def capabilities(self) -> Capabilities:
        """The mover's, but for the sweep, which is not its own."""
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
        """The mover's image, with the source-meter off."""
        self._meter.off()
        return self._mover.scan(channels)

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Go there with the output off, then sweep."""
        self._meter.off()
        self._mover.go(site)
        return self._meter.sweep(waveform)

    def limit_current(self, amperes: float) -> None:
        """Compliance of the source-meter [A]."""
        self._meter.limit_current(amperes)

    def light(self, suns: float) -> None:
        """The mover's light."""
        self._mover.light(suns)

    def park(self) -> None:
        """Output off and tip withdrawn, the second even if the first fails."""
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
    compliance_a: float = 1e-6,
    nplc: float = 0.1,
    visa_library: str = "",
    timeout_s: float = 5.0,
    lag: float = 0.1,
) -> SourceMeterMicroscope:
    """A source-meter on the microscope of that name: "nanonis", "aecroscopy", "aespm" or a third party's.

    resource : VISA address such as ``GPIB0::24::INSTR``;  compliance_a [A];  others as `SourceMeter`.
    model : of the source-meter's series.  ConfigError if that microscope cannot place its tip without measuring (it has no ``go``).
    """
    from grainscout.hardware.adapters.visa.keithley_2600 import SourceMeter2600

    meters = {"2400": SourceMeter, "2600": SourceMeter2600}
    if model not in meters:
        raise ConfigError(f"model must be one of {', '.join(meters)}; got {model!r}")
    under = make_microscope(mover, mover_options)
    if not supports(under, Mover):
        raise ConfigError(
            f"mover must be a microscope that places its tip by go(site); {mover!r} has none"
        )
    try:
        meter = meters[model](
            resource,
            compliance=compliance_a,
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
