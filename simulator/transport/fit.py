"""Fit of the transport model to measured curves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from grainscout.records import DataError, Waveform
from grainscout.records.arrays import BoolArray, FloatArray, IntArray
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
    """Warning that the curve does not determine a parameter.

    Parameters
    ----------
    parameter : str
        Its name.
    ratio : float
        Posterior over prior standard deviation. 1 means that the curve says nothing.
    """

    parameter: str
    ratio: float

    def __str__(self) -> str:
        return (
            f"{self.parameter} is undetermined: the curve narrows its prior to {self.ratio:.0%} only. "
            "Take its value as a choice, not as a finding"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """Best parameters of one curve.

    Parameters
    ----------
    parameters : dict of str to float
        Values of all names that `iv_curves` needs, in the units of `PARAMETERS`.
    offset : float
        Offset of the amplifier that was added [A].
    sigma : dict of str to float
        Standard deviations in the parameter's unit, or of its natural logarithm if the parameter
        blends geometrically.
    correlation : (q, q) array of float
        Correlations in the order of `sigma`.
    current : (samples,) array of float
        Current of the model [A].
    rms : float
        Misfit of the visible samples and intrusions of clipped ones into the window, over the
        number of visible samples [A].
    rms_share : float
        `rms` over the visible range.
    warnings : tuple of Undetermined
        Parameters that the curve leaves undetermined.
    """

    parameters: dict[str, float]
    offset: float
    sigma: dict[str, float]
    correlation: FloatArray
    current: FloatArray
    rms: float
    rms_share: float
    warnings: tuple[Undetermined, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Curves:
    """Measured curves (n, samples) in units of `unit` nA."""

    waveform: Waveform
    current: FloatArray  # 0 where not visible
    visible: BoolArray
    clipped: IntArray
    window: tuple[float, float]
    span: FloatArray  # (n,) visible range
    unit: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Prior:
    """Bounds, centres and widths (q,) in the fit's coordinates."""

    low: FloatArray
    high: FloatArray
    centre: FloatArray
    width: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class _Model:
    """Curves, conditions and prior that a fit compares."""

    curves: _Curves
    prior: _Prior
    light: float
    temperature: float
    constants: TransportGlobals

    def current(self, points: FloatArray) -> FloatArray:
        """Currents (m, samples) of points (m, q)."""
        values: dict[str, ArrayLike] = {
            name: _value(name, points[:, j]) for j, name in enumerate(FREE)
        }
        result = iv_curves(
            {**values, **_FIXED},
            self.curves.waveform,
            light=self.light,
            temperature=self.temperature,
            globals_=self.constants,
        )
        current = result.current_nA
        current += points[:, -1:]
        return current

    def misfit(self, points: FloatArray, owner: IntArray) -> FloatArray:
        """Misfits (m, samples) to the curves `owner` (m,)."""
        c, fitted = self.curves, self.current(points)
        gap = np.where(c.visible[owner], fitted - c.current[owner], 0.0)
        gap += np.where(c.clipped[owner] > 0, np.minimum(fitted - c.window[1], 0.0), 0.0)
        gap += np.where(c.clipped[owner] < 0, np.maximum(fitted - c.window[0], 0.0), 0.0)
        return gap

    def residuals(self, scale: FloatArray) -> Residuals:
        """Misfits over their sizes (n,), and the priors' pulls."""

        def residuals(points: FloatArray, owner: IntArray) -> FloatArray:
            pulls = (points - self.prior.centre) / self.prior.width
            return np.concatenate([self.misfit(points, owner) / scale[owner, None], pulls], axis=1)

        return residuals


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
    """Fit the model to curves measured with one waveform.

    Parameters
    ----------
    voltage : (samples,) array of float
        Bias [V].
    current : (samples,) or (n, samples) array of float
        Current [A], NaN where unknown.
    time : (samples,) array of float or None
        Time [s]. A sweep of 1 s if None: rates are then relative to the sweep.
    clipped : array of int or None
        Of the current's shape: +1 where the true current is above the window, -1 below, 0 visible.
    window : (float, float) or None
        Lower and upper end of the window [A], needed if anything is clipped.
    light, temperature : float
        Conditions of the measurement [suns], [K].
    globals_ : TransportGlobals or None
        Constants that all points share.
    seed : int
        Seed of the multi-start.

    Returns
    -------
    list of Fit
        One for each curve.

    Raises
    ------
    DataError
        Curves are unusable.

    Notes
    -----
    A clipped sample is a one-sided penalty: it costs only where the model enters the window.
    Priors are Gaussian with the centre and half-width of each parameter's draw range. Where the
    median visible range is above 0.6 nA, currents and conductances are in units of that range.
    Standard deviations come from the Jacobian with these priors at the best optimum and at others
    that explain the curve nearly as well. They allow for residuals that are correlated from sample
    to sample.
    """
    curves = _usable(voltage, current, time, clipped, window)
    base = globals_ or TransportGlobals()
    model = _Model(
        curves=curves,
        prior=_prior(),
        light=light,
        temperature=temperature,
        constants=replace(base, Ioff=0.0, Cs=base.Cs / curves.unit),
    )
    points, cost, owner, covariance = _optima(model, seed)
    fits = []
    for i in range(len(curves.current)):
        mine = owner == i
        point, spread = _mixture(points[mine], cost[mine], covariance[mine])
        fits.append(_report(model, i, point, spread))
    return fits


def _usable(
    voltage: ArrayLike,
    current: ArrayLike,
    time: ArrayLike | None,
    clipped: ArrayLike | None,
    window: tuple[float, float] | None,
) -> _Curves:
    """Usable curves of `fit_iv`, or DataError."""
    volts = np.asarray(voltage, dtype=np.float64)
    data = np.atleast_2d(np.asarray(current, dtype=np.float64)) * 1e9
    state = np.zeros(data.shape, int) if clipped is None else np.atleast_2d(np.asarray(clipped))
    if volts.ndim != 1 or data.shape != (len(data), volts.size) or state.shape != data.shape:
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
    if window is not None:
        low, high = window[0] * 1e9, window[1] * 1e9
        span = np.full(len(data), high - low)
    elif (state != 0).any():
        raise DataError("fit_iv needs the window [A] that the clipped samples lie outside of")
    else:
        low = high = 0.0
        span = np.array([np.ptp(row[ok]) for row, ok in zip(data, visible, strict=True)])
    if not (span > 0).all():
        raise DataError("fit_iv needs curves whose visible range is > 0 A")
    times = np.linspace(0.0, 1.0, volts.size) if time is None else np.asarray(time, np.float64)
    # Priors are for sub-nanoampere curves; a sample that conducts more is fitted in its own unit.
    unit = max(1.0, float(np.median(span)) / _SPAN)
    return _Curves(
        waveform=Waveform(voltage=volts, time=times, kind="measured"),
        current=np.where(visible, data / unit, 0.0),
        visible=visible,
        clipped=state,
        window=(low / unit, high / unit),
        span=span / unit,
        unit=unit,
    )


def _optima(model: _Model, seed: int) -> tuple[FloatArray, FloatArray, IntArray, FloatArray]:
    """Optima (m, q), costs, curves and covariances."""
    prior, span = model.prior, model.curves.span
    bounds = prior.low, prior.high
    n = len(span)
    curves = np.arange(n, dtype=np.int64)
    starts = _starts(prior, np.random.default_rng(seed))
    residuals = model.residuals(0.01 * span)
    every = np.tile(starts, (n, 1))
    points, cost = levenberg(residuals, every, np.repeat(curves, _STARTS), *bounds, 12)
    best = np.argsort(cost.reshape(n, _STARTS), axis=1)[:, :_KEEP]
    owner: IntArray = np.repeat(curves, _KEEP)
    points = points[best.reshape(-1) + _STARTS * owner]
    points, cost = levenberg(residuals, points, owner, *bounds, 100)
    # How large the misfit is shows only now; with it, data and prior get their true weights.
    first = points.reshape(n, _KEEP, -1)[curves, cost.reshape(-1, _KEEP).argmin(1)]
    size = np.array([_size(gap) for gap in model.misfit(first, curves)])
    residuals = model.residuals(np.maximum(size, 1e-5 * span))
    points, cost = levenberg(residuals, points, owner, *bounds, 100)
    _, slope = jacobian(residuals, points, owner, *bounds)
    information = np.swapaxes(slope, 1, 2) @ slope  # the priors' rows are in it
    return points, cost, owner, np.asarray(np.linalg.inv(information), np.float64)


def _report(model: _Model, curve: int, point: FloatArray, spread: FloatArray) -> Fit:
    """The fit of one curve from point and spread."""
    unit = model.curves.unit
    amperes = 1e-9 * unit
    gap = model.misfit(point[None], np.array([curve]))[0]
    rms = float(np.sqrt((gap**2).sum() / model.curves.visible[curve].sum()))
    deviation = np.sqrt(np.diag(spread))
    names = (*FREE, OFFSET)
    values = {name: float(_value(name, v)) for name, v in zip(FREE, point[:-1], strict=True)}
    values |= {name: unit * values[name] for name in ("g1", "g2", "IL")}
    return Fit(
        parameters=values | _FIXED,
        offset=float(point[-1]) * amperes,
        sigma={
            name: float(s) * (amperes if name == OFFSET else 1.0)
            for name, s in zip(names, deviation, strict=True)
        },
        correlation=spread / np.multiply.outer(deviation, deviation),
        current=model.current(point[None])[0] * amperes,
        rms=rms * amperes,
        rms_share=rms / float(model.curves.span[curve]),
        warnings=tuple(
            Undetermined(parameter=name, ratio=float(ratio))
            for name, ratio in zip(names, deviation / model.prior.width, strict=True)
            if ratio > _DETERMINED
        ),
    )


def as_archetypes(club: Fit, heart: Fit, diamond: Fit) -> dict[str, tuple[float, float, float]]:
    """Archetypes in the likeness of three curves.

    Activation energies and what the fit leaves at its default stay those of the standard film.

    Returns
    -------
    dict of str to (float, float, float)
        For ``TransportSpec(archetypes=...)``.
    """
    return {
        name: (club.parameters[name], heart.parameters[name], diamond.parameters[name])
        for name in FREE
    }


def _value(name: str, coordinate: FloatArray) -> FloatArray:
    """A parameter from the fit's coordinate."""
    return np.exp(coordinate) if PARAMETERS[name].blend == "geometric" else coordinate


def _coordinate(name: str, value: ArrayLike) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    return np.log(array) if PARAMETERS[name].blend == "geometric" else array


def _prior() -> _Prior:
    """Priors from the draw ranges, and bounds."""
    ends = np.array([_coordinate(name, PARAMETERS[name].draw) for name in FREE] + [_OFFSET])
    centre, width = ends.mean(1), 0.5 * (ends[:, 1] - ends[:, 0])
    reach = (1.0 + 2.0 * _BEYOND) * width
    return _Prior(low=centre - reach, high=centre + reach, centre=centre, width=width)


def _starts(prior: _Prior, rng: np.random.Generator) -> FloatArray:
    """The three archetypes and random points, (_STARTS, q)."""
    centre = prior.centre
    starts = centre + prior.width * rng.uniform(-0.8, 0.8, (_STARTS, centre.size))
    pure = [_coordinate(name, PARAMETERS[name].archetypes) for name in FREE]
    starts[: len(ARCHETYPES), :-1] = np.transpose(pure)
    starts[: len(ARCHETYPES), -1] = centre[-1]
    return starts


def _size(gap: FloatArray) -> float:
    """Effective standard deviation of a misfit [nA].

    The integrated autocorrelation of the residuals inflates it: neighbours that agree count once.
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
    """Best point and spread of a mixture of Gaussians.

    Weights are Laplace's, exp(-cost/2) sqrt(det covariance). An optimum found twice counts once.
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
