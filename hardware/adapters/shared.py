"""Common parts of real microscopes: frame, wall clock, no lamp."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from grainscout.hardware.clock import RealClock
from grainscout.records import ConfigError, DataError, MicroscopeError, NotSentError, Scan, Site
from grainscout.records.scan import checked_site


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
