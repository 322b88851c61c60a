"""Voltage sweeps with a VISA source-meter (optional extra ``visa``).

The extra installs pymeasure and pyvisa. Tested against pyvisa-sim. No instrument was used.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from grainscout.hardware.adapters.lock import InstrumentLock
from grainscout.hardware.adapters.shared import positive, staircase
from grainscout.hardware.adapters.visa import dialects
from grainscout.hardware.adapters.visa.dialects import Dialect
from grainscout.hardware.protocol import Rescue
from grainscout.records import ConfigError, IVCurve, MicroscopeError, PackedState, Waveform

_NPLC = (0.01, 10.0)


class SourceMeter:
    """A source-meter that sources voltage and reads current, point by point.

    MicroscopeError if nothing answers, another instrument does, or it does not take a setting.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        resource: str,  # VISA address such as GPIB0::24::INSTR
        compliance_A: float = 1e-6,  # largest current [A]
        nplc: float = 0.1,  # integration time in power-line cycles
        rise_s: float = 1e-4,  # of a step, with your cables: limits of the slew count it [s]
        visa_library: str = "",  # of pyvisa, such as @py
        timeout_s: float = 5.0,  # of one answer [s]
        lag: float = 0.1,  # largest delay of a sample, as a fraction of the sweep
        watchdog: bool = True,  # another process switches the output off if this one dies
    ) -> None:
        positive(timeout_s=timeout_s, lag=lag, rise_s=rise_s)
        if not _NPLC[0] <= nplc <= _NPLC[1]:
            raise ConfigError(f"nplc must be {_NPLC[0]} to {_NPLC[1]}; got {nplc}")
        self._says, self._lag, self._nplc, self.rise_s = dialect, lag, nplc, rise_s
        self._where: dict[str, Any] = {
            "resource": resource,
            "visa_library": visa_library,
            "timeout_s": timeout_s,
        }
        self._watched = watchdog
        self._lock = InstrumentLock(f"the source-meter at {resource} {visa_library}".strip())
        self._lock.take()
        self._connected = False
        try:
            self._connect(**self._where)
            self.off()
            for line in dialect.setup:
                self._write(line)
            self._write(dialect.nplc.format(nplc))
            self._no_errors("setting it up")
            for query, word in dialect.asks:
                answer = self._ask(query)
                if word not in answer.upper():
                    raise MicroscopeError(
                        f"the source-meter must answer {word} to {query}; got {answer!r}"
                    )
            self.limit_current(compliance_A)
        except (ConfigError, MicroscopeError):
            self._disconnect()
            raise

    def _connect(self, *, resource: str, visa_library: str, timeout_s: float) -> None:
        try:
            import pyvisa
            from pymeasure.instruments import Instrument  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as error:
            raise ConfigError(
                "the source-meter needs the packages pymeasure and pyvisa: pip install -e "
                "'.[visa]' in the checkout"
            ) from error
        self._errors: tuple[type[Exception], ...] = (pyvisa.Error, OSError, ValueError)
        try:
            self._meter: Any = Instrument(
                resource,
                self._says.name,
                includeSCPI=False,
                visa_library=visa_library,
                timeout=int(timeout_s * 1000),
            )
            self._connected = True
            name = str(self._meter.ask("*IDN?")).strip()
        except self._errors as error:
            raise MicroscopeError(
                f"a source-meter must answer at {resource}; got {error}"
            ) from error
        if not re.search(self._says.identity, name.upper()):
            raise MicroscopeError(f"{resource} must be {self._says.name}; it says {name!r}")
        self._name = name

    def limit_current(self, amperes: float) -> None:
        """Set the compliance [A] and read it back. Samples at it are flagged as saturated."""
        most = self._says.most_amperes
        if not 0 < amperes <= most:
            raise ConfigError(f"current compliance must be > 0 and at most {most} A; got {amperes}")
        self._write(self._says.compliance.format(amperes))
        found = self._number(self._ask(self._says.compliance_is))
        if not math.isclose(found, amperes, rel_tol=0.01):
            raise MicroscopeError(
                f"the source-meter must take a compliance of {amperes:g} A; it says {found:g} A. Its range "
                "may not allow it"
            )
        self._compliance = amperes

    def settings(self) -> PackedState:
        """Instrument, compliance and integration time."""
        return {"meter": self._name, "compliance_A": self._compliance, "nplc": self._nplc}

    def rescues(self) -> Sequence[Rescue]:
        """Switching off from another process."""
        if not self._watched:
            return ()
        family = next(n for n, d in vars(dialects).items() if d is self._says)
        target = "grainscout.hardware.adapters.visa.source_meter:rescue"
        return (Rescue(target=target, options={"family": family, **self._where}),)

    def sweep(self, waveform: Waveform) -> IVCurve:
        """Step through the waveform and read each step. The output is off before and after."""
        if waveform.peak > self._says.most_volts:
            raise MicroscopeError(
                f"a source-meter can source up to {self._says.most_volts} V; got {waveform.peak:g} V"
            )
        try:
            self._source(float(waveform.voltage[0]))
            self._write(self._says.output.format(1))
            curve = staircase(waveform, self._source, self._read, lag=self._lag)
        finally:
            self.off()
        self._no_errors("the sweep")
        return curve

    def _read(self) -> tuple[float, bool]:
        """Return the current [A], and True at compliance or over the range."""
        says, answer = self._says, self._ask(self._says.read)
        words = re.split(r"[,\s]+", answer.strip())
        if len(words) != (1 if says.tripped else 2):
            raise MicroscopeError(f"a reading must be a current and a status; got {answer!r}")
        current = self._number(words[0])
        if says.nan is not None and math.isclose(abs(current), says.nan, rel_tol=1e-5):
            raise MicroscopeError(
                f"a reading must be a current; {answer!r} says that none was measured. Is the sense function "
                "set at its panel?"
            )
        word = self._ask(says.tripped).strip() if says.tripped else words[1]
        if says.limited_bits:
            bits = int(self._number(word))
            limited, over = bool(bits & says.limited_bits), bool(bits & says.over_bits)
        elif word in ("true", "false", "0", "1"):
            limited, over = word in ("true", "1"), False
        else:
            raise MicroscopeError(f"a reading must say true or false, 1 or 0; got {word!r}")
        if over or abs(current) >= says.overflow * (1 - 1e-5):
            # Over the range, so beyond what may flow: the compliance, with the sign of the code.
            return math.copysign(self._compliance, current), True
        return current, limited

    def off(self) -> None:
        """Set 0 V and switch the output off."""
        try:
            self._source(0.0)
        finally:
            self._write(self._says.output.format(0))

    def close(self) -> None:
        """Switch the output off and close the connection, once or again."""
        if self._connected:
            try:
                self.off()
            finally:
                self._disconnect()

    def _disconnect(self) -> None:
        if self._connected:
            self._meter.adapter.close()
        self._connected = False
        self._lock.give()

    def _source(self, volts: float) -> None:
        self._write(self._says.volts.format(volts))

    def _write(self, line: str) -> None:
        try:
            self._meter.write(line)
        except self._errors as error:
            raise MicroscopeError(f"the source-meter must take {line}; {error}") from error

    def _ask(self, query: str) -> str:
        try:
            return str(self._meter.ask(query))
        except self._errors as error:
            what = "give a reading" if query == self._says.read else f"answer {query}"
            raise MicroscopeError(f"the source-meter must {what}; got {error}") from error

    @staticmethod
    def _number(text: str) -> float:
        try:
            value = float(text)
        except ValueError as error:
            raise MicroscopeError(f"a reading must be a number; got {error}") from error
        if not math.isfinite(value):
            raise MicroscopeError(f"a reading must be a finite number; got {text}")
        return value

    def _no_errors(self, after: str) -> None:
        answer = self._ask(self._says.error)
        if not re.match(r"\s*[+-]?0([.,\s]|$)", answer):
            raise MicroscopeError(
                f"the source-meter must have no error after {after}; got {answer!r}"
            )


def rescue(
    *, family: str, resource: str, visa_library: str, timeout_s: float
) -> Callable[[], None]:
    """Return what connects and switches the output off. Only one process can hold the instrument."""

    def off() -> None:
        meter = object.__new__(SourceMeter)
        meter._says, meter._connected = getattr(dialects, family), False
        meter._connect(resource=resource, visa_library=visa_library, timeout_s=timeout_s)
        meter.off()

    return off


keithley_2400 = partial(SourceMeter, dialects.KEITHLEY_2400)
keithley_2450 = partial(SourceMeter, dialects.KEITHLEY_2450)
keithley_2600 = partial(SourceMeter, dialects.KEITHLEY_2600)
keysight_b2900 = partial(SourceMeter, dialects.KEYSIGHT_B2900)
