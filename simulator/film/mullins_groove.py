"""Thermal groove along a grain boundary (Mullins 1957).

Z(u) solves Z'''' - (u/4) Z' + Z/4 = 0 with Z'(0) = 1, Z'''(0) = 0 and Z -> 0. In Fourier space the
surface obeys dy/dt = -k^4 y - 2 k^2 (the slope's jump at the root is a source), so that at t = 1

    Z(u) = -(2/pi) int_0^inf (1 - exp(-k^4)) / k^2  cos(k u) dk

and Z(0) = -(2/pi) Gamma(3/4) = -0.7801. Splitting off (2/pi) int (1 - cos k u)/k^2 dk = |u| leaves
an integral over exp(-k^4) that needs no infinite range.
"""

import math
from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from grainscout.records import FloatArray

#: Z(0), the root of the groove.
MULLINS_ROOT = -(2 / math.pi) * math.gamma(0.75)
#: Distance from the root to the hump beside it, in units of (B t)^(1/4).
MULLINS_HUMP = 2.299915

_FAR = 24.0  # |Z| < 1e-8 beyond


@lru_cache(maxsize=1)
def _table() -> CubicSpline:
    u = np.linspace(0.0, _FAR, 2401)
    node, weight = np.polynomial.legendre.leggauss(200)
    k, weight = 1.4 * (node + 1), 1.4 * weight  # exp(-2.8^4) < 1e-26
    kernel = weight * np.exp(-(k**4)) / k**2
    versine = 2 * np.sin(0.5 * np.outer(u, k)) ** 2
    return CubicSpline(u, MULLINS_ROOT + u - (2 / math.pi) * versine @ kernel)


def mullins(u: FloatArray) -> FloatArray:
    """Mullins' profile Z(|u|), u = distance / (B t)^(1/4)."""
    u = np.abs(u)
    return np.where(u < _FAR, _table()(np.minimum(u, _FAR)), 0.0)


def groove(distance: FloatArray, depth: FloatArray, width: FloatArray) -> FloatArray:
    """Height of a groove with its hump at `width`."""
    return depth * mullins(MULLINS_HUMP * distance / width) / -MULLINS_ROOT
