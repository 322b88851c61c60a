"""Scores of predicted maps against the truth."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, ndtri
from scipy.stats import rankdata

from grainscout.records import DataError, FloatArray

_LEVELS = (0.5, 0.9, 0.95)  # of central intervals


@dataclass(frozen=True, kw_only=True)
class MapScore:
    """Score of a predicted map."""

    rmse: float  #: Root mean square error in the unit of the truth
    nrmse: float  #: RMSE over the standard deviation of the truth (1 = as good as its mean)
    nll: float  #: Mean negative log-likelihood in units of that deviation, independent of the unit
    crps: float  #: Mean continuous ranked probability score over that deviation
    spearman: float  #: Rank correlation
    #: pixels, left_out: Pixels that were scored, and those without a truth or a prediction
    pixels: int
    left_out: int
    #: Share of pixels inside the central interval of each level
    coverage: dict[float, float] = field(default_factory=dict)


def map_score(truth: ArrayLike, mean: ArrayLike, std: ArrayLike) -> MapScore:
    """Error and calibration of a map, NaN left out. DataError for a std <= 0 or a constant truth."""
    real, guess, width = (np.ravel(np.asarray(a, dtype=np.float64)) for a in (truth, mean, std))
    if not real.size == guess.size == width.size:
        raise DataError(
            f"maps must have one shape; got {real.size}, {guess.size}, {width.size} pixels"
        )
    both = np.isfinite(real) & np.isfinite(guess) & np.isfinite(width)
    value, guess, width = real[both], guess[both], width[both]
    if value.size < 2 or np.ptp(value) == 0:
        raise DataError(f"the truth must vary over at least 2 scored pixels; got {value.size}")
    if not (width > 0).all():
        raise DataError(f"std must be positive everywhere; got {width.min():g}")
    scale = float(value.std())
    z = (value - guess) / width
    rmse = float(np.sqrt(np.mean((value - guess) ** 2)))
    nll = 0.5 * z**2 + np.log(width / scale) + 0.5 * np.log(2 * np.pi)
    flat = np.ptp(guess) == 0
    ranks = np.nan if flat else float(np.corrcoef(rankdata(value), rankdata(guess))[0, 1])
    inside = {level: float(np.mean(np.abs(z) <= ndtri((1 + level) / 2))) for level in _LEVELS}
    return MapScore(
        rmse=rmse,
        nrmse=rmse / scale,
        nll=float(nll.mean()),
        crps=float(crps_normal(value, guess, width).mean() / scale),
        spearman=ranks,
        pixels=int(value.size),
        left_out=int((~both).sum()),
        coverage=inside,
    )


def crps_normal(value: ArrayLike, mean: ArrayLike, std: ArrayLike) -> FloatArray:
    """s [z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)], z = (value - mean)/s.

    Gneiting and Raftery 2007, J. Am. Stat. Assoc. 102, 359, equation 21.
    """
    s = np.asarray(std, dtype=np.float64)
    z = (np.asarray(value, dtype=np.float64) - np.asarray(mean, dtype=np.float64)) / s
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray(s * (z * erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi)))


def map_regret(truth: ArrayLike, mean: ArrayLike) -> float:
    """Value lost at the maximum of a map. NaN pixels are no candidates."""
    real, guess = np.ravel(np.asarray(truth, float)), np.ravel(np.asarray(mean, float))
    both = np.isfinite(real) & np.isfinite(guess)
    if not both.any():
        raise DataError("truth and mean must share a pixel that is finite in both; got none")
    return float(real[both].max() - real[both][guess[both].argmax()])


def level_set_score(
    truth: ArrayLike, mean: ArrayLike, level: float, pixel_size: tuple[float, float]
) -> tuple[float, float]:
    """Balanced accuracy of where a map is above a level, and mean shift of the level line [m].

    The shift is the area told wrong over the length of the true line (Cauchy and Crofton, pi/4 of the
    steps between sides), NaN without a line.
    """
    real, guess = np.asarray(truth, float), np.asarray(mean, float)
    both = np.isfinite(real) & np.isfinite(guess)
    above, said = real > level, guess > level
    sides = [both & above, both & ~above]
    if not all(side.any() for side in sides):
        raise DataError(f"level must lie within the truth, so that both sides exist; got {level:g}")
    right = [float((said == above)[side].mean()) for side in sides]
    length = 0.0
    for axis, step in ((0, pixel_size[1]), (1, pixel_size[0])):
        crossed = np.diff(above, axis=axis)
        ends = np.delete(both, 0, axis) & np.delete(both, -1, axis)
        length += np.pi / 4 * step * float((crossed & ends).sum())
    wrong = float((both & (said != above)).sum()) * pixel_size[0] * pixel_size[1]
    return float(np.mean(right)), wrong / length if length else np.nan
