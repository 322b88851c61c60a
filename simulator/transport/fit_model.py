"""Curves, model and prior of a fit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from grainscout.records import BoolArray, DataError, FloatArray, IntArray, Waveform
from grainscout.simulator.transport.kernel import iv_curves
from grainscout.simulator.transport.parameters import PARAMETERS, TransportGlobals

#: (points (m, q), problem of each (m,)) -> residuals (m, r).
Residuals = Callable[[FloatArray, IntArray], FloatArray]


def jacobian(
    residuals: Residuals, points: FloatArray, problems: IntArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Residuals (m, r) and derivatives (m, r, q), by steps inwards at a bound."""
    m, q = points.shape
    step = 1e-5 * (high - low) * np.where(points > 0.5 * (low + high), -1.0, 1.0)
    shifted = np.repeat(points[:, None, :], q + 1, axis=1)
    index = np.arange(q)
    shifted[:, 1 + index, index] += step
    values = residuals(shifted.reshape(-1, q), np.repeat(problems, q + 1)).reshape(m, q + 1, -1)
    slope = (values[:, 1:] - values[:, :1]) / step[:, :, None]
    return values[:, 0], np.swapaxes(slope, 1, 2)


def levenberg(
    residuals: Residuals,
    points: FloatArray,
    problems: IntArray,
    low: FloatArray,
    high: FloatArray,
    iterations: int,
    tolerance: float = 1e-6,
) -> tuple[FloatArray, FloatArray]:
    """Move points (m, q) downhill within bounds (q,); they and their sums of squares (m,)."""
    points = np.clip(points, low, high)
    cost = (residuals(points, problems) ** 2).sum(1)
    damping = np.full(len(points), 1e-2)
    active = np.arange(len(points))
    for _ in range(iterations):
        if not active.size:
            break
        p, owner = points[active], problems[active]
        r, slope = jacobian(residuals, p, owner, low, high)
        gradient = np.einsum("mrq,mr->mq", slope, r)
        normal = np.swapaxes(slope, 1, 2) @ slope
        # A parameter held at its bound by the gradient leaves the step's equations.
        held = ((p <= low) & (gradient > 0)) | ((p >= high) & (gradient < 0))
        free = ~held
        normal *= free[:, :, None] & free[:, None, :]
        diagonal = np.einsum("mqq->mq", normal)
        diagonal += damping[active, None] * np.maximum(diagonal, 1e-12) + held
        step = np.linalg.solve(normal, -(gradient * free)[:, :, None])[:, :, 0]
        trial = np.clip(p + step, low, high)
        trial_cost = (residuals(trial, owner) ** 2).sum(1)
        before = cost[active]
        better = trial_cost < before
        done = (better & (before - trial_cost < tolerance * before)) | (damping[active] > 1e8)
        points[active[better]] = trial[better]
        cost[active[better]] = trial_cost[better]
        damping[active] *= np.where(better, 0.2, 6.0)
        active = active[~done]
    return points, cost


#: Parameters that a fit varies, with the amplifier's offset as the fifteenth.
FREE = ("g1", "g2", "V1", "V2", "w", "kappa", "Vx", "wx", "nu", "tau", "IL", "Vc", "wc", "kc")
#: Not in a curve at one temperature: activation energies [eV], as assumed for the archetypes.
FIXED = {"Ex": 0.3, "Eu": 0.3}

#: Ranges beyond `draw` in units of its width that a fit may use: nature does not know ours.
_BEYOND = 0.5
#: Offset of the amplifier [nA]: what a preamplifier's specification allows.
_OFFSET = (-0.01, 0.0)
#: Visible range of the curves that the priors are made for [nA].
_SPAN = 0.6


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """Measured curves (n, samples) in units of `unit` nA."""

    waveform: Waveform
    current: FloatArray  # 0 where not visible
    visible: BoolArray
    clipped: IntArray
    window: tuple[float, float]
    span: FloatArray  # (n,) visible range
    unit: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Prior:
    """Bounds, centres and widths (q,) in the fit's coordinates."""

    low: FloatArray
    high: FloatArray
    centre: FloatArray
    width: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """Curves, conditions and prior that a fit compares."""

    curves: Curves
    prior: Prior
    light: float
    temperature: float
    constants: TransportGlobals

    def current(self, points: FloatArray) -> FloatArray:
        """Currents (m, samples) of points (m, q)."""
        values: dict[str, ArrayLike] = {
            name: value(name, points[:, j]) for j, name in enumerate(FREE)
        }
        result = iv_curves(
            {**values, **FIXED},
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


def usable_curves(
    voltage: ArrayLike,
    current: ArrayLike,
    time: ArrayLike | None,
    clipped: ArrayLike | None,
    window: tuple[float, float] | None,
) -> Curves:
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
    return Curves(
        waveform=Waveform(voltage=volts, time=times, kind="measured"),
        current=np.where(visible, data / unit, 0.0),
        visible=visible,
        clipped=state,
        window=(low / unit, high / unit),
        span=span / unit,
        unit=unit,
    )


def value(name: str, coordinate: FloatArray) -> FloatArray:
    """A parameter from the fit's coordinate."""
    return np.exp(coordinate) if PARAMETERS[name].blend == "geometric" else coordinate


def coordinate(name: str, value: ArrayLike) -> FloatArray:
    """The fit's coordinate of a parameter."""
    array = np.asarray(value, dtype=np.float64)
    return np.log(array) if PARAMETERS[name].blend == "geometric" else array


def draw_prior() -> Prior:
    """Priors from the draw ranges, and bounds."""
    ends = np.array([coordinate(name, PARAMETERS[name].draw) for name in FREE] + [_OFFSET])
    centre, width = ends.mean(1), 0.5 * (ends[:, 1] - ends[:, 0])
    reach = (1.0 + 2.0 * _BEYOND) * width
    return Prior(low=centre - reach, high=centre + reach, centre=centre, width=width)
