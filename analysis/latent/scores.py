"""Scores of latent maps on held-out pairs, against chance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from grainscout.records import DataError, FloatArray

Labels = NDArray[Any]
_NEIGHBOURS = 7


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Retrieval of true partners among n pairs."""

    rank: float  #: Mean rank of the true partner, 0 (always first) to 1, and 0.5 by chance
    first: float  #: Share of queries where it comes first
    n: int  #: Number of pairs
    p_value: float  #: Of so low a mean rank with partners permuted at random


def retrieval(
    query: ArrayLike, answers: ArrayLike, *, permutations: int = 4999, seed: int = 0
) -> Retrieval:
    """Rank true partners among answers by distance.

    Parameters
    ----------
    query, answers : (n, d) array of float
        Latents of both halves of the same pairs.
    permutations, seed : int
        Of the null distribution.
    """
    a, b = _pair(query, answers)
    distance = cdist(a, b)
    # Equal distances share their places, so that constant latents are at chance and not first.
    below = (distance[:, :, None] > distance[:, None, :]).sum(-1)
    equal = (distance[:, :, None] == distance[:, None, :]).sum(-1) - 1
    ranks = (below + 0.5 * equal) / (len(a) - 1)
    seen = float(np.trace(ranks) / len(a))
    rng, every = np.random.default_rng(seed), np.arange(len(a))
    null = np.array([ranks[every, rng.permutation(len(a))].mean() for _ in range(permutations)])
    return Retrieval(
        rank=seen,
        first=float((np.diag(ranks) == 0).mean()),
        n=len(a),
        p_value=_p((null <= seen + 1e-12).sum(), permutations),
    )


def canonical_correlations(
    a: ArrayLike, b: ArrayLike, fit: tuple[ArrayLike, ArrayLike]
) -> FloatArray:
    """Held-out correlations (d,) along the training pairs' canonical directions, strongest first."""
    x, y = _pair(a, b)
    x_fit, y_fit = _pair(*fit)
    centre_x, centre_y = x_fit.mean(0), y_fit.mean(0)
    wx, wy = _whitener(x_fit - centre_x), _whitener(y_fit - centre_y)
    u, _, vt = np.linalg.svd(
        ((x_fit - centre_x) @ wx).T @ ((y_fit - centre_y) @ wy), full_matrices=False
    )
    left, right = (x - centre_x) @ wx @ u, (y - centre_y) @ wy @ vt.T
    left, right = left - left.mean(0), right - right.mean(0)
    scale = np.sqrt((left**2).sum(0) * (right**2).sum(0))
    return np.asarray(np.where(scale > 1e-12, (left * right).sum(0) / np.fmax(scale, 1e-12), 0.0))


def explained(truth: ArrayLike, guess: ArrayLike, reference: ArrayLike) -> float:
    """Share of the reference's squared error explained."""
    t = np.asarray(truth, dtype=np.float64)
    error = np.sum((t - np.asarray(guess, dtype=np.float64)) ** 2)
    return float(1 - error / np.sum((t - np.asarray(reference, dtype=np.float64)) ** 2))


@dataclass(frozen=True, kw_only=True)
class Separation:
    """Separation of classes in a latent space."""

    #: Share that nearest neighbours among *training* samples get right, averaged over classes.
    balanced_accuracy: float
    #: chance, p_value: Mean of the accuracy with permuted labels, and the p-value of so high an
    #: accuracy.
    chance: float
    p_value: float
    silhouette: float  #: From -1 to 1, on the held-out samples. NaN where no class has two.
    classes: tuple[int, ...]  #: Those with a training and a held-out sample
    n: int  #: Number of held-out samples


def separation(
    latent: ArrayLike,
    labels: ArrayLike,
    *,
    train: ArrayLike,
    test: ArrayLike,
    permutations: int = 1999,
    seed: int = 0,
) -> Separation:
    """Classify held-out latents by their neighbours in training.

    Parameters
    ----------
    latent : (n, d) array of float
        Latents.
    labels : (n,) array
        Classes.
    train, test : array of int
        Indices of known and held-out samples.
    permutations, seed : int
        Of the null distribution, which permutes the labels of `test`.

    Raises
    ------
    DataError
        Unless two or more classes have samples in both.
    """
    z, y = np.asarray(latent, dtype=np.float64), np.asarray(labels)
    z = z[:, None] if z.ndim == 1 else z
    seen, unseen = np.asarray(train, dtype=np.int64), np.asarray(test, dtype=np.int64)
    if z.ndim != 2 or y.shape != (len(z),) or not np.isfinite(z).all():
        raise DataError(
            f"latent must be finite (n, d) and labels (n,); got shapes {z.shape}, {y.shape}"
        )
    classes = np.intersect1d(y[seen], y[unseen])
    if classes.size < 2:
        raise DataError(
            "labels must have at least two classes with training and held-out samples; got "
            f"{np.unique(y).tolist()} in all and {classes.tolist()} in both"
        )
    unseen = unseen[np.isin(y[unseen], classes)]
    seen = seen[np.isin(y[seen], classes)]
    guess = _nearest(z[seen], y[seen], z[unseen], classes)
    true = y[unseen]
    rng = np.random.default_rng(seed)
    accuracy = _balanced(guess, true, classes)
    null = np.array([_balanced(guess, rng.permutation(true), classes) for _ in range(permutations)])
    return Separation(
        balanced_accuracy=accuracy,
        chance=float(null.mean()),
        p_value=_p((null >= accuracy - 1e-12).sum(), permutations),
        silhouette=_silhouette(z[unseen], true),
        classes=tuple(int(c) for c in classes),
        n=unseen.size,
    )


def _nearest(known: FloatArray, labels: Labels, asked: FloatArray, classes: Labels) -> Labels:
    """Class of the largest density, from k-th nearest distances with k proportional to the class."""
    scale = known.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    distance = cdist(asked / scale, known / scale)
    share = _NEIGHBOURS * classes.size / len(known)
    score = []
    for c in classes:
        own = np.sort(distance[:, labels == c], axis=1)
        k = int(np.clip(round(share * own.shape[1]), 1, own.shape[1]))
        score.append(own[:, :k].mean(axis=1))
    return np.asarray(classes[np.argmin(score, axis=0)])


def _balanced(guess: Labels, true: Labels, classes: Labels) -> float:
    return float(np.mean([(guess[true == c] == c).mean() for c in classes]))


def _silhouette(z: FloatArray, labels: Labels) -> float:
    """Mean silhouette (Rousseeuw 1987), 0 for single members."""
    distance, classes = cdist(z, z), np.unique(labels)
    sums = np.column_stack([distance[:, labels == c].sum(axis=1) for c in classes])
    counts = np.array([(labels == c).sum() for c in classes])
    if classes.size < 2 or counts.max() < 2:
        return float("nan")
    own = np.searchsorted(classes, labels)
    every = np.arange(len(z))
    inside = sums[every, own] / np.fmax(counts[own] - 1, 1)
    means = sums / counts
    means[every, own] = np.inf
    outside = means.min(axis=1)
    value = (outside - inside) / np.fmax(np.fmax(inside, outside), 1e-300)
    return float(np.where(counts[own] > 1, value, 0.0).mean())


def _whitener(centred: FloatArray) -> FloatArray:
    """Matrix that gives data (n, d) unit covariance, 0 without variance."""
    values, vectors = np.linalg.eigh(centred.T @ centred)
    keep = values > 1e-9 * max(float(values.max()), 1e-300)
    return np.asarray(vectors * np.where(keep, 1 / np.sqrt(np.where(keep, values, 1.0)), 0.0))


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 3:
        raise DataError(
            f"pairs must be two arrays (n, d) of at least 3 rows; got shapes {x.shape}, {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("pairs must be finite")
    return x, y


def _p(count: int | np.integer, permutations: int) -> float:
    return float((1 + int(count)) / (1 + permutations))
