"""Novelty of curves and image patches (Gong2026, which leaves metric and gate open)."""

import numpy as np
from numpy.typing import NDArray

from grainscout.records import BoolArray, FloatArray, IntArray

SPECTRAL = ("mean", "nearest", "mean-curve", "reconstruction")
METRICS = ("l2", "correlation", "split")


def filled(curves: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Curves with NaN on the line between neighbours, and (n,) False where over half was lost."""
    lost = ~np.isfinite(curves)
    usable = lost.mean(axis=1) <= 0.5
    if not lost.any():
        return curves, usable
    curves = curves.copy()
    at = np.arange(curves.shape[1])
    for k in np.flatnonzero(lost.any(axis=1) & usable):
        bad = lost[k]
        curves[k, bad] = np.interp(at[bad], at[~bad], curves[k, ~bad])
    return curves, usable


def embed(curves: FloatArray, metric: str, shape_weight: float = 0.5) -> FloatArray:
    """(n, s') rows whose Euclidean distances are those of the metric.

    ``"l2"``: root mean square difference of the currents [A]. ``"correlation"``: the square root of
    1 − Pearson's correlation (a constant curve lies √½ from all others). ``"split"``:
    √(w·shape² + (1 − w)·amplitude²) with w = `shape_weight`, the shape being the distance of the
    curves at unit rms and the amplitude the difference of log rms. In it curves weaker than 1 % of
    the set's median rms count as that weak, so that noise has no amplitude of its own.
    """
    samples = curves.shape[1]
    if metric == "l2":
        return np.asarray(curves / np.sqrt(samples))
    if metric == "correlation":
        centred = curves - curves.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(centred, axis=1, keepdims=True)
        half = norm * np.sqrt(2.0)
        return np.asarray(np.divide(centred, half, out=np.zeros_like(centred), where=norm > 0))
    rms = np.sqrt(np.mean(curves**2, axis=1, keepdims=True))
    floor = max(0.01 * float(np.median(rms)), np.finfo(float).tiny)
    amplitude = np.maximum(rms, floor)
    shape = curves / amplitude / np.sqrt(samples)
    return np.hstack(
        [np.sqrt(shape_weight) * shape, np.sqrt(1.0 - shape_weight) * np.log(amplitude)]
    )


def _distances(a: FloatArray, b: FloatArray) -> FloatArray:
    d = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2.0 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(d, 0.0)))


def _scores(
    rows: FloatArray, others: FloatArray, kind: str, neighbours: int, *, own: bool
) -> FloatArray:
    """Score of each row against the others, which are the rows themselves if `own`."""
    if kind in ("mean", "nearest"):
        count = len(others) - own
        if count == 0:
            return np.zeros(len(rows))
        d = _distances(rows, others)
        if own:
            np.fill_diagonal(d, 0.0 if kind == "mean" else np.inf)
        if kind == "mean":
            mean: FloatArray = d.sum(1) / count
            return mean
        k = min(neighbours, count)
        nearest: FloatArray = np.partition(d, k - 1, axis=1)[:, :k].mean(1)
        return nearest
    centre = others.mean(0)
    away = rows - centre
    if kind == "reconstruction":
        vectors = np.linalg.svd(others - centre, full_matrices=False)[2]
        # A model of full rank reproduces everything: always leave at least one direction out.
        vectors = vectors[: max(0, min(neighbours, len(others) - 2))]
        away = away - (away @ vectors.T) @ vectors
    return np.asarray(np.linalg.norm(away, axis=1))


def spectral_novelty(
    curves: FloatArray,
    *,
    kind: str = "mean",
    metric: str = "l2",
    neighbours: int = 5,
    shape_weight: float = 0.5,
    frozen_after: int | None = None,
) -> FloatArray:
    """(n,) novelty of each of (n, samples) curves [A], by `metric` and `shape_weight` of `embed`.

    ``"mean"`` is the mean distance to all others, ``"nearest"`` that to the nearest `neighbours`,
    ``"mean-curve"`` that to the mean curve, ``"reconstruction"`` the error of a rank `neighbours`. A number
    `frozen_after` scores the first so many among themselves, each later one against those before it, for good.
    """
    if len(curves) == 0:
        return np.zeros(0)
    x = embed(curves, metric, shape_weight)
    first = len(x) if frozen_after is None else min(max(frozen_after, 1), len(x))
    scores = [_scores(x[:first], x[:first], kind, neighbours, own=True)]
    scores += [
        _scores(x[i : i + 1], x[:i], kind, neighbours, own=False) for i in range(first, len(x))
    ]
    return np.concatenate(scores)


class PatchNovelty:
    """Mean distance of every candidate's features to the k nearest visited ones, kept up to date."""

    def __init__(
        self, table: NDArray[np.float32], candidate_rows: IntArray, neighbours: int = 1
    ) -> None:
        self._table, self._candidate_rows, self._k = table, candidate_rows, neighbours
        self._rows = np.zeros(0, np.int64)
        self._near = np.full((neighbours, len(candidate_rows)), np.inf, np.float32)

    def visit(self, rows: IntArray) -> None:
        """These table rows, and no others, have been visited."""
        known = len(self._rows)
        if not np.array_equal(rows[:known], self._rows):
            self._near[:] = np.inf
            known = 0
        for row in rows[known:]:
            self._near = self._with(self._near, int(row))
        self._rows = rows.copy()

    def scores(self, also: list[int] | None = None) -> FloatArray:
        """(c,) scores, as if the table rows `also` had been visited, too. Infinite with none."""
        near = self._near
        for row in also or []:
            near = self._with(near, row)
        count = max(1, min(self._k, len(self._rows) + len(also or [])))
        return np.asarray(near[:count].mean(0), np.float64)

    def _with(self, near: NDArray[np.float32], row: int) -> NDArray[np.float32]:
        here = self._table[row]
        distance = np.empty(len(self._candidate_rows), np.float32)
        for at in range(0, len(self._candidate_rows), 4096):
            away = self._table[self._candidate_rows[at : at + 4096]] - here
            distance[at : at + 4096] = np.sqrt(np.einsum("ij,ij->i", away, away))
        if self._k == 1:
            return np.minimum(near, distance)
        return np.sort(np.vstack([near, distance]), axis=0)[: self._k]
