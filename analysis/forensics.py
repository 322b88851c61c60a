"""After a run: what it looked at, why, and what it would have concluded with another question.

    patch_components(image, candidates)     principal components of the patches around sites
    density_test(features, visited)         did it visit another population than it was offered?
    choice_drivers(properties, visited)     which properties tell the chosen sites from the others?
    boundary_choice(sites, ids, ...)        which boundaries were visited more than their share?
    counterfactual(voltage, current)        every descriptor along the recorded trace
    light_difference(voltage, dark, light)  what light changes, with its uncertainty

The null hypothesis is the same throughout: the same number of sites drawn at random, without
replacement, from the candidates.  p-values come from drawing them, and many at once are Holm's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.spatial.distance import cdist

from grainscout.analysis.curves.descriptors import Described, describe_all, descriptor_names
from grainscout.analysis.statistics import holm
from grainscout.records import DataError
from grainscout.records.arrays import BoolArray, FloatArray, IntArray

_PATCHES = 20_000  # patches that principal components are taken from
_REFERENCE = 2000  # candidates that stand for all in distances from "all"


def patch_components(
    image: ArrayLike, candidates: ArrayLike, *, window: int = 16, components: int = 2
) -> FloatArray:
    """(n, components) scores of the patches of an image around candidates (n, 2).

    A patch is the window x window pixels from (row, column) - window // 2 on, less its own mean; a
    candidate too near to the edge for one is a DataError.  The components are those of all
    candidates' patches (of an even selection, if they are many), each signed so that its largest
    loading is positive: the same image gives the same space for every run.
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
    """Visited against full density.

    distance : energy distance, 0 for equal distributions, in the unit of the features;  expected :
    its mean over random choices of as many sites;  p_value : share of those at least as far.
    """

    distance: float
    expected: float
    p_value: float
    visited: int
    candidates: int


def density_test(
    features: ArrayLike, visited: ArrayLike, *, permutations: int = 999, seed: int = 0
) -> DensityTest:
    """Energy distance of the visited from all candidates, in any feature or latent space.

    features : (n, d) of all candidates;  visited : (k,) indices into them.  The distance is
    sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|) (Szekely and Rizzo); beyond 2000 candidates, Y is a
    random sample of them, the same for the run and for the null.
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
    """How the chosen sites differ from the candidates, property by property, strongest first.

    properties : name -> (n,) value at each candidate (boundary distance, slope, prediction, ...);
    visited : (k,) indices.  Columns: property, chosen, all (means), effect (difference over the
    standard deviation of all), p, p_adjusted (Holm).  An association, not a cause: properties
    that go together are all listed.
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
    """Visits to each boundary against its share of the candidates, largest surplus first.

    sites : (n, 2) measured;  boundary_id : (rows, columns) id of the nearest boundary, -1 for
    none;  boundary_distance : [m];  width : sites this near count [m].  Columns: boundary, pixels,
    visits, expected (of all visits to boundaries), ratio, p (binomial, two-sided), p_adjusted
    (Holm).  "Some boundaries more than others" (S23) is a small adjusted p.
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


def counterfactual(
    voltage: ArrayLike,
    current: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    target: str | None = None,
    saturated: ArrayLike | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every descriptor along a recorded trace: what the same curves say to another question.

    voltage (s,) [V], current (n, s) [A], in the order of measurement.  Returns

    * values: a row a measurement; a column each descriptor, NaN where it has no value;
    * summary: a row a descriptor: unit, valid and censored shares, best value and the step it
      came at, and rank correlations with the step and with `target` (NaN under 3 values).
    """
    chosen = list(names) if names is not None else descriptor_names()
    described = describe_all([*chosen, *([target] if target else [])], voltage, current, saturated)
    values = pd.DataFrame({name: described[name].value for name in chosen})
    values.insert(0, "step", np.arange(1, len(values) + 1))
    rows = [
        {
            "descriptor": name,
            "unit": described[name].unit,
            "valid": described[name].valid.mean(),
            "censored": described[name].censored.mean(),
            **_best(described[name]),
            "rank_correlation_with_step": _spearman(described[name].value, values["step"]),
            "rank_correlation_with_target": (
                _spearman(described[name].value, described[target].value) if target else np.nan
            ),
        }
        for name in chosen
    ]
    return values, pd.DataFrame(rows)


def light_difference(
    voltage: ArrayLike,
    dark: ArrayLike,
    light: ArrayLike,
    *,
    names: Sequence[str] = ("max_current", "turn_on", "loop_area", "zero_bias_current"),
) -> pd.DataFrame:
    """Descriptors in light minus in the dark, for the same n sites, currents (n, s) [A] each.

    A row a site and descriptor: site, descriptor, unit, dark, light, difference, sigma, clear (more
    than 3 sigma), bound ("", "at least" or "at most": one of the two is a bound, so the difference
    is).  NaN where either has no value, or where both are bounds.
    """
    off, on = describe_all(names, voltage, dark), describe_all(names, voltage, light)
    frames = []
    for name in names:
        a, b = off[name], on[name]
        if len(a) != len(b):
            raise DataError(
                f"dark and light must be the same sites; got {len(a)} and {len(b)} curves"
            )
        both = a.censored & b.censored
        difference = np.where(both, np.nan, b.value - a.value)
        sigma = np.hypot(a.sigma, b.sigma)
        # A lower bound in light makes the difference "at least", one in the dark "at most".
        rising = (b.censored & ~_upper(b)) | (a.censored & _upper(a))
        falling = (b.censored & _upper(b)) | (a.censored & ~_upper(a))
        frames.append(
            pd.DataFrame(
                {
                    "site": np.arange(len(a)),
                    "descriptor": name,
                    "unit": a.unit,
                    "dark": a.value,
                    "light": b.value,
                    "difference": difference,
                    "sigma": sigma,
                    "clear": np.abs(difference) > 3 * sigma,
                    "bound": np.select([both, rising, falling], ["", "at least", "at most"], ""),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _upper(found: Described) -> BoolArray:
    """Where a censored value is an upper bound."""
    from grainscout.analysis.curves.block import Flag

    return np.asarray((found.flags & Flag.BELOW_NOISE) != 0)


def _best(found: Described) -> dict[str, float]:
    if not found.valid.any():
        return {"best": np.nan, "best_step": np.nan}
    at = int(np.nanargmax(found.value))
    return {"best": float(found.value[at]), "best_step": float(at + 1)}


def _spearman(a: ArrayLike, b: ArrayLike) -> float:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 3 or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
        return float("nan")
    return float(stats.spearmanr(x[both], y[both]).statistic)


def _indices(visited: ArrayLike, n: int) -> IntArray:
    index = np.unique(np.asarray(visited, dtype=np.int64))
    if index.size == 0 or index[0] < 0 or index[-1] >= n:
        raise DataError(f"visited must be indices of the {n} candidates, at least one; got {index}")
    return index
