"""The two ionic states on any waveform: exact screening, exponential time differencing for x.

On a ramp, u obeys a linear equation and is exact.  x relaxes to x_inf(V), which is taken linear
within a step, at a rate k frozen at mid-step: second order, and a convex combination of x0 and
the two x_inf, so x stays in [0, 1] for any step.  Everything transcendental depends on the
voltage alone and is tabulated once for each distinct voltage and step of the waveform (a
triangle's branches share them); only ``y = a y + b`` is left to do in sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from grainscout.records import Waveform
from grainscout.simulator._parameters import Floats

#: Steps are split until no one is longer than this [V]; k varies by e^(dV/2wx) within a step.
LARGEST_STEP = 0.012
#: Exponents beyond this are equal to it in double precision for logistics and saturated rates.
_FLAT = 300.0
#: Below this many points a loop over Python floats is faster than one over short arrays.
_FEW = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """A waveform cut into steps, with equal voltages and equal steps found.

    levels (nv,) distinct node voltages [V];  at (samples,) level of each sample;  steps (ns, 2)
    lower and upper level of each distinct step;  spans (ns,) their durations [s];  times (nh,)
    distinct durations and time_of (ns,) which one;  sequence: for each step in order
    (step, downwards, sample that it leads to, whether it starts from a sample);  slope (samples,)
    dV/dt [V/s] of the ramp that ends at the sample, 0 at the first;  span (samples - 1,) seconds
    between samples.
    """

    levels: Floats
    at: NDArray[np.intp]
    steps: NDArray[np.intp]
    spans: Floats
    times: Floats
    time_of: NDArray[np.intp]
    sequence: tuple[tuple[int, bool, int, bool], ...]
    slope: Floats
    voltage: Floats
    span: Floats


def _significant(values: Floats) -> Floats:
    """Values rounded to 12 digits, so that equal steps of a waveform are equal numbers."""
    scale = 10.0 ** (11.0 - np.floor(np.log10(values)))
    return np.round(values * scale) / scale


@lru_cache(maxsize=64)
def grid(waveform: Waveform) -> Grid:
    """The grid of a waveform; cached, as an experiment applies few."""
    voltage = np.round(waveform.voltage, 12) + 0.0
    rise, span = np.diff(voltage), _significant(np.diff(waveform.time))
    parts = np.maximum(np.ceil(np.abs(rise) / LARGEST_STEP - 1e-6), 1.0).astype(np.intp)
    sample = np.repeat(np.arange(parts.size), parts)
    part = np.arange(sample.size) - np.repeat(np.cumsum(parts) - parts, parts)
    fraction = (part + 1) / parts[sample]
    ends = np.where(
        part + 1 == parts[sample],
        voltage[sample + 1],
        np.round(voltage[sample] + rise[sample] * fraction, 12),
    )
    nodes = np.concatenate([voltage[:1], ends])
    levels, level_of = np.unique(nodes, return_inverse=True)
    h = _significant((span / parts)[sample])
    key = np.column_stack(
        [np.minimum(level_of[:-1], level_of[1:]), np.maximum(level_of[:-1], level_of[1:]), h]
    )
    steps, step_of = np.unique(key, axis=0, return_inverse=True)
    times, time_of = np.unique(steps[:, 2], return_inverse=True)
    down = level_of[1:] < level_of[:-1]
    sequence = zip(
        step_of.reshape(-1).tolist(),
        down.tolist(),
        (sample + 1).tolist(),
        (part == 0).tolist(),
        strict=True,
    )
    last = np.concatenate([[0], np.cumsum(parts)])
    return Grid(
        levels=levels,
        at=level_of[last],
        steps=steps[:, :2].astype(np.intp),
        spans=steps[:, 2],
        times=times,
        time_of=time_of.reshape(-1),
        sequence=tuple(sequence),
        slope=np.concatenate([[0.0], rise / span]),
        voltage=voltage,
        span=span,
    )


def activation(voltage: Floats, vx: Floats, wx: Floats) -> Floats:
    """x_inf = logistic((V - Vx)/wx), (levels, n)."""
    z = np.subtract.outer(voltage, vx)
    z /= -wx
    np.clip(z, -_FLAT, _FLAT, out=z)
    np.exp(z, out=z)
    z += 1.0
    return np.reciprocal(z, out=z)


def rate(
    voltage: Floats, vx: Floats, wx: Floats, nu: Floats, factor: Floats, k_max: float
) -> Floats:
    """k [1/s], (levels, n): 1/k = 1/(nu a 2cosh((V - Vx)/2wx)) + 1/(k_max a)."""
    z = np.subtract.outer(voltage, vx)
    z /= 2.0 * wx
    np.clip(z, -_FLAT, _FLAT, out=z)
    np.exp(z, out=z)
    z += np.reciprocal(z)
    z *= nu
    saturated = z * (1.0 / k_max)
    saturated += 1.0
    z /= saturated
    z *= factor
    return z


def integrate(
    g: Grid,
    *,
    vx: Floats,
    wx: Floats,
    nu: Floats,
    factor: Floats,
    tau: Floats,
    k_max: float,
    u0: Floats,
    x0: Floats,
) -> tuple[Floats, Floats]:
    """u [V] and x at every sample, (samples, n) each, from u0 and x0 (n,) at the first."""
    low, high = g.steps[:, 0], g.steps[:, 1]
    x_inf = activation(g.levels, vx, wx)
    kh = rate(0.5 * (g.levels[low] + g.levels[high]), vx, wx, nu, factor, k_max)
    kh *= g.spans[:, None]
    loss = np.expm1(-kh)  # -(1 - e^-kh)
    # x1 = e^-kh x0 + (1 - e^-kh - c) xa + c xb, with c = 1 - (1 - e^-kh)/kh, from level a to b.
    c = np.divide(loss, kh, out=kh)
    c += 1.0
    difference = x_inf[high] - x_inf[low]
    difference *= c
    rising = -loss * x_inf[low] + difference
    falling = -loss * x_inf[high] - difference
    keep = np.add(loss, 1.0, out=loss)
    decay = np.exp(np.divide.outer(-g.times, tau))
    lag = -np.expm1(np.divide.outer(-g.times, tau)) * tau  # settled V - u for a slope of 1 V/s

    shape = (g.at.size, vx.size)
    u, x = np.empty(shape), np.empty(shape)
    u[0], x[0] = u0, x0
    if vx.size <= _FEW:
        for i in range(vx.size):
            _scalar(g, i, keep, rising, falling, decay, lag, u, x)
    else:
        _rows(g, keep, rising, falling, decay, lag, u, x)
    return u, x


def _ramps(g: Grid) -> tuple[list[float], list[float], list[float], list[int]]:
    """For each distinct step: lower level, upper level, slope [V/s] upwards, duration's index."""
    low, high = g.levels[g.steps[:, 0]], g.levels[g.steps[:, 1]]
    slopes = (high - low) / g.spans
    return low.tolist(), high.tolist(), slopes.tolist(), g.time_of.tolist()


def _rows(
    g: Grid,
    keep: Floats,
    rising: Floats,
    falling: Floats,
    decay: Floats,
    lag: Floats,
    u: Floats,
    x: Floats,
) -> None:
    lows, highs, slopes, time_of = _ramps(g)
    scratch = np.empty(u.shape[1])
    for step, down, sample, first in g.sequence:
        before = sample - 1 if first else sample
        xs = x[sample]
        np.multiply(keep[step], x[before], out=xs)
        np.add(xs, (falling if down else rising)[step], out=xs)
        start, end, slope = lows[step], highs[step], slopes[step]
        if down:
            start, end, slope = end, start, -slope
        at, us = time_of[step], u[sample]
        np.subtract(u[before], start, out=us)
        np.multiply(us, decay[at], out=us)
        np.multiply(lag[at], slope, out=scratch)
        np.subtract(us, scratch, out=us)
        np.add(us, end, out=us)


def _scalar(
    g: Grid,
    i: int,
    keep: Floats,
    rising: Floats,
    falling: Floats,
    decay: Floats,
    lag: Floats,
    u: Floats,
    x: Floats,
) -> None:
    """The same operations in the same order as `_rows`, so the same bits, for point `i`."""
    lows, highs, slopes, time_of = _ramps(g)
    keeps, ups, downs = keep[:, i].tolist(), rising[:, i].tolist(), falling[:, i].tolist()
    decays, lags = decay[:, i].tolist(), lag[:, i].tolist()
    us, xs = u[:, i].tolist(), x[:, i].tolist()
    uv, xv = us[0], xs[0]
    for step, down, sample, _ in g.sequence:
        at = time_of[step]
        if down:
            xv = keeps[step] * xv + downs[step]
            uv = (uv - highs[step]) * decays[at] - lags[at] * -slopes[step] + lows[step]
        else:
            xv = keeps[step] * xv + ups[step]
            uv = (uv - lows[step]) * decays[at] - lags[at] * slopes[step] + highs[step]
        us[sample], xs[sample] = uv, xv
    u[:, i], x[:, i] = us, xs
