"""Levelling of a topography, and grains as basins of a map of boundaries."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter
from scipy.ndimage import label as connected
from skimage.morphology import local_minima, reconstruction
from skimage.segmentation import watershed

from grainscout.microstructure.spec import SegmentationSpec
from grainscout.records import FloatArray
from grainscout.records.noise import robust_noise

Labels = NDArray[np.int32]

_OFFSET = 5.0  # a line offset is at most so many standard deviations of the line offsets
_SMOOTH, _WIDE = 0.7, 2.0  # pixels


def level(height: FloatArray, lines: bool = True, plane: bool = True) -> FloatArray:
    """The image without line offsets and plane.

    A line's offset is the median of its differences from the line before. One that is far larger
    than the others is a real step or groove along the whole line, and stays.
    """
    out = height - height.mean()
    if lines and len(out) > 1:
        steps = np.median(np.diff(out, axis=0), axis=1)
        drift = median_filter(steps, min(15, len(steps)), mode="nearest")
        largest = _OFFSET * math.sqrt(2.0) * noise_of(height)[1]
        steps = np.where(np.abs(steps - drift) > largest, drift, steps)
        offset = np.concatenate([[0.0], np.cumsum(steps)])
        # The slow trend belongs to the plane: removing it here would tilt grains.
        line = np.arange(offset.size)
        offset -= np.polyval(np.polyfit(line, offset, 1), line)
        out = out - offset[:, None]
    if plane:
        rows, columns = np.indices(out.shape)
        terms = np.column_stack([np.ones(out.size), rows.ravel(), columns.ravel()])
        out = out - (terms @ np.linalg.lstsq(terms, out.ravel(), rcond=None)[0]).reshape(out.shape)
    return np.ascontiguousarray(out)


def has_relief(levelled: FloatArray, height: FloatArray) -> bool:
    """True if levelling left more of an image than its numbers are rounded by."""
    rounding = 1e3 * float(np.finfo(np.float64).eps * np.abs(height).max())
    return float(np.ptp(levelled)) > rounding


def stands_out(levelled: FloatArray, height: FloatArray) -> bool:
    """True if an image shows more than its own noise and line offsets, which are no boundaries."""
    smooth = gaussian_filter(levelled - levelled.mean(axis=1, keepdims=True), _WIDE)
    left = noise_of(height)[0] / (2.0 * math.sqrt(math.pi) * _WIDE)  # of white noise
    return has_relief(levelled, height) and float(smooth.std()) > 3.0 * left


def noise_of(height: FloatArray) -> tuple[float, float]:
    """Standard deviations of a pixel's white noise, and of the offset of a whole line.

    Fourth differences hardly see smooth relief. Those along a line know nothing of its offset,
    those across lines hold both.
    """
    along, across = (float(robust_noise(height, 4, axis, together=True)) for axis in (1, 0))
    return along, math.sqrt(max(across**2 - along**2, 0.0))


def find_grains(
    boundary: FloatArray, sd: FloatArray, pixel: tuple[float, float], spec: SegmentationSpec
) -> Labels:
    """Labels 0 .. n-1 of the grains between read boundaries: basins of their proximity, pixels in nm.

    A basin counts if it is deep beside what the reading is unsure of, and large enough.
    """
    if min(n * step for n, step in zip(boundary.shape, pixel, strict=True)) < spec.smallest_nm:
        return np.zeros(boundary.shape, np.int32)
    least = spec.contrast * float(np.sqrt(np.mean(sd**2)))
    smooth = gaussian_filter(boundary, _SMOOTH)
    deep = local_minima(reconstruction(smooth + least, smooth, method="erosion"))
    markers, count = connected(deep)
    if count < 2:
        return np.zeros(boundary.shape, np.int32)
    size = np.bincount(watershed(boundary, markers).ravel()) * pixel[0] * pixel[1]
    markers[(size < np.pi / 4 * spec.smallest_nm**2)[markers]] = 0
    labels = np.unique(watershed(boundary, markers), return_inverse=True)[1]
    return np.reshape(labels, boundary.shape).astype(np.int32)
