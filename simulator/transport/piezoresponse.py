"""Piezoresponse loops: polarisation that a bias switches, and charge that the tip injects.

For each contact, in V, s, K and pm:

    dP/dt = (sgn(V - Vi) - P) / tau,   tau = t0 exp(Va T0 / (|V - Vi| T))
    ds/dt = (V - s) / tq
    R = A [d P + k (V - s)]

P is the switched polarisation, -1 to 1, and follows Merz's law (Phys. Rev. 95, 690, 1954), whose exponent is
thermal creep of walls (Tybell et al., Phys. Rev. Lett. 89, 097601, 2002). Vi is the imprint. s is the surface
potential of injected charge: the electrostatic part k (V - s) of a response is not piezoelectric (Balke et al.,
ACS Nano 9, 6484, 2015). A picometre stands for a picoampere, so that the amplifier's noise is one of 1 to 2 pm.

Assumed: boundaries pin walls (larger Va, smaller d; Marincel et al., Adv. Funct. Mater. 24, 1409, 2014), asymmetric
ones are imprinted, and light changes nothing.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import exp1

from grainscout.records import FloatArray, Waveform
from grainscout.simulator.transport.family import Family
from grainscout.simulator.transport.kernel import IVResult
from grainscout.simulator.transport.parameters import (
    Parameter,
    TransportGlobals,
    check_conditions,
    check_parameters,
)

_PM = 1e-3  # a picometre in the unit of `IVResult.current_nA`
_FLAT = 1e-6  # V, a ramp so small that its rate is that of its middle

#: Name -> Parameter. Values of club, heart and diamond: a grain, a boundary, an asymmetric boundary.
PARAMETERS: dict[str, Parameter] = {
    "d": Parameter("geometric", "pm", (0, 1e4), (5, 80), (32, 20, 26), "response if switched"),
    "Va": Parameter("geometric", "V", (0.01, 1e3), (2, 20), (5, 7.5, 6), "activation of switching"),
    "Vi": Parameter("linear", "V", (-5, 5), (-0.5, 0.5), (0, 0.02, 0.25), "imprint"),
    "t0": Parameter("geometric", "s", (1e-15, 1), (1e-6, 1e-4), (1e-5,) * 3, "fastest switching"),
    "k": Parameter("geometric", "pm/V", (0, 1e4), (1, 10), (3, 4, 4), "electrostatic response"),
    "tq": Parameter("geometric", "s", (1e-9, 1e9), (0.1, 10), (1, 0.5, 0.5), "time of the charge"),
    "A": Parameter("geometric", "1", (0, 1e3), (2e-4, 3), (1, 1, 1), "contact factor", 1.0),
}


def piezoresponse() -> Family:
    """The family of piezoresponse loops."""
    return Family(
        parameters=PARAMETERS,
        grain={"Va": 0.1, "d": 0.1, "Vi": 0.03},
        edge={"Va": 0.1, "d": 0.1, "Vi": 0.05},
        hidden={"Va": 0.06, "d": 0.1, "Vi": 0.02},
        ions={"tq": -1.0},
        curves=curves,
        rest=rest,
        relax=relax,
        stray=lambda waveform, _: np.zeros(len(waveform)),
    )


def curves(
    parameters: Mapping[str, ArrayLike],
    waveform: Waveform,
    *,
    light: float = 0.0,
    temperature: float = 298.0,
    state: FloatArray | None = None,
    globals_: TransportGlobals | None = None,
    trajectories: bool = False,
    rng: np.random.Generator | None = None,
) -> IVResult:
    """Responses of n contacts, as `iv_curves`, exact on each ramp. The state is P and s [V]."""
    p = check_parameters(parameters, PARAMETERS)
    check_conditions(light, temperature)
    start = rest(parameters) if state is None else np.asarray(state, np.float64)
    v, span = waveform.voltage, np.diff(waveform.time)
    keep, add = _switching(v, span, temperature, p, globals_)
    left, ramp = np.exp(-span / p["tq"][:, None]), np.multiply.outer(p["tq"], np.diff(v) / span)
    keep, add = np.stack([keep, left]), np.stack([add, v[1:] - ramp - (v[:-1] - ramp) * left])
    path = np.empty((2, len(start), len(v)))
    path[..., 0] = start.T
    for k in range(len(span)):
        path[..., k + 1] = keep[..., k] * path[..., k] + add[..., k]
    moved = p["d"][:, None] * path[0] + p["k"][:, None] * (v - path[1])
    u, x = (path[1], path[0]) if trajectories else (None, None)
    end = path[..., -1].T.copy()
    return IVResult(current_nA=_PM * p["A"][:, None] * moved, state=end, u=u, x=x)


def _switching(
    voltage: FloatArray,
    span: FloatArray,
    temperature: float,
    p: Mapping[str, FloatArray],
    globals_: TransportGlobals | None,
) -> tuple[FloatArray, FloatArray]:
    """Factor and summand (n, ramps) of P over each linear ramp of a voltage, exactly.

    The integral of exp(-a/v) over v is v exp(-a/v) - a E1(a/v), so that of 1/tau has a closed form.
    """
    activation = p["Va"][:, None] * (globals_ or TransportGlobals()).T0 / temperature
    levels, at = np.unique(voltage, return_inverse=True)
    middles, ramp = np.unique(0.5 * (voltage[1:] + voltage[:-1]), return_inverse=True)
    way = np.sign(voltage - p["Vi"][:, None])
    with np.errstate(divide="ignore"):  # exp(-inf) = E1(inf) = 0 where there is no voltage
        size = np.abs(levels - p["Vi"][:, None])
        area = size * np.exp(-activation / size) - activation * exp1(activation / size)
        rate = np.exp(-activation / np.abs(middles - p["Vi"][:, None]))
    area, length = area[:, at], np.abs(np.diff(voltage))
    scale = span / np.where(length > _FLAT, length, 1.0)
    turned = way[:, 1:] * way[:, :-1] < 0
    first = np.where(turned, area[:, :-1] * scale, 0.0) / p["t0"][:, None]
    second = np.where(turned, area[:, 1:], np.abs(np.diff(area))) * scale
    second = np.where(length > _FLAT, second, rate[:, ramp] * span) / p["t0"][:, None]
    before, after = way[:, :-1], np.where(way[:, 1:] == 0, way[:, :-1], way[:, 1:])
    keep = np.exp(-first - second)
    return keep, after * -np.expm1(-second) - before * np.expm1(-first) * np.exp(-second)


def rest(parameters: Mapping[str, ArrayLike]) -> FloatArray:
    """State (n, 2) of contacts as grown: as much up as down, and no charge."""
    return np.zeros((len(check_parameters(parameters, PARAMETERS)["d"]), 2))


def relax(
    state: FloatArray,
    parameters: Mapping[str, ArrayLike],
    seconds: ArrayLike,
    *,
    light: float = 0.0,
    temperature: float = 298.0,
    globals_: TransportGlobals | None = None,
) -> FloatArray:
    """State (n, 2) after `seconds` at 0 V, where the imprint alone switches."""
    p = check_parameters(parameters, PARAMETERS)
    span = np.broadcast_to(np.asarray(seconds, np.float64), p["d"].shape)[:, None]
    keep, add = _switching(np.zeros(2), span, temperature, p, globals_)
    charge = state[:, 1:] * np.exp(-span / p["tq"][:, None])
    return np.hstack([keep * state[:, :1] + add, charge])
