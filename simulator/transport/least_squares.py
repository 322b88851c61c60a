"""Levenberg-Marquardt for many small nonlinear least-squares problems at once.

A curve's Jacobian by finite differences asks for one curve more per parameter. The transport
kernel gives thousands in one call, so all starts of all curves move together.
"""

from collections.abc import Callable

import numpy as np

from grainscout.records.arrays import FloatArray, IntArray

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
