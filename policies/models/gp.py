"""Exact Gaussian-process regression, fast enough to refit at every step.

Training is in float64. The candidates are predicted in float32 with the inverse Cholesky factor, so
that mean and variance everywhere are one matrix product. Between refits a new point costs one new
row of that product (the posterior is updated, not computed again).
"""

import copy
import math
from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack
from scipy.optimize import Bounds, minimize

from grainscout.policies.models.kernels import Kernel
from grainscout.policies.models.likelihood import (
    FREEDOM,
    LEAST,
    REACH,
    check_data,
    standardise,
    student_noise,
    winsorise,
)
from grainscout.policies.models.surrogates import not_fitted
from grainscout.records import AnyFloatArray, FloatArray, IntArray, PackedState, PolicyError

_FLOOR = 1e-6  # of the target's variance: keeps repeated sites positive definite
_NOISE_PRIOR = (-0.3, 0.7)
_TRUST_PRIOR = (0.0, 1.5)  # of the log factor on the noise variances that come with the targets
_CHUNK = 131_072  # elements of a temporary, so that it stays in the cache
_CACHE_BYTES = 3 * 2**30
_OUTLIER = 4.0  # standard deviations of the leave-one-out prediction, in the rule of before
_BOUNDS = 8.0  # prior deviations that a log parameter may go
#: Likelihoods. States without one were made before ``"student-t"``.
PLAIN, OUTLIERS, STUDENT_T = "normal", "outliers", "student-t"


class GaussianProcess:
    """A :class:`~grainscout.policies.models.surrogates.Surrogate` with a closed-form kernel.

    Of features `table` (m, d) with a mean of x·x of about 1, `candidate_rows` of which are predicted.
    Hyper-parameters are refitted when the data have grown by the fraction `growth`. `robust` noise is
    Student's. `noise_prior` is the mean and deviation of the log noise variance, targets standardised.
    """

    def __init__(
        self,
        table: NDArray[np.float32],
        candidate_rows: IntArray,
        kernel: Kernel,
        *,
        growth: float = 0.1,
        robust: bool = True,
        noise_prior: tuple[float, float] = _NOISE_PRIOR,
    ) -> None:
        self.table, self.kernel, self.growth = table, kernel, growth
        self.likelihood = STUDENT_T if robust else PLAIN
        self.candidate_rows = np.asarray(candidate_rows, np.int64)
        self._x_pool = table[self.candidate_rows]
        self._prior = np.vstack([kernel.prior, noise_prior, _TRUST_PRIOR])
        reach = _BOUNDS * self._prior[:, 1]  # a line search may leap to where exp overflows
        self._low, self._high = self._prior[:, 0] - reach, self._prior[:, 0] + reach
        # Stated noise may be an overestimate; what it misses, the learnt noise makes up for.
        self._low[-1], self._high[-1] = -np.inf, 0.0
        self._t = self._prior[:, 0].copy()
        self._offset, self._scale = 0.0, 1.0
        self._fitted = self._factored = 0
        self._rows, self._given, self._extra = np.zeros(0, np.int64), np.zeros(0), np.zeros(0)

    @property
    def noise(self) -> float:
        """Learnt variance of the noise, in the target's unit squared."""
        learnt = math.exp(self._t[-2]) + _FLOOR
        if self.likelihood == STUDENT_T and len(self._extra):
            # An outlier counts as if it were 4 deviations away.
            most = learnt * (REACH**2 - 1.0) / (FREEDOM + 1.0)
            learnt += float(np.minimum(self._extra, most).mean())
        return learnt * self._scale**2

    @property
    def parameters(self) -> FloatArray:
        """Log hyper-parameters of standardised targets: the kernel's, noise, factor on stated noise."""
        return self._t.copy()

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """Refit, or update the posterior with the new rows."""
        given = check_data(rows, y, noise)
        if self._fitted == 0 or len(y) >= self._fitted * (1.0 + self.growth):
            self._learn(rows, y, given)
        elif self._follows(rows, given):
            for k in range(len(self._rows), len(y)):
                row, known = int(rows[k]), float(given[k])
                self._append(row, known, self._extra_of(row, known, y[: k + 1]))
        else:
            self._extra = np.zeros(len(y))
            self._factorise(rows, given)
        self._weigh(y)

    def fork(self) -> Self:
        """See the protocol: rows of the cache that both fill are shared."""
        twin = copy.copy(self)
        if self._factored:
            twin._reduction = self._reduction.copy()
        return twin

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        self._need_fit()
        variance = np.maximum(self._prior_variance - self._reduction, _FLOOR**2)
        return self._offset + self._scale * self._mean, self._scale * np.sqrt(variance)

    def covariance(self, rows: IntArray) -> FloatArray:
        """See the protocol."""
        self._need_fit()
        x = self.table[rows]
        half = self._inverse32 @ self._cross(self.table[self._rows], x)
        out = np.empty((len(self.candidate_rows), len(rows)))
        data = self.kernel.against(self._x32, self._t[:-2])
        for part in self._parts():
            known = (
                self._cache[: self._n, part] if self._cache is not None else self._half(data, part)
            )
            out[part] = self._cross(self._x_pool[part], x) - known.T @ half
        out *= self._scale**2
        return out

    def joint(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        self._need_fit()
        x = self.table[rows].astype(np.float64)
        half = self._inverse @ self.kernel.cross(self._x, x, self._t[:-2])
        covariance = self.kernel.cross(x, x, self._t[:-2]) - half.T @ half
        return self._offset + self._scale * (self._beta @ half), self._scale**2 * covariance

    def state(self) -> PackedState:
        """Hyper-parameters, scales, and how many rows were factorised at once."""
        return {
            "t": self._t,
            "offset": self._offset,
            "scale": self._scale,
            "fitted": self._fitted,
            "factored": self._factored,
            "extra": self._extra,
            "likelihood": self.likelihood,
        }

    def restore(
        self, state: PackedState, rows: IntArray, y: FloatArray, noise: FloatArray | None
    ) -> None:
        """Factorise and append in the same order as before, so that every bit is the same."""
        self._t = np.array(state["t"], np.float64)
        self._offset, self._scale = float(state["offset"]), float(state["scale"])
        self._fitted, count = int(state["fitted"]), int(state["factored"])
        extra = np.array(state["extra"], np.float64)
        # A state of before Student-t noise continues by the rule that it was made with.
        before = PLAIN if self.likelihood == PLAIN else OUTLIERS
        self.likelihood = str(state.get("likelihood", before))
        if count == 0:
            return
        given = check_data(rows, y, noise)
        self._extra = extra[:count]
        self._factorise(rows[:count], given[:count])
        for k in range(count, len(y)):
            self._append(int(rows[k]), float(given[k]), float(extra[k]))
        self._weigh(y)

    def _learn(self, rows: IntArray, y: FloatArray, given: FloatArray) -> None:
        first = winsorise(y) if self.likelihood == STUDENT_T else y
        self._offset, self._scale = standardise(first)
        prepared = self.kernel.prepare(self.table[rows].astype(np.float64))
        z, start = (y - self._offset) / self._scale, (first - self._offset) / self._scale
        known = given / self._scale**2
        self._extra = np.zeros(len(y))
        self._t = self._maximise(prepared, start, known, self._extra)
        if self.likelihood != PLAIN and len(y) >= LEAST:
            noise = np.broadcast_to(self._total_noise(given), y.shape)
            self._extra = self._outlying(prepared, z, noise)
            if self._extra.any():
                self._t = self._maximise(prepared, z, known, self._extra)
        self._fitted = len(y)
        self._factorise(rows, given)

    def _outlying(self, prepared: FloatArray, z: FloatArray, noise: FloatArray) -> FloatArray:
        """(n,) extra noise variances of standardised targets."""
        k, _ = self.kernel.gram(prepared, self._t[:-2])
        k.flat[:: len(k) + 1] += noise
        inverse = np.linalg.inv(k)
        own = np.diagonal(inverse)
        if self.likelihood == OUTLIERS:
            return np.maximum((inverse @ z / own) ** 2 / _OUTLIER**2 - 1.0 / own, 0.0)
        # Rasmussen & Williams, eqs. 2.25 and 2.26, at the data: z - mean, and the variance.
        away, variance = noise * (inverse @ z), noise - noise**2 * own
        return student_noise(away**2 + variance, noise)

    def _maximise(
        self, prepared: FloatArray, z: FloatArray, known: FloatArray, extra: FloatArray
    ) -> FloatArray:
        def value(t: FloatArray) -> tuple[float, FloatArray]:
            return self.objective(t, prepared, z, known, extra)

        result = minimize(
            value,
            self._t,
            jac=True,
            method="L-BFGS-B",
            bounds=Bounds(self._low, self._high),
            options={"maxiter": 40, "ftol": 1e-5, "gtol": 1e-3},
        )
        best: FloatArray = result.x
        return best

    def objective(
        self,
        t: FloatArray,
        prepared: FloatArray,
        z: FloatArray,
        known: FloatArray,
        extra: FloatArray | float = 0.0,
    ) -> tuple[float, FloatArray]:
        """Negative log posterior of the log hyper-parameters, and its gradient (R&W 2.30 and 5.9).

        The stated variances `known` (n,) are scaled by exp(t[-1]), `extra` is added as it is.
        """
        n = len(z)
        k, pull = self.kernel.gram(prepared, t[:-2])
        learnt, trust = math.exp(t[-2]), math.exp(t[-1])
        noisy = k.copy()
        noisy.flat[:: n + 1] += learnt + _FLOOR + trust * known + extra
        factor, failed = lapack.dpotrf(noisy, lower=1, overwrite_a=1)
        if failed:
            raise PolicyError(
                "the surrogate's covariance must be positive definite; its Cholesky factorisation "
                f"failed at row {failed} of {n}"
            )
        alpha = lapack.dpotrs(factor, z, lower=1)[0]
        inverse = lapack.dpotri(factor, lower=1, overwrite_c=0)[0]
        lower = np.tril(inverse)
        weight = lower + lower.T
        weight.flat[:: n + 1] *= 0.5
        weight -= np.outer(alpha, alpha)
        weight *= 0.5
        off = (t - self._prior[:, 0]) / self._prior[:, 1]
        value = 0.5 * float(z @ alpha) + float(np.log(np.diagonal(factor)).sum())
        on_noise = np.diagonal(weight)
        by_noise = [learnt * float(on_noise.sum()), trust * float(on_noise @ known)]
        gradient = np.concatenate([pull(weight), by_noise])
        return value + 0.5 * float(off @ off), gradient + off / self._prior[:, 1]

    @property
    def _n(self) -> int:
        return len(self._rows)

    def _need_fit(self) -> None:
        if self._factored == 0:
            raise not_fitted()

    def _cross(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        k: NDArray[np.float32] = self.kernel.cross(a, b, self._t[:-2])
        return k

    def _half(
        self, cross: Callable[[AnyFloatArray], AnyFloatArray], part: slice
    ) -> NDArray[np.float32]:
        """L^-1 K(data, candidates[part]), in the buffer of `cross`."""
        k = cross(self._x_pool[part])
        # k (n, m) in C order is its transpose in Fortran's: a triangular product in place.
        half: NDArray[np.float32] = blas.strmm(
            1.0, self._inverse32.T, k.T, side=1, lower=0, overwrite_b=1
        ).T
        return half

    def _parts(self) -> list[slice]:
        """The candidates in pieces that the cache can hold against all data."""
        width = max(256, _CHUNK // max(self._n, 1))
        return [slice(at, at + width) for at in range(0, len(self.candidate_rows), width)]

    def _total_noise(self, given: FloatArray | float) -> FloatArray | float:
        return math.exp(self._t[-2]) + _FLOOR + math.exp(self._t[-1]) * given / self._scale**2

    def _follows(self, rows: IntArray, given: FloatArray) -> bool:
        old = len(self._rows)
        return (
            len(rows) >= old
            and np.array_equal(rows[:old], self._rows)
            and np.array_equal(given[:old], self._given)
        )

    def _factorise(self, rows: IntArray, given: FloatArray) -> None:
        n, c = len(rows), len(self.candidate_rows)
        self._rows, self._given, self._factored = rows.copy(), given.copy(), n
        self._x32 = self.table[rows]
        self._x = self._x32.astype(np.float64)
        k, _ = self.kernel.gram(self.kernel.prepare(self._x), self._t[:-2])
        k.flat[:: n + 1] += self._total_noise(given) + self._extra
        factor, failed = lapack.dpotrf(k, lower=1, clean=1)
        if failed:
            raise PolicyError(f"the covariance of {n} measurements is not positive definite")
        self._inverse = np.ascontiguousarray(lapack.dtrtri(factor, lower=1)[0])
        self._inverse32 = self._inverse.astype(np.float32)
        room = n + max(8, math.ceil(self.growth * n))
        wanted = 4 * room * c
        self._cache = np.empty((room, c), np.float32) if wanted <= _CACHE_BYTES else None
        self._to_pool = self.kernel.against(self._x_pool, self._t[:-2])
        self._prior_variance = self.kernel.diagonal(self._x_pool, self._t[:-2])
        self._reduction = np.empty(c)
        data = self.kernel.against(self._x32, self._t[:-2])
        for part in self._parts():
            half = self._half(data, part)
            if self._cache is not None:
                self._cache[:n, part] = half
            self._reduction[part] = np.einsum("ij,ij->j", half, half)

    def _append(self, row: int, given: float, extra: float) -> None:
        """One more measurement: one new row of L^-1 and of L^-1 K (Rasmussen & Williams, A.12)."""
        n = self._n
        x32 = self.table[row : row + 1]
        x = x32.astype(np.float64)
        l_row = self._inverse @ self.kernel.cross(self._x, x, self._t[:-2])[:, 0]
        total = float(self.kernel.diagonal(x, self._t[:-2])[0] + self._total_noise(given) + extra)
        pivot = math.sqrt(max(total - float(l_row @ l_row), _FLOOR))
        inverse = np.zeros((n + 1, n + 1))
        inverse[:n, :n] = self._inverse
        inverse[n, :n] = -(l_row @ self._inverse) / pivot
        inverse[n, n] = 1.0 / pivot
        self._inverse, self._inverse32 = inverse, inverse.astype(np.float32)
        self._rows, self._given = np.append(self._rows, row), np.append(self._given, given)
        self._extra = np.append(self._extra, extra)
        self._x, self._x32 = np.vstack([self._x, x]), np.vstack([self._x32, x32])
        if self._cache is not None and n == len(self._cache):
            self._cache = np.vstack([self._cache, np.empty_like(self._cache)])
        if self._cache is not None:
            new = self._to_pool(x32)[:, 0]
            new *= np.float32(1.0 / pivot)
            new -= (l_row / pivot).astype(np.float32) @ self._cache[:n]
            self._cache[n] = new
        else:
            new = np.empty(len(self.candidate_rows), np.float32)
            data = self.kernel.against(self._x32, self._t[:-2])
            for part in self._parts():
                new[part] = self._inverse32[n] @ data(self._x_pool[part])
        self._reduction += np.square(new, out=new)

    def _extra_of(self, row: int, given: float, y: FloatArray) -> float:
        """Extra noise variance of the next measurement, the last of `y`."""
        if self.likelihood != STUDENT_T:
            return 0.0
        z, x = (y - self._offset) / self._scale, self.table[row : row + 1].astype(np.float64)
        l_row = self._inverse @ self.kernel.cross(self._x, x, self._t[:-2])[:, 0]
        noise = float(self._total_noise(given))
        prior = float(self.kernel.diagonal(x, self._t[:-2])[0] - l_row @ l_row)
        share = noise / (max(prior, _FLOOR) + noise)
        away = share * (z[-1] - float(l_row @ (self._inverse @ z[:-1])))
        square = np.array([away**2 + share * max(prior, _FLOOR)])
        return float(student_noise(square, np.array([noise]))[0])

    def _weigh(self, y: FloatArray) -> None:
        """The mean for these targets, on which the variance does not depend."""
        self._beta = self._inverse @ ((y - self._offset) / self._scale)
        weights = self._beta.astype(np.float32)
        if self._cache is not None:
            self._mean = (weights @ self._cache[: self._n]).astype(np.float64)
            return
        alpha = (self._beta @ self._inverse).astype(np.float32)
        self._mean = np.empty(len(self.candidate_rows))
        for part in self._parts():
            self._mean[part] = alpha @ self._cross(self._x32, self._x_pool[part])
