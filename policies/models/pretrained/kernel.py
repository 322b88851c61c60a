"""Hierarchical covariance of sites: learnt features, grains, boundaries, places and single pixels.

y(x) = sum_g w_g . phi_g(x) + f(psi(x)) + grain + boundary + place + pixel + constant

A row of the table holds all that the covariance needs, by :class:`Columns`. What each part
contributes is a log-parameter, which a run learns from its own curves under the prior that training
found over many films and targets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from grainscout.policies.models.kernels import Pull, squared_distances
from grainscout.records import AnyFloatArray, FloatArray

#: Learnt linear features of each group, and arguments of the nonlinear part.
WIDTHS, BENT = (1, 1, 2, 4, 8, 8), 4
GROUPS, LINEAR = len(WIDTHS), sum(WIDTHS)
#: Columns: linear features, arguments, amplitudes of grain, boundary, place and pixel ...
LEARNT = LINEAR + BENT + 4
#: ... and numbers of grain, boundary and pixel, and the place, 2.
COLUMNS = LEARNT + 5
_BENT = slice(LINEAR, LINEAR + BENT)
_AMPLITUDES = slice(LINEAR + BENT, LEARNT)
_NUMBERS, _PLACE = slice(LEARNT, LEARNT + 3), slice(LEARNT + 3, COLUMNS)
_LEVELS = (0, 1, 3)  # amplitudes of grain, boundary and pixel, in the order of their numbers
#: Log-parameters: variances of the groups, the nonlinear part, grain, boundary, pixel, the
#: constant and the place, and the length of the place.
PARAMETERS = GROUPS + 7


@dataclass(frozen=True, eq=False)
class HierarchicalKernel:
    """A :class:`~grainscout.policies.models.kernels.Kernel` of the rows above."""

    prior: FloatArray  #: (PARAMETERS, 2) mean and deviation of the log-parameters

    def prepare(self, x: FloatArray) -> FloatArray:
        """(PARAMETERS, n, n) parts that are linear in their variances, then squared distances."""
        groups = np.split(x[:, :LINEAR], np.cumsum(WIDTHS)[:-1], axis=1)
        parts: list[AnyFloatArray] = [g @ g.T for g in groups]
        parts.append(np.exp(-0.5 * squared_distances(x[:, _BENT], x[:, _BENT])))
        parts += [_level(x, x, k) for k in range(3)]
        amplitude = x[:, _AMPLITUDES][:, 2]
        place = squared_distances(x[:, _PLACE], x[:, _PLACE])
        return np.stack([*parts, np.ones_like(place), np.outer(amplitude, amplitude), place])

    def gram(self, prepared: FloatArray, t: FloatArray) -> tuple[FloatArray, Pull]:
        """See :class:`~grainscout.policies.models.kernels.Kernel`."""
        n = prepared.shape[1]
        scaled = prepared[-1] * np.exp(-2.0 * t[-1])
        near = np.exp(-0.5 * scaled) * prepared[-2] * np.exp(t[-2])
        flat = prepared[:-2].reshape(len(prepared) - 2, -1)
        variances = np.exp(t[:-2])
        k = (variances @ flat).reshape(n, n) + near

        def pull(grad: FloatArray) -> FloatArray:
            drawn = grad * near
            return np.concatenate(
                [variances * (flat @ grad.ravel()), [drawn.sum(), np.vdot(drawn, scaled)]]
            )

        return k, pull

    def against(self, a: AnyFloatArray, t: FloatArray) -> Callable[[AnyFloatArray], AnyFloatArray]:
        """See :class:`~grainscout.policies.models.kernels.Kernel`."""
        return partial(self._cross, a, t)

    def cross(self, a: AnyFloatArray, b: AnyFloatArray, t: FloatArray) -> AnyFloatArray:
        """See :class:`~grainscout.policies.models.kernels.Kernel`."""
        return self._cross(a, t, b)

    def _cross(self, a: AnyFloatArray, t: FloatArray, b: AnyFloatArray) -> AnyFloatArray:
        root = np.repeat(np.exp(0.5 * t[:GROUPS]), WIDTHS).astype(a.dtype)
        k = (a[:, :LINEAR] * root) @ (b[:, :LINEAR] * root).T
        variance = np.exp(t).astype(a.dtype)
        work = squared_distances(a[:, _BENT], b[:, _BENT])
        work *= a.dtype.type(-0.5)
        k += variance[GROUPS] * np.exp(work, out=work)
        for level in range(3):
            k += variance[GROUPS + 1 + level] * _level(a, b, level)
        work = squared_distances(a[:, _PLACE], b[:, _PLACE])
        work *= a.dtype.type(-0.5 * np.exp(-2.0 * t[-1]))
        np.exp(work, out=work)
        work *= a[:, _AMPLITUDES][:, 2:3] * variance[-2]
        work *= b[:, _AMPLITUDES][:, 2]
        k += work
        k += variance[GROUPS + 4]
        return k

    def diagonal(self, x: AnyFloatArray, t: FloatArray) -> FloatArray:
        """See :class:`~grainscout.policies.models.kernels.Kernel`."""
        variance = np.exp(t)
        squared = np.asarray(x[:, :LEARNT], np.float64) ** 2
        linear = squared[:, :LINEAR] @ np.repeat(variance[:GROUPS], WIDTHS)
        levels = squared[:, _AMPLITUDES] @ variance[[GROUPS + 1, GROUPS + 2, -2, GROUPS + 3]]
        return np.asarray(linear + levels + variance[GROUPS] + variance[GROUPS + 4])


def _level(a: AnyFloatArray, b: AnyFloatArray, which: int) -> AnyFloatArray:
    """Covariance of sites of one grain, one boundary, or one pixel, at a variance of 1."""
    left, right = a[:, _AMPLITUDES][:, _LEVELS[which]], b[:, _AMPLITUDES][:, _LEVELS[which]]
    same = a[:, _NUMBERS][:, which][:, None] == b[:, _NUMBERS][:, which]
    return np.asarray(same * left[:, None] * right, a.dtype)
