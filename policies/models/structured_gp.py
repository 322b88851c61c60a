"""The structured Gaussian process: a GP whose prior mean is a physical model.

    y(x) = sum_j beta_j h_j(x, theta) + f(x) + noise,    beta ~ N(0, B),  theta ~ N(mu, S),  f ~ GP

The linear parameters beta are integrated out in closed form (Rasmussen & Williams 2006, section
2.7), and so is f. The few shape parameters theta are integrated by adaptive importance sampling, in
which a particle costs one p x p solve because all share one factorisation of the residual's
covariance.  Ziatdinov, Ghosh & Kalinin 2022 (Mach. Learn.: Sci. Technol. 3, 015003) sample all of
them by Hamiltonian Monte Carlo.
"""

import copy
import math
from collections.abc import Callable
from typing import Self

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import Bounds, minimize

from grainscout.policies.models.kernels import Kernel
from grainscout.policies.models.likelihood import check_data, standardise, unlike_others, winsorise
from grainscout.policies.models.population_monte_carlo import population
from grainscout.policies.models.structure_means import MeanModel
from grainscout.policies.models.surrogates import not_fitted
from grainscout.records import AnyFloatArray, FloatArray, IntArray, PackedState, PolicyError

_NOISE_PRIOR = (-3.0, 1.5)  # log variance of the noise of standardised targets
_REACH_PRIOR = (0.0, 1.0)  # log factor on the prior deviations of beta
_MEAGRE = -2.0  # log variance of a residual that leaves the explaining to the mean
BOUNDS = 4.0  # prior deviations that a log hyper-parameter may go
_JITTER = 1e-8
_CHUNK = 16_384  # candidates that are predicted at once


class StructuredGP:
    """A :class:`~grainscout.policies.models.surrogates.Surrogate` with a physical mean.

    `table` (m, d) has the features of the residual's kernel, `covariates` (m, e) the arguments of
    the mean. `growth` is as in ``GaussianProcess``, `particles` the number of samples of the shape
    parameters. `nuisance` gives (n, r) further columns of the mean for the data of a fit, which
    belong to the measurements and not to their sites (time, wear). Predictions are for their zero.

    If `robust`, hyper-parameters and evidence are of targets limited to four robust deviations, so
    that models of the same data can be compared, and predictions of all with Student-t noise.
    """

    def __init__(
        self,
        table: AnyFloatArray,
        covariates: FloatArray,
        candidate_rows: IntArray,
        kernel: Kernel,
        mean: MeanModel,
        *,
        growth: float = 0.1,
        particles: int = 256,
        seed: int = 0,
        nuisance: Callable[[], FloatArray] | None = None,
        robust: bool = True,
    ) -> None:
        self.table, self.covariates, self.kernel, self.mean = table, covariates, kernel, mean
        self.growth, self.particles, self.seed = growth, particles, seed
        self.nuisance, self.robust = nuisance, robust
        self.candidate_rows = np.asarray(candidate_rows, np.int64)
        self._prior = np.vstack([kernel.prior, _NOISE_PRIOR, _REACH_PRIOR])
        self._t = self._prior[:, 0].copy()
        self._offset, self._scale, self._fitted = 0.0, 1.0, 0
        self._spoilt = np.zeros(0)  # extra noise variances of the data
        self._shapes = mean.shape[:, 0][None].copy()
        self._weights = np.ones(1)
        self._evidence = -math.inf
        self._rows = np.zeros(0, np.int64)

    @property
    def noise(self) -> float:
        """Learnt variance of the noise, in the target's unit squared."""
        return math.exp(self._t[-2]) * self._scale**2

    @property
    def log_evidence(self) -> float:
        """Log marginal likelihood of the targets, all parameters of the mean integrated out."""
        self._need_fit()
        return self._evidence - len(self._rows) * math.log(self._scale)

    def fork(self) -> Self:
        """See the protocol."""
        return copy.copy(self)

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """See the protocol."""
        given = check_data(rows, y, noise)
        extra = np.zeros((len(y), 0)) if self.nuisance is None else self.nuisance()
        limited = winsorise(y) if self.robust else y
        if self._fitted == 0 or len(y) >= self._fitted * (1.0 + self.growth):
            self._offset, self._scale = standardise(limited)
            self._learn(rows, limited, given, extra)
            self._fitted = len(y)
        self._factorise(rows, limited, given, extra)
        if len(self.mean.shape):
            self._explore()
        else:
            self._evidence = float(self._solve(self._shapes)[0][0])
        self._spoilt = self._outlying(y, limited) if self.robust else 0.0 * y
        self._factorise(rows, y, given + self._spoilt, extra)
        self._condition()

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        self._need_fit()
        mean, variance = np.empty(len(self.candidate_rows)), np.empty(len(self.candidate_rows))
        for at in range(0, len(self.candidate_rows), _CHUNK):
            part = slice(at, at + _CHUNK)
            rows = self.candidate_rows[part]
            half = self._half(rows)
            base = self.kernel.diagonal(self.table[rows], self._t[:-2])
            base = base - np.einsum("ij,ij->j", half, half)
            lift = self._lift(rows, half)
            means = half.T @ self._white + (self._beta[:, None] @ lift)[:, 0]
            spreads = (np.linalg.solve(self._root, lift) ** 2).sum(1)
            mean[part] = self._weights @ means
            between = self._weights @ (means - mean[part]) ** 2
            variance[part] = base + self._weights @ spreads + between
        std = np.sqrt(np.maximum(variance, _JITTER**2))
        return self._offset + self._scale * mean, self._scale * std

    def covariance(self, rows: IntArray) -> FloatArray:
        """See the protocol."""
        self._need_fit()
        return np.vstack(
            [
                self._covariance(self.candidate_rows[at : at + _CHUNK], rows)
                for at in range(0, len(self.candidate_rows), _CHUNK)
            ]
        )

    def joint(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        self._need_fit()
        half = self._half(rows)
        means = half.T @ self._white + (self._beta[:, None] @ self._lift(rows, half))[:, 0]
        mean = np.asarray(self._offset + self._scale * (self._weights @ means))
        return mean, self._covariance(rows, rows)

    def coefficients(self) -> tuple[FloatArray, FloatArray]:
        """(p,) posterior means and standard deviations of the mean's coefficients, target's unit."""
        self._need_fit()
        count = len(self.mean.scale)
        within = (np.linalg.inv(self._root) ** 2).sum(1)  # the diagonal of the inverse precision
        mean = self._weights @ self._beta
        variance = self._weights @ within + self._weights @ (self._beta - mean) ** 2
        return self._scale * mean[:count], self._scale * np.sqrt(variance[:count])

    def by_name(self) -> dict[str, tuple[float, float]]:
        """Cause -> mean and deviation of its coefficient, per standard deviation of the cause on the image."""
        pairs = zip(self.mean.names, *self.coefficients(), strict=True)
        return {name: (float(m), float(s)) for name, m, s in pairs}

    def log_score(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> float:
        """Prequential log density (Dawid 1984) of the latest data given those of the last `fit`."""
        self._need_fit()
        old = len(self._rows)
        given, y = check_data(rows, y, noise)[old:], winsorise(y) if self.robust else y
        extra = None if self.nuisance is None else self.nuisance()[old:]
        half = self._half(rows[old:])
        lift = self._lift(rows[old:], half, extra)
        means = half.T @ self._white + (self._beta[:, None] @ lift)[:, 0]
        mean = self._offset + self._scale * (self._weights @ means)
        covariance = self._covariance(rows[old:], rows[old:], extra)
        covariance.flat[:: len(covariance) + 1] += self.noise + given
        factor = _cholesky(covariance)
        z = solve_triangular(factor, y[old:] - mean, lower=True)
        size = float(np.log(np.diagonal(factor)).sum()) + 0.5 * len(z) * math.log(2.0 * math.pi)
        return -0.5 * float(z @ z) - size

    def state(self) -> PackedState:
        """Hyper-parameters, scales and particles."""
        return {
            "t": self._t,
            "offset": self._offset,
            "scale": self._scale,
            "fitted": self._fitted,
            "shapes": self._shapes,
            "weights": self._weights,
            "evidence": self._evidence,
            "nuisance": self._extra if len(self._rows) else None,
            "spoilt": self._spoilt if self.robust else None,
        }

    def restore(
        self, state: PackedState, rows: IntArray, y: FloatArray, noise: FloatArray | None
    ) -> None:
        """See the protocol."""
        self._t, self._fitted = np.array(state["t"]), int(state["fitted"])
        self._offset, self._scale = float(state["offset"]), float(state["scale"])
        self._shapes, self._weights = np.array(state["shapes"]), np.array(state["weights"])
        if state["nuisance"] is not None:
            given = check_data(rows, y, noise)
            spoilt = state.get("spoilt")
            self.robust = spoilt is not None
            self._spoilt = 0.0 * given if spoilt is None else np.array(spoilt)
            self._factorise(rows, y, given + self._spoilt, np.array(state["nuisance"]))
            self._evidence = float(state["evidence"])
            self._condition()

    def _learn(self, rows: IntArray, y: FloatArray, given: FloatArray, extra: FloatArray) -> None:
        """Hyper-parameters of the largest posterior density.

        With shape parameters there is a second start, with a residual so small that the mean has to explain the
        data: one that took everything before a good shape was known would never give it back.
        """
        z, known = (y - self._offset) / self._scale, given / self._scale**2
        if len(self.mean.shape) == 0:
            self._t = self._maximise(rows, z, known, extra, self._shapes[0])
            return
        meagre = self._prior[:, 0].copy()
        meagre[0] += _MEAGRE  # the first parameter of every kernel is its log variance
        before, found = (self._shapes, self._weights), []
        for start in (self._t, meagre):
            self._t, (self._shapes, self._weights) = start, before
            self._factorise(rows, y, given, extra)
            self._explore()
            self._t = self._maximise(rows, z, known, extra, self._shapes[self._weights.argmax()])
            self._factorise(rows, y, given, extra)
            self._explore()
            off = (self._t - self._prior[:, 0]) / self._prior[:, 1]
            score = self._evidence - 0.5 * float(off @ off)
            found.append((score, self._t, (self._shapes, self._weights)))
        _, self._t, (self._shapes, self._weights) = max(found, key=lambda f: f[0])

    def _maximise(
        self, rows: IntArray, z: FloatArray, known: FloatArray, extra: FloatArray, shape: FloatArray
    ) -> FloatArray:
        prepared = self.kernel.prepare(self.table[rows].astype(np.float64))
        columns = self._columns(rows, extra, shape) * self._deviations(extra)
        centre, reach = self._prior[:, 0], BOUNDS * self._prior[:, 1]
        result = minimize(
            self.objective,
            self._t,
            args=(prepared, columns @ columns.T, z, known),
            jac=True,
            method="L-BFGS-B",
            # A line search that leaps to the ends of the scale would meet a singular covariance.
            bounds=Bounds(centre - reach, centre + reach),
            options={"maxiter": 60, "ftol": 1e-6, "gtol": 1e-3},
        )
        return np.asarray(result.x, np.float64)

    def objective(
        self,
        t: FloatArray,
        prepared: FloatArray,
        outer: FloatArray,
        z: FloatArray,
        known: FloatArray,
    ) -> tuple[float, FloatArray]:
        """Negative log posterior of t = (kernel, log noise, log reach), and its gradient (R&W eq. 2.43)."""
        n = len(z)
        k, pull = self.kernel.gram(prepared, t[:-2])
        noise, reach = math.exp(t[-2]), math.exp(2.0 * t[-1])
        total = k + reach * outer
        total.flat[:: n + 1] += noise + known + _JITTER
        factor = _cholesky(total)
        inverse = cho_solve((factor, True), np.eye(n))
        alpha = inverse @ z
        weight = 0.5 * (inverse - np.outer(alpha, alpha))
        off = (t - self._prior[:, 0]) / self._prior[:, 1]
        value = 0.5 * float(z @ alpha) + float(np.log(np.diagonal(factor)).sum())
        gradient = np.concatenate(
            [
                pull(weight),
                [noise * float(np.trace(weight)), 2.0 * reach * float(np.vdot(weight, outer))],
            ]
        )
        return value + 0.5 * float(off @ off), gradient + off / self._prior[:, 1]

    def _need_fit(self) -> None:
        if len(self._rows) == 0:
            raise not_fitted()

    def _columns(self, rows: IntArray, extra: FloatArray | None, shape: FloatArray) -> FloatArray:
        """(n, p + r) columns of the mean at rows of the table, extra = None for predictions."""
        columns = self.mean.basis(self.covariates[rows], shape)
        if extra is None:
            extra = np.zeros((len(rows), self._extra.shape[1]))
        return np.hstack([columns, extra])

    def _deviations(self, extra: FloatArray) -> FloatArray:
        return np.concatenate([self.mean.scale, np.ones(extra.shape[1])])

    def _factorise(
        self, rows: IntArray, y: FloatArray, given: FloatArray, extra: FloatArray
    ) -> None:
        """The residual's covariance, and the targets whitened by it."""
        self._rows, self._extra = rows.copy(), extra.copy()
        k, _ = self.kernel.gram(
            self.kernel.prepare(self.table[rows].astype(np.float64)), self._t[:-2]
        )
        known = given / self._scale**2
        k.flat[:: len(k) + 1] += math.exp(self._t[-2]) + known + _JITTER
        self._factor = _cholesky(k)
        self._white = solve_triangular(self._factor, (y - self._offset) / self._scale, lower=True)

    def _solve(self, shapes: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Log evidence (k,), coefficients (k, p), root of their precision (k, p, p), L^-1 H (k, n, p)."""
        columns = np.stack([self._columns(self._rows, self._extra, shape) for shape in shapes])
        k, n, p = columns.shape
        flat = columns.transpose(1, 0, 2).reshape(n, k * p)
        white = solve_triangular(self._factor, flat, lower=True).reshape(n, k, p).transpose(1, 0, 2)
        deviation = self._deviations(self._extra) * math.exp(self._t[-1])
        root = np.linalg.cholesky(white.transpose(0, 2, 1) @ white + np.diag(deviation**-2))
        pull = self._white @ white
        beta = np.linalg.solve(root @ root.transpose(0, 2, 1), pull[..., None])[..., 0]
        evidence = -0.5 * (float(self._white @ self._white) - (pull * beta).sum(1))
        evidence -= np.log(np.diagonal(root, axis1=1, axis2=2)).sum(1)
        constant = np.log(np.diagonal(self._factor)).sum() + np.log(deviation).sum()
        evidence = evidence - constant - 0.5 * n * math.log(2.0 * math.pi)
        return np.asarray(evidence), np.asarray(beta), np.asarray(root), np.asarray(white)

    def _explore(self) -> None:
        """Particles of the shape parameters and the evidence, given the hyper-parameters."""
        centre, spread = self.mean.shape[:, 0], self.mean.shape[:, 1]
        u, self._weights, self._evidence = population(
            lambda v: self._solve(centre + spread * v)[0],
            self.particles,
            ((self._shapes - centre) / spread, self._weights),
            np.random.default_rng([self.seed, len(self._rows)]),
        )
        self._shapes = centre + spread * u

    def _outlying(self, y: FloatArray, limited: FloatArray) -> FloatArray:
        """(n,) extra noise variances, in the target's unit squared, by the most probable shape."""
        columns = self._columns(self._rows, self._extra, self._shapes[self._weights.argmax()])
        columns = columns * self._deviations(self._extra) * math.exp(self._t[-1])
        factor = _cholesky(self._factor @ self._factor.T + columns @ columns.T)
        return self._scale**2 * unlike_others(
            cho_solve((factor, True), np.eye(len(y))),
            (y - self._offset) / self._scale,
            (limited - self._offset) / self._scale,
        )

    def _condition(self) -> None:
        """Prepare each particle for predictions."""
        _, self._beta, self._root, self._columns_white = self._solve(self._shapes)

    def _half(self, rows: IntArray) -> FloatArray:
        """(n, k) L^-1 K(data, rows)."""
        cross = self.kernel.cross(
            self.table[self._rows].astype(np.float64),
            self.table[rows].astype(np.float64),
            self._t[:-2],
        )
        return np.asarray(solve_triangular(self._factor, cross, lower=True))

    def _lift(
        self, rows: IntArray, half: FloatArray, extra: FloatArray | None = None
    ) -> FloatArray:
        """(k, p, m) H* - H' K^-1 K*: what the mean says beyond what the residual already has."""
        columns = np.stack([self._columns(rows, extra, shape) for shape in self._shapes])
        return np.asarray(
            columns.transpose(0, 2, 1) - self._columns_white.transpose(0, 2, 1) @ half
        )

    def _covariance(self, a: IntArray, b: IntArray, extra: FloatArray | None = None) -> FloatArray:
        x, y = self.table[a].astype(np.float64), self.table[b].astype(np.float64)
        half_a, half_b = self._half(a), self._half(b)
        total = self.kernel.cross(x, y, self._t[:-2]) - half_a.T @ half_b
        lift_a, lift_b = self._lift(a, half_a, extra), self._lift(b, half_b, extra)
        share = np.sqrt(self._weights)[:, None, None]
        root_a, root_b = (np.linalg.solve(self._root, share * v) for v in (lift_a, lift_b))
        total = total + np.einsum("kpi,kpj->ij", root_a, root_b, optimize=True)
        off_a, off_b = ((self._beta[:, None] @ v)[:, 0] for v in (lift_a, lift_b))
        off_a, off_b = off_a - self._weights @ off_a, off_b - self._weights @ off_b
        return np.asarray(self._scale**2 * (total + (off_a.T * self._weights) @ off_b))


def _cholesky(matrix: FloatArray) -> FloatArray:
    try:
        return np.asarray(np.linalg.cholesky(matrix))
    except np.linalg.LinAlgError as error:
        raise PolicyError(
            f"the covariance of {len(matrix)} values must be positive definite; {error}"
        ) from error
