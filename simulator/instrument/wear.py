"""What use does: the tip grows blunt and loses its coating; high bias damages the film."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from grainscout.records.arrays import FloatArray
from grainscout.simulator.instrument.noise import require


@dataclass(frozen=True, kw_only=True)
class WearSpec:
    """Tip wear against the worn length N = scanned length + charge_m_per_C times the charge passed.

    radius_m : of the new tip, R0.
    radius_gain_m, length_m : R(N) = R0 + radius_gain_m (1 - exp(-N/length_m)).
    charge_m_per_C : worn length a coulomb of |I|.
    landing_m : worn length a landing.
    life_m : worn length at which the coating goes; the tip's wear is N/life_m.
    coating_left : conductance that is left without the coating, a fraction.
    """

    radius_m: float = 25e-9
    radius_gain_m: float = 20e-9
    length_m: float = 5e-3
    charge_m_per_C: float = 1e4
    landing_m: float = 2e-6
    life_m: float = 20e-3
    coating_left: float = 0.02

    def __post_init__(self) -> None:
        require("WearSpec radius_m", self.radius_m, "m", strict=True)
        require("WearSpec length_m", self.length_m, "m", strict=True)
        require("WearSpec life_m", self.life_m, "m", strict=True)
        require("WearSpec radius_gain_m", self.radius_gain_m, "m")
        require("WearSpec charge_m_per_C", self.charge_m_per_C, "m/C")
        require("WearSpec landing_m", self.landing_m, "m")
        require("WearSpec coating_left", self.coating_left, "(a fraction)")


def tip_radius(spec: WearSpec, worn: float) -> float:
    """Apex radius [m] after a worn length [m], without crashes."""
    return spec.radius_m - spec.radius_gain_m * math.expm1(-worn / spec.length_m)


def coating(spec: WearSpec, worn: float) -> float:
    """Conductance of the coating, 1 when new: Weibull survival of shape 4 about life_m."""
    left = spec.coating_left
    return left + (1.0 - left) * math.exp(-((worn / spec.life_m) ** 4))


def contact_gain(radius: float, radius_new: float) -> float:
    """Contact area against the new tip's at one load, (R/R0)^(2/3) (Hertz)."""
    return float((radius / radius_new) ** (2.0 / 3.0))


@dataclass(frozen=True, kw_only=True)
class DamageSpec:
    """Lasting loss of conductance under a high bias.

    The dose grows as exp((|V| - threshold_V)/width_V)/time_s a second; the conductance is
    left + (1 - left) exp(-dose).
    """

    threshold_V: float = 2.5
    width_V: float = 0.15
    time_s: float = 1.0
    left: float = 0.05

    def __post_init__(self) -> None:
        require("DamageSpec threshold_V", self.threshold_V, "V")
        require("DamageSpec width_V", self.width_V, "V", strict=True)
        require("DamageSpec time_s", self.time_s, "s", strict=True)
        require("DamageSpec left", self.left, "(a fraction)")

    def dose(self, voltage: FloatArray, time: FloatArray, before: float) -> FloatArray:
        """The dose at each sample (n,) of a sweep that starts with the dose `before`."""
        rate = np.exp((np.abs(voltage) - self.threshold_V) / self.width_V) / self.time_s
        gained = np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(time))
        return before + np.concatenate([[0.0], gained])

    def conductance(self, dose: FloatArray) -> FloatArray:
        """What is left of the conductance after a dose, 1 = undamaged."""
        return self.left + (1.0 - self.left) * np.exp(-dose)


class Tip:
    """The tip's present state: worn length and what crashes did to its radius, both in metres.

    A tip without a `WearSpec` stays new; only crashes change it.
    """

    def __init__(self, spec: WearSpec | None) -> None:
        self._spec = spec
        self._shape = spec or WearSpec(radius_gain_m=0.0)
        self.worn = 0.0
        self.jump = 0.0

    def wear_off(self, length: float) -> None:
        """Worn length is added [m], unless the tip does not wear."""
        if self._spec is not None:
            self.worn += length

    def length_of(self, charge: float) -> float:
        """Worn length [m] that a charge [C] is worth."""
        return self._shape.charge_m_per_C * charge

    @property
    def landing(self) -> float:
        """Worn length of one landing [m]."""
        return self._shape.landing_m

    @property
    def radius(self) -> float:
        """Apex radius [m]."""
        return tip_radius(self._shape, self.worn) + self.jump

    @property
    def growth(self) -> float:
        """Apex radius against the new tip's [m]; >= 0."""
        return self.radius - self._shape.radius_m

    @property
    def wear(self) -> float:
        """Fraction of the tip's life used up; passes 1 if used on."""
        return self.worn / self._shape.life_m

    @property
    def gain(self) -> float:
        """Conductance of its contact against the new tip's."""
        return coating(self._shape, self.worn) * contact_gain(self.radius, self._shape.radius_m)
