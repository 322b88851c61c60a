"""Acquisitions: the gain of measuring each candidate, as a function of the posterior.

Of the c candidates, those with larger gains are better. Batches are chosen one after another, each
as if the earlier ones (and proposals still pending) had been measured and had given what was
expected ("kriging believer", Ginsbourger et al. 2010): the mean stays and the variance falls, so
the members of a batch avoid one another.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import erfcx, log1p, ndtr

from grainscout.policies.models.surrogates import Surrogate
from grainscout.records import AnyFloatArray, FloatArray, IntArray

SUBSET = 512  # candidates that one posterior function sample is drawn on
_REFERENCE = 256  # candidates that the integrated variance is averaged over
_TINY = 1e-300


@dataclass(kw_only=True, eq=False)
class Posterior:
    """A surrogate's posterior at the candidates, with imagined measurements."""

    surrogate: Surrogate  #: The model
    #: mean, std: Predictions, (c,).
    mean: FloatArray
    std: FloatArray
    measured: FloatArray  #: Targets so far, (n,)
    available: IntArray  #: Candidates that may be chosen
    rng: np.random.Generator  #: Source of chance
    sign: float = 1.0  #: -1 where mean and targets were negated, so that large is wanted
    #: beta, xi, neighbours: Options of the acquisitions.
    beta: float = 2.0
    xi: float = 0.01
    neighbours: int = 10
    imagined: list[int] = field(default_factory=list)  #: Candidates that count as measured
    _steps: list[FloatArray] = field(default_factory=list)

    @property
    def spread(self) -> float:
        """Standard deviation of the measured targets, or 1 where they do not vary."""
        spread = float(self.measured.std())
        return spread if spread > 0 else 1.0

    @property
    def best(self) -> float:
        """Largest target so far."""
        return float(self.measured.max())

    def covariance(self, members: IntArray) -> FloatArray:
        """(c, k) covariance of all candidates with some of them, imagined measurements included."""
        covariance = self.surrogate.covariance(self.surrogate.candidate_rows[members])
        for step in self._steps:
            covariance -= np.outer(step, step[members])
        return covariance

    def between(self, members: IntArray, others: IntArray) -> AnyFloatArray:
        """(k, l) covariance of some candidates with others, imagined measurements included."""
        direct = getattr(self.surrogate, "between", None)
        if direct is None:
            return self.covariance(others)[members]
        covariance: AnyFloatArray = direct(members, others)
        for step in self._steps:
            covariance -= np.outer(step[members], step[others])
        return covariance

    def imagine(self, members: Iterable[int]) -> None:
        """Condition on the expected outcome at these candidates."""
        for member in members:
            known = self.covariance(np.array([member]))[:, 0]
            variance = max(float(known[member]), 0.0) + self.surrogate.noise
            step = known / math.sqrt(variance)
            self._steps.append(step)
            self.imagined.append(int(member))
            # Rounding may leave a trace below zero where nothing is left to learn.
            self.std = np.sqrt(np.maximum(self.std**2 - step**2, _TINY))

    def sample(self) -> tuple[IntArray, FloatArray]:
        """A random subset of the open candidates and one joint posterior sample there."""
        count = min(SUBSET, len(self.available))
        members = np.sort(self.rng.choice(self.available, count, replace=False))
        mean, covariance = self.surrogate.joint(self.surrogate.candidate_rows[members])
        for step in self._steps:
            covariance -= np.outer(step[members], step[members])
        return members, self.sign * draw(mean, covariance, self.rng)


def draw(mean: FloatArray, covariance: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(k,) sample of a normal vector. The covariance is changed."""
    # A spread a thousandth of the largest, so that sites that are all but equal can be factored.
    covariance.flat[:: len(covariance) + 1] += 1e-6 * float(np.diagonal(covariance).max())
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # an interpolated kernel is positive to single precision only
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(mean + root @ rng.standard_normal(len(mean)))


def expected_improvement(
    mean: FloatArray, std: FloatArray, best: float, xi: float = 0.0
) -> FloatArray:
    """E[max(f − best − xi, 0)] (Mockus 1975, Jones et al. 1998)."""
    gap = mean - best - xi
    z = gap / std
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return np.maximum(gap * ndtr(z) + std * density, 0.0)


def log_expected_improvement(
    mean: FloatArray, std: FloatArray, best: float, xi: float = 0.0
) -> FloatArray:
    """Logarithm of the expected improvement, finite far below the best (Ament et al. 2023)."""
    z = (mean - best - xi) / std
    out = np.empty_like(z)
    near = z > -1.0
    a = z[near]
    out[near] = np.log(np.exp(-0.5 * a * a) / math.sqrt(2 * math.pi) + a * ndtr(a))
    b = z[~near]
    # φ(z) + zΦ(z) = φ(z) (1 − |z| √(π/2) erfcx(|z|/√2)); far out the bracket tends to 1/z².
    bracket = log1p(-np.minimum(-b * math.sqrt(0.5 * math.pi) * erfcx(-b / math.sqrt(2.0)), 1.0))
    far = b < -1e4
    with np.errstate(divide="ignore"):
        bracket = np.where(far, -2.0 * np.log(-b), bracket)
    out[~near] = -0.5 * b * b - 0.5 * math.log(2 * math.pi) + bracket
    return out + np.log(std)


def _thompson(posterior: Posterior) -> FloatArray:
    members, sample = posterior.sample()
    gain = np.full(len(posterior.mean), -np.inf)
    gain[members] = sample
    return gain


def _integrated_variance(posterior: Posterior) -> FloatArray:
    """Fall of the mean variance over the open candidates if this one were measured (Cohn 1996)."""
    count = min(_REFERENCE, len(posterior.available))
    members = np.sort(posterior.rng.choice(posterior.available, count, replace=False))
    covariance = posterior.covariance(members)
    fall = np.einsum("ij,ij->i", covariance, covariance) / count
    return np.asarray(fall / (posterior.std**2 + posterior.surrogate.noise))


def expected_gain(surrogate: Surrogate, curves: int, *, sites: int = 512) -> float:
    """Relative fall, 0 to 1, of the mean deviation over other candidates by the best next curves."""
    rows = surrogate.candidate_rows
    chosen = np.random.default_rng(0).permutation(len(rows))[: 2 * sites]
    half = len(chosen) // 2 or 1
    covariance = surrogate.joint(rows[chosen])[1]
    before = float(np.trace(covariance[:half, :half]))
    for _ in range(min(curves, half)):
        total = np.maximum(np.diagonal(covariance)[half:], 0.0) + surrogate.noise
        fall = np.square(covariance[half:, :half]).sum(1) / total
        best = half + int(fall.argmax()) if len(fall) else 0
        step = covariance[best] / math.sqrt(max(covariance[best, best], 0.0) + surrogate.noise)
        covariance -= np.outer(step, step)
    after = float(np.trace(covariance[:half, :half]))
    return 1.0 - math.sqrt(min(max(after / before, 0.0), 1.0)) if before > 0 else 0.0


def _beacon(posterior: Posterior) -> FloatArray:
    """Σ of the distances from one posterior sample to the k nearest measured targets (BEACON)."""
    members, sample = posterior.sample()
    distance = np.abs(sample[:, None] - posterior.measured[None, :])
    k = min(posterior.neighbours, distance.shape[1])
    gain = np.full(len(posterior.mean), -np.inf)
    gain[members] = np.partition(distance, k - 1, axis=1)[:, :k].sum(1)
    return gain


#: name -> gain of each candidate.
ACQUISITIONS: Mapping[str, Callable[[Posterior], FloatArray]] = {
    "max-uncertainty": lambda p: p.std,
    "ei": lambda p: expected_improvement(p.mean, p.std, p.best, p.xi * p.spread),
    "log-ei": lambda p: log_expected_improvement(p.mean, p.std, p.best, p.xi * p.spread),
    "ucb": lambda p: p.mean + p.beta * p.std,
    "thompson": _thompson,
    "integrated-variance": _integrated_variance,
    "beacon": _beacon,
}


def per_second(name: str, gain: FloatArray, seconds: FloatArray, available: IntArray) -> FloatArray:
    """Gain per second: a logarithm loses log(seconds), ucb and thompson count from their least value."""
    if name == "log-ei":
        return gain - np.log(seconds)
    if name in ("ucb", "thompson"):
        finite = gain[available][np.isfinite(gain[available])]
        gain = gain - finite.min()
    return gain / seconds


def choose_batch(
    posterior: Posterior,
    gain_of: Callable[[Posterior, int | None], FloatArray],
    n: int,
    pending: IntArray,
) -> tuple[IntArray, list[FloatArray]]:
    """`n` distinct available candidates, best first with random ties, and the (c,) gain of each choice."""
    posterior.imagine(pending)
    free = np.zeros(len(posterior.mean), bool)
    free[posterior.available] = True
    chosen: list[int] = []
    gains = []
    for _ in range(min(n, len(posterior.available))):
        gain = gain_of(posterior, chosen[-1] if chosen else None)
        ranked = np.where(free, gain, -np.inf)
        # A gain of minus infinity (outside a sampled subset) still ranks above what is not open.
        top = np.flatnonzero(free & (ranked == ranked[free].max()))
        pick = int(top[0]) if len(top) == 1 else int(posterior.rng.choice(top))
        chosen.append(pick)
        gains.append(gain)
        free[pick] = False
        if len(chosen) < n:
            posterior.imagine([pick])
            posterior.available = posterior.available[posterior.available != pick]
    return np.array(chosen, np.int64), gains
