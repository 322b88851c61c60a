"""Waveforms as the Bias Spectroscopy module can apply them: a line there and back, or segments."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from grainscout.records import MicroscopeError, Waveform

#: Part of a sample's time in which the controller ramps to it. It settles and integrates in the rest.
RAMP = 0.5
_MOST_SEGMENTS = 16
_LAG = 0.05  # of the waveform: another sweep than that is another measurement


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Samples `first` to `last` of a waveform: equal steps [V] in equal times [s]."""

    first: int
    last: int
    step_V: float
    step_s: float

    @property
    def points(self) -> int:
        """Number of samples."""
        return self.last - self.first + 1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a waveform is applied. One segment with `back` is a line there and back."""

    waveform: Waveform
    segments: tuple[Segment, ...]
    back: bool

    @property
    def slew(self) -> float:
        """Slew rate of the ramps [V/s]."""
        return _slew(self.waveform) / RAMP

    @property
    def lag(self) -> float:
        """Largest delay of a sample against the waveform [s]."""
        held = np.concatenate([np.full(s.points, self.hold(s)) for s in self.segments])[1:]
        spent = np.abs(np.diff(self.waveform.voltage)) / self.slew + held
        return float(
            np.abs(np.cumsum(spent) - (self.waveform.time - self.waveform.time[0])[1:]).max()
        )

    def hold(self, segment: Segment) -> float:
        """Return the time that a sample of the segment is held [s]."""
        return segment.step_s - abs(segment.step_V) / self.slew


def plan(waveform: Waveform) -> Plan:
    """Plan a waveform. MicroscopeError unless it is an even triangle or at most 16 even segments."""
    volts, clock = waveform.voltage, waveform.time
    if not 1e-37 <= _slew(waveform) <= 1e37:  # in single precision less is a slew of 0
        raise MicroscopeError(
            f"a sweep of Bias Spectroscopy must have 1e-37 to 1e37 V/s; got {_slew(waveform):g}"
        )
    points = len(volts) // 2 + 1
    ramp = np.linspace(volts[0], volts[points - 1], points)
    even = np.linspace(clock[0], clock[-1], len(clock))
    if (
        len(volts) % 2 == 1
        and volts[points - 1] != volts[0]
        and np.abs(volts - np.concatenate([ramp, ramp[-2::-1]])).max() <= 1e-9
        and np.abs(clock - even).max() <= 1e-6 * waveform.duration
    ):
        step = (float(volts[points - 1]) - float(volts[0])) / (points - 1)
        line = Segment(
            first=0, last=points - 1, step_V=step, step_s=waveform.duration / (len(volts) - 1)
        )
        return Plan(waveform=waveform, segments=(line,), back=True)
    segments = _segments(waveform)
    if len(segments) > _MOST_SEGMENTS or any(s.points < 2 for s in segments):
        raise MicroscopeError(
            "Bias Spectroscopy can apply an even triangle, or up to 16 segments of equal steps in equal "
            f"times with 2 samples at least; got {waveform.kind} of {len(volts)} samples in "
            f"{len(segments)} segments"
        )
    planned = Plan(waveform=waveform, segments=segments, back=False)
    if not planned.lag <= _LAG * waveform.duration:
        raise MicroscopeError(
            f"segments of Bias Spectroscopy must keep the waveform's times within {_LAG:.0%}; a sample of "
            f"{waveform.kind} would be {planned.lag:.3g} s late, because each is held as long as the others "
            "of its segment. Use more samples in each plateau"
        )
    return planned


def _segments(waveform: Waveform) -> tuple[Segment, ...]:
    """Cut a waveform where its step in volts or seconds changes. No sample is in two segments."""
    volts, seconds = np.diff(waveform.voltage), np.diff(waveform.time)
    near_v = np.abs(np.diff(volts)) <= 1e-6 * waveform.peak
    near_s = np.abs(np.diff(seconds)) <= 1e-6 * waveform.duration
    same = near_v & near_s
    starts, k = [0], 0
    while k < len(volts):
        end = k  # of the run of equal steps that begins with step k
        while end < len(same) and same[end]:
            end += 1
        starts.append(end + 2)  # the sample after the run's last one
        k = end + 2
    if starts[-1] != len(waveform):
        starts.append(len(waveform))  # one sample is left over
    return tuple(
        Segment(
            first=a,
            last=b - 1,
            step_V=float(volts[min(a, len(volts) - 1)]) if b - a > 1 else 0.0,
            step_s=float(seconds[min(a, len(seconds) - 1)]),
        )
        for a, b in pairwise(starts)
    )


def _slew(waveform: Waveform) -> float:
    return waveform.slew or waveform.peak / float(np.diff(waveform.time).min())
