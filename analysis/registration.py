"""Displacement between two images of one place, to parts of a pixel, with its quality."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import shift as shifted
from scipy.ndimage import uniform_filter
from skimage.registration import phase_cross_correlation

from grainscout.records import DataError, FloatArray

_UPSAMPLE = 50  # steps of the displacement in a pixel
_TURNS = 8  # the first half by correlation
#: Least overlap of two images, along each side.
_OVERLAP = 0.5
_SMALLEST = 8  # pixels along a side


@dataclass(frozen=True, kw_only=True)
class Registration:
    """Displacement of one image from another."""

    #: rows, columns: Pixel p of the image shows what pixel p + (rows, columns) of the reference
    #: shows [pixels]
    rows: float
    columns: float
    #: Correlation of both where they overlap, from -1 to 1. 0 without an overlap of half a side.
    quality: float


def register(
    reference: FloatArray, image: FloatArray, expected: tuple[float, float] = (0.0, 0.0)
) -> Registration:
    """Find a (n, m) image in a reference of the same pixel size, from an `expected` displacement on.

    The cross-correlation of the overlap has its maximum at the displacement, which is found by
    ``skimage.registration.phase_cross_correlation`` (Guizar-Sicairos 2008, doi:10.1364/OL.33.000156).
    The overlap is cut out again at each displacement found, so that edges do not bias the next.
    Offsets and slopes of lines are taken out before. DataError if the image is larger than the
    reference, or has a side below 8 pixels.
    """
    if (
        image.ndim != 2
        or min(image.shape) < _SMALLEST
        or (np.array(image.shape) > reference.shape).any()
    ):
        raise DataError(
            f"an image to register must be of {_SMALLEST} x {_SMALLEST} to {reference.shape} pixels; "
            f"got {image.shape}"
        )
    found = np.array(expected, dtype=np.float64)
    for turn in range(_TURNS):
        pair = _overlap(reference, image, found)
        if pair is None:
            return Registration(rows=float(found[0]), columns=float(found[1]), quality=0.0)
        moved = _correlated(*pair) if turn < _TURNS // 2 else _least_squares(*pair)
        found += moved
    pair = _overlap(reference, image, found)
    quality = 0.0 if pair is None else _correlation(*pair)
    return Registration(rows=float(found[0]), columns=float(found[1]), quality=quality)


def richest_part(image: FloatArray, side: int) -> tuple[int, int]:
    """Corner of the square with the largest smaller eigenvalue of the structure tensor (Shi, Tomasi 1994)."""
    flat = flattened(image)
    gy, gx = np.gradient(flat)
    yy, xx, xy = (uniform_filter(a, side, mode="constant") for a in (gy * gy, gx * gx, gy * gx))
    least = (yy + xx) / 2 - np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    first = side // 2
    rows, columns = (n - side + 1 for n in image.shape)
    inside = least[first : first + rows, first : first + columns]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(row), int(column)


def flattened(image: FloatArray) -> FloatArray:
    """The image without the median and the mean slope of its lines."""
    level = image - np.median(image, axis=1, keepdims=True)
    across = np.arange(image.shape[1]) - (image.shape[1] - 1) / 2
    slope = float(np.median(np.diff(level, axis=1)))
    return np.asarray(level - slope * across)


def _overlap(
    reference: FloatArray, image: FloatArray, at: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """What both show of the other, the reference displaced by `at`. None for too little."""
    slices = []
    for size, own, by in zip(reference.shape, image.shape, at, strict=True):
        low, high = max(0, math.ceil(-by)), min(own, math.floor(size - 1 - by) + 1)
        if high - low < max(_OVERLAP * own, _SMALLEST):
            return None
        slices.append(slice(low, high))
    whole = shifted(reference, -at, order=3, mode="nearest")
    return flattened(whole[slices[0], slices[1]]), flattened(image[slices[0], slices[1]])


def _correlated(reference: FloatArray, image: FloatArray) -> FloatArray:
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    pair = ((a - a.mean()) * window for a in (reference, image))
    moved, _, _ = phase_cross_correlation(*pair, upsample_factor=_UPSAMPLE, normalization=None)
    return np.asarray(moved, dtype=np.float64)


def _least_squares(reference: FloatArray, image: FloatArray) -> FloatArray:
    """Small displacement by the gradient (Lucas and Kanade 1981), which no window pulls to zero."""
    gradient = np.stack(list(np.gradient(reference)), -1).reshape(-1, 2)
    moved, *_ = np.linalg.lstsq(gradient, (image - reference).ravel(), rcond=None)
    held: FloatArray = np.clip(moved, -1.0, 1.0)
    return held


def _correlation(a: FloatArray, b: FloatArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0
