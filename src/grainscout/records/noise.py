"""White noise of curves and images whose signal is smooth."""

from __future__ import annotations

import math

import numpy as np

from grainscout.records.arrays import FloatArray

_NORMAL = 0.6744897501960817  # median size of normal noise, in standard deviations


def difference_scale(order: int) -> float:
    """Median size of differences of order k of unit normal noise, of variance binom(2k, k)."""
    return _NORMAL * math.sqrt(math.comb(2 * order, order))


def robust_noise(
    values: FloatArray, order: int, axis: int = -1, *, together: bool = False
) -> FloatArray:
    """Standard deviation of the noise, from the median size of differences along an axis.

    The signal under the noise is smooth along `axis`, and NaN is left out. A higher `order` of the
    differences ignores more of the signal. `together` takes one median of the whole array, in the
    place of one along the axis. 0 where there are too few values.
    """
    if values.shape[axis] <= order:
        return np.zeros(() if together else np.delete(values.shape, axis))
    size = np.abs(np.diff(values, n=order, axis=axis))
    median = np.nanmedian if np.isnan(size.sum()) else np.median  # which is ten times faster
    middle = median(size, axis=None if together else axis)
    return np.asarray(middle / difference_scale(order), np.float64)
