"""Luminescence decays and current-density curves of solar cells.

A decay of several exponentials A_i exp(-t/tau_i) has the intensity-weighted average lifetime
sum A tau^2 / sum A tau, which is also its mean arrival time. `fit_decay` gets it from a fit, and
`lifetime_map` from the moments of every pixel, as a structure channel for policies.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, nnls

from grainscout.records import ConfigError, DataError, FloatArray


def average_lifetime(amplitudes: ArrayLike, lifetimes: ArrayLike) -> float:
    """Intensity-weighted average sum A tau^2 / sum A tau."""
    a, tau = np.asarray(amplitudes, dtype=np.float64), np.asarray(lifetimes, dtype=np.float64)
    if a.shape != tau.shape or a.ndim != 1 or a.size == 0 or (tau <= 0).any() or not a.any():
        raise DataError(
            "amplitudes and lifetimes must be of one length, lifetimes positive and an amplitude not "
            f"0; got {a} and {tau}"
        )
    return float(np.sum(a * tau**2) / np.sum(a * tau))


@dataclass(frozen=True, kw_only=True, eq=False)
class DecayFit:
    """Exponentials and a background fitted to counts.

    Notes
    -----
    The standard deviations come from the Fisher information.
    """

    #: fractions, fractions_sigma: Amplitudes over their sum, fastest first, (components,)
    fractions: FloatArray
    #: lifetimes, lifetimes_sigma: Lifetimes [s], (components,)
    lifetimes: FloatArray
    background: float  #: Counts per bin
    #: average, average_sigma: Intensity-weighted lifetime [s]
    average: float
    fractions_sigma: FloatArray
    lifetimes_sigma: FloatArray
    average_sigma: float
    deviance: float  #: Per degree of freedom. About 1 for a good fit of many counts.


def fit_decay(time: ArrayLike, counts: ArrayLike, *, components: int = 3) -> DecayFit:
    """Fit a decay from its peak by maximum (Poisson) likelihood.

    Parameters
    ----------
    time : (t,) array of float
        Centres of the bins [s], from the peak.
    counts : (t,) array of float
        Photons, not normalised, because the uncertainty comes from them.
    components : int
        Number of exponentials. All lifetimes should be long against the instrument's response.

    Raises
    ------
    DataError
        For negative or missing counts, or fewer than 4 bins per component.
    """
    at, n = np.asarray(time, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if at.ndim != 1 or at.shape != n.shape or at.size < 4 * components or components < 1:
        raise DataError(
            f"a decay of {components} components must have at least {4 * components} bins of time "
            f"and counts; got shapes {at.shape} and {n.shape}"
        )
    if not (np.isfinite(n).all() and (n >= 0).all() and n.sum() > 0 and (np.diff(at) > 0).all()):
        raise DataError("counts must be finite and not negative, and time must increase")
    unit = float(at[-1] - at[0])
    scaled = (at - at[0]) / unit
    p = _maximise(scaled, n, components)
    mu, slopes = _decay(p, scaled)
    covariance = np.linalg.pinv(slopes.T @ (slopes / mu[:, None]))
    amplitude, tau = np.exp(p[:components]), np.exp(p[components : 2 * components])
    fractions = amplitude / amplitude.sum()
    jacobian = np.zeros((components, p.size))
    jacobian[:, :components] = np.diag(fractions) - np.outer(fractions, fractions)
    weight = amplitude * tau
    average = float(np.sum(weight * tau) / weight.sum())
    share = weight / weight.sum()
    slope = np.concatenate([share * (tau - average), share * (2 * tau - average), [0.0]])
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(n > 0, n * np.log(n / mu), 0.0) - (n - mu)
    return DecayFit(
        fractions=fractions,
        lifetimes=tau * unit,
        background=float(np.exp(p[-1])),
        average=average * unit,
        fractions_sigma=np.sqrt(np.diag(jacobian @ covariance @ jacobian.T)),
        lifetimes_sigma=tau * unit * np.sqrt(np.diag(covariance)[components : 2 * components]),
        average_sigma=float(np.sqrt(slope @ covariance @ slope)) * unit,
        deviance=float(2 * terms.sum() / max(n.size - p.size, 1)),
    )


def _decay(p: FloatArray, scaled: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Counts (t,) of logarithmic parameters p, and their slopes (t, p)."""
    k = p.size // 2
    amplitude, rate = np.exp(p[:k]), np.exp(-p[k : 2 * k])
    parts = np.exp(-scaled[:, None] * rate)
    background = np.full_like(scaled, np.exp(p[-1]))
    bent = parts * amplitude * scaled[:, None] * rate
    return parts @ amplitude + np.exp(p[-1]), np.column_stack([parts * amplitude, bent, background])


def _maximise(scaled: FloatArray, n: FloatArray, components: int) -> FloatArray:
    """Logarithms of amplitudes, lifetimes (fastest first) and background."""

    def loss(p: FloatArray) -> tuple[float, FloatArray]:
        mu, slopes = _decay(p, scaled)
        return float(np.sum(mu - n * np.log(mu))), slopes.T @ (1 - n / mu)

    bounds = [(-25.0, 45.0)] * components + [(-9.0, 3.0)] * components + [(-25.0, 45.0)]
    best = minimize(
        loss, _start(scaled, n, components), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-9},
    )  # fmt: skip
    p = np.asarray(best.x)
    order = np.argsort(p[components : 2 * components])
    return np.concatenate([p[:components][order], p[components : 2 * components][order], p[-1:]])


def _start(scaled: FloatArray, counts: FloatArray, components: int) -> FloatArray:
    """Start values from a spectrum of fixed lifetimes."""
    grid = np.geomspace(2e-3, 1.0, 40)
    basis = np.column_stack([np.exp(-scaled[:, None] / grid), np.ones_like(counts)])
    weight = 1 / np.sqrt(counts + 1)
    spectrum, _ = nnls(basis * weight[:, None], counts * weight)
    share = np.cumsum(spectrum[:-1] * grid + 1e-12)
    edges = np.searchsorted(share / share[-1], np.arange(1, components) / components)
    groups = np.split(np.arange(grid.size), np.clip(edges, 1, grid.size - 1))
    amplitudes, lifetimes = [], []
    for k, group in enumerate(groups):
        w = spectrum[group]
        amplitudes.append(max(float(w.sum()), 1e-3 * float(counts.max())))
        center = float(np.sum(w * grid[group]) / w.sum()) if w.sum() > 0 else 0.01 * 6.0**k
        lifetimes.append(center)
    background = max(float(spectrum[-1]), 1e-3)
    start: FloatArray = np.log(np.array([*amplitudes, *lifetimes, background]))
    return start


def lifetime_map(time: ArrayLike, counts: ArrayLike, *, background: float = 0.0) -> FloatArray:
    """Map mean arrival times [s] of photons.

    Parameters
    ----------
    time : (t,) array of float
        Centres of the bins [s].
    counts : (rows, columns, t) array of float
        Photons.
    background : float
        Counts per bin to subtract.

    Returns
    -------
    (rows, columns) array of float
        NaN for pixels without photons above the background. Equal to the intensity-weighted average
        lifetime if the window is long. Six times the longest lifetime cuts off under 2 % of it.
    """
    at, n = np.asarray(time, dtype=np.float64), np.asarray(counts, dtype=np.float64) - background
    if n.ndim != 3 or n.shape[-1] != at.size:
        raise DataError(f"counts must be (rows, columns, {at.size}); got shape {n.shape}")
    total = n.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(total > 0, (n @ (at - at[0])) / total, np.nan))


@dataclass(frozen=True, kw_only=True)
class Merit:
    """Figures of merit of a solar cell."""

    #: jsc, voc: Short-circuit current density [A/m^2] and open-circuit voltage [V]
    jsc: float
    voc: float
    #: fill_factor, efficiency: From 0 to 1
    fill_factor: float
    efficiency: float
    #: vmp, jmp: Maximum-power point [V], [A/m^2]
    vmp: float
    jmp: float


def jv_merit(
    voltage: ArrayLike, current_density: ArrayLike, *, irradiance: float = 1000.0
) -> Merit:
    """Compute figures of merit of one J-V branch.

    Parameters
    ----------
    voltage : (s,) array of float
        Voltage [V].
    current_density : (s,) array of float
        Current density [A/m^2], positive where the cell delivers power.
    irradiance : float
        Irradiance [W/m^2].

    Raises
    ------
    DataError
        If the sweep does not reach short circuit and open circuit.

    Notes
    -----
    A parabola through the best sample and its neighbours gives the maximum-power point.
    """
    v, j = np.asarray(voltage, dtype=np.float64), np.asarray(current_density, dtype=np.float64)
    if v.ndim != 1 or v.shape != j.shape or v.size < 5 or not np.isfinite([v, j]).all():
        raise DataError(
            f"a J-V branch must have at least 5 finite samples; got shapes {v.shape}, {j.shape}"
        )
    order = np.argsort(v)
    v, j = v[order], j[order]
    below = np.flatnonzero((j[:-1] > 0) & (j[1:] <= 0) & (v[1:] > 0))
    if v[0] > 0 or v[-1] < 0 or below.size == 0:
        raise DataError(
            "a J-V sweep must reach 0 V and the voltage where the current changes sign; got "
            f"{v[0]:g} to {v[-1]:g} V with currents {j.min():g} to {j.max():g} A/m^2. If power is "
            "delivered at negative current, change its sign"
        )
    k = int(below[0])
    voc = float(v[k] + (v[k + 1] - v[k]) * j[k] / (j[k] - j[k + 1]))
    jsc = float(np.interp(0.0, v, j))
    at = np.flatnonzero((v >= 0) & (v <= voc))
    best = int(at[(v * j)[at].argmax()])
    vmp, power = float(v[best]), float(v[best] * j[best])
    if 0 < best < v.size - 1:
        c = np.polyfit(v[best - 1 : best + 2] - v[best], (v * j)[best - 1 : best + 2], 2)
        if c[0] < 0:
            vmp, power = vmp - c[1] / (2 * c[0]), float(c[2] - c[1] ** 2 / (4 * c[0]))
    return Merit(
        jsc=jsc,
        voc=voc,
        fill_factor=power / (jsc * voc),
        efficiency=power / irradiance,
        vmp=vmp,
        jmp=power / vmp,
    )


@dataclass(frozen=True, kw_only=True)
class Hysteresis:
    """Difference of a cell's two sweeps.

    References
    ----------
    Sanchez et al. 2014, J. Phys. Chem. Lett. 5, 2357, doi:10.1021/jz5011187.
    Kim and Park 2014, J. Phys. Chem. Lett. 5, 2927, doi:10.1021/jz501392m.

    The field quotes the index at half the open-circuit voltage from these two, whose abstracts do
    not write it out. Others take 0.8, so that a published number is comparable only with its
    voltage. Simulators such as Driftfusion compare areas under the branches instead.
    """

    index: float  #: (J_rev - J_fwd) / J_rev at a part of the reverse sweep's open-circuit voltage
    efficiency: float  #: (eta_rev - eta_fwd) / eta_rev, which does not depend on one voltage
    #: forward, reverse: Figures of merit of either sweep
    forward: Merit
    reverse: Merit


def jv_hysteresis(
    voltage: ArrayLike, current_density: ArrayLike, *, irradiance: float = 1000.0, part: float = 0.5
) -> Hysteresis:
    """Compute the hysteresis of a J-V loop.

    Parameters
    ----------
    voltage, current_density : (s,) array of float
        Once up and down, or down and up [V], [A/m^2]. Signs as in `jv_merit`.
    irradiance : float
        Irradiance [W/m^2].
    part : float
        Part of the reverse open-circuit voltage at which the index is taken.

    Raises
    ------
    DataError
        If the voltage does not turn once, or for a branch without figures of merit.
    ConfigError
        For a part outside (0, 1).
    """
    if not 0 < part < 1:
        raise ConfigError(f"part must be between 0 and 1 of the open-circuit voltage; got {part}")
    v, j = np.asarray(voltage, dtype=np.float64), np.asarray(current_density, dtype=np.float64)
    if v.ndim != 1 or v.shape != j.shape or v.size < 10 or not np.isfinite([v, j]).all():
        raise DataError(
            f"a J-V loop must have at least 10 finite samples; got shapes {v.shape}, {j.shape}"
        )
    step = np.sign(np.diff(v))
    way = step[step != 0]
    turns = int((np.diff(way) != 0).sum())
    if turns != 1:
        raise DataError(f"a J-V loop must turn once; its voltage turns {turns} times")
    last = int(np.flatnonzero(step == way[0])[-1]) + 1
    parts = (v[: last + 1], j[: last + 1]), (v[last:], j[last:])
    up, down = parts if way[0] > 0 else parts[::-1]
    forward, reverse = (jv_merit(*branch, irradiance=irradiance) for branch in (up, down))
    at = part * reverse.voc
    there, back = (float(np.interp(at, a[o], b[o])) for a, b in (up, down) for o in [np.argsort(a)])  # fmt: skip
    return Hysteresis(
        index=(back - there) / back,
        efficiency=(reverse.efficiency - forward.efficiency) / reverse.efficiency,
        forward=forward,
        reverse=reverse,
    )
