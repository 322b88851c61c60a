"""Classifier test of simulated against real topography patches.

Patches are min-max normalised, as published ones are: only their shape counts.
"""

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata, skew

from grainscout.records import BoolArray, DataError, FloatArray

#: Names of the descriptors of `patch_features`, in their order.
FEATURES = (
    *("slow_fast_roughness", "roughness", "slope", "steepest", "height_skew", "high_share"),
    *("low_share", "valley_balance", "anisotropy", "correlation", "plane_share", "coarse_power"),
    *("middle_power", "fine_power", "slow_fast_power", "maxima", "minima"),
)


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
    """Shape descriptors (n, FEATURES) of (n, size, size) patches."""
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
        *_spectrum(centred),
        *_extremes(p),
    ]
    return np.column_stack(columns)


def _spectrum(patches: FloatArray) -> list[FloatArray]:
    """ln of the power's shares in three bands, and of slow over fast at short wavelengths."""
    rows, columns = patches.shape[1:]
    window = np.outer(np.hanning(rows), np.hanning(columns))
    power = np.abs(np.fft.fft2(window * patches)) ** 2 + 1e-12
    slow, fast = np.abs(np.fft.fftfreq(rows))[:, None], np.abs(np.fft.fftfreq(columns))
    radius = np.hypot(slow, fast)

    def band(where: BoolArray) -> FloatArray:
        return np.asarray(np.log(power[:, where].sum(1)))

    shares = [band((a < radius) & (radius <= b)) for a, b in ((0.1, 0.2), (0.2, 0.3), (0.3, 1.0))]
    ratio = band((slow > 0.3) & (fast < 0.15)) - band((fast > 0.3) & (slow < 0.15))
    return [*(share - band(radius >= 0) for share in shares), ratio]


def _extremes(patches: FloatArray) -> list[FloatArray]:
    """Local maxima and minima inside."""
    size = (1, 3, 3)
    highest = ndimage.maximum_filter(patches, size, mode="nearest")
    lowest = ndimage.minimum_filter(patches, size, mode="nearest")
    return [
        (patches == extreme)[:, 1:-1, 1:-1].sum((1, 2)).astype(np.float64)
        for extreme in (highest, lowest)
    ]


def separation(many: FloatArray, few: FloatArray) -> float:
    """Cross-validated area under the curve of a linear rule: 0.5 for equal sets, 1 for others.

    Fisher's discriminant with a ridge leaves each of the few out once, with an equal share of the many.
    """
    scale = many.std(0)
    many, few = many / scale, few / scale
    folds = len(few)
    scores_few, scores_many = np.empty(folds), np.empty(len(many))
    for k in range(folds):
        held = np.arange(len(many)) % folds == k
        rule = _discriminant(many[~held], np.delete(few, k, axis=0))
        scores_few[k], scores_many[held] = (
            few[k] @ rule[0] - rule[1],
            many[held] @ rule[0] - rule[1],
        )
    ranks = rankdata(np.concatenate([scores_few, scores_many]))[:folds].sum()
    return float((ranks - folds * (folds + 1) / 2) / (folds * len(many)))


def _discriminant(many: FloatArray, few: FloatArray) -> tuple[FloatArray, float]:
    """Fisher's direction with a ridge, and the middle between the two sets along it."""
    spread = 0.5 * (np.cov(many.T) + np.cov(few.T))
    spread += 0.3 * np.eye(len(spread))
    direction = np.linalg.solve(spread, few.mean(0) - many.mean(0))
    return direction, float(direction @ (0.5 * (few.mean(0) + many.mean(0))))
