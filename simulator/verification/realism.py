"""Classifier test of simulated against real topography patches.

Thirteen real patches are few, so even a perfect generator's would be separated a little. That is
computed too. Patches are min-max normalised, as published ones are: only their shape counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, skew

from grainscout.records import ConfigError, DataError
from grainscout.records.arrays import FloatArray

#: Descriptors of a patch, see `patch_features`.
FEATURES = (
    "slow_fast_roughness",
    "roughness",
    "slope",
    "steepest",
    "height_skew",
    "high_share",
    "low_share",
    "valley_balance",
    "anisotropy",
    "correlation",
    "plane_share",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchRealism:
    """Outcome of `patch_realism`."""

    #: Cross-validated separation of the two sets by a linear rule, 0.5 (none) .. 1 (full).
    auc: float
    #: (repeats,) The same for as many patches of the generator itself in place of the real ones.
    perfect: FloatArray
    #: Share of `perfect` at or above `auc`. A small one means that the patches do differ.
    share_below: float
    #: Name -> (real median, simulated median, simulated 5 %, simulated 95 %).
    features: dict[str, tuple[float, float, float, float]]


def patches_of(
    image: FloatArray, count: int, rng: np.random.Generator, size: int = 16
) -> FloatArray:
    """Patches (count, size, size) at random places."""
    rows, columns = image.shape
    if min(rows, columns) < size:
        raise DataError(f"image must be at least {size} pixels on a side; got {image.shape}")
    at = np.column_stack([rng.integers(0, n - size + 1, count) for n in (rows, columns)])
    return np.stack([image[r : r + size, c : c + size] for r, c in at])


def patch_features(patches: FloatArray) -> FloatArray:
    """Shape descriptors (n, features) of (n, size, size) patches."""
    p = np.asarray(patches, dtype=np.float64)
    if p.ndim != 3 or min(p.shape[1:]) < 8 or not np.isfinite(p).all():
        raise DataError(f"patches must be finite and (n, 8 or more, 8 or more); got {p.shape}")
    low, span = p.min((1, 2), keepdims=True), np.ptp(p, axis=(1, 2), keepdims=True)
    if not (span > 0).all():
        raise DataError("patches must vary; got a flat one")
    p = (p - low) / span
    slow, fast = np.diff(p, 2, axis=1), np.diff(p, 2, axis=2)
    rough_s, rough_f = (np.median(np.abs(d), axis=(1, 2)) for d in (slow, fast))
    gy, gx = np.diff(p, axis=1)[:, :, :-1], np.diff(p, axis=2)[:, :-1]
    slope = np.hypot(gy, gx)
    flat = p.reshape(len(p), -1)
    bend = (slow[:, :, 1:-1] + fast[:, 1:-1]).reshape(len(p), -1)
    centred = p - p.mean((1, 2), keepdims=True)
    variance = (centred**2).mean((1, 2))
    shifted = 0.5 * (
        (centred[:, 4:] * centred[:, :-4]).mean((1, 2))
        + (centred[:, :, 4:] * centred[:, :, :-4]).mean((1, 2))
    )
    y, x = (np.linspace(-1, 1, n) for n in p.shape[1:])
    tilt_y = (centred * y[:, None]).mean((1, 2)) / (y**2).mean()
    tilt_x = (centred * x).mean((1, 2)) / (x**2).mean()
    columns = [
        np.log(rough_s / rough_f),
        np.log(np.sqrt(rough_s * rough_f)),
        np.log(np.median(slope, axis=(1, 2))),
        np.log(np.quantile(slope, 0.98, axis=(1, 2))),
        skew(flat, axis=1),
        (flat > 0.75).mean(1),
        (flat < 0.25).mean(1),
        skew(bend, axis=1),
        np.log((gy**2).mean((1, 2)) / (gx**2).mean((1, 2))),
        shifted / variance,
        (tilt_y**2 * (y**2).mean() + tilt_x**2 * (x**2).mean()) / variance,
    ]
    return np.column_stack(columns)


def patch_realism(
    simulated: FloatArray, real: FloatArray, *, rng: np.random.Generator, repeats: int = 200
) -> PatchRealism:
    """Compare simulated with real (n, size, size) patches.

    At least ten times as many simulated ones are needed. The rule is Fisher's linear discriminant
    with a ridge, which leaves each real patch out once with an equal share of the simulated ones.
    """
    a, b = patch_features(simulated), patch_features(real)
    if len(b) < 5 or len(a) < 10 * len(b):
        raise ConfigError(
            "patch_realism needs 5 or more real patches and 10 times as many simulated ones; got "
            f"{len(b)} and {len(a)}"
        )
    perfect = np.empty(repeats)
    for k in range(repeats):
        order = rng.permutation(len(a))
        perfect[k] = separation(a[order[len(b) :]], a[order[: len(b)]])
    auc = separation(a, b)
    return PatchRealism(
        auc=auc,
        perfect=perfect,
        share_below=float((perfect >= auc).mean()),
        features={
            name: (
                float(np.median(b[:, k])),
                float(np.median(a[:, k])),
                float(np.quantile(a[:, k], 0.05)),
                float(np.quantile(a[:, k], 0.95)),
            )
            for k, name in enumerate(FEATURES)
        },
    )


def separation(many: FloatArray, few: FloatArray) -> float:
    """Cross-validated area under the curve of a linear discriminant."""
    scale = many.std(0)
    many, few = many / scale, few / scale
    folds = len(few)
    scores_few, scores_many = np.empty(folds), np.empty(len(many))
    for k in range(folds):
        held = np.arange(len(many)) % folds == k
        train, other = many[~held], np.delete(few, k, axis=0)
        spread = 0.5 * (np.cov(train.T) + np.cov(other.T))
        spread += 0.3 * np.eye(len(spread))
        direction = np.linalg.solve(spread, other.mean(0) - train.mean(0))
        offset = direction @ (0.5 * (other.mean(0) + train.mean(0)))
        scores_few[k] = few[k] @ direction - offset
        scores_many[held] = many[held] @ direction - offset
    ranks = rankdata(np.concatenate([scores_few, scores_many]))[:folds].sum()
    return float((ranks - folds * (folds + 1) / 2) / (folds * len(many)))
