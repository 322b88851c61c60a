"""Parameters of the local current-voltage model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from grainscout.records import ConfigError, FloatArray, one_of

#: The three loop shapes of Gong2026. Index 3 means "insulating" in maps.
ARCHETYPES = ("club", "heart", "diamond")

BOLTZMANN = 8.617333262e-5  #: eV/K

TEMPERATURES = (50.0, 600.0)  #: K, where the laws may be used


@dataclass(frozen=True)
class Parameter:
    """One parameter of a contact point."""

    blend: Literal["linear", "geometric"]  #: Law by which the values of two archetypes mix
    unit: str  #: Unit as written in the tables
    limits: tuple[float, float]  #: Closed range that the kernel accepts
    draw: tuple[float, float]  #: Range of real films. Films and fits draw from it.
    archetypes: tuple[float, float, float]  #: Values of a pure club, heart and diamond
    meaning: str = field(default="", compare=False)  #: Description in a few words
    #: Value where a mapping leaves the parameter out. None if it must be given.
    default: float | None = None


_linear, _geometric = partial(Parameter, "linear"), partial(Parameter, "geometric")
_ZERO = (0.0, 0.0, 0.0)

#: Name -> Parameter, in a fixed order. Values of the archetypes at 0.1 sun and a 1 s sweep.
PARAMETERS: dict[str, Parameter] = {
    "g1": _geometric("nA/V", (0, 1e4), (0.05, 3), (0.62, 0.50, 0.22), "slope of the prompt path"),
    "g2": _geometric(
        "nA/V", (0, 1e4), (0.1, 8), (0.50, 0.62, 1.60), "slope of the ion-activated path"
    ),
    "V1": _linear("V", (-5, 10), (0.13, 1.38), (0.36, 0.50, 1.34), "threshold of the prompt path"),
    "V2": _linear(
        "V", (-5, 10), (0.05, 1.2), (0.33, 0.46, 1.16), "threshold of the ion-activated path"
    ),
    "w": _geometric(
        "V", (0.005, 2), (0.02, 0.15), (0.075, 0.045, 0.040), "width of the thresholds"
    ),
    "kappa": _linear(
        "1", (-2, 2), (-1, 1), (0.0, 0.05, 0.05), "threshold shift by ionic screening"
    ),
    "Vx": _linear("V", (-5, 10), (0.28, 1.44), (0.74, 0.98, 1.42), "centre of ion activation"),
    "wx": _geometric(
        "V", (0.005, 2), (0.02, 0.3), (0.060, 0.055, 0.045), "width of ion activation"
    ),
    "nu": _geometric("1/s", (1e-9, 1e12), (0.05, 400), (1.6, 1.1, 6.0), "ion-activation rate"),
    "tau": _geometric("s", (1e-9, 1e12), (0.03, 1), (0.10, 0.18, 0.12), "ionic screening time"),
    "IL": _geometric("nA", (0, 1e3), (0.03, 0.2), (0.035, 0.105, 0.075), "photocurrent at L0"),
    "Vc": _linear("V", (-5, 10), (0, 0.9), (0.17, 0.20, 0.08), "photocurrent compensation"),
    "wc": _geometric("V", (0.005, 2), (0.02, 0.07), (0.045, 0.040, 0.050), "compensation width"),
    "kc": _linear("1", (-2, 2), (0, 1), (0.10, 0.85, 0.90), "compensation shift by screening"),
    "Ex": _linear(
        "eV", (0, 3), (0.15, 0.8), (0.45, 0.30, 0.35), "activation energy of nu (assumed)"
    ),
    "Eu": _linear(
        "eV", (0, 3), (0.15, 0.8), (0.45, 0.30, 0.35), "activation energy of 1/tau (assumed)"
    ),
    "phiJ": _linear("V", (0, 5), (0, 1.5), _ZERO, "junction barrier in the dark", 0.0),
    "A": _geometric("1", (0, 1e3), (2e-4, 3), (1.0, 1.0, 1.0), "contact factor", 1.0),
    "gsh": _linear("nA/V", (0, 1e3), (0, 0.05), _ZERO, "shunt conductance", 0.0),
    "ripple": _linear("1", (0, 0.4), (0, 0.05), _ZERO, "rms conductance ripple with V", 0.0),
    "ripple_length": _geometric(
        "V", (0.01, 5), (0.1, 0.2), (0.15, 0.15, 0.15), "correlation length of the ripple", 0.15
    ),
    "ripple_phase": _linear(
        "rad", (-1e6, 1e6), (0, 2 * math.pi), _ZERO, "phase of the ripple", 0.0
    ),
    "telegraph": _linear(
        "1", (0, 1), (0, 0.3), _ZERO, "relative step of telegraph conductance", 0.0
    ),
    "telegraph_rate": _geometric(
        "1/s", (1e-9, 1e9), (1, 100), (10.0, 10.0, 10.0), "switching rate, up plus down", 10.0
    ),
}


@dataclass(frozen=True, kw_only=True)
class TransportGlobals:
    """Constants that all contact points share (design choices)."""

    #: L0, Lh: Reference light, and half-light of the junction barrier [suns]
    L0: float = 0.1
    Lh: float = 0.02
    #: bL, gph: Gain of the ionic rates with L/L0, and photoconductive gain at L0
    bL: float = 3.0
    gamma: float = 1.0  #: Exponent of the photocurrent
    gph: float = 0.25
    #: rho, VTm: Conductance ratio of negative to positive bias, and threshold at negative bias [V]
    rho: float = 0.35
    VTm: float = 0.6
    phi0: float = 1.2  #: Barrier at which a junction's photocurrent is gated fully [V]
    #: Cs, Ioff: Stray capacitance [pF] and amplifier offset [nA]
    Cs: float = 0.2
    Ioff: float = -0.005
    Ee: float = 0.10  #: Activation energy of the conductance [eV]
    k_max: float = 500.0  #: Fastest ion rate [1/s]. Lower means longer memory.
    T0: float = 298.0  #: Reference temperature [K]

    def __post_init__(self) -> None:
        positive = ("L0", "Lh", "gamma", "phi0", "k_max", "T0")
        free = ("Ioff", "VTm")
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            low = -math.inf if name in free else 0.0
            if not math.isfinite(value) or value < low or (name in positive and value == 0):
                need = "finite" if name in free else "> 0" if name in positive else ">= 0"
                raise ConfigError(f"TransportGlobals {name} must be {need}; got {value}")


def archetype_parameters(name: str) -> dict[str, FloatArray]:
    """Parameters of one pure archetype.

    Parameters
    ----------
    name : {"club", "heart", "diamond"}
        Archetype. The heart is that of a boundary, without a junction's barrier.

    Returns
    -------
    dict of str to (1,) array of float
        Parameters for `iv_curves`, in the units of `PARAMETERS`.
    """
    one_of("archetype", name, ARCHETYPES)
    index = ARCHETYPES.index(name)
    return {k: np.array([p.archetypes[index]]) for k, p in PARAMETERS.items()}


def check_parameters(
    parameters: Mapping[str, ArrayLike], known: Mapping[str, Parameter] = PARAMETERS
) -> dict[str, FloatArray]:
    """A family's parameters as (n,) float64 arrays with defaults; ConfigError outside names, shapes, limits."""
    unknown = [name for name in parameters if name not in known]
    if unknown:
        raise ConfigError(
            f"transport parameters must be among {', '.join(known)}; got {', '.join(unknown)}"
        )
    arrays: dict[str, FloatArray] = {}
    size = 1
    for name, parameter in known.items():
        value = parameters.get(name, parameter.default)
        if value is None:
            raise ConfigError(
                f"transport parameter {name} [{parameter.unit}] must be given; got none (take one "
                f"of {parameter.draw[0]:g} ... {parameter.draw[1]:g}, or an archetype's)"
            )
        array = np.asarray(value, dtype=np.float64)
        if array.ndim > 1 or (array.size != 1 and size not in (1, array.size)):
            raise ConfigError(
                f"transport parameter {name} [{parameter.unit}] must be an (n,) array with the n "
                f"of the others or a number; got shape {array.shape}, the others have {size}"
            )
        if array.size != 1:
            size = array.size
        low, high = parameter.limits
        # NaN fails both comparisons' complement, so one reduction over each end finds it too.
        if array.size and not (array.min() >= low and array.max() <= high):
            bad = int(np.flatnonzero(~((array >= low) & (array <= high)))[0])
            raise ConfigError(
                f"transport parameter {name} must be finite and in {low:g} ... {high:g} "
                f"{parameter.unit}; got {array.reshape(-1)[bad]:g} at point {bad}"
            )
        arrays[name] = array.reshape(-1)
    return {
        name: array if array.size == size else np.broadcast_to(array, (size,))
        for name, array in arrays.items()
    }


def ionic_factors(
    parameters: Mapping[str, FloatArray], light: float, temperature: float, g: TransportGlobals
) -> tuple[FloatArray, FloatArray]:
    """Rate factor a and screening time tau_u [s].

    a = exp[-Ex/kB (1/T - 1/T0)] (1 + bL L/L0) multiplies nu and k_max.
    tau_u = tau exp[Eu/kB (1/T - 1/T0)] / (1 + bL L/L0).
    """
    inverse = (1.0 / temperature - 1.0 / g.T0) / BOLTZMANN
    gain = 1.0 + g.bL * light / g.L0
    a = np.exp(-parameters["Ex"] * inverse) * gain
    tau = parameters["tau"] * np.exp(parameters["Eu"] * inverse) / gain
    return a, tau


def check_conditions(light: float, temperature: float) -> None:
    """ConfigError beyond 100 suns or 50 ... 600 K."""
    for name, value, low, high, unit in (
        ("light", light, 0.0, 100.0, "suns"),
        ("temperature", temperature, *TEMPERATURES, "K"),
    ):
        if not low <= value <= high:
            raise ConfigError(f"{name} must be in {low:g} ... {high:g} {unit}; got {value}")
