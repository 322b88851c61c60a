"""Faults of approach, landing and contact."""

from dataclasses import dataclass

import numpy as np

from grainscout.records import BoolArray, FloatArray
from grainscout.records.validation import non_negative, positive


@dataclass(frozen=True, kw_only=True)
class ContactSpec:
    """Loss and return of contact, a two-state telegraph."""

    #: Rate of loss on flat ground with a new tip [1/s]. It is multiplied by (1 + slope_gain |slope|)
    #: (1 + wear_gain wear).
    loss_per_s: float = 0.02
    return_per_s: float = 5.0  #: Rate of return [1/s]
    #: slope_gain, wear_gain: Factors on the surface's slope and on the tip's wear
    slope_gain: float = 4.0
    wear_gain: float = 4.0
    left: float = 1e-3  #: Fraction of the current that still flows without contact

    def __post_init__(self) -> None:
        positive(self, return_per_s="1/s")
        non_negative(self, loss_per_s="1/s", slope_gain="", wear_gain="", left="")

    def loss_rate(self, slope: float, wear: float) -> float:
        """Rate of contact loss [1/s] by slope and wear."""
        return self.loss_per_s * (1.0 + self.slope_gain * slope) * (1.0 + self.wear_gain * wear)


def telegraph(
    duration: float, loss_rate: float, return_rate: float, rng: np.random.Generator
) -> tuple[bool, FloatArray]:
    """State at the start (stationary) and switching times [s] of a two-state process."""
    touching = bool(rng.random() * (loss_rate + return_rate) >= loss_rate)
    start, now = touching, 0.0
    times: list[float] = []
    while True:
        rate = loss_rate if touching else return_rate
        now += rng.standard_exponential() / rate if rate > 0 else np.inf
        if now >= duration:
            return start, np.array(times)
        times.append(now)
        touching = not touching


def in_contact(start: bool, switches: FloatArray, time: FloatArray) -> BoolArray:
    """State of a telegraph at `time` (n,) [s]."""
    switched = np.searchsorted(switches, time, side="right") % 2 == 1
    touching: BoolArray = switched != start
    return touching


@dataclass(frozen=True, kw_only=True)
class ApproachSpec:
    """Approaches that find no surface."""

    probability: float = 0.01  #: Share of approaches that fail
    timeout_s: float = 10.0  #: Time until the measurement fails [s]

    def __post_init__(self) -> None:
        non_negative(self, probability="(a probability)", timeout_s="s")


@dataclass(frozen=True, kw_only=True)
class LandingSpec:
    """Contacts that differ from one landing to the next.

    A landing squeezes out more or less water and dirt. The film is the same.
    """

    ln_sd: float = 0.05  #: Standard deviation of ln(conductance)

    def __post_init__(self) -> None:
        non_negative(self, ln_sd="(of ln conductance)")


@dataclass(frozen=True, kw_only=True)
class Landing:
    """Outcome of an approach: extra time [s], failure."""

    seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class CrashSpec:
    """Landings that crash the tip into the film."""

    #: Share of landings on flat ground. It is multiplied by (1 + slope_gain |slope|).
    probability: float = 0.002
    slope_gain: float = 4.0  #: Factor on the surface's slope
    radius_m: float = 15e-9  #: Lasting growth of the apex radius [m]
    worn_m: float = 3e-3  #: Worn length of one crash [m]
    #: scar_m, scar_left: Radius of the lasting scar [m], and the conductance left inside it
    scar_m: float = 80e-9
    scar_left: float = 0.05
    pit_m: float = 15e-9  #: Depth of the pit [m], which has the blunt tip's (parabolic) shape

    def __post_init__(self) -> None:
        positive(self, scar_m="m")
        non_negative(
            self, probability="", slope_gain="", radius_m="m", worn_m="m", scar_left="", pit_m="m"
        )

    def chance(self, slope: float) -> float:
        """Probability of a crash on a slope."""
        return min(1.0, self.probability * (1.0 + self.slope_gain * slope))


def slope(height: FloatArray, row: int, column: int, pixel_size: tuple[float, float]) -> float:
    """Slope of a height map [m] at a pixel."""
    rows, columns = height.shape
    up, down = max(row - 1, 0), min(row + 1, rows - 1)
    left, right = max(column - 1, 0), min(column + 1, columns - 1)
    dy = (height[down, column] - height[up, column]) / (max(down - up, 1) * pixel_size[0])
    dx = (height[row, right] - height[row, left]) / (max(right - left, 1) * pixel_size[1])
    return float(np.hypot(dy, dx))
