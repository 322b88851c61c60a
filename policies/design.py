"""Designs that lower the mean variance of a map (I-optimal), and tours through their sites."""

from collections.abc import Callable

import numpy as np

from grainscout.records import AnyFloatArray, BoolArray, FloatArray, IntArray


def integrated_fall(covariance: AnyFloatArray, variance: FloatArray, noise: float) -> FloatArray:
    """(c,) fall of the references' mean variance by each candidate (Cohn 1996, Neural Networks 9, 1071)."""
    fall = np.square(covariance).mean(1, dtype=covariance.dtype)
    return np.asarray(fall / (variance + noise), np.float64)


def greedy(
    covariance: AnyFloatArray,
    variance: FloatArray,
    column: Callable[[int], AnyFloatArray],
    noise: float,
    count: int,
    free: BoolArray,
) -> IntArray:
    """(count,) candidates, each the best after those before it. A design needs no targets."""
    covariance, variance, free = covariance.copy(), variance.copy(), free.copy()
    chosen: list[int] = []
    steps: list[FloatArray] = []
    while len(chosen) < count and free.any():
        gain = np.where(free, integrated_fall(covariance, variance, noise), -np.inf)
        best = int(gain.argmax())
        known = column(best) - sum(step * step[best] for step in steps)
        root = np.sqrt(max(float(known[best]), 0.0) + noise)
        step = known / root
        covariance -= np.outer(step, covariance[best] / root)
        variance = np.maximum(variance - step**2, 1e-300)
        steps.append(step)
        free[best] = False
        chosen.append(best)
    return np.array(chosen, np.int64)


def largest_cluster(square: FloatArray) -> FloatArray:
    """(c,) squared distance to the nearest centre, -inf outside of the largest cluster.

    square : (c, k) squared distances to the centres. The largest cluster is that with the largest
    sum of distances (LCMD: Holzmueller et al. 2023, J. Mach. Learn. Res. 24, 164, sec. 5.2).
    """
    nearest, away = square.argmin(1), square.min(1)
    size = np.bincount(nearest, away)
    return np.where(nearest == size.argmax(), away, -np.inf)


def tour(points: FloatArray, start: FloatArray) -> IntArray:
    """Order (n,) in which to visit points (n, 2) from `start` (2,): nearest first, then 2-opt."""
    n = len(points)
    if n < 2:
        return np.arange(n)
    every = np.vstack([start, points])
    distance = np.hypot(*(every[:, None] - every).transpose(2, 0, 1))
    order, left = [0], np.ones(n + 1, bool)
    left[0] = False
    while left.any():
        order.append(int(np.where(left, distance[order[-1]], np.inf).argmin()))
        left[order[-1]] = False
    path = np.array(order)
    for _ in range(50):
        if not _shorten(path, distance):
            break
    return path[1:] - 1


def _shorten(path: IntArray, distance: FloatArray) -> bool:
    """Reverse pieces of an open path, in place, while that makes it shorter."""
    better = False
    for i in range(1, len(path) - 1):
        ends = path[i + 1 :]
        after = np.append(path[i + 2 :], -1)
        before = path[i - 1]
        new = distance[before, ends] + np.where(after < 0, 0.0, distance[path[i], after])
        old = distance[before, path[i]] + np.where(after < 0, 0.0, distance[ends, after])
        k = int((new - old).argmin())
        if new[k] - old[k] < -1e-12 * distance.max():
            path[i : i + 2 + k] = path[i : i + 2 + k][::-1].copy()
            better = True
    return better
