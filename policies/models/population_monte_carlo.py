"""Population Monte Carlo: weighted samples of a few parameters, and their evidence."""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from grainscout.records import FloatArray

_ANCESTORS = 64  # centres of the proposal's mixture
_ROUNDS = 3
_DEFENSIVE = 0.2  # share of the proposal that is the prior, so that no weight is unbounded


def population(
    log_likelihood: Callable[[FloatArray], FloatArray],
    count: int,
    known: tuple[FloatArray, FloatArray],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, float]:
    """Samples (k, q) of the posterior, their weights (k,), and the log evidence.

    `log_likelihood` gives (k,) values of (k, q) parameters whose prior is standard normal, and
    `count` is the number of samples of a round. The samples and weights `known` of an earlier
    posterior are taken in as further ancestors.

    The first round draws from the prior, the later ones from a mixture of the prior and of kernels
    around the weighted samples of the round before (Cappe et al. 2004, J. Comput. Graph. Stat. 13).
    """
    q = known[0].shape[1]
    u = rng.standard_normal((count, q))
    log_proposal = log_normal(u)
    for turn in range(_ROUNDS):
        log_weight = log_likelihood(u) + log_normal(u) - log_proposal
        if turn == _ROUNDS - 1:
            break
        weight = np.exp(log_weight - log_weight.max())
        ancestors = u[rng.choice(count, _ANCESTORS, p=weight / weight.sum())]
        if turn == 0 and len(known[1]) > 1:
            old = rng.choice(len(known[1]), _ANCESTORS // 2, p=known[1])
            ancestors = np.vstack([ancestors, known[0][old]])
        width = np.maximum(ancestors.std(0), 0.05) * len(ancestors) ** (-1.0 / (q + 4))
        near = ancestors[rng.integers(len(ancestors), size=count)]
        near = near + width * rng.standard_normal((count, q))
        defensive = rng.random(count) < _DEFENSIVE
        u = np.where(defensive[:, None], rng.standard_normal((count, q)), near)
        mixture = logsumexp(log_normal((u[:, None] - ancestors) / width), axis=1)
        mixture -= math.log(len(ancestors)) + float(np.log(width).sum())
        log_proposal = np.logaddexp(
            math.log(_DEFENSIVE) + log_normal(u), math.log1p(-_DEFENSIVE) + mixture
        )
    total = float(logsumexp(log_weight))
    weight = np.exp(log_weight - total)
    kept = weight > 1e-3 / count
    return u[kept], weight[kept] / weight[kept].sum(), total - math.log(count)


def log_normal(u: FloatArray) -> FloatArray:
    """(...,) log density of standard normal vectors (..., q)."""
    return np.asarray(-0.5 * (u**2).sum(-1) - 0.5 * u.shape[-1] * math.log(2.0 * math.pi))
