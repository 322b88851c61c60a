"""Lock-in amplifiers of Zurich Instruments as meters (package ``zhinst-toolkit``).

Written from the package and the documented nodes, and tested with a fake of the package. No instrument was
used.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from grainscout.hardware.adapters.lock import InstrumentLock
from grainscout.hardware.adapters.shared import positive, staircase
from grainscout.hardware.protocol import Rescue
from grainscout.records import ConfigError, IVCurve, MicroscopeError, PackedState, Waveform

_FULL = 0.99  # of the input's range
_MOST_V = 10.0


class ZurichMeter:
    """An auxiliary output as the source and a demodulator of the current input at 0 Hz as the meter.

    `lag` and `watchdog` are as of `SourceMeter`.
    """

    def __init__(
        self,
        *,
        device: str,  # serial number, such as dev5000
        host: str = "localhost",
        port: int = 8004,
        output: int = 0,  # auxiliary output
        gain: float = 1.0,  # volts at the sample for one volt of it
        # Amperes for one of the demodulator, which gives sqrt(2) times the mean at 0 Hz: check it on a
        # resistor. Negative for a tip that is wired the other way round.
        scale: float = math.sqrt(0.5),
        settle_s: float = 0.01,  # from a step to its reading, in which the filter settles [s]
        lag: float = 0.1,
        watchdog: bool = True,
    ) -> None:
        positive(settle_s=settle_s, lag=lag, gain=abs(gain), scale=abs(scale))
        self._where = {"device": device, "host": host, "port": port, "output": output}
        self._gain, self._scale, self._lag, self.rise_s = gain, scale, lag, settle_s / 10
        self._settle, self._watched, self._stamp = settle_s, watchdog, -1
        self._lock = InstrumentLock(f"the amplifier {device}")
        self._lock.take()
        try:
            self._device, self._errors = _connected(device, host, port)
            self._demod, self._aux = self._device.demods[0], self._device.auxouts[output]
            self.off()
            for node, value in (
                *((self._aux.outputselect, -1), (self._device.oscs[0].freq, 0.0)),
                *((self._demod.adcselect, 1), (self._demod.order, 4), (self._demod.enable, 1)),
                (self._demod.timeconstant, settle_s / 10),
            ):
                self._set(node, value)
            self._set(self._demod.rate, 10 / settle_s, within=0.5)  # it has powers of two alone
            self._range = float(self._get(self._device.currins[0].range))
        except (ConfigError, MicroscopeError):
            self._lock.give()
            raise

    def sweep(self, waveform: Waveform) -> IVCurve:
        """Step through the waveform and read each step. 0 V before and after."""
        if waveform.peak / abs(self._gain) > _MOST_V:
            most = _MOST_V * abs(self._gain)
            raise MicroscopeError(
                f"the output can give {most:g} V at the sample; got {waveform.peak:g}"
            )
        try:
            return staircase(waveform, self._source, self._read, lag=self._lag)
        finally:
            self.off()

    def settings(self) -> PackedState:
        """Serial number, range of the input, gain and scale."""
        about = {"gain": self._gain, "scale": self._scale, "settle_s": self._settle}
        return {"meter": self._where["device"], "range_A": self._range, **about}

    def rescues(self) -> Sequence[Rescue]:
        """Setting 0 V from another process, as the data server takes several clients."""
        target = "grainscout.hardware.adapters.zurich:rescue"
        return (Rescue(target=target, options=self._where),) if self._watched else ()

    def off(self) -> None:
        """Set 0 V."""
        self._source(0.0)

    def close(self) -> None:
        """Set 0 V and let others use the amplifier."""
        try:
            self.off()
        finally:
            self._lock.give()

    def _source(self, volts: float) -> None:
        self._set(self._aux.offset, volts / self._gain)

    def _read(self) -> tuple[float, bool]:
        time.sleep(self._settle)
        sample = self._get(self._demod.sample)
        stamp, current = int(sample["timestamp"][0]), float(sample["x"][0]) * self._scale
        if stamp == self._stamp or not math.isfinite(current):
            raise MicroscopeError(f"the amplifier must give a new sample; got {current:g} A again")
        self._stamp = stamp
        return current, abs(current) >= _FULL * self._range

    def _get(self, node: Any) -> Any:
        try:
            return node(enum=False)
        except self._errors as error:
            raise MicroscopeError(f"the amplifier must answer; got {error}") from error

    def _set(self, node: Any, value: float, within: float = 0.05) -> None:
        """Set a node and read it back: the server rounds and limits what it is told."""
        try:
            node(value)
        except self._errors as error:
            raise MicroscopeError(f"the amplifier must take {value:g}; got {error}") from error
        found = float(self._get(node))
        if not math.isclose(found, value, rel_tol=within, abs_tol=1e-3):
            raise MicroscopeError(f"the amplifier must take {value:g} at {node}; it says {found:g}")


def _connected(device: str, host: str, port: int) -> tuple[Any, tuple[type[Exception], ...]]:
    try:
        from zhinst.toolkit import Session  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise ConfigError(
            "the amplifier needs the package zhinst-toolkit: pip install -e '.[zurich]' in the checkout"
        ) from error
    errors = (RuntimeError, OSError, KeyError, AttributeError)
    try:
        return Session(host, port).connect_device(device), errors
    except errors as error:
        raise MicroscopeError(
            f"the data server at {host}:{port} must connect {device}; got {error!r}"
        ) from error


def rescue(*, device: str, host: str, port: int, output: int) -> Callable[[], None]:
    """Connect now, and return what sets 0 V."""
    aux = _connected(device, host, port)[0].auxouts[output]
    return lambda: aux.offset(0.0)
