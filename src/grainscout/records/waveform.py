"""Waveforms: voltages and the times at which they are applied."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grainscout.records.arrays import FloatArray, freeze
from grainscout.records.errors import ConfigError

#: Of one waveform: 160 MB of voltages and times.
MAX_SAMPLES = 10_000_000


#: No instrument is near it [s]. Steps of 1e-310 s turned the ions' states into NaN.
_SHORTEST = 1e-15


@dataclass(frozen=True, kw_only=True, eq=False)
class Waveform:
    """Sample voltages and times, linear in between.

    Attributes
    ----------
    voltage : (n,) array of float
        Voltage at the sample, after any gain [V].
    time : (n,) array of float
        Times [s], strictly increasing. The first sample is the start.
    kind : str
        Name for people, such as ``"triangle"``.

    Raises
    ------
    ConfigError
        If the arrays differ in shape, have fewer than two samples, hold a NaN or an infinity, or
        if a step of time is shorter than a femtosecond.
    """

    voltage: FloatArray
    time: FloatArray
    kind: str = "custom"

    def __post_init__(self) -> None:
        voltage, time = _numbers("voltage", self.voltage), _numbers("time", self.time)
        if voltage.ndim != 1 or voltage.shape != time.shape or voltage.size < 2:
            raise ConfigError(
                "Waveform voltage and time must be one-dimensional, of one length, with at least 2 "
                f"samples; got shapes {voltage.shape} and {time.shape}"
            )
        for name, array, unit in (("voltage", voltage, "V"), ("time", time, "s")):
            bad = np.flatnonzero(~np.isfinite(array))
            if bad.size:
                raise ConfigError(
                    f"Waveform {name} must be finite [{unit}]; got {array[bad[0]]} at sample "
                    f"{bad[0]} ({bad.size} such samples)"
                )
        with np.errstate(over="ignore"):
            step = np.diff(time)
        if not (step > 0).all():
            at = int(np.flatnonzero(step <= 0)[0])
            raise ConfigError(
                f"Waveform time must increase strictly [s]; got {time[at]:g} then {time[at + 1]:g} "
                f"at samples {at} and {at + 1}"
            )
        if step.min() < _SHORTEST:
            raise ConfigError(
                f"Waveform time must increase by at least {_SHORTEST:g} s; got {step.min():g} s"
            )
        freeze(self, voltage=voltage, time=time)

    def __len__(self) -> int:
        return int(self.voltage.size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Waveform) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def key(self) -> str:
        """Digest of the samples, equal for equal waveforms of any name."""
        raw = self.voltage.tobytes() + self.time.tobytes()
        return hashlib.sha256(raw).hexdigest()[:16]

    @property
    def duration(self) -> float:
        """Seconds from the first to the last sample."""
        return float(self.time[-1] - self.time[0])

    @property
    def peak(self) -> float:
        """Largest |voltage| [V]."""
        return float(np.abs(self.voltage).max())

    @cached_property
    def slew(self) -> float:
        """Largest |dV/dt| [V/s]."""
        with np.errstate(over="ignore"):
            return float(np.abs(np.diff(self.voltage) / np.diff(self.time)).max())

    @classmethod
    def triangle(
        cls, peak: float = 1.5, samples: int = 251, duration: float = 1.0, *, start: float = 0.0
    ) -> Waveform:
        """A start -> peak -> start sweep of equal steps.

        Parameters
        ----------
        peak, start : float
            Voltages [V]. The papers sweep 0 -> 1.5 -> 0 V.
        samples : int
            Odd, at least 3, so that the peak is sampled.
        duration : float
            Length of the sweep [s].
        """
        if samples < 3 or samples % 2 == 0:
            raise ConfigError(f"triangle samples must be odd and at least 3; got {samples}")
        up = _ramp(start, peak, samples // 2 + 1)
        return cls._timed(np.concatenate([up, up[-2::-1]]), duration, "triangle")

    @classmethod
    def bipolar(cls, peak: float = 1.5, samples: int = 501, duration: float = 2.0) -> Waveform:
        """A 0 -> +peak -> -peak -> 0 sweep of equal steps.

        Parameters
        ----------
        peak : float
            Largest voltage [V].
        samples : int
            4k + 1, so that both peaks are sampled.
        duration : float
            Length of the sweep [s].
        """
        if samples < 5 or samples % 4 != 1:
            raise ConfigError(f"bipolar samples must be 4k + 1 (5, 9, ...); got {samples}")
        quarter = _ramp(0.0, peak, samples // 4 + 1)
        down = quarter[-2::-1]
        voltage = np.concatenate([quarter, down, -quarter[1:], -down])
        return cls._timed(voltage + 0.0, duration, "bipolar")

    @classmethod
    def forc(
        cls,
        peak: float = 1.5,
        branches: int = 10,
        rate: float = 3.0,
        *,
        step: float = 0.012,
        start: float = 0.0,
    ) -> Waveform:
        """First-order reversal curves: triangles of growing peak.

        Parameters
        ----------
        peak, start : float
            Voltages [V]. Branch k of n rises to start + k (peak - start) / n.
        branches : int
            Number of triangles.
        rate : float
            Slope |dV/dt| [V/s], the same in all branches.
        step : float
            Largest voltage step [V].
        """
        if branches < 1 or not step > 0 or not rate > 0 or peak == start:
            raise ConfigError(
                "forc needs branches >= 1, step > 0 V, rate > 0 V/s and peak != start; got "
                f"branches {branches}, step {step}, rate {rate}, peak {peak}, start {start}"
            )
        steps = branches * (abs(peak - start) / step + 2.0)
        if not steps <= MAX_SAMPLES:
            raise ConfigError(
                f"forc must have at most {MAX_SAMPLES} samples; got about {steps:.3g}"
            )
        pieces = [np.array([start])]
        for k in range(1, branches + 1):
            top = start + (peak - start) * k / branches
            n = int(np.ceil(abs(top - start) / step - 1e-9)) + 1
            up = _ramp(start, top, n)
            pieces += [up[1:], up[-2::-1]]
        voltage = np.concatenate(pieces)
        time = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(voltage)) / rate)])
        return cls(voltage=voltage, time=time, kind="forc")

    @classmethod
    def pulses(
        cls,
        levels: Sequence[float],
        *,
        width: float = 0.1,
        rest: float = 0.1,
        edge: float = 1e-3,
        base: float = 0.0,
        samples: int = 20,
    ) -> Waveform:
        """A train of flat pulses with rests between them.

        Parameters
        ----------
        levels : sequence of float
            Voltage of each pulse [V].
        width, rest : float
            Length of a pulse and of a rest [s].
        edge : float
            Rise and fall time [s].
        base : float
            Voltage of the rests [V].
        samples : int
            Readings in each plateau and each rest.
        """
        if not levels or samples < 2 or min(width, rest, edge) <= 0:
            raise ConfigError(
                "pulses needs at least one level, samples >= 2 and width, rest, edge > 0 s; got "
                f"{len(levels)} levels, samples {samples}, width {width}, rest {rest}, edge {edge}"
            )
        if (2 * len(levels) + 1) * samples > MAX_SAMPLES:
            raise ConfigError(f"pulses must have at most {MAX_SAMPLES} samples; got more")
        voltage, time = [np.full(samples, float(base))], [_ramp(0.0, rest, samples)]
        now = rest
        for level in levels:
            for value, span in ((float(level), width), (float(base), rest)):
                voltage.append(np.full(samples, value))
                time.append(now + edge + _ramp(0.0, span, samples))
                now += edge + span
        return cls(voltage=np.concatenate(voltage), time=np.concatenate(time), kind="pulses")

    @classmethod
    def constant(cls, level: float, duration: float = 0.01, samples: int = 2) -> Waveform:
        """A constant bias, as for an image of the current.

        Parameters
        ----------
        level : float
            Voltage [V]. The papers use -1.5 V.
        duration : float
            Length [s].
        samples : int
            Readings.
        """
        if not 2 <= samples <= MAX_SAMPLES:
            raise ConfigError(f"constant samples must be 2 to {MAX_SAMPLES}; got {samples}")
        return cls._timed(np.full(samples, float(level)), duration, "constant")

    @classmethod
    def _timed(cls, voltage: FloatArray, duration: float, kind: str) -> Waveform:
        if not duration > 0:
            raise ConfigError(f"{kind} duration must be > 0 s; got {duration}")
        return cls(voltage=voltage, time=_ramp(0.0, duration, voltage.size), kind=kind)


def _numbers(name: str, values: object) -> FloatArray:
    """The values as float64. ConfigError unless they are real numbers."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:  # rows of different lengths
        raise ConfigError(f"Waveform {name} must be an array of real numbers; {error}") from error
    if array.dtype.kind not in "iuf":
        raise ConfigError(f"Waveform {name} must be an array of real numbers; got {array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(array, dtype=np.float64)


def _ramp(start: float, end: float, count: int) -> FloatArray:
    """Even steps. ConfigError for too many samples or infinite ends."""
    if not (math.isfinite(start) and math.isfinite(end) and count <= MAX_SAMPLES):
        raise ConfigError(
            f"a waveform must have finite ends and at most {MAX_SAMPLES} samples; got {start:g} to "
            f"{end:g} in {count}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return np.linspace(start, end, count)
