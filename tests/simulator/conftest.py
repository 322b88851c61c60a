"""Fixtures of the transport tests: a second writing of the equations, and random contact points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import expit

from grainscout.simulator.transport import PARAMETERS

KB = 8.617333262e-5
CONSTANTS = {
    "L0": 0.1, "Lh": 0.02, "bL": 3.0, "gamma": 1.0, "gph": 0.25, "rho": 0.35, "VTm": 0.6,
    "phi0": 1.2, "Cs": 0.2, "Ioff": -0.005, "Ee": 0.10, "k_max": 500.0, "T0": 298.0,
}  # fmt: skip


def _softplus(z):
    return np.logaddexp(0.0, z)


def _solved(p, waveform, light=0.0, temperature=298.0, start=None, rtol=1e-11):
    """(current nA, u, x) of one contact by DOP853/Radau, each ramp integrated on its own."""
    c = CONSTANTS
    arrhenius = 1.0 / KB * (1.0 / temperature - 1.0 / c["T0"])
    a = np.exp(-p["Ex"] * arrhenius) * (1.0 + c["bL"] * light / c["L0"])
    tau = p["tau"] * np.exp(p["Eu"] * arrhenius) / (1.0 + c["bL"] * light / c["L0"])

    def rates(t, y, t0, v0, slope):
        v = v0 + slope * (t - t0)
        k_v = p["nu"] * a * 2.0 * np.cosh(np.clip((v - p["Vx"]) / (2.0 * p["wx"]), -300, 300))
        k = 1.0 / (1.0 / k_v + 1.0 / (c["k_max"] * a))
        return [(v - y[0]) / tau, k * (expit((v - p["Vx"]) / p["wx"]) - y[1])]

    v, t = waveform.voltage, waveform.time
    y = np.array([0.0, expit(-p["Vx"] / p["wx"])] if start is None else start, float)
    states = [y]
    for j in range(len(v) - 1):
        slope = (v[j + 1] - v[j]) / (t[j + 1] - t[j])
        y = solve_ivp(
            rates, (t[j], t[j + 1]), y, args=(t[j], v[j], slope),
            method="LSODA", rtol=rtol, atol=1e-13,
        ).y[:, -1]  # fmt: skip
        states.append(y)
    u, x = np.array(states).T
    current = _law(p, v, u, x, light, temperature)
    slope = np.concatenate([[0.0], np.diff(v) / np.diff(t)])
    return current + 1e-3 * c["Cs"] * slope + c["Ioff"], u, x


def _law(p, v, u, x, light, temperature):
    """Electronic and photo current [nA] of one contact, in the textbook form."""
    c = CONSTANTS
    w, phi = p["w"], p.get("phiJ", 0.0) / (1.0 + light / c["Lh"])

    def diode(voltage, threshold):
        return w * (_softplus((voltage - threshold) / w) - _softplus(-threshold / w))

    el = np.exp(-c["Ee"] / KB * (1.0 / temperature - 1.0 / c["T0"]))
    el *= 1.0 + c["gph"] * light / c["L0"]
    shift = p["kappa"] * (u - v)
    back = c["rho"] * diode(-v, c["VTm"] + phi + shift)
    current = p["g1"] * (diode(v, p["V1"] + phi - shift) - back)
    current = current + p["g2"] * x * (diode(v, p["V2"] + phi - shift) - back)
    current = current * p.get("A", 1.0) * el
    if light > 0:
        gate = 1.0 + c["Lh"] / light * p.get("phiJ", 0.0) / c["phi0"]
        photo = p["IL"] * (light / c["L0"]) ** c["gamma"] / gate
        photo = photo * expit((p["Vc"] - v - p["kc"] * (u - v)) / p["wc"])
        current = current - p.get("A", 1.0) * photo
    return current + p.get("gsh", 0.0) * v


def _drawn(n, seed=0):
    """Random contact points over the whole draw ranges, all terms on but the random ones."""
    rng = np.random.default_rng(seed)
    values = {}
    for name, p in PARAMETERS.items():
        low, high = p.draw
        if p.blend == "geometric":
            values[name] = np.exp(rng.uniform(np.log(low), np.log(high), n))
        else:
            values[name] = rng.uniform(low, high, n)
    return values | {"telegraph": np.zeros(n), "ripple": np.zeros(n)}


@pytest.fixture(scope="session")
def solved():
    """(p, waveform, light, temperature, start, rtol) -> (current nA, u, x) by a stiff solver."""
    return _solved


@pytest.fixture(scope="session")
def law():
    """(p, v, u, x, light, temperature) -> current nA of one contact, in the textbook form."""
    return _law


@pytest.fixture(scope="session")
def drawn():
    """(n, seed) -> parameters of n random contact points."""
    return _drawn
