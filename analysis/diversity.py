"""Diversity of measured patches, curves or embeddings.

The papers use the mean pairwise distance, which may fall when a new point resembles the old ones.
The share of outcome bins reached never falls. The Vendi score, an effective number of different
points, may fall slightly. Points are rows.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from grainscout.records import ConfigError, DataError, FloatArray, IntArray, one_of

Metric = Literal["euclidean", "correlation"]
_METRICS = ("euclidean", "correlation")


def distances(
    a: ArrayLike, b: ArrayLike | None = None, *, metric: Metric = "euclidean"
) -> FloatArray:
    """Distances (n, m) of points.

    Parameters
    ----------
    a : (n, d) array of float
        Points in any unit.
    b : (m, d) array of float, optional
        Other points. `a` itself if None.
    metric : {"euclidean", "correlation"}
        Euclidean is the root mean square difference per component, in the unit of the points, so
        that patches of different size are comparable. Correlation is 1 - r, the shape alone. The
        distance of a constant row is 1.
    """
    first = _points(a)
    second = first if b is None else _points(b)
    if first.shape[1] != second.shape[1]:
        raise DataError(f"points must have one length; got {first.shape[1]} and {second.shape[1]}")
    one_of("metric", metric, _METRICS)
    if metric == "euclidean":
        return np.asarray(cdist(first, second) / np.sqrt(first.shape[1]))
    return np.asarray(np.clip(1.0 - _unit_shapes(first) @ _unit_shapes(second).T, 0.0, 2.0))


def mean_distance_trace(points: ArrayLike, *, metric: Metric = "euclidean") -> FloatArray:
    """Mean pairwise distance (n,) of the first k points.

    Parameters
    ----------
    points : (n, d) array of float
        Points in the order of measurement.
    metric : {"euclidean", "correlation"}
        See `distances`.

    Returns
    -------
    (n,) array of float
        In the unit of the distance. NaN for k = 1.
    """
    table = np.tril(distances(points, metric=metric), k=-1)
    count = np.arange(len(table), dtype=np.float64)
    pairs = np.cumsum(count)
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.where(pairs > 0, np.cumsum(table.sum(axis=1)) / np.fmax(pairs, 1), np.nan)
        )


def similarity(points: ArrayLike, *, length: float | None = None) -> FloatArray:
    """Similarities (n, n) exp(-d^2 / 2 length^2), 1 on the diagonal.

    Parameters
    ----------
    points : (n, d) array of float
        Points in any unit.
    length : float, optional
        In the unit of the points. The median distance of the points if None.
    """
    table = distances(points)
    if length is None:
        apart = table[np.triu_indices(len(table), 1)]
        length = float(np.median(apart)) if apart.size and np.median(apart) > 0 else 1.0
    if not length > 0:
        raise ConfigError(f"length must be positive, in the unit of the distance; got {length}")
    return np.asarray(np.exp(-0.5 * (table / length) ** 2))


def vendi(kernel: ArrayLike) -> float:
    """Vendi score, from 1 (all alike) to n.

    The exponential of the Shannon entropy of the eigenvalues of K/n.

    Parameters
    ----------
    kernel : (n, n) array of float
        Similarities with ones on the diagonal.

    References
    ----------
    Friedman and Dieng 2023, Transactions on Machine Learning Research.
    """
    k = np.asarray(kernel, dtype=np.float64)
    if k.ndim != 2 or k.shape[0] != k.shape[1] or k.shape[0] == 0:
        raise DataError(f"kernel must be a square matrix of similarities; got shape {k.shape}")
    if not np.allclose(np.diagonal(k), 1.0):
        raise DataError("kernel must have ones on its diagonal (similarity of a point to itself)")
    weights = np.linalg.eigvalsh(k / len(k))
    weights = weights[weights > 1e-12]
    return float(np.exp(-np.sum(weights * np.log(weights))))


def vendi_trace(kernel: ArrayLike, *, every: int = 1) -> FloatArray:
    """Vendi score (n,) of the first k points.

    Computed at each `every`-th step and held in between.
    """
    k = np.asarray(kernel, dtype=np.float64)
    trace = np.empty(len(k))
    for step in range(len(k)):
        fresh = step % every == 0 or step == len(k) - 1
        trace[step] = vendi(k[: step + 1, : step + 1]) if fresh else trace[step - 1]
    return trace


def outcome_edges(values: ArrayLike, bins: int = 20) -> FloatArray:
    """Edges (bins + 1,) of equal width over the finite values.

    Compute them once for a film (from its truth) or an instrument. Coverage is only comparable
    between runs with the same bins.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0 or bins < 1:
        raise DataError("outcome bins need at least one finite value and bins >= 1")
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    return np.linspace(low, high, bins + 1)


def coverage_trace(
    values: ArrayLike, edges: ArrayLike, reachable: ArrayLike | None = None
) -> FloatArray:
    """Share (n,) of outcome bins reached so far.

    Parameters
    ----------
    values : (n,) array of float
        NaN for a failed measurement. Values outside the edges count for the end bins.
    edges : (bins + 1,) array of float
        See `outcome_edges`.
    reachable : (m,) array of float, optional
        True values. Only bins with one of them count. All count if None.
    """
    limits = np.asarray(edges, dtype=np.float64)
    count = limits.size - 1

    def index(v: FloatArray) -> IntArray:
        at = np.clip(np.searchsorted(limits, v, side="right") - 1, 0, count - 1)
        return np.asarray(np.where(np.isfinite(v), at, -1), dtype=np.int64)

    wanted = np.ones(count, bool)
    if reachable is not None:
        there = index(np.asarray(reachable, dtype=np.float64))
        wanted = np.isin(np.arange(count), there)
    mine = index(np.asarray(values, dtype=np.float64))
    mine = np.where((mine >= 0) & wanted[np.fmax(mine, 0)], mine, -1)
    return np.asarray(
        np.cumsum(first_occurrences(mine)) / max(int(wanted.sum()), 1), dtype=np.float64
    )


def first_occurrences(labels: ArrayLike) -> IntArray:
    """Mark (n,) first occurrences of labels with 1.

    Labels are integers, and -1 stands for none.
    """
    classes = np.asarray(labels)
    fresh = np.zeros(classes.size, np.int64)
    unique, first = np.unique(classes, return_index=True)
    fresh[first[unique >= 0]] = 1
    return fresh


#: The earlier name.
new_kinds = first_occurrences


def novelty(points: ArrayLike, measured: ArrayLike, *, nearest: int | None = None) -> FloatArray:
    """Mean distance (n,) of points (n, d) from the measured ones (m, d).

    With `nearest`, only the k nearest measured points count.
    """
    table = distances(points, measured)
    if nearest is not None and nearest < table.shape[1]:
        table = np.partition(table, nearest - 1, axis=1)[:, :nearest]
    return np.asarray(table.mean(axis=1))


def _points(points: ArrayLike) -> FloatArray:
    rows = np.asarray(points, dtype=np.float64)
    rows = rows.reshape(len(rows), -1) if rows.ndim > 2 else rows
    if rows.ndim != 2 or rows.size == 0:
        raise DataError(f"points must be an (n, d) array, a row each; got shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise DataError(
            f"points must be finite; {int((~np.isfinite(rows)).any(axis=1).sum())} of {len(rows)} "
            "rows are not. Leave failed measurements out first"
        )
    return rows


def _unit_shapes(rows: FloatArray) -> FloatArray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    size = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.where(size > 0, size, 1.0), dtype=np.float64)
