"""The current amplifier as pure functions.

Noise densities are one-sided. White noise of density S [A^2/Hz] has the variance S B with the
equivalent noise bandwidth B: pi/2 times the corner of a one-pole filter, or, without a filter,
the Nyquist frequency 1/(2 dt) of a converter that averages over its sampling interval.
"""

import math
from dataclasses import dataclass

import numpy as np

from grainscout.records import BoolArray, FloatArray
from grainscout.records.validation import non_negative, positive

BOLTZMANN = 1.380649e-23
CHARGE = 1.602176634e-19


@dataclass(frozen=True, kw_only=True)
class AmplifierSpec:
    """A trans-impedance amplifier and its converter.

    None or 0 switches a part off.
    """

    #: feedback_ohm, temperature_K: Feedback resistor [ohm] and its temperature [K], which set the
    #: Johnson noise
    feedback_ohm: float | None = 1e9
    temperature_K: float = 298.0
    shot: bool = True  #: Add the current's shot noise
    flicker_A: float = 1e-13  #: Density of the 1/f noise at 1 Hz [A/sqrt(Hz)]
    #: line_A, line_Hz: Amplitude [A] and frequency [Hz] of the mains pickup
    line_A: float = 1e-13
    line_Hz: float = 50.0
    bandwidth_Hz: float | None = 1000.0  #: Corner of the one-pole low-pass [Hz]
    adc_step_A: float | None = 20e-9 / 2**16  #: Smallest step of the converter, in current [A]
    rail_A: float | None = 10e-9  #: Largest current of either sign that the output shows [A]

    def __post_init__(self) -> None:
        positive(
            self,
            feedback_ohm="ohm",
            temperature_K="K",
            line_Hz="Hz",
            bandwidth_Hz="Hz",
            adc_step_A="A",
            rail_A="A",
        )
        non_negative(self, flicker_A="A/sqrt(Hz)", line_A="A")

    @property
    def silent(self) -> bool:
        """True if no source of noise is on."""
        return self.feedback_ohm is None and not (self.shot or self.flicker_A or self.line_A)


#: No noise, infinite bandwidth, no steps, no rails.
IDEAL_AMPLIFIER = AmplifierSpec(
    feedback_ohm=None,
    shot=False,
    flicker_A=0.0,
    line_A=0.0,
    bandwidth_Hz=None,
    adc_step_A=None,
    rail_A=None,
)


def noise_bandwidth(spec: AmplifierSpec, interval: float) -> float:
    """Equivalent noise bandwidth [Hz] when sampling every `interval` s."""
    if spec.bandwidth_Hz is None:
        return 0.5 / interval
    return 0.5 * math.pi * spec.bandwidth_Hz


def white_variance(spec: AmplifierSpec, current: FloatArray, interval: float) -> FloatArray:
    """White variance (4 kB T/R + 2 e |I|) B [A^2]."""
    density = np.zeros_like(current)
    if spec.feedback_ohm is not None:
        density += 4.0 * BOLTZMANN * spec.temperature_K / spec.feedback_ohm
    if spec.shot:
        density += 2.0 * CHARGE * np.abs(current)
    return density * noise_bandwidth(spec, interval)


def one_pole(current: FloatArray, time: FloatArray, corner: float) -> FloatArray:
    """Filter a current (n,) by a one-pole low-pass [Hz], exactly for piecewise linear input."""
    rate = 2.0 * math.pi * corner
    step = np.diff(time)
    decay = np.exp(-rate * step)
    # y1 = u1 - m/r + (y0 - u0 + m/r) e^(-r h), m the slope: written for the error z = y - u.
    lag = np.diff(current) / step / rate
    error = _recursion(decay, -lag * (1.0 - decay), 0.0)
    return current + error


def _recursion(decay: FloatArray, drive: FloatArray, start: float) -> FloatArray:
    """y[0] = start, y[k + 1] = decay[k] y[k] + drive[k]."""
    result = np.empty(decay.size + 1)
    result[0] = start
    largest = float(decay.max())
    if largest < 1e-9:
        result[1:] = drive
        return result
    if largest - float(decay.min()) <= 1e-9:
        from scipy.signal import lfilter  # imports scipy.stats, which takes longer than all of ours

        result[1:], _ = lfilter([1.0], [1.0, -largest], drive, zi=[largest * start])
        return result
    value = start
    for k, (gain, push) in enumerate(zip(decay.tolist(), drive.tolist(), strict=True)):
        value = gain * value + push
        result[k + 1] = value
    return result


def _correlated(step: FloatArray, corner: float, rng: np.random.Generator) -> FloatArray:
    """Unit-variance Lorentzian noise (n + 1,), exact for any steps (n,) [s]."""
    decay = np.exp(-2.0 * math.pi * corner * step)
    normal = rng.standard_normal(step.size + 1)
    return _recursion(decay, np.sqrt(1.0 - decay**2) * normal[1:], float(normal[0]))


def flicker(time: FloatArray, bandwidth: float, rng: np.random.Generator) -> FloatArray:
    """Noise (n,) of density 1/f up to `bandwidth`: one Lorentzian of variance ln 10 a decade."""
    total = np.zeros(time.size)
    step = np.diff(time)
    for power in range(-3, math.floor(math.log10(bandwidth)) + 1):
        total += _correlated(step, 10.0**power, rng)
    return total * math.sqrt(math.log(10.0))


def amplify(
    current: FloatArray,
    time: FloatArray,
    spec: AmplifierSpec,
    rng: np.random.Generator,
    *,
    rail: float | None = None,
) -> tuple[FloatArray, BoolArray]:
    """Reading (n,) [A], and samples at the rail, the lower of the amplifier's and `rail`."""
    interval = float(time[-1] - time[0]) / (time.size - 1)
    corner = spec.bandwidth_Hz
    read = current if corner is None else one_pole(current, time, corner)
    if spec.feedback_ohm is not None or spec.shot:
        white = (
            rng.standard_normal(time.size)
            if corner is None
            else _correlated(np.diff(time), corner, rng)
        )
        read = read + white * np.sqrt(white_variance(spec, read, interval))
    if spec.flicker_A:
        read = read + spec.flicker_A * flicker(time, noise_bandwidth(spec, interval), rng)
    if spec.line_A:
        turn = 2.0 * math.pi * (spec.line_Hz * time + rng.random())
        read = read + spec.line_A * np.sin(turn)
    if spec.adc_step_A is not None:
        read = np.round(read / spec.adc_step_A) * spec.adc_step_A
    rails = [r for r in (spec.rail_A, rail) if r is not None]
    if not rails:
        return read, np.zeros(time.size, bool)
    limit = min(rails)
    saturated = np.abs(read) >= limit
    return np.where(saturated, np.copysign(limit, read), read), saturated
