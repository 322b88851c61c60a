"""White noise of curves and images whose signal is smooth."""

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
    """Deviation of the noise on a smooth signal, from the median size of differences of `order`.

    NaN is left out. `together` takes one median of all, not one along `axis`. 0 for too few values.
    """
    if values.shape[axis] <= order:
        return np.zeros(() if together else np.delete(values.shape, axis))
    size = np.abs(np.diff(values, n=order, axis=axis))
    median = np.nanmedian if np.isnan(size.sum()) else np.median  # which is ten times faster
    middle = median(size, axis=None if together else axis)
    return np.asarray(middle / difference_scale(order), np.float64)
