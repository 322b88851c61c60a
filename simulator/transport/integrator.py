"""The two ionic states on any waveform.

On a ramp, u obeys a linear equation and is exact. x relaxes to x_inf(V), which is taken linear
within a step, at a rate k frozen at mid-step (exponential time differencing). That is of second
order, and a convex combination of x0 and the two x_inf, so x stays in [0, 1] for any step.
Everything transcendental depends on the voltage alone and is tabulated once for each distinct
voltage and step of the waveform, which a triangle's branches share. Only ``y = a y + b`` is left
to do in sequence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from grainscout.records import FloatArray, IntArray, Waveform

#: Steps are split until no one is longer than this [V]; k varies by e^(dV/2wx) within a step.
LARGEST_STEP = 0.012
#: Exponents beyond this are equal to it in double precision for logistics and saturated rates.
_FLAT = 300.0
#: Up to this many points a loop over Python floats is faster than one over short arrays.
_FEW = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """A waveform cut into steps."""

    voltage: FloatArray  # (samples,) [V]
    slope: FloatArray  # (samples,) of the ramp that ends at the sample [V/s], 0 at the first
    span: FloatArray  # (samples - 1,) time between samples [s]
    levels: FloatArray  # distinct node voltages [V]
    at: IntArray  # (samples,) level of each sample
    steps: IntArray  # (steps, 2) lower and upper level of each distinct step
    spans: FloatArray  # (steps,) their durations [s]
    times: FloatArray  # distinct durations [s]
    slopes: FloatArray  # of the distinct ramps [V/s]
    time_of_slope: IntArray  # number of the duration of each
    # For each step in order: its number, downwards or not, sample that it leads to, number of its
    # duration and of its ramp, voltage at its start and end [V].
    sequence: tuple[tuple[int, bool, int, int, int, float, float], ...]


def _significant(values: FloatArray) -> FloatArray:
    """Values rounded to 12 digits."""
    size = np.abs(values)
    scale = 10.0 ** (11.0 - np.floor(np.log10(np.where(size > 0.0, size, 1.0))))
    return np.round(values * scale) / scale


@lru_cache(maxsize=64)
def grid(waveform: Waveform) -> Grid:
    """The grid of a waveform, cached."""
    # Rounding lets branches that pass the same voltages share levels; + 0.0 turns -0.0 into 0.0.
    voltage = np.round(waveform.voltage, 12) + 0.0
    rise, span = np.diff(voltage), np.diff(waveform.time)
    slope = _significant(rise / span)
    parts = np.maximum(np.ceil(np.abs(rise) / LARGEST_STEP - 1e-6), 1.0).astype(np.intp)
    ramp = np.repeat(np.arange(parts.size), parts)
    part = 1 + np.arange(ramp.size) - np.repeat(np.cumsum(parts) - parts, parts)
    ends = np.where(
        part == parts[ramp],
        voltage[ramp + 1],
        np.round(voltage[ramp] + rise[ramp] * (part / parts[ramp]), 12),
    )
    nodes = np.concatenate([voltage[:1], ends])
    levels, level_of = np.unique(nodes, return_inverse=True)
    low, high = np.minimum(level_of[:-1], level_of[1:]), np.maximum(level_of[:-1], level_of[1:])
    h = _significant((span / parts)[ramp])
    steps, step_of = np.unique(np.column_stack([low, high, h]), axis=0, return_inverse=True)
    times, time_of = np.unique(h, return_inverse=True)
    kinds, kind_of = np.unique(np.column_stack([time_of, slope[ramp]]), axis=0, return_inverse=True)
    sequence = zip(
        step_of.reshape(-1).tolist(),
        (level_of[1:] < level_of[:-1]).tolist(),
        (ramp + 1).tolist(),
        time_of.tolist(),
        kind_of.reshape(-1).tolist(),
        nodes[:-1].tolist(),
        nodes[1:].tolist(),
        strict=True,
    )
    return Grid(
        voltage=voltage,
        slope=np.concatenate([[0.0], slope]),
        span=span,
        levels=levels,
        at=level_of[np.concatenate([[0], np.cumsum(parts)])],
        steps=steps[:, :2].astype(np.intp),
        spans=steps[:, 2],
        times=times,
        slopes=kinds[:, 1],
        time_of_slope=kinds[:, 0].astype(np.intp),
        sequence=tuple(sequence),
    )


def activation(voltage: FloatArray, vx: FloatArray, wx: FloatArray) -> FloatArray:
    """x_inf = logistic((V - Vx)/wx), (levels, n)."""
    z = _exponential(voltage, vx, -1.0 / wx)
    z += 1.0
    return np.reciprocal(z, out=z)


def rate(
    voltage: FloatArray,
    vx: FloatArray,
    wx: FloatArray,
    nu: FloatArray,
    factor: FloatArray,
    k_max: float,
) -> FloatArray:
    """Rate (levels, n) [1/s]: 1/k = 1/(nu a 2cosh((V - Vx)/2wx)) + 1/(k_max a)."""
    z = _exponential(voltage, vx, 0.5 / wx)
    scratch = np.reciprocal(z)
    z += scratch
    # k = a nu C/(1 + nu C/k_max), C = 2cosh
    np.multiply(z, nu / k_max, out=scratch)
    scratch += 1.0
    z /= scratch
    z *= nu * factor
    return z


def _exponential(voltage: FloatArray, centre: FloatArray, inverse: FloatArray) -> FloatArray:
    """exp((V - centre) inverse), clipped at _FLAT."""
    z = np.subtract.outer(voltage, centre)
    z *= inverse
    reach = (np.abs(voltage).max(initial=0.0) + np.abs(centre)) * np.abs(inverse)
    if reach.max(initial=0.0) > _FLAT:
        np.clip(z, -_FLAT, _FLAT, out=z)
    return np.exp(z, out=z)


def integrate(
    g: Grid,
    p: Mapping[str, FloatArray],
    factor: FloatArray,
    tau: FloatArray,
    k_max: float,
    u0: FloatArray,
    x0: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """u - V [V] and x, (samples, n) each, from u0 and x0 (n,) at the first sample."""
    vx, wx = p["Vx"], p["wx"]
    low, high = g.steps[:, 0], g.steps[:, 1]
    x_inf = activation(g.levels, vx, wx)
    kh = rate(0.5 * (g.levels[low] + g.levels[high]), vx, wx, p["nu"], factor, k_max)
    kh *= -g.spans[:, None]
    loss = np.expm1(kh)  # -(1 - e^-kh), as kh is negative here
    # x1 = e^-kh x0 + (1 - e^-kh - c) xa + c xb, c = 1 - (1 - e^-kh)/kh, from level a to b.
    c = np.divide(loss, kh, out=kh)
    np.subtract(1.0, c, out=c)
    xa, xb = x_inf[low], x_inf[high]
    c *= xb - xa
    xa *= loss
    xb *= loss
    rising = np.subtract(c, xa, out=xa)
    falling = np.negative(np.add(c, xb, out=xb), out=xb)
    keep = np.add(loss, 1.0, out=loss)
    # u1 = V1 + e^-(h/tau) (u0 - V0) - s tau (1 - e^-(h/tau)) on a ramp of slope s.
    decay = np.exp(np.divide.outer(-g.times, tau))
    lag = -np.expm1(np.divide.outer(-g.times, tau)) * tau
    drive = g.slopes[:, None] * lag[g.time_of_slope]

    tables = _Tables(keep=keep, add=(rising, falling), decay=decay, drive=drive)
    away, x = np.empty((2, g.at.size, vx.size))
    away[0], x[0] = u0 - g.voltage[0], x0
    if vx.size <= _FEW:
        for i in range(vx.size):
            _scalar(g, tables.at(i), float(u0[i]), away[:, i], x[:, i])
    else:
        _rows(g, tables, u0, away, x)
    return away, x


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tables:
    """Factors and summands of the steps."""

    keep: FloatArray
    add: tuple[FloatArray, FloatArray]
    decay: FloatArray
    drive: FloatArray

    def at(self, i: int) -> "_Tables":
        """Of one point, 1-D."""
        return _Tables(
            keep=self.keep[:, i],
            add=(self.add[0][:, i], self.add[1][:, i]),
            decay=self.decay[:, i],
            drive=self.drive[:, i],
        )


def _rows(g: Grid, t: _Tables, u0: FloatArray, away: FloatArray, x: FloatArray) -> None:
    multiply, plus, minus = np.multiply, np.add, np.subtract
    keeps, adds, decays, drives = (
        list(t.keep),
        [list(a) for a in t.add],
        list(t.decay),
        list(t.drive),
    )
    xs, lags = list(x), list(away)
    u, xv = np.array(u0), xs[0]
    for step, down, sample, time, ramp, start, end in g.sequence:
        row = xs[sample]
        multiply(keeps[step], xv, row)
        plus(row, adds[down][step], row)
        xv = row
        row = lags[sample]
        minus(u, start, row)
        multiply(row, decays[time], row)
        minus(row, drives[ramp], row)
        plus(row, end, u)


def _scalar(g: Grid, t: _Tables, u: float, away: FloatArray, x: FloatArray) -> None:
    """As `_rows` for one point, to the same bits."""
    keeps, adds = t.keep.tolist(), [a.tolist() for a in t.add]
    decays, drives = t.decay.tolist(), t.drive.tolist()
    lags, xs = away.tolist(), x.tolist()
    xv = xs[0]
    for step, down, sample, time, ramp, start, end in g.sequence:
        xs[sample] = xv = keeps[step] * xv + adds[down][step]
        lags[sample] = lag = (u - start) * decays[time] - drives[ramp]
        u = lag + end
    away[:], x[:] = lags, xs
