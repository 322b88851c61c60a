"""Independent solution of the transport equations.

A stiff solver takes the textbook form, about a second a curve. It shares nothing but the constants with the kernel. `verify`, the
tests and the speed benchmark compare the kernel with it.
"""

from collections.abc import Mapping

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from grainscout.records import FloatArray, Waveform
from grainscout.simulator.transport.parameters import BOLTZMANN, TransportGlobals


def solve(
    p: Mapping[str, float],
    waveform: Waveform,
    *,
    light: float = 0.0,
    temperature: float = 298.0,
    start: tuple[float, float] | None = None,
    rtol: float = 1e-10,
    g: TransportGlobals | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Current [nA], u [V] and x of one contact."""
    g = g or TransportGlobals()
    inverse = (1.0 / temperature - 1.0 / g.T0) / BOLTZMANN
    gain = 1.0 + g.bL * light / g.L0
    a = np.exp(-p["Ex"] * inverse) * gain
    tau = p["tau"] * np.exp(p["Eu"] * inverse) / gain

    def rates(t: float, y: FloatArray, t0: float, v0: float, slope: float) -> list[float]:
        v = v0 + slope * (t - t0)
        k_v = p["nu"] * a * 2.0 * np.cosh((v - p["Vx"]) / (2.0 * p["wx"]))
        k = 1.0 / (1.0 / k_v + 1.0 / (g.k_max * a))
        return [(v - y[0]) / tau, k * (expit((v - p["Vx"]) / p["wx"]) - y[1])]

    v, t = waveform.voltage, waveform.time
    state = np.array([0.0, expit(-p["Vx"] / p["wx"])] if start is None else start, dtype=float)
    states = [state]
    slopes = np.diff(v) / np.diff(t)
    for j, slope in enumerate(slopes):
        ramp = (t[j], v[j], slope)
        solved = solve_ivp(
            rates, (t[j], t[j + 1]), state, args=ramp, method="LSODA", rtol=rtol, atol=1e-13
        )
        state = solved.y[:, -1]
        states.append(state)
    u, x = np.array(states).T
    current = law(p, v, u, x, light=light, temperature=temperature, g=g)
    return current + 1e-3 * g.Cs * np.concatenate([[0.0], slopes]) + g.Ioff, u, x


def law(
    p: Mapping[str, float],
    v: FloatArray,
    u: FloatArray,
    x: FloatArray,
    *,
    light: float,
    temperature: float,
    g: TransportGlobals,
) -> FloatArray:
    """Current [nA] of one contact at given states."""
    phi = p.get("phiJ", 0.0) / (1.0 + light / g.Lh)
    contact = p.get("A", 1.0)

    def diode(voltage: FloatArray, threshold: FloatArray) -> FloatArray:
        w = p["w"]
        excess = np.logaddexp(0.0, (voltage - threshold) / w) - np.logaddexp(0.0, -threshold / w)
        return np.asarray(w * excess)

    shift = p["kappa"] * (u - v)
    back = g.rho * diode(-v, g.VTm + phi + shift)
    conducted = p["g1"] * (diode(v, p["V1"] + phi - shift) - back)
    conducted = conducted + p["g2"] * x * (diode(v, p["V2"] + phi - shift) - back)
    electronic = np.exp(-g.Ee / BOLTZMANN * (1.0 / temperature - 1.0 / g.T0))
    electronic *= 1.0 + g.gph * light / g.L0
    current = contact * electronic * conducted
    if light > 0.0:
        gate = 1.0 + g.Lh / light * p.get("phiJ", 0.0) / g.phi0
        photo = contact * p["IL"] * (light / g.L0) ** g.gamma / gate
        current = current - photo * expit((p["Vc"] - v - p["kc"] * (u - v)) / p["wc"])
    return np.asarray(current + p.get("gsh", 0.0) * v)
