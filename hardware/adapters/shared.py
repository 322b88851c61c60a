"""Common parts of real microscopes: frame, wall clock, no lamp, polarity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from grainscout.hardware.clock import RealClock
from grainscout.records import (
    ConfigError,
    DataError,
    IVCurve,
    MicroscopeError,
    NotSentError,
    Scan,
    Site,
    Waveform,
)
from grainscout.records.arrays import FloatArray
from grainscout.records.scan import checked_site

#: Where the bias is wired to.
BiasTo = Literal["sample", "tip"]


class RealMicroscope:
    """Base of adapters of instruments that image and place their tip."""

    _frame: Scan | None = None  # the last image
    _displaced: tuple[Scan | None, float, float] = (None, 0.0, 0.0)  # an image, rows, columns

    def __init__(self) -> None:
        self._clock = RealClock()

    @property
    def clock(self) -> RealClock:
        """Wall-clock time since connecting."""
        return self._clock

    def light(self, suns: float) -> None:
        """Do nothing for 0 suns. MicroscopeError for more, there is no lamp."""
        if suns != 0:
            raise MicroscopeError(
                f"light must stay at 0 suns: this microscope has no lamp; got {suns}"
            )

    def displace(self, rows: float, columns: float) -> None:
        """Displace later sites by rows and columns [pixels] from the last image."""
        self._displaced = self._frame, rows, columns

    def _place(self, site: Site) -> tuple[Scan, tuple[float, float]]:
        """Return the image and x, y [m] of a site. NotSentError without an image."""
        if self._frame is None:
            raise NotSentError("a move needs a scan before it: sites are pixels of the last image")
        site = checked_site(site, self._frame.shape, error=MicroscopeError)
        of, *displaced = self._displaced
        by = displaced if of is self._frame else (0.0, 0.0)
        x, y = self._frame.positions(np.array([site]) + by)[0]
        return self._frame, (float(x), float(y))


def positive(**settings: float) -> None:
    """ConfigError for a setting that is not positive and finite."""
    for name, value in settings.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be positive and finite; got {value}")


def known_channels(wanted: Sequence[str], known: Sequence[str]) -> None:
    """DataError unless some channels are wanted, all of them known."""
    if not wanted or not set(wanted) <= set(known):
        raise DataError(f"scan channels must be some of {', '.join(known)}; got {list(wanted)}")


def as_applied(waveform: Waveform, bias_to: BiasTo) -> Waveform:
    """Turn volts at the sample into those of the instrument's output."""
    if bias_to == "sample":
        return waveform
    return replace(waveform, voltage=0.0 - waveform.voltage)


def as_at_sample(curve: IVCurve, bias_to: BiasTo) -> IVCurve:
    """Turn a curve back to volts at the sample. A resistor stays one: both signs change."""
    if bias_to == "sample":
        return curve
    signals = {
        name: 0.0 - values if name.startswith("current") else values
        for name, values in curve.signals.items()
    }
    return replace(curve, voltage=0.0 - curve.voltage, current=0.0 - curve.current, signals=signals)


def refuse_stopped(images: Mapping[str, FloatArray], channels: Sequence[str]) -> None:
    """MicroscopeError for an image with lines that were not scanned."""
    flat = np.all([np.ptp(images[c], axis=1) == 0 for c in channels], axis=0)
    if flat.any():
        raise MicroscopeError(
            f"every line of the image must be scanned; {int(flat.sum())} of {flat.size} are constant. It "
            "was stopped before its end"
        )
