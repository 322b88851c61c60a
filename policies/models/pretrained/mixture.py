"""Gaussian processes mixed by what each predicts of curves that it has not seen."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from grainscout.policies.models.gp import GaussianProcess
from grainscout.records import AnyFloatArray, FloatArray, IntArray, PackedState, PolicyError

#: Weight of the first member before any curve, and the number of curves that it is worth.
START, STRENGTH = 0.8, 8.0
_CAP = 3.0  # robust deviations beyond which a residual counts no further
_DOUBT = 20.0  # curves that the prior "intervals are right as they are" is worth
_DRIFTS = np.linspace(-0.15, 0.6, 26)  # per 100 curves
_DRIFT_SD = 0.2


class Member(GaussianProcess):
    """A Gaussian process that tells what it would have predicted of each of its curves."""

    #: Label, posterior covariance of two sets of candidates, and the data that it knows.
    _between: tuple[object, AnyFloatArray, int] | None = None

    def left_out(self) -> tuple[FloatArray, FloatArray]:
        """(n,) errors of each target by all others, and their variances, in the target's unit.

        Rasmussen & Williams 2006, eqs. 5.10 to 5.12, at the hyper-parameters of all.
        """
        own = np.square(self._inverse).sum(0)
        return self._scale * (self._beta @ self._inverse) / own, self._scale**2 / own

    def evidence(self, y: FloatArray, log_jacobian: float = 0.0) -> float:
        """Log density of targets, at their best offset and scale, for the present covariance."""
        white = self._inverse @ np.column_stack([y, np.ones(len(y))])
        rest = white[:, 0] - white[:, 1] * (white[:, 0] @ white[:, 1]) / (white[:, 1] @ white[:, 1])
        return float(-0.5 * len(y) * np.log(rest @ rest) + log_jacobian)

    def between(self, a: IntArray, b: IntArray) -> AnyFloatArray:
        """(len(a), len(b)) posterior covariance of candidates, for the same ones by updates."""
        self._need_fit()
        key, first = (a.tobytes(), b.tobytes(), self._factored), self._factored
        if self._cache is None:
            cross = self.kernel.against(self._x32, self._t[:-2])
            half = [self._inverse32 @ cross(self._x_pool[i]) for i in (a, b)]
            return np.asarray(self._scale**2 * (self._before(a, b) - half[0].T @ half[1]))
        if self._between is None or self._between[0] != (key, self._t.tobytes()):
            left, right = self._cache[:first, a], self._cache[:first, b]
            self._between = (key, self._t.tobytes()), self._before(a, b) - left.T @ right, first
        label, covariance, known = self._between
        for row in self._cache[known : self._n]:  # one by one, as a restored run adds them
            covariance -= np.outer(row[a], row[b])
        self._between = label, covariance, self._n
        return covariance * np.float32(self._scale**2)

    def _before(self, a: IntArray, b: IntArray) -> AnyFloatArray:
        return self._cross(self._x_pool[a], self._x_pool[b])

    def fork(self) -> Self:
        """See the protocol."""
        twin = super().fork()
        twin._between = None  # it is updated in place
        return twin

    def before(self, a: IntArray, b: IntArray) -> tuple[FloatArray, FloatArray]:
        """(len(a), len(b)) covariance of candidates before any data, and the variances of `a`."""
        t = self._prior[:-2, 0]
        cross = self.kernel.cross(self._x_pool[a], self._x_pool[b], t)
        return np.asarray(cross, np.float64), self.kernel.diagonal(self._x_pool[a], t)

    def correlation(self, a: IntArray, b: IntArray) -> FloatArray:
        """(len(a), len(b)) correlation of rows of the table before any data."""
        t = self._prior[:-2, 0]
        left, right = self.table[a], self.table[b]
        cross = np.asarray(self.kernel.cross(left, right, t), np.float64)
        scale = [np.sqrt(self.kernel.diagonal(x, t)) for x in (left, right)]
        return np.asarray(cross / scale[0][:, None] / scale[1])

    @property
    def first_noise(self) -> float:
        """Variance of the noise before any data, targets standardised."""
        return float(np.exp(self._prior[-2, 0]))

    @property
    def refits(self) -> int:
        """Number of data at the last change of the hyper-parameters."""
        return self._fitted


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How the target grows with the curves that the tip has made.

    rate : per 100 curves, a share of the value if `gain`, else of the targets' spread.
    """

    rate: float = 0.0
    gain: bool = False

    def undone(self, y: FloatArray, worn: FloatArray, spread: float) -> FloatArray:
        """Targets (n,) as a new tip would have measured them."""
        if self.gain:
            return np.asarray(y / (1.0 + self.rate * worn))
        return np.asarray(y - self.rate * worn * spread)


class Mixture:
    """A :class:`~grainscout.policies.models.surrogates.Surrogate` of one or two members.

    The weight is that of least squares of the left-out errors, drawn towards `START`. Intervals are
    widened or narrowed by those errors, too. `worn` gives hundreds of curves (n,) that the tip had
    made before each datum, `weights_digest` which weights the first member rests on.
    """

    def __init__(
        self,
        members: Sequence[Member],
        worn: Callable[[], FloatArray] | None = None,
        weights_digest: str = "",
    ) -> None:
        self.members, self.worn, self.weights_digest = list(members), worn, weights_digest
        self._worn = np.zeros(0)  # of the data of the last fit, which newer curves do not change
        self.drift, self.weight, self.width = Drift(), START, 1.0

    @property
    def candidate_rows(self) -> IntArray:
        """See the protocol."""
        return self.members[0].candidate_rows

    @property
    def weights(self) -> FloatArray:
        """(members,) that sum to 1."""
        if len(self.members) == 1:
            return np.ones(1)
        return np.array([self.weight, 1.0 - self.weight])

    @property
    def noise(self) -> float:
        """See the protocol."""
        return float(self.weights @ [m.noise for m in self.members])

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """See the protocol."""
        worn = np.zeros(len(y)) if self.worn is None else self.worn()
        spread, self._worn = _spread(y), worn
        refits = [m.refits for m in self.members]
        self._fit(rows, self.drift.undone(y, worn, spread), noise)
        if refits != [m.refits for m in self.members] and self.worn is not None and len(y) > 20:
            self.drift = self._drift_of(y, worn, spread)
            self._fit(rows, self.drift.undone(y, worn, spread), noise)
        self._judge()

    def _fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None) -> None:
        for member in self.members:
            member.fit(rows, y, noise)

    def _drift_of(self, y: FloatArray, worn: FloatArray, spread: float) -> Drift:
        """The most probable drift."""
        best = Drift()
        value = -np.inf
        for gain in (False, True) if np.mean(y <= 0) < 0.2 else (False,):
            for rate in _DRIFTS:
                tried = Drift(rate=float(rate), gain=gain)
                jacobian = -np.log1p(rate * worn).sum() if gain else 0.0
                undone = tried.undone(y, worn, spread)
                density = sum(
                    w * m.evidence(undone, jacobian)
                    for w, m in zip(self.weights, self.members, strict=True)
                )
                density -= 0.5 * (rate / _DRIFT_SD) ** 2
                if density > value:
                    best, value = tried, density
        return best

    def _judge(self) -> None:
        """Weight and width of intervals by the left-out errors."""
        found = [m.left_out() for m in self.members]
        errors, variances = (np.array([f[k] for f in found]) for k in (0, 1))
        spread = 1.4826 * np.median(np.abs(errors)) or 1.0
        capped = np.clip(errors / spread, -_CAP, _CAP)
        if len(capped) == 2:
            gap = capped[1] - capped[0]
            unit = float(np.mean(gap**2)) or 1.0
            top = gap @ capped[1] + STRENGTH * unit * START
            weight = float(np.clip(top / (gap @ gap + STRENGTH * unit), 0.0, 1.0))
            # Nearly the better one alone: left-out errors flatter what was fitted to the same data.
            self.weight = weight**2 / (weight**2 + (1.0 - weight) ** 2)
        mixed = self.weights @ errors
        apart = self.weights @ (errors - mixed) ** 2
        away = np.abs(mixed) / np.sqrt(self.weights @ variances + apart)
        n = len(away)
        size = 0.5 * np.log(np.mean(np.minimum(away, _CAP) ** 2) + 1e-6)
        self.width = float(np.exp(size * n / (n + _DOUBT)))

    def fork(self) -> Self:
        """See the protocol."""
        twin = copy.copy(self)
        twin.members = [m.fork() for m in self.members]
        return twin

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        each = np.array([m.predict() for m in self.members])
        mean = self.weights @ each[:, 0]
        variance = self.weights @ (each[:, 1] ** 2 + (each[:, 0] - mean) ** 2)
        return mean, self.width * np.sqrt(variance)

    def covariance(self, rows: IntArray) -> FloatArray:
        """See the protocol."""
        return np.asarray(self._mixed([m.covariance(rows) for m in self.members]), np.float64)

    def between(self, a: IntArray, b: IntArray) -> AnyFloatArray:
        """(len(a), len(b)) posterior covariance of candidates."""
        return self._mixed([m.between(a, b) for m in self.members])

    def joint(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        found = [m.joint(rows) for m in self.members]
        mean = self.weights @ [f[0] for f in found]
        return mean, np.asarray(self._mixed([f[1] for f in found]), np.float64)

    def _mixed(self, parts: Sequence[AnyFloatArray]) -> AnyFloatArray:
        shares = self.width**2 * self.weights
        mixed = parts[0] * parts[0].dtype.type(shares[0])
        for share, part in zip(shares[1:], parts[1:], strict=True):
            mixed += part * part.dtype.type(share)
        return mixed

    def state(self) -> PackedState:
        """The members' states, the drift, and the wear that it was undone by."""
        return {
            "members": [m.state() for m in self.members],
            "drift": [self.drift.rate, self.drift.gain],
            "worn": self._worn,
            "weights": self.weights_digest,
        }

    def restore(
        self, state: PackedState, rows: IntArray, y: FloatArray, noise: FloatArray | None
    ) -> None:
        """See the protocol. PolicyError if the state rests on other weights."""
        if state.get("weights", "") != self.weights_digest:
            raise PolicyError(
                "the run must be continued with the pretrained weights that it began with "
                f"({state.get('weights', 'an earlier version')}); installed are "
                f"{self.weights_digest or 'none'}. Install the version of Grainscout that it began with"
            )
        rate, gain = state["drift"]
        self.drift = Drift(rate=float(rate), gain=bool(gain))
        self._worn = np.asarray(state["worn"], np.float64)
        undone = self.drift.undone(y, self._worn, _spread(y))
        for member, stored in zip(self.members, state["members"], strict=True):
            member.restore(stored, rows, undone, noise)
        if len(y):
            self._judge()


def _spread(y: FloatArray) -> float:
    return 1.4826 * float(np.median(np.abs(y - np.median(y)))) or 1.0
