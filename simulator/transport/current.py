"""The current law of a contact point, given the states; SI apart from nA.

Two forms of one formula.  `fast` multiplies exponentials that depend on the voltage or on the
point alone, so that each softplus difference is one logarithm of a ratio; it holds while no
exponent exceeds double range.  `stable` is the textbook form for all other points (and the
independent check of the first).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from grainscout.records.arrays import FloatArray
from grainscout.simulator.transport.integrator import Grid
from grainscout.simulator.transport.parameters import BOLTZMANN, TransportGlobals

#: exp() of this is finite in double precision with room for a product of two small factors.
_EXPONENT = 650.0
#: Elements of a scratch array: five of them stay near a core's second-level cache.
_SCRATCH = 16384
#: Wave numbers of the ripple in units of 1/length: three of about equal spacing in the quantiles
#: of a Gaussian spectrum, incommensurate, so that the ripple does not repeat within a sweep.
_RIPPLE = (0.47, 1.05, 1.81)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Light [suns] and temperature [K] of a measurement, with the constants."""

    light: float
    temperature: float
    g: TransportGlobals

    @property
    def gain(self) -> float:
        """el = exp[-Ee/kB (1/T - 1/T0)] (1 + gph L/L0)."""
        g = self.g
        inverse = (1.0 / self.temperature - 1.0 / g.T0) / BOLTZMANN
        return float(np.exp(-g.Ee * inverse)) * (1.0 + g.gph * self.light / g.L0)

    def barrier(self, phi: FloatArray) -> FloatArray:
        """The junction barrier under light [V]: phiJ/(1 + L/Lh)."""
        if self.light == 0.0:
            return phi
        if self.g.Lh == 0.0:
            return np.zeros_like(phi)
        return phi / (1.0 + self.light / self.g.Lh)

    def photocurrent(self, p: Mapping[str, FloatArray]) -> FloatArray:
        """A IL (L/L0)^gamma [nA], reduced at junctions by 1 + (Lh/L) phiJ/phi0."""
        g = self.g
        if self.light == 0.0:
            return np.zeros_like(p["IL"])
        gate = 1.0 + (g.Lh / self.light) * p["phiJ"] / g.phi0
        photocurrent: FloatArray = p["A"] * p["IL"] * (self.light / g.L0) ** g.gamma / gate
        return photocurrent

    def instrument(self, grid: Grid) -> FloatArray:
        """Displacement current and offset [nA] at each sample: Cs dV/dt + Ioff."""
        return 1e-3 * self.g.Cs * grid.slope + self.g.Ioff


def extremes(p: Mapping[str, FloatArray], u0: FloatArray, peak: float, c: Conditions) -> np.ndarray:
    """(n,) bool: the points whose exponents could leave double range in `fast`."""
    lag = peak + np.maximum(np.abs(u0), peak)  # u stays between u0 and the voltages applied
    threshold = np.maximum(np.maximum(np.abs(p["V1"]), np.abs(p["V2"])), abs(c.g.VTm))
    inner = (peak + np.abs(p["kappa"]) * lag + threshold + p["phiJ"]) / p["w"]
    photo = (peak + np.abs(p["kc"]) * lag + np.abs(p["Vc"])) / p["wc"]
    result: np.ndarray = np.maximum(inner, photo) > _EXPONENT
    return result


def ripple(voltage: FloatArray, p: Mapping[str, FloatArray]) -> FloatArray:
    """1 + ripple s(V), (len(voltage), n): s smooth, of mean 0 and variance 1 over the phases.

    |s| <= 2.45 and ripple <= 0.4 keep the factor positive, so the sign of the current is kept.
    """
    s = np.zeros((voltage.size, p["w"].size))
    for m, wave in enumerate(_RIPPLE, start=1):
        s += np.cos(np.multiply.outer(voltage, wave / p["ripple_length"]) + m * p["ripple_phase"])
    s *= np.sqrt(2.0 / len(_RIPPLE)) * p["ripple"]
    s += 1.0
    return s


def telegraph(grid: Grid, p: Mapping[str, FloatArray], rng: np.random.Generator) -> FloatArray:
    """1 + telegraph s(t), (n, samples): s = +-1 with equal odds, <s(0) s(t)> = exp(-rate t).

    Points are drawn one after another, so a longer list of points begins with the same draws.
    """
    rate = p["telegraph_rate"][:, None]
    draws = rng.random((p["w"].size, grid.at.size))
    stays = np.empty_like(draws)
    stays[:, 0] = 0.5
    stays[:, 1:] = 0.5 + 0.5 * np.exp(-rate * grid.span)
    return 1.0 + p["telegraph"][:, None] * np.cumprod(np.where(draws < stays, 1.0, -1.0), axis=1)


def fast(
    grid: Grid,
    p: Mapping[str, FloatArray],
    away: FloatArray,
    x: FloatArray,
    c: Conditions,
    switching: FloatArray | None,
    out: FloatArray,
) -> None:
    """The current [nA] but for the shunt into `out` (n, samples); away = u - V [V] and x are (samples, n)."""
    samples, n = away.shape
    w = p["w"]
    phi = c.barrier(p["phiJ"])
    kw = p["kappa"] / w
    # With P = exp(kappa (u - V)/w) and E = exp(V/w):  F(V; VT)/w = ln (P E + c)/(P + c),
    # c = exp((Vj + phi)/w);  F(-V; VTm')/w = ln (P E + cm)/((P + cm) E), cm = exp(-(VTm + phi)/w).
    c1, c2, cm = (np.exp(v / w) for v in (p["V1"] + phi, p["V2"] + phi, -c.g.VTm - phi))
    scale = p["A"] * c.gain * w
    g1, g2 = scale * p["g1"], scale * p["g2"]
    bias = np.exp(np.divide.outer(grid.levels, w))
    factor = ripple(grid.levels, p) if p["ripple"].any() else None
    lit = c.light > 0.0
    photo, kc = c.photocurrent(p), p["kc"] / p["wc"]
    screen = np.subtract.outer(grid.levels, p["Vc"]) * (1.0 / p["wc"]) if lit else np.empty((0, n))
    instrument = c.instrument(grid)

    rows = max(1, min(samples, _SCRATCH // n))
    store = [np.empty((rows, n)) for _ in range(5)]
    for start in range(0, samples, rows):
        k = slice(start, min(start + rows, samples))
        at = grid.at[k]
        P, E, r1, r2, t = (s[: k.stop - start] for s in store)
        np.multiply(away[k], kw, out=P)
        np.exp(P, out=P)
        np.take(bias, at, axis=0, out=E, mode="clip")
        # rho ln Rm
        np.add(P, cm, out=r1)
        np.multiply(r1, E, out=r1)
        np.multiply(P, E, out=E)
        np.add(E, cm, out=t)
        np.divide(t, r1, out=t)
        np.log(t, out=t)
        np.multiply(t, c.g.rho, out=t)
        # ln R2, then x g2 (ln R2 - rho ln Rm)
        np.add(E, c2, out=r2)
        np.add(P, c2, out=r1)
        np.divide(r2, r1, out=r2)
        np.log(r2, out=r2)
        np.subtract(r2, t, out=r2)
        np.multiply(r2, g2, out=r2)
        np.multiply(r2, x[k], out=r2)
        # ln R1, then g1 (ln R1 - rho ln Rm)
        np.add(E, c1, out=E)
        np.add(P, c1, out=P)
        np.divide(E, P, out=E)
        np.log(E, out=E)
        np.subtract(E, t, out=E)
        np.multiply(E, g1, out=E)
        np.add(E, r2, out=E)
        if factor is not None:
            np.multiply(E, factor[at], out=E)
        if switching is not None:
            np.multiply(E, switching[:, k].T, out=E)
        if lit:
            np.multiply(away[k], kc, out=r1)
            np.take(screen, at, axis=0, out=t, mode="clip")
            np.add(r1, t, out=r1)
            np.exp(r1, out=r1)
            np.add(r1, 1.0, out=r1)
            np.divide(photo, r1, out=r1)
            np.subtract(E, r1, out=E)
        np.add(E, instrument[k, None], out=E)
        out[:, k] = E.T


def stable(
    grid: Grid,
    p: Mapping[str, FloatArray],
    away: FloatArray,
    x: FloatArray,
    c: Conditions,
    switching: FloatArray | None,
    out: FloatArray,
) -> None:
    """As `fast`, for parameters and voltages of any size."""
    volts = grid.voltage[:, None]
    w, phi, dv = p["w"], c.barrier(p["phiJ"]), away

    def diode(voltage: FloatArray, threshold: FloatArray) -> FloatArray:
        difference = np.logaddexp(0.0, (voltage - threshold) / w) - np.logaddexp(
            0.0, -threshold / w
        )
        product: FloatArray = w * difference
        return product

    reverse = c.g.rho * diode(-volts, c.g.VTm + phi + p["kappa"] * dv)
    prompt = diode(volts, p["V1"] + phi - p["kappa"] * dv) - reverse
    active = diode(volts, p["V2"] + phi - p["kappa"] * dv) - reverse
    current = p["A"] * c.gain * (p["g1"] * prompt + p["g2"] * x * active)
    current *= ripple(grid.voltage, p)
    if switching is not None:
        current *= switching.T
    z = np.clip((p["Vc"] - volts - p["kc"] * dv) / p["wc"], -_EXPONENT, _EXPONENT)
    current -= c.photocurrent(p) / (1.0 + np.exp(-z))
    current += c.instrument(grid)[:, None]
    out[...] = current.T
