"""Wear of the tip, and damage of the film."""

import math
from dataclasses import dataclass

import numpy as np

from grainscout.records import FloatArray
from grainscout.records.validation import non_negative, positive


@dataclass(frozen=True, kw_only=True)
class WearSpec:
    """Tip wear against the worn length N.

    N is the scanned length, with `charge_m_per_C` for the charge passed and `landing_m` a landing.
    """

    radius_m: float = 25e-9  #: Apex radius of the new tip R0 [m]
    #: radius_gain_m, length_m: Growth of the radius, R(N) = R0 + radius_gain_m (1 -
    #: exp(-N/length_m)) [m]
    radius_gain_m: float = 20e-9
    length_m: float = 5e-3
    charge_m_per_C: float = 1e4  #: Worn length of a coulomb of |I| [m/C]
    landing_m: float = 2e-6  #: Worn length of a landing [m]
    life_m: float = 20e-3  #: Worn length at which the coating goes [m]. The tip's wear is N/life_m.
    coating_left: float = 0.02  #: Fraction of the conductance left without the coating

    def __post_init__(self) -> None:
        positive(self, radius_m="m", length_m="m", life_m="m")
        non_negative(
            self,
            radius_gain_m="m",
            charge_m_per_C="m/C",
            landing_m="m",
            coating_left="(a fraction)",
        )


def tip_radius(spec: WearSpec, worn: float) -> float:
    """Apex radius [m] by worn length [m]."""
    return spec.radius_m - spec.radius_gain_m * math.expm1(-worn / spec.length_m)


def coating(spec: WearSpec, worn: float) -> float:
    """Conductance of the coating: Weibull survival of shape 4."""
    left = spec.coating_left
    return left + (1.0 - left) * math.exp(-((worn / spec.life_m) ** 4))


def contact_gain(radius: float, radius_new: float) -> float:
    """Relative contact area at one load, (R/R0)^(2/3) (Hertz)."""
    return float((radius / radius_new) ** (2.0 / 3.0))


@dataclass(frozen=True, kw_only=True)
class DamageSpec:
    """Lasting loss of conductance under a high bias.

    The dose grows as exp((|V| - threshold_V)/width_V)/time_s a second. The conductance is
    left + (1 - left) exp(-dose).
    """

    #: threshold_V, width_V: Bias at which the dose grows by 1/time_s a second, and the bias for a
    #: factor e [V]
    threshold_V: float = 2.5
    width_V: float = 0.15
    time_s: float = 1.0  #: Time to a dose of 1 at the threshold [s]
    left: float = 0.05  #: Fraction of the conductance left in the end

    def __post_init__(self) -> None:
        positive(self, width_V="V", time_s="s")
        non_negative(self, threshold_V="V", left="(a fraction)")

    def dose(self, voltage: FloatArray, time: FloatArray, before: float) -> FloatArray:
        """Dose at each sample (n,), starting from `before`."""
        rate = np.exp((np.abs(voltage) - self.threshold_V) / self.width_V) / self.time_s
        gained = np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(time))
        return before + np.concatenate([[0.0], gained])

    def conductance(self, dose: FloatArray) -> FloatArray:
        """Conductance left after a dose, 1 = undamaged."""
        return self.left + (1.0 - self.left) * np.exp(-dose)


class Tip:
    """Worn length and growth of the tip [m]. Without a `WearSpec` only crashes change it."""

    def __init__(self, spec: WearSpec | None) -> None:
        self._spec = spec
        self._shape = spec or WearSpec(radius_gain_m=0.0)
        self.worn = 0.0
        self.jump = 0.0

    def wear_off(self, length: float) -> None:
        """Add worn length [m] if the tip wears."""
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
        """Growth of the apex radius [m]."""
        return self.radius - self._shape.radius_m

    @property
    def wear(self) -> float:
        """Used fraction of the tip's life, unlimited."""
        return self.worn / self._shape.life_m

    @property
    def gain(self) -> float:
        """Conductance of its contact against the new tip's."""
        return coating(self._shape, self.worn) * contact_gain(self.radius, self._shape.radius_m)
