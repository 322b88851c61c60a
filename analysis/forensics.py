"""Forensics: choices of a run and their drivers.

    patch_components(image, candidates)     principal components of the patches around sites
    density_test(features, visited)         visited against offered population
    choice_drivers(properties, visited)     properties in which chosen sites differ
    boundary_choice(sites, ids, ...)        boundaries visited more than their share
    counterfactual(voltage, current)        every descriptor along the recorded trace
    light_difference(voltage, dark, light)  effect of light, with its uncertainty

The null hypothesis is the same throughout: as many sites drawn at random, without replacement, from
the candidates. p-values come from such draws, and several at once are adjusted by Holm's method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.spatial.distance import cdist

from grainscout.analysis.curves.questions import counterfactual as counterfactual
from grainscout.analysis.curves.questions import light_difference as light_difference
from grainscout.analysis.statistics import holm
from grainscout.records import DataError, FloatArray, IntArray

_PATCHES = 20_000  # patches that principal components are taken from
_REFERENCE = 2000  # candidates sampled for distances from all of them


def patch_components(
    image: ArrayLike, candidates: ArrayLike, *, window: int = 16, components: int = 2
) -> FloatArray:
    """Principal components of the patches around candidates.

    The components come from the candidates' patches (from an even selection, if there are many).
    Each is signed so that its largest loading is positive. The same image gives the same space for
    every run.

    Parameters
    ----------
    image : (rows, columns) array of float
        One channel of a scan, in any unit.
    candidates : (n, 2) array of int
        Rows and columns.
    window : int
        Width [pixels]. A patch starts at (row, column) - window // 2 and loses its own mean.
    components : int
        Number of components.

    Returns
    -------
    (n, components) array of float
        Scores in the unit of the image.

    Raises
    ------
    DataError
        For a candidate without a full window.
    """
    picture, sites = np.asarray(image, dtype=np.float64), np.asarray(candidates, dtype=np.int64)
    corner = sites - window // 2
    if picture.ndim != 2 or (corner < 0).any() or (corner + window > picture.shape).any():
        raise DataError(
            f"every candidate must have a full {window} x {window} window on the image of shape "
            f"{picture.shape}"
        )
    views = np.lib.stride_tricks.sliding_window_view(picture, (window, window))

    def patches(at: IntArray) -> FloatArray:
        flat = views[at[:, 0], at[:, 1]].reshape(len(at), -1)
        return np.asarray(flat - flat.mean(axis=1, keepdims=True))

    some = patches(corner[:: max(1, len(corner) // _PATCHES)])
    centre = some.mean(axis=0)
    _, axes = np.linalg.eigh((some - centre).T @ (some - centre))
    axes = axes[:, ::-1][:, :components]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    blocks = [corner[at : at + 8192] for at in range(0, len(corner), 8192)]
    return np.concatenate([(patches(block) - centre) @ axes for block in blocks])


@dataclass(frozen=True, kw_only=True)
class DensityTest:
    """Comparison of visited with all candidates."""

    distance: float  #: Energy distance in the unit of the features, 0 for equal distributions
    expected: float  #: Its mean over random choices of as many sites
    p_value: float  #: Share of random choices at least as far
    #: visited, candidates: Their numbers
    visited: int
    candidates: int


def density_test(
    features: ArrayLike, visited: ArrayLike, *, permutations: int = 999, seed: int = 0
) -> DensityTest:
    """Energy distance of the visited from all candidates.

    Parameters
    ----------
    features : (n, d) array of float
        Features or latents of all candidates.
    visited : (k,) array of int
        Indices of the visited ones.
    permutations, seed : int
        Number of random choices, and their seed.

    Notes
    -----
    The distance is sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|). Beyond 2000 candidates, Y is a random
    sample of them, the same for the run and for the null.

    References
    ----------
    Szekely and Rizzo 2013, J. Stat. Plan. Inference 143, 1249.
    """
    points = np.asarray(features, dtype=np.float64)
    points = points[:, None] if points.ndim == 1 else points
    chosen = _indices(visited, len(points))
    if points.ndim != 2 or not np.isfinite(points).all():
        raise DataError(f"features must be a finite (n, d) array; got shape {points.shape}")
    rng = np.random.default_rng(seed)
    some = points
    if len(points) > _REFERENCE:
        some = points[rng.choice(len(points), _REFERENCE, replace=False)]
    away = np.concatenate(
        [cdist(points[at : at + 4096], some).mean(axis=1) for at in range(0, len(points), 4096)]
    )
    spread = float(cdist(some, some).mean())

    def distance(index: IntArray) -> float:
        own = cdist(points[index], points[index]).mean()
        return float(np.sqrt(max(2 * away[index].mean() - own - spread, 0.0)))

    seen = distance(chosen)
    null = np.array(
        [distance(rng.choice(len(points), chosen.size, replace=False)) for _ in range(permutations)]
    )
    return DensityTest(
        distance=seen,
        expected=float(null.mean()),
        p_value=float((1 + (null >= seen).sum()) / (1 + permutations)),
        visited=chosen.size,
        candidates=len(points),
    )


def choice_drivers(
    properties: Mapping[str, ArrayLike],
    visited: ArrayLike,
    *,
    permutations: int = 1999,
    seed: int = 0,
) -> pd.DataFrame:
    """Differences of chosen sites from the candidates, strongest first.

    They are associations, not causes. Correlated properties are all listed.

    Parameters
    ----------
    properties : mapping of str to (n,) array of float
        Values at each candidate (boundary distance, slope, prediction, ...).
    visited : (k,) array of int
        Indices of the chosen ones.
    permutations, seed : int
        Number of random choices, and their seed.

    Returns
    -------
    DataFrame
        Columns property, chosen and all (means), effect (difference over the standard deviation of
        all), p and p_adjusted (Holm).
    """
    names = list(properties)
    table = np.column_stack([np.asarray(properties[n], dtype=np.float64) for n in names])
    chosen = _indices(visited, len(table))
    if not np.isfinite(table).all():
        raise DataError("properties must be finite at every candidate")
    scale = table.std(axis=0)
    safe = np.where(scale > 0, scale, 1.0)
    standard = (table - table.mean(axis=0)) / safe
    effect = standard[chosen].mean(axis=0)
    rng = np.random.default_rng(seed)
    null = np.stack(
        [
            standard[rng.choice(len(table), chosen.size, replace=False)].mean(axis=0)
            for _ in range(permutations)
        ]
    )
    p = (1 + (np.abs(null) >= np.abs(effect) * (1 - 1e-12)).sum(axis=0)) / (1 + permutations)
    frame = pd.DataFrame(
        {
            "property": names,
            "chosen": table[chosen].mean(axis=0),
            "all": table.mean(axis=0),
            "effect": effect,
            "p": p,
            "p_adjusted": holm(p),
        }
    )
    order = frame["effect"].abs().sort_values(ascending=False).index
    return frame.loc[order].reset_index(drop=True)


def boundary_choice(
    sites: ArrayLike,
    boundary_id: ArrayLike,
    boundary_distance: ArrayLike,
    *,
    candidates: ArrayLike | None = None,
    width: float = 30e-9,
) -> pd.DataFrame:
    """Visits to each boundary against its share of candidates.

    Parameters
    ----------
    sites : (n, 2) array of int
        Measured rows and columns.
    boundary_id : (rows, columns) array of int
        Identifier of the nearest boundary, -1 for none.
    boundary_distance : (rows, columns) array of float
        Distance from it [m].
    candidates : (m, 2) array of int, optional
        Sites that could have been chosen. The whole map if None.
    width : float
        Sites within this distance count [m].

    Returns
    -------
    DataFrame
        Largest surplus first. Columns boundary, pixels, visits, expected (of all visits to
        boundaries), ratio, p (binomial, two-sided) and p_adjusted (Holm). A small adjusted p means
        that some boundaries were preferred (Liu et al. 2023).
    """
    ids, distance = np.asarray(boundary_id), np.asarray(boundary_distance, dtype=np.float64)
    if ids.shape != distance.shape or ids.ndim != 2:
        raise DataError(f"maps must be images of one shape; got {ids.shape} and {distance.shape}")
    pool = np.argwhere(np.ones(ids.shape, bool)) if candidates is None else np.asarray(candidates)
    near = (distance <= width) & (ids >= 0)

    def count(places: IntArray) -> pd.Series[int]:
        at = tuple(places[near[tuple(places.T)]].T)
        return pd.Series(ids[at]).value_counts()

    available, visits = count(pool), count(np.asarray(sites, dtype=np.int64))
    frame = pd.DataFrame({"pixels": available, "visits": visits}).fillna(0).astype(int)
    frame = frame[frame["pixels"] > 0].rename_axis("boundary").reset_index()
    total = int(frame["visits"].sum())
    share = frame["pixels"] / frame["pixels"].sum()
    frame["expected"] = total * share
    frame["ratio"] = frame["visits"] / frame["expected"] if total else np.nan
    frame["p"] = [
        stats.binomtest(int(v), total, float(s)).pvalue if total else 1.0
        for v, s in zip(frame["visits"], share, strict=True)
    ]
    frame["p_adjusted"] = holm(frame["p"].to_numpy())
    order = (frame["expected"] - frame["visits"]).sort_values(kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def _indices(visited: ArrayLike, n: int) -> IntArray:
    index = np.unique(np.asarray(visited, dtype=np.int64))
    if index.size == 0 or index[0] < 0 or index[-1] >= n:
        raise DataError(f"visited must be indices of the {n} candidates, at least one; got {index}")
    return index
