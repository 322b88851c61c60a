"""A simulated clock and a wall clock."""

import math
import time

from grainscout.records import ConfigError


class SimulatedClock:
    """A clock that moves only when it is charged."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = float(start)

    def now(self) -> float:
        """Seconds since the experiment's start."""
        return self._now

    def spend(self, seconds: float) -> None:
        """Charge `seconds` [s]. ConfigError if negative or not finite."""
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ConfigError(f"time spent must be finite and >= 0 s; got {seconds}")
        self._now += seconds


class RealClock:
    """Monotonic time since it was made.

    Parameters
    ----------
    start : float
        Time that an earlier part of the run took [s].
    """

    def __init__(self, start: float = 0.0) -> None:
        self._zero = time.monotonic() - float(start)

    def now(self) -> float:
        """Seconds since the experiment's start."""
        return time.monotonic() - self._zero

    def spend(self, seconds: float) -> None:
        """Do nothing: time passes by itself."""
