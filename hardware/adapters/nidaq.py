"""A converter card of National Instruments as a meter and as a lamp's control (package ``nidaqmx``).

With a preamplifier and the signal access of any AFM it measures any waveform, timed by the card. Tested
with a fake of the package. No card was used.
"""

import math
from typing import Any

import numpy as np

from grainscout.hardware.adapters.lock import InstrumentLock
from grainscout.hardware.adapters.shared import positive
from grainscout.records import ConfigError, IVCurve, MicroscopeError, PackedState, Waveform

_FULL = 0.999  # of the input's range: there the preamplifier or the converter is at its rail
_MOST = 10_000_000  # samples


def _package() -> Any:
    try:
        import nidaqmx  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise ConfigError(
            "the card needs NI's driver and the package nidaqmx: pip install -e '.[ni]' in the checkout"
        ) from error
    return nidaqmx


class NiMeter:
    """Output and input of a card, clocked together."""

    rise_s = 0.0  # it ramps, in steps of the converter

    def __init__(
        self,
        *,
        output: str,  # channel such as Dev1/ao0
        input: str,  # channel such as Dev1/ai0
        amperes_per_V: float,  # sensitivity of the preamplifier, negative if it inverts [A/V]
        gain: float = 1.0,  # volts at the sample for one volt of the card
        rail_V: float = 10.0,  # full scale of the preamplifier's output and of the input [V]
        rate_Hz: float = 50_000.0,  # of the converter; a sample is the mean of its readings
        timeout_s: float = 5.0,  # longest delay beyond the sweep [s]
    ) -> None:
        positive(rail_V=rail_V, rate_Hz=rate_Hz, timeout_s=timeout_s)
        if not (math.isfinite(amperes_per_V) and amperes_per_V and math.isfinite(gain) and gain):
            raise ConfigError(
                f"amperes_per_V and gain must be finite and not 0; got {amperes_per_V} and {gain}"
            )
        self._nidaqmx, self._output, self._input = _package(), output, input
        self._amperes, self._gain, self._rail = amperes_per_V, gain, rail_V
        self._rate, self._timeout = rate_Hz, timeout_s
        self._lock = InstrumentLock(f"the card with {output}")
        self._lock.take()
        try:
            self.off()
        except MicroscopeError:
            self._lock.give()
            raise

    def sweep(self, waveform: Waveform) -> IVCurve:
        """Apply the waveform by the card's clock, linear between its samples, and read."""
        volts, marks = self._converted(waveform)
        try:
            readings = self._run(volts)
        except self._nidaqmx.errors.Error as error:
            raise MicroscopeError(f"the card must carry out the sweep; {error}") from error
        finally:
            self.off()
        if readings.shape != volts.shape or not np.isfinite(readings).all():
            raise MicroscopeError(f"the card must give {volts.size} readings; got {readings.size}")
        pieces = np.split(readings, marks)[:-1]
        return IVCurve(
            voltage=waveform.voltage,
            current=np.array([piece.mean() for piece in pieces]) * self._amperes,
            time=waveform.time - waveform.time[0],
            saturated=np.array([np.abs(piece).max() >= _FULL * self._rail for piece in pieces]),
        )

    def _converted(self, waveform: Waveform) -> tuple[np.ndarray, np.ndarray]:
        """Volts of the card at its clock, back to 0 V, and where the readings of each sample end."""
        clock = waveform.time - waveform.time[0]
        back = 2 * clock[-1] - clock[-2]  # a card holds its last value
        count = round(back * self._rate) + 1
        # Readings around a sample's time: their mean bias is the sample's.
        ends = np.rint(0.5 * (clock[1:] + clock[:-1]) * self._rate).astype(int)
        marks = np.append(ends, round(clock[-1] * self._rate) + 1)
        if count > _MOST or (np.diff(marks, prepend=0) < 1).any():
            raise MicroscopeError(
                f"a sweep must have 1 to {_MOST} readings a sample at rate_Hz = {self._rate:g}; got {count} for "
                f"{len(waveform)} samples"
            )
        bias = np.interp(np.arange(count) / self._rate, [*clock, back], [*waveform.voltage, 0.0])
        volts = bias / self._gain
        if np.abs(volts).max() > 10.0:
            raise MicroscopeError(
                f"the card can give 10 V, {10 * abs(self._gain):g} V at the sample; got {waveform.peak:g} V"
            )
        return volts, marks

    def _run(self, volts: np.ndarray) -> np.ndarray:
        finite = self._nidaqmx.constants.AcquisitionType.FINITE
        clock = f"/{self._output.split('/')[0]}/ao/SampleClock"
        timing = {"sample_mode": finite, "samps_per_chan": volts.size}
        with self._nidaqmx.Task() as given, self._nidaqmx.Task() as read:
            given.ao_channels.add_ao_voltage_chan(self._output, min_val=-10.0, max_val=10.0)
            read.ai_channels.add_ai_voltage_chan(
                self._input, min_val=-self._rail, max_val=self._rail
            )
            given.timing.cfg_samp_clk_timing(self._rate, **timing)
            read.timing.cfg_samp_clk_timing(self._rate, source=clock, **timing)
            given.write(volts.tolist(), auto_start=False)
            read.start()  # waits for the output's clock
            given.start()
            seconds = volts.size / self._rate + self._timeout
            return np.asarray(
                read.read(number_of_samples_per_channel=volts.size, timeout=seconds), float
            )

    def settings(self) -> PackedState:
        """Channels, sensitivity, gain and rate."""
        return {
            "meter": f"NI {self._output}, {self._input}",
            "amperes_per_V": self._amperes,
            "gain": self._gain,
            "rate_Hz": self._rate,
        }

    def off(self) -> None:
        """Set 0 V."""
        _write(self._nidaqmx, self._output, 0.0)

    def close(self) -> None:
        """Set 0 V and let others use the card."""
        try:
            self.off()
        finally:
            self._lock.give()


class NiLamp:
    """A lamp that follows a voltage of the card.

    `V_per_sun` is its calibration at the sample, `most_V` the largest voltage that it may get.
    """

    def __init__(self, *, output: str, V_per_sun: float, most_V: float = 5.0) -> None:
        positive(V_per_sun=V_per_sun, most_V=most_V)
        self._nidaqmx, self._output = _package(), output
        self._slope, self._most, self._suns = V_per_sun, most_V, 0.0
        self.set(0.0)

    def set(self, suns: float) -> None:
        """Set the voltage. MicroscopeError beyond `most_V`."""
        volts = suns * self._slope
        if not 0 <= volts <= self._most:
            raise MicroscopeError(
                f"light must be 0 to {self._most / self._slope:g} suns ({self._most:g} V); got {suns}"
            )
        _write(self._nidaqmx, self._output, volts)
        self._suns = suns

    def settings(self) -> PackedState:
        """What is set."""
        return {"suns": self._suns, "set": f"NI {self._output}", "V_per_sun": self._slope}

    def close(self) -> None:
        """Switch the lamp off."""
        self.set(0.0)


def _write(nidaqmx: Any, channel: str, volts: float) -> None:
    try:
        with nidaqmx.Task() as task:
            task.ao_channels.add_ao_voltage_chan(channel, min_val=-10.0, max_val=10.0)
            task.write(volts, auto_start=True)
    except nidaqmx.errors.Error as error:
        raise MicroscopeError(f"the card must set {channel} to {volts:g} V; {error}") from error
