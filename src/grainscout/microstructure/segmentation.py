"""Grains in a topography: levelling, groove map, watershed, merging."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median, median_filter
from scipy.ndimage import label as connected
from skimage.filters import threshold_otsu
from skimage.morphology import h_minima
from skimage.segmentation import watershed

from grainscout.microstructure.spec import SegmentationSpec
from grainscout.microstructure.structure import neighbours
from grainscout.records.arrays import BoolArray, FloatArray, IntArray
from grainscout.records.noise import robust_noise

Labels = NDArray[np.int32]

_SIGMA = 5.0  # a boundary stands out from its grains by at least so many standard deviations
_OFFSET = 5.0  # a line offset is at most so many standard deviations of the line offsets
_NARROWEST = 0.8  # pixels: derivatives of narrower Gaussians are those of single pixels
_WIDEST = 8.0  # pixels: wider boundaries are found among means of pixels, in the same time
_ORDERS = ((2, 0), (1, 1), (0, 2))  # second derivatives


def level(height: FloatArray, spec: SegmentationSpec) -> FloatArray:
    """The image without line offsets and plane.

    A line's offset is the median of its differences from the line before. One that is far larger
    than the others is a real step or groove along the whole line, and stays.
    """
    out = height - height.mean()
    if spec.level_lines and len(out) > 1:
        steps = np.median(np.diff(out, axis=0), axis=1)
        drift = median_filter(steps, min(15, len(steps)), mode="nearest")
        largest = _OFFSET * math.sqrt(2.0) * noise_of(height)[1]
        steps = np.where(np.abs(steps - drift) > largest, drift, steps)
        offset = np.concatenate([[0.0], np.cumsum(steps)])
        # The slow trend belongs to the plane: removing it here would tilt grains.
        line = np.arange(offset.size)
        offset -= np.polyval(np.polyfit(line, offset, 1), line)
        out = out - offset[:, None]
    if spec.level_plane:
        rows, columns = np.indices(out.shape)
        terms = np.column_stack([np.ones(out.size), rows.ravel(), columns.ravel()])
        out = out - (terms @ np.linalg.lstsq(terms, out.ravel(), rcond=None)[0]).reshape(out.shape)
    return np.ascontiguousarray(out)


def has_relief(levelled: FloatArray, height: FloatArray) -> bool:
    """True if levelling left more of an image than its numbers are rounded by."""
    rounding = 1e3 * float(np.finfo(np.float64).eps * np.abs(height).max())
    return float(np.ptp(levelled)) > rounding


def noise_of(height: FloatArray) -> tuple[float, float]:
    """Standard deviations of a pixel's white noise, and of the offset of a whole line.

    Fourth differences hardly see smooth relief. Those along a line know nothing of its offset,
    those across lines hold both.
    """
    along, across = (float(robust_noise(height, 4, axis, together=True)) for axis in (1, 0))
    return along, math.sqrt(max(across**2 - along**2, 0.0))


def groove_depth(
    image: FloatArray, sigma: Sequence[float], unit: Sequence[float] = (1.0, 1.0)
) -> FloatArray:
    """Curvature across a valley: the larger eigenvalue of the image's Hessian.

    Parameters
    ----------
    image : (rows, columns) array of float
        Topography, in any unit.
    sigma : two floats
        Width of the Gaussian derivatives along rows' and columns' direction [pixels].
    unit : two floats
        Lengths per which curvature is given [pixels]; `sigma` makes it a height.

    Returns
    -------
    (rows, columns) array of float
        In the image's unit. Positive in valleys.
    """
    yy, xy, xx = (_derivative(image, sigma, unit, order) for order in _ORDERS)
    return np.asarray(0.5 * (yy + xx) + np.hypot(0.5 * (yy - xx), xy))


def _derivative(
    image: FloatArray, sigma: Sequence[float], unit: Sequence[float], order: tuple[int, int]
) -> FloatArray:
    raw = gaussian_filter(image, sigma, order=order, mode="mirror")
    return np.asarray(raw * unit[0] ** order[0] * unit[1] ** order[1])


def grooves(image: FloatArray, sigma: Sequence[float] = (1.5, 1.5)) -> BoolArray:
    """Mask of the valleys between grains: `groove_depth` above Otsu's threshold.

    Parameters
    ----------
    image : (rows, columns) array of float
        Topography, in any unit.
    sigma : two floats
        Width of the Gaussian derivatives [pixels].
    """
    depth = groove_depth((image - image.mean()) / (float(image.std()) or 1.0), sigma)
    positive = depth[depth > 0]
    if positive.size == 0 or np.ptp(positive) == 0:
        return np.zeros(image.shape, bool)
    return np.asarray(depth > float(threshold_otsu(positive)))


def find_grains(height: FloatArray, pixel: tuple[float, float], spec: SegmentationSpec) -> Labels:
    """Labels 0 .. n-1 of the grains of a levelled topography, with pixels in nm.

    One grain if nothing stands out of the image's own noise, or the image is smaller than a grain.
    """
    if min(n * step for n, step in zip(height.shape, pixel, strict=True)) < spec.smallest_nm:
        return np.zeros(height.shape, np.int32)
    fold = [max(1, int(spec.scale_nm / step / _WIDEST)) for step in pixel]
    if max(fold) > 1:  # boundaries many pixels wide are found among means of pixels
        coarse = _block_means(height, fold)
        found = find_grains(coarse, (pixel[0] * fold[0], pixel[1] * fold[1]), spec)
        fine = found.repeat(fold[0], axis=0).repeat(fold[1], axis=1)
        return fine[: height.shape[0], : height.shape[1]]
    sigma = [max(spec.scale_nm / step, _NARROWEST) for step in pixel]
    depth = groove_depth(height, sigma, sigma)
    spread = float(depth.std())
    if spread == 0.0:
        return np.zeros(height.shape, np.int32)
    strength = np.asarray(gaussian_filter(depth, sigma) / spread)
    least = max(spec.contrast, _SIGMA * _map_noise(height, sigma) / spread)
    markers, count = connected(h_minima(strength, least))
    if count == 0:
        return np.zeros(height.shape, np.int32)
    labels = watershed(depth, markers).astype(np.int32) - 1
    smallest = np.pi / 4 * spec.smallest_nm**2 / (pixel[0] * pixel[1])
    return merge(labels, strength, least, smallest)


def _block_means(image: FloatArray, fold: Sequence[int]) -> FloatArray:
    """Means of blocks of fold[0] x fold[1] pixels; the last ones repeat the image's edge."""
    pad = [(0, -n % k) for n, k in zip(image.shape, fold, strict=True)]
    padded = np.pad(image, pad, mode="edge")
    rows, columns = padded.shape
    blocks = padded.reshape(rows // fold[0], fold[0], columns // fold[1], fold[1])
    return np.asarray(blocks.mean(axis=(1, 3)))


def _map_noise(height: FloatArray, sigma: Sequence[float]) -> float:
    """Standard deviation that the image's noise leaves in its smoothed groove map."""
    # A filter's answer to one pixel and to one line is what it does to independent noise of each.
    wide = [math.sqrt(2.0) * s for s in sigma]
    size = [2 * math.ceil(4 * s) + 3 for s in wide]
    one, line = np.zeros(size), np.zeros(size)
    one[size[0] // 2, size[1] // 2] = 1.0
    line[size[0] // 2] = 1.0
    white, offset = noise_of(height)
    return max(
        math.hypot(
            white * float(np.linalg.norm(_derivative(one, wide, sigma, order))),
            offset * float(np.linalg.norm(_derivative(line, wide, sigma, order)[:, 0])),
        )
        for order in _ORDERS
    )


def merge(labels: Labels, strength: FloatArray, contrast: float, smallest: float) -> Labels:
    """Merge neighbours, weakest boundary first, until every boundary and every grain counts.

    A boundary counts if its mean strength exceeds by `contrast` the quieter of its two sides'
    median strength; a grain counts if it has at least `smallest` pixels.
    """
    n = int(labels.max()) + 1
    if n < 2:
        return np.zeros_like(labels)
    area = np.bincount(labels.ravel(), minlength=n).astype(float)
    quiet = np.asarray(median(strength, labels, np.arange(n)))
    pairs, values = _cracks(labels, strength)
    border: list[dict[int, list[float]]] = [{} for _ in range(n)]
    keys, index = np.unique(pairs, axis=0, return_inverse=True)
    for (a, b), total, count in zip(
        keys.tolist(), np.bincount(index.ravel(), values), np.bincount(index.ravel()), strict=True
    ):
        border[a][b] = border[b][a] = [float(total), float(count)]

    def cost(a: int, b: int) -> float:
        total, count = border[a][b]
        value = total / count - float(min(quiet[a], quiet[b]))
        # A grain that is too small goes first, over its weakest boundary.
        return value - 1e6 if min(area[a], area[b]) < smallest else value

    root = np.arange(n)
    version = np.zeros(n, int)
    heap = [(cost(int(a), int(b)), int(a), int(b), 0, 0) for a, b in keys]
    heapq.heapify(heap)
    while heap:
        value, a, b, va, vb = heapq.heappop(heap)
        if version[a] != va or version[b] != vb or b not in border[a]:
            continue
        if value >= contrast:
            break
        if area[a] < area[b]:
            a, b = b, a
        quiet[a] = (quiet[a] * area[a] + quiet[b] * area[b]) / (area[a] + area[b])
        area[a] += area[b]
        root[root == b] = a
        version[a] += 1
        version[b] = -1
        del border[a][b], border[b][a]
        for c, (total, count) in border[b].items():
            del border[c][b]
            old = border[a].get(c, [0.0, 0.0])
            border[a][c] = border[c][a] = [old[0] + total, old[1] + count]
        border[b] = {}
        for c in border[a]:
            heapq.heappush(heap, (cost(a, c), a, c, int(version[a]), int(version[c])))
    _, flat = np.unique(root[labels], return_inverse=True)
    return np.reshape(flat, labels.shape).astype(np.int32)


def _cracks(labels: Labels, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Label pairs (k, 2), smaller first, across every pixel edge between two labels; mean value."""
    pairs, means = [], []
    for (a, b), (low, high) in zip(neighbours(labels), neighbours(values), strict=True):
        differs = a != b
        pairs.append(np.sort(np.column_stack([a[differs], b[differs]]), axis=1))
        means.append(0.5 * (low + high)[differs])
    return np.concatenate(pairs).astype(np.int64), np.concatenate(means)
