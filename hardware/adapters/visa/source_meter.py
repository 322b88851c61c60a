"""Voltage sweeps with a VISA source-meter (optional extra ``visa``).

The extra installs pymeasure and pyvisa. Tested against pyvisa-sim. No instrument was used.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from grainscout.records import ConfigError, IVCurve, MicroscopeError, Waveform

#: The instruments' code for a reading over the range is 9.91e37.
OVERFLOW = 9.9e37
_NPLC, _MOST_AMPERES, _MOST_VOLTS = (0.01, 10.0), 1.05, 210.0


class SourceMeter(ABC):
    """A source-meter that sources voltage and reads current, point by point.

    Parameters
    ----------
    resource : str
        VISA address such as ``GPIB0::24::INSTR``.
    compliance : float
        Largest current [A].
    nplc : float
        Integration time in power-line cycles.
    visa_library : str
        Library of pyvisa, such as ``"@py"``.
    timeout : float
        Time-out of one answer [s].
    lag : float
        Largest delay of a sample, as a fraction of the sweep. A later sweep is given up: a slower
        one is another measurement, because the sample has memory.

    Raises
    ------
    MicroscopeError
        If nothing answers, or another instrument does.
    """

    #: Part of the instrument's answer to ``*IDN?``, in capitals.
    _model: str

    @staticmethod
    @abstractmethod
    def _driver() -> Any:
        """Import the instrument's driver."""

    @abstractmethod
    def _read(self) -> tuple[float, bool]:
        """Return the current [A], and True at compliance or over the range."""

    @abstractmethod
    def _set(self, **settings: object) -> None:
        """Set properties of the instrument, in order."""

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
                "the source-meter needs the packages pymeasure and pyvisa: pip install -e "
                "'.[visa]' in the checkout"
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
        """Set the compliance [A]. Samples at it are flagged as saturated."""
        if not 0 < amperes <= _MOST_AMPERES:
            raise ConfigError(
                f"current compliance must be > 0 and at most {_MOST_AMPERES} A; got {amperes}"
            )
        self._set(compliance_current=amperes)
        self._compliance = amperes

    def sweep(self, waveform: Waveform) -> IVCurve:
        """Source each voltage at its time and read the current.

        The times of the curve are those of the readings. The output is off before and after.
        MicroscopeError if the instrument fails, answers less than a reading, or cannot keep up.
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
        """Set 0 V and switch the output off."""
        self._set(source_voltage=0.0, source_enabled=False)

    def close(self) -> None:
        """Switch the output off and close the connection, once or again."""
        if not self._closed:
            self.off()
            self._meter.adapter.close()
        self._closed = True
