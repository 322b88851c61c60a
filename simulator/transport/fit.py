"""The transport model fitted to measured curves, with what the curves do not determine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grainscout.records import DataError, Waveform
from grainscout.records.arrays import FloatArray
from grainscout.simulator.transport.kernel import iv_curves
from grainscout.simulator.transport.least_squares import Residuals, jacobian, levenberg
from grainscout.simulator.transport.parameters import ARCHETYPES, PARAMETERS, TransportGlobals

__all__ = ["FREE", "Fit", "Undetermined", "as_archetypes", "fit_iv"]

#: Parameters that a fit varies, with the amplifier's offset as the fifteenth.
FREE = ("g1", "g2", "V1", "V2", "w", "kappa", "Vx", "wx", "nu", "tau", "IL", "Vc", "wc", "kc")
OFFSET = "offset"

#: Ranges beyond `draw` in units of its width that a fit may use: nature does not know ours.
_BEYOND = 0.5
#: Offset of the amplifier [nA]: what a preamplifier's specification allows.
_OFFSET = (-0.01, 0.0)
#: Visible range of the curves that the priors are made for [nA].
_SPAN = 0.6
#: A parameter whose posterior is wider than this share of its prior is called undetermined.
_DETERMINED = 0.5
_STARTS, _KEEP = 32, 6
#: Not in a curve at one temperature: activation energies [eV], as assumed for the archetypes.
_FIXED = {"Ex": 0.3, "Eu": 0.3}


@dataclass(frozen=True, kw_only=True)
class Undetermined:
    """A warning: the curve does not determine `parameter`.

    ratio : posterior over prior standard deviation (1: the curve says nothing).
    """

    parameter: str
    ratio: float

    def __str__(self) -> str:
        return (
            f"{self.parameter} is undetermined: the curve narrows its prior to {self.ratio:.0%} only; "
            "take its value as a choice, not as a finding"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A curve's best parameters.

    parameters : name -> value for `transport.iv_curves` (all names);  offset [A] was added.
    sigma : name -> standard deviation, in the parameter's unit, or of its natural logarithm if the
        parameter blends geometrically;  correlation : (q, q), in the order of `sigma`.
    current : (samples,) the model [A];  rms [A]: misfit of the visible samples and intrusions of clipped ones
        into the window, over the number of visible samples;  rms_share : rms over the visible range.
    warnings : parameters that the curve leaves undetermined.
    """

    parameters: dict[str, float]
    offset: float
    sigma: dict[str, float]
    correlation: FloatArray
    current: FloatArray
    rms: float
    rms_share: float
    warnings: tuple[Undetermined, ...]


def fit_iv(
    voltage: ArrayLike,
    current: ArrayLike,
    *,
    time: ArrayLike | None = None,
    clipped: ArrayLike | None = None,
    window: tuple[float, float] | None = None,
    light: float = 0.1,
    temperature: float = 298.0,
    globals_: TransportGlobals | None = None,
    seed: int = 0,
) -> list[Fit]:
    """Fit the model to curves that were measured with one waveform.

    voltage : (samples,) [V];  current : (samples,) or (n, samples) [A], NaN where unknown.
    time : (samples,) [s]; a sweep of 1 s if None (rates are then relative to the sweep).
    clipped : of the current's shape: +1 where the true current is above the window, -1 below, 0
        visible;  window : its lower and upper end [A], needed if anything is clipped.
    light [suns], temperature [K] during the measurement;  seed : of the multi-start.

    A clipped sample is a one-sided penalty: it costs only where the model enters the window.
    Priors are Gaussian with the centre and half-width of each parameter's draw range; where the
    median visible range is above 0.6 nA, currents and conductances are in units of that range.
    Standard deviations come from the Jacobian with these priors at the best optimum and at others
    that explain the curve nearly as well, and allow for residuals that are correlated from sample
    to sample.  Raises DataError for unusable curves.
    """
    volts = np.asarray(voltage, dtype=np.float64)
    data = np.atleast_2d(np.asarray(current, dtype=np.float64)) * 1e9
    state = np.zeros(data.shape, int) if clipped is None else np.atleast_2d(np.asarray(clipped))
    if (
        volts.ndim != 1
        or data.ndim != 2
        or data.shape[1] != volts.size
        or state.shape != data.shape
    ):
        raise DataError(
            "fit_iv current and clipped must be (samples,) or (n, samples) like the voltage; got "
            f"voltage {volts.shape}, current {data.shape}, clipped {state.shape}"
        )
    visible = np.isfinite(data) & (state == 0)
    few = np.flatnonzero(visible.sum(1) <= len(FREE) + 1)
    if few.size:
        raise DataError(
            f"fit_iv needs more than {len(FREE) + 1} visible samples; curve {few[0]} has "
            f"{int(visible[few[0]].sum())}"
        )
    if window is None:
        if (state != 0).any():
            raise DataError("fit_iv needs the window [A] that the clipped samples lie outside of")
        low_edge = high_edge = 0.0
        span = np.array([np.ptp(row[ok]) for row, ok in zip(data, visible, strict=True)])
    else:
        low_edge, high_edge = window[0] * 1e9, window[1] * 1e9
        span = np.full(len(data), high_edge - low_edge)
    if not (span > 0).all():
        raise DataError("fit_iv needs curves whose visible range is > 0 A")
    times = np.linspace(0.0, 1.0, volts.size) if time is None else np.asarray(time, np.float64)
    waveform = Waveform(voltage=volts, time=times, kind="measured")
    # Priors are for sub-nanoampere curves; a sample that conducts more is fitted in its own unit.
    unit = max(1.0, float(np.median(span)) / _SPAN)
    data, span, low_edge, high_edge = data / unit, span / unit, low_edge / unit, high_edge / unit
    base = globals_ or TransportGlobals()
    constants = replace(base, Ioff=0.0, Cs=base.Cs / unit)

    low, high, centre, width = _box()
    target = np.where(visible, data, 0.0)

    def model(points: FloatArray) -> FloatArray:
        values: dict[str, ArrayLike] = {
            name: np.exp(points[:, j]) if PARAMETERS[name].blend == "geometric" else points[:, j]
            for j, name in enumerate(FREE)
        }
        result = iv_curves(
            {**values, **_FIXED}, waveform, light=light, temperature=temperature, globals_=constants
        )
        result.current_nA[...] += points[:, -1:]
        return result.current_nA

    def misfit(points: FloatArray, owner: NDArray[np.intp]) -> FloatArray:
        fitted = model(points)
        gap = np.where(visible[owner], fitted - target[owner], 0.0)
        gap += np.where(state[owner] > 0, np.minimum(fitted - high_edge, 0.0), 0.0)
        gap += np.where(state[owner] < 0, np.maximum(fitted - low_edge, 0.0), 0.0)
        return gap

    def weighted(scale: FloatArray) -> Residuals:
        """Misfits in units of their size (n,) for each curve, and the priors' pulls."""

        def residuals(points: FloatArray, owner: NDArray[np.intp]) -> FloatArray:
            pulls = (points - centre) / width
            return np.concatenate([misfit(points, owner) / scale[owner, None], pulls], axis=1)

        return residuals

    curves = np.arange(len(data))
    starts = _starts(centre, width, np.random.default_rng(seed))
    points, cost, owner = _best(
        *levenberg(
            residuals := weighted(0.01 * span),
            np.tile(starts, (len(data), 1)),
            np.repeat(curves, _STARTS),
            low,
            high,
            12,
        )
    )
    points, cost = levenberg(residuals, points, owner, low, high, 100)
    # How large the misfit is shows only now; with it, data and prior get their true weights.
    first = points.reshape(len(data), _KEEP, -1)[curves, cost.reshape(-1, _KEEP).argmin(1)]
    size = np.array([_size(gap) for gap in misfit(first, curves)])
    residuals = weighted(np.maximum(size, 1e-5 * span))
    points, cost = levenberg(residuals, points, owner, low, high, 100)
    _, slope = jacobian(residuals, points, owner, low, high)
    information = np.swapaxes(slope, 1, 2) @ slope  # the priors' rows are in it
    covariance = np.linalg.inv(information)

    fits = []
    for i in curves:
        mine = owner == i
        point, spread = _mixture(points[mine], cost[mine], covariance[mine])
        fitted = model(point[None])[0]
        gap = misfit(point[None], np.array([i]))[0]
        rms = float(np.sqrt((gap**2).sum() / visible[i].sum()))
        fits.append(_report(point, spread, width, fitted, rms, float(span[i]), unit))
    return fits


def as_archetypes(club: Fit, heart: Fit, diamond: Fit) -> dict[str, tuple[float, float, float]]:
    """Archetype values for `TransportSpec(archetypes=...)`: a film in the likeness of three curves.

    Activation energies and what the fit leaves at its default stay those of the standard film.
    """
    return {
        name: (club.parameters[name], heart.parameters[name], diamond.parameters[name])
        for name in FREE
    }


def _report(
    point: FloatArray,
    spread: FloatArray,
    width: FloatArray,
    fitted: FloatArray,
    rms: float,
    span: float,
    unit: float,
) -> Fit:
    deviation = np.sqrt(np.diag(spread))
    names = (*FREE, OFFSET)
    amperes = 1e-9 * unit
    values = {
        name: float(np.exp(v) if PARAMETERS[name].blend == "geometric" else v)
        for name, v in zip(FREE, point[:-1], strict=True)
    }
    values |= {name: unit * values[name] for name in ("g1", "g2", "IL")}
    return Fit(
        parameters=values | _FIXED,
        offset=float(point[-1]) * amperes,
        sigma={
            name: float(s) * (amperes if name == OFFSET else 1.0)
            for name, s in zip(names, deviation, strict=True)
        },
        correlation=spread / np.multiply.outer(deviation, deviation),
        current=fitted * amperes,
        rms=rms * amperes,
        rms_share=rms / span,
        warnings=tuple(
            Undetermined(parameter=name, ratio=float(ratio))
            for name, ratio in zip(names, deviation / width, strict=True)
            if ratio > _DETERMINED
        ),
    )


def _box() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Lower and upper bounds, prior centres and prior widths, in the fit's coordinates."""
    edges = []
    for name in FREE:
        draw = np.array(PARAMETERS[name].draw)
        edges.append(np.log(draw) if PARAMETERS[name].blend == "geometric" else draw)
    edges.append(np.array(_OFFSET))
    ends = np.array(edges)
    centre, width = ends.mean(1), 0.5 * (ends[:, 1] - ends[:, 0])
    reach = (1.0 + 2.0 * _BEYOND) * width
    low, high = centre - reach, centre + reach
    return low, high, centre, width


def _starts(centre: FloatArray, width: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The three archetypes and random points of the priors' middle, (_STARTS, q)."""
    starts = centre + width * rng.uniform(-0.8, 0.8, (_STARTS, centre.size))
    for k in range(len(ARCHETYPES)):
        for j, name in enumerate(FREE):
            value = PARAMETERS[name].archetypes[k]
            starts[k, j] = np.log(value) if PARAMETERS[name].blend == "geometric" else value
        starts[k, -1] = centre[-1]
    return starts


def _best(points: FloatArray, cost: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """The _KEEP cheapest of each curve's _STARTS points, their costs and curves."""
    curves = len(cost) // _STARTS
    order = np.argsort(cost.reshape(curves, _STARTS), axis=1)[:, :_KEEP]
    chosen = (order + _STARTS * np.arange(curves)[:, None]).reshape(-1)
    return points[chosen], cost[chosen], np.repeat(np.arange(curves), _KEEP)


def _size(gap: FloatArray) -> float:
    """Effective standard deviation of a misfit [nA]: neighbours that agree are one piece of news.

    The variance is inflated by the integrated autocorrelation of the residuals.
    """
    variance = float((gap**2).sum()) / max(1, int((gap != 0).sum()) - len(FREE) - 1)
    centred = gap - gap.mean()
    power = np.correlate(centred, centred, "full")[gap.size - 1 :]
    share = power / max(float(power[0]), 1e-300)
    stop = int(np.argmax(share <= 0)) if (share <= 0).any() else share.size
    return float(np.sqrt(variance * (1.0 + 2.0 * share[1:stop].sum())))


def _mixture(
    points: FloatArray, cost: FloatArray, covariance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The best point, and the spread about it of a mixture of Gaussians, one for each optimum.

    Weights are Laplace's, exp(-cost/2) sqrt(det covariance); an optimum found twice counts once.
    """
    order = np.argsort(cost)
    best = points[order[0]]
    total, spread, seen = 0.0, np.zeros_like(covariance[0]), list[int]()
    for k in order:
        inverse = np.linalg.inv(covariance[k])
        steps = [points[k] - points[j] for j in seen]
        if any(float(step @ inverse @ step) < 1.0 for step in steps):
            continue
        seen.append(int(k))
        volume = np.linalg.slogdet(covariance[k])[1] - np.linalg.slogdet(covariance[order[0]])[1]
        weight = float(np.exp(min(0.5 * (cost[order[0]] - cost[k] + volume), 30.0)))
        away = points[k] - best
        total += weight
        spread += weight * (covariance[k] + np.multiply.outer(away, away))
    return best, spread / total
