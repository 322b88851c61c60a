"""Landing and staying in contact: failed approaches, crashes, and a contact that comes and goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grainscout.records.arrays import BoolArray, FloatArray
from grainscout.simulator.instrument.noise import require


@dataclass(frozen=True, kw_only=True)
class ContactSpec:
    """Contact that is lost and found again: a two-state telegraph.

    loss_per_s : rate of losing it on flat ground with a new tip; it is multiplied by
        (1 + slope_gain |slope|) (1 + wear_gain wear).
    return_per_s : rate of finding it again.
    left : fraction of the current that still flows when it is lost.
    """

    loss_per_s: float = 0.02
    return_per_s: float = 5.0
    slope_gain: float = 4.0
    wear_gain: float = 4.0
    left: float = 1e-3

    def __post_init__(self) -> None:
        require("ContactSpec return_per_s", self.return_per_s, "1/s", strict=True)
        for name in ("loss_per_s", "slope_gain", "wear_gain", "left"):
            require(f"ContactSpec {name}", getattr(self, name), "")

    def loss_rate(self, slope: float, wear: float) -> float:
        """Rate of contact loss [1/s] on a slope (rise over run) with a tip of that wear."""
        return self.loss_per_s * (1.0 + self.slope_gain * slope) * (1.0 + self.wear_gain * wear)


def telegraph(
    duration: float, loss_rate: float, return_rate: float, rng: np.random.Generator
) -> tuple[bool, FloatArray]:
    """A two-state process over `duration` s: whether it starts in contact, and its switching times.

    Dwell times are exponential; the start is drawn from the stationary distribution.
    """
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
    """The state of a telegraph at `time` (n,) [s after its start]."""
    switched = np.searchsorted(switches, time, side="right") % 2 == 1
    touching: BoolArray = switched != start
    return touching


@dataclass(frozen=True, kw_only=True)
class ApproachSpec:
    """Approaches that find no surface: the measurement fails after timeout_s."""

    probability: float = 0.01
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        require("ApproachSpec probability", self.probability, "(a probability)")
        require("ApproachSpec timeout_s", self.timeout_s, "s")


@dataclass(frozen=True, kw_only=True)
class LandingSpec:
    """Contacts that differ from one landing to the next: conductance x exp(ln_sd z), z normal.

    A landing squeezes out more or less water and dirt; the film is the same.
    """

    ln_sd: float = 0.05

    def __post_init__(self) -> None:
        require("LandingSpec ln_sd", self.ln_sd, "(of ln conductance)")


@dataclass(frozen=True, kw_only=True)
class Landing:
    """What came of an approach: the time that it cost beyond the usual [s], and why it failed."""

    seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class CrashSpec:
    """Landings that crash the tip into the film.

    probability : on flat ground, multiplied by (1 + slope_gain |slope|).
    radius_m : the apex grows by this, for good.
    worn_m : worn length that one crash costs.
    scar_m, scar_left : radius of the scar, and the conductance left inside it; it lasts.
    pit_m : depth of the pit, of the blunt tip's (parabolic) shape.
    """

    probability: float = 0.002
    slope_gain: float = 4.0
    radius_m: float = 15e-9
    worn_m: float = 3e-3
    scar_m: float = 80e-9
    scar_left: float = 0.05
    pit_m: float = 15e-9

    def __post_init__(self) -> None:
        require("CrashSpec scar_m", self.scar_m, "m", strict=True)
        for name in ("probability", "slope_gain", "radius_m", "worn_m", "scar_left", "pit_m"):
            require(f"CrashSpec {name}", getattr(self, name), "")

    def chance(self, slope: float) -> float:
        """Probability of a crash on landing on a slope (rise over run)."""
        return min(1.0, self.probability * (1.0 + self.slope_gain * slope))


def slope(height: FloatArray, row: int, column: int, pixel_size: tuple[float, float]) -> float:
    """|Gradient| of a height map [m] at a pixel, rise over run (central differences)."""
    rows, columns = height.shape
    up, down = max(row - 1, 0), min(row + 1, rows - 1)
    left, right = max(column - 1, 0), min(column + 1, columns - 1)
    dy = (height[down, column] - height[up, column]) / (max(down - up, 1) * pixel_size[0])
    dx = (height[row, right] - height[row, left]) / (max(right - left, 1) * pixel_size[1])
    return float(np.hypot(dy, dx))
