"""Fit of the transport model to measured curves."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from grainscout.records import FloatArray, IntArray
from grainscout.simulator.transport.fit_model import (
    FIXED,
    FREE,
    Model,
    Prior,
    coordinate,
    draw_prior,
    jacobian,
    levenberg,
    usable_curves,
    value,
)
from grainscout.simulator.transport.parameters import ARCHETYPES, PARAMETERS, TransportGlobals

__all__ = ["FREE", "Fit", "Undetermined", "as_archetypes", "fit_iv"]

#: A parameter whose posterior is wider than this share of its prior is called undetermined.
_DETERMINED = 0.5
_STARTS, _KEEP = 32, 6


@dataclass(frozen=True, kw_only=True)
class Undetermined:
    """Warning that the curve does not determine a parameter."""

    parameter: str
    ratio: float  #: Posterior over prior standard deviation; 1: the curve says nothing

    def __str__(self) -> str:
        return (
            f"{self.parameter} is undetermined: the curve narrows its prior to {self.ratio:.0%} only. "
            "Take its value as a choice, not as a finding"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """Best parameters of one curve."""

    #: Values of all names that `iv_curves` needs, in the units of `PARAMETERS`
    parameters: dict[str, float]
    offset: float  #: Offset of the amplifier that was added [A]
    #: Standard deviations in the parameter's unit, or of its natural logarithm if the parameter
    #: blends geometrically
    sigma: dict[str, float]
    correlation: FloatArray  #: Correlations in the order of `sigma`, (q, q)
    current: FloatArray  #: Current of the model [A], (samples,)
    #: Misfit of the visible samples and intrusions of clipped ones into the window, over the number
    #: of visible samples [A]
    rms: float
    rms_share: float  #: `rms` over the visible range
    warnings: tuple[Undetermined, ...]  #: Parameters that the curve leaves undetermined


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
    curves = usable_curves(voltage, current, time, clipped, window)
    base = globals_ or TransportGlobals()
    model = Model(
        curves=curves,
        prior=draw_prior(),
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


def _optima(model: Model, seed: int) -> tuple[FloatArray, FloatArray, IntArray, FloatArray]:
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


def _report(model: Model, curve: int, point: FloatArray, spread: FloatArray) -> Fit:
    """The fit of one curve from point and spread."""
    unit = model.curves.unit
    amperes = 1e-9 * unit
    gap = model.misfit(point[None], np.array([curve]))[0]
    rms = float(np.sqrt((gap**2).sum() / model.curves.visible[curve].sum()))
    deviation = np.sqrt(np.diag(spread))
    names = (*FREE, "offset")
    values = {name: float(value(name, v)) for name, v in zip(FREE, point[:-1], strict=True)}
    values |= {name: unit * values[name] for name in ("g1", "g2", "IL")}
    return Fit(
        parameters=values | FIXED,
        offset=float(point[-1]) * amperes,
        sigma={
            name: float(s) * (amperes if name == "offset" else 1.0)
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
    """Archetypes in the likeness of three curves, for ``TransportSpec(archetypes=...)``."""
    return {
        name: (club.parameters[name], heart.parameters[name], diamond.parameters[name])
        for name in FREE
    }


def _starts(prior: Prior, rng: np.random.Generator) -> FloatArray:
    """The three archetypes and random points, (_STARTS, q)."""
    centre = prior.centre
    starts = centre + prior.width * rng.uniform(-0.8, 0.8, (_STARTS, centre.size))
    pure = [coordinate(name, PARAMETERS[name].archetypes) for name in FREE]
    starts[: len(ARCHETYPES), :-1] = np.transpose(pure)
    starts[: len(ARCHETYPES), -1] = centre[-1]
    return starts


def _size(gap: FloatArray) -> float:
    """Standard deviation of a misfit [nA], inflated by its autocorrelation: neighbours that agree count once."""
    variance = float((gap**2).sum()) / max(1, int((gap != 0).sum()) - len(FREE) - 1)
    centred = gap - gap.mean()
    power = np.correlate(centred, centred, "full")[gap.size - 1 :]
    share = power / max(float(power[0]), 1e-300)
    stop = int(np.argmax(share <= 0)) if (share <= 0).any() else share.size
    return float(np.sqrt(variance * (1.0 + 2.0 * share[1:stop].sum())))


def _mixture(
    points: FloatArray, cost: FloatArray, covariance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Best point and spread of a mixture of Gaussians with Laplace's weights."""
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
