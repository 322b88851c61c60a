"""Current law of a contact point, given its states.

Units are SI with nA for A.

Two forms of one formula. `fast` multiplies exponentials that depend on the voltage or on the
point alone, so that each softplus difference is one logarithm of a ratio. It holds while no
exponent exceeds double range. `stable` is the textbook form for all other points, and the
independent check of the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from grainscout.records import BoolArray, FloatArray, IntArray
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
    """Light [suns], temperature [K] and constants."""

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
        """Junction barrier under light [V]: phiJ/(1 + L/Lh)."""
        if self.light == 0.0:
            return phi
        if self.g.Lh == 0.0:
            return np.zeros_like(phi)
        return phi / (1.0 + self.light / self.g.Lh)

    def photocurrent(self, p: Mapping[str, FloatArray]) -> FloatArray:
        """A IL (L/L0)^gamma [nA], reduced at junctions."""
        g = self.g
        if self.light == 0.0:
            return np.zeros_like(p["IL"])
        gate = 1.0 + (g.Lh / self.light) * p["phiJ"] / g.phi0
        photocurrent: FloatArray = p["A"] * p["IL"] * (self.light / g.L0) ** g.gamma / gate
        return photocurrent


def wiring(grid: Grid, g: TransportGlobals) -> FloatArray:
    """Stray current Cs dV/dt + Ioff [nA]."""
    return 1e-3 * g.Cs * grid.slope + g.Ioff


def extremes(p: Mapping[str, FloatArray], u0: FloatArray, peak: float, c: Conditions) -> BoolArray:
    """Points (n,) whose exponents could overflow in `fast`."""
    lag = peak + np.maximum(np.abs(u0), peak)  # u stays between u0 and the voltages applied
    threshold = np.maximum(np.maximum(np.abs(p["V1"]), np.abs(p["V2"])), abs(c.g.VTm))
    inner = (peak + np.abs(p["kappa"]) * lag + threshold + p["phiJ"]) / p["w"]
    photo = (peak + np.abs(p["kc"]) * lag + np.abs(p["Vc"])) / p["wc"]
    result: BoolArray = np.maximum(inner, photo) > _EXPONENT
    return result


def ripple(voltage: FloatArray, p: Mapping[str, FloatArray]) -> FloatArray:
    """Smooth factors 1 + ripple s(V), (len(voltage), n).

    s has mean 0 and variance 1 over the phases. |s| <= 2.45 and ripple <= 0.4 keep the factor positive, so the sign of the current is kept.
    """
    s = np.zeros((voltage.size, p["w"].size))
    for m, wave in enumerate(_RIPPLE, start=1):
        s += np.cos(np.multiply.outer(voltage, wave / p["ripple_length"]) + m * p["ripple_phase"])
    s *= np.sqrt(2.0 / len(_RIPPLE)) * p["ripple"]
    s += 1.0
    return s


def telegraph(grid: Grid, p: Mapping[str, FloatArray], rng: np.random.Generator) -> FloatArray:
    """Telegraph factors 1 + telegraph s(t), (n, samples), with s = ±1 and <s(0) s(t)> = exp(-rate t)."""
    rate = p["telegraph_rate"][:, None]
    draws = rng.random((p["w"].size, grid.at.size))
    stays = np.empty_like(draws)
    stays[:, 0] = 0.5
    stays[:, 1:] = 0.5 + 0.5 * np.exp(-rate * grid.span)
    return 1.0 + p["telegraph"][:, None] * np.cumprod(np.where(draws < stays, 1.0, -1.0), axis=1)


def currents(
    grid: Grid,
    p: Mapping[str, FloatArray],
    away: FloatArray,
    x: FloatArray,
    c: Conditions,
    switching: FloatArray | None,
    extreme: BoolArray,
    out: FloatArray,
) -> None:
    """Write the current [nA] without shunt to `out` (n, samples); `stable` computes the `extreme` points."""
    if not extreme.any():
        fast(grid, p, away, x, c, switching, out)
        return
    for evaluate, chosen in ((stable, extreme), (fast, ~extreme)):
        part = np.empty((int(chosen.sum()), grid.at.size))
        if part.size:
            some = {name: array[chosen] for name, array in p.items()}
            drawn = None if switching is None else switching[chosen]
            evaluate(grid, some, away[:, chosen], x[:, chosen], c, drawn, part)
            out[chosen] = part


@dataclass(frozen=True, kw_only=True, eq=False)
class _Factors:
    """Exponentials and factors of `fast`, (n,) or (levels, n).

    With P = exp(kappa (u - V)/w) and E = exp(V/w) the softplus differences are

        F(V; VTj)/w = ln Rj,   Rj = (P E + cj)/(P + cj),         cj = exp((Vj + phi)/w)
        F(-V; VTm')/w = ln Rm, Rm = (P E + cm)/((P + cm) E),     cm = exp(-(VTm + phi)/w)
    """

    kw: FloatArray
    c1: FloatArray
    c2: FloatArray
    cm: FloatArray
    g1: FloatArray
    g2: FloatArray
    rho: float
    E: FloatArray

    @classmethod
    def of(cls, grid: Grid, p: Mapping[str, FloatArray], c: Conditions) -> "_Factors":
        w, phi, scale = p["w"], c.barrier(p["phiJ"]), p["A"] * c.gain * p["w"]
        return cls(
            kw=p["kappa"] / w,
            c1=np.exp((p["V1"] + phi) / w),
            c2=np.exp((p["V2"] + phi) / w),
            cm=np.exp((-c.g.VTm - phi) / w),
            g1=scale * p["g1"],
            g2=scale * p["g2"],
            rho=c.g.rho,
            E=np.exp(np.divide.outer(grid.levels, w)),
        )


def _electronic(
    f: _Factors, at: IntArray, away: FloatArray, x: FloatArray, registers: list[FloatArray]
) -> FloatArray:
    """Conducted current of some samples.

    It is g1 (ln R1 - rho ln Rm) + x g2 (ln R2 - rho ln Rm), in the first register. Every register is overwritten in place, as memory traffic is what this costs:

        total      E, P E, P E + c1, R1, then the sum
        P          P, then P + c1
        reverse    rho ln Rm
        activated  x g2 (ln R2 - rho ln Rm)
        scratch    a denominator
    """
    total, P, reverse, activated, scratch = registers
    np.exp(np.multiply(away, f.kw, out=P), out=P)
    np.take(f.E, at, axis=0, out=total, mode="clip")
    np.multiply(np.add(P, f.cm, out=scratch), total, out=scratch)
    np.multiply(P, total, out=total)
    np.divide(np.add(total, f.cm, out=reverse), scratch, out=reverse)
    np.multiply(np.log(reverse, out=reverse), f.rho, out=reverse)

    np.divide(np.add(total, f.c2, out=activated), np.add(P, f.c2, out=scratch), out=activated)
    np.subtract(np.log(activated, out=activated), reverse, out=activated)
    np.multiply(np.multiply(activated, f.g2, out=activated), x, out=activated)

    np.divide(np.add(total, f.c1, out=total), np.add(P, f.c1, out=P), out=total)
    np.subtract(np.log(total, out=total), reverse, out=total)
    return np.add(np.multiply(total, f.g1, out=total), activated, out=total)


def fast(
    grid: Grid,
    p: Mapping[str, FloatArray],
    away: FloatArray,
    x: FloatArray,
    c: Conditions,
    switching: FloatArray | None,
    out: FloatArray,
) -> None:
    """As `currents`, for exponents within double range."""
    samples, n = away.shape
    factors = _Factors.of(grid, p, c)
    factor = ripple(grid.levels, p) if p["ripple"].any() else None
    lit = c.light > 0.0
    photo, kc = c.photocurrent(p), p["kc"] / p["wc"]
    screen = np.subtract.outer(grid.levels, p["Vc"]) * (1.0 / p["wc"]) if lit else np.empty((0, n))
    wired = wiring(grid, c.g)

    rows = max(1, min(samples, _SCRATCH // n))
    store = [np.empty((rows, n)) for _ in range(5)]
    for start in range(0, samples, rows):
        k = slice(start, min(start + rows, samples))
        at = grid.at[k]
        registers = [s[: k.stop - start] for s in store]
        total = _electronic(factors, at, away[k], x[k], registers)
        if factor is not None:
            np.multiply(total, factor[at], out=total)
        if switching is not None:
            np.multiply(total, switching[:, k].T, out=total)
        if lit:
            gate, level = registers[-2:]
            np.multiply(away[k], kc, out=gate)
            np.take(screen, at, axis=0, out=level, mode="clip")
            np.exp(np.add(gate, level, out=gate), out=gate)
            np.divide(photo, np.add(gate, 1.0, out=gate), out=gate)
            np.subtract(total, gate, out=total)
        np.add(total, wired[k, None], out=total)
        out[:, k] = total.T


def stable(
    grid: Grid,
    p: Mapping[str, FloatArray],
    away: FloatArray,
    x: FloatArray,
    c: Conditions,
    switching: FloatArray | None,
    out: FloatArray,
) -> None:
    """As `currents`, for parameters and voltages of any size."""
    volts = grid.voltage[:, None]
    w, phi, shift = p["w"], c.barrier(p["phiJ"]), p["kappa"] * away

    def diode(voltage: FloatArray, threshold: FloatArray) -> FloatArray:
        excess = np.logaddexp(0.0, (voltage - threshold) / w) - np.logaddexp(0.0, -threshold / w)
        product: FloatArray = w * excess
        return product

    reverse = c.g.rho * diode(-volts, c.g.VTm + phi + shift)
    prompt = diode(volts, p["V1"] + phi - shift) - reverse
    active = diode(volts, p["V2"] + phi - shift) - reverse
    current = p["A"] * c.gain * (p["g1"] * prompt + p["g2"] * x * active)
    current *= ripple(grid.voltage, p)
    if switching is not None:
        current *= switching.T
    z = np.clip((p["Vc"] - volts - p["kc"] * away) / p["wc"], -_EXPONENT, _EXPONENT)
    current -= c.photocurrent(p) / (1.0 + np.exp(-z))
    current += wiring(grid, c.g)[:, None]
    out[...] = current.T
