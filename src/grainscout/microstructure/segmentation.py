"""Grains in a measured topography: levelling, boundary strength, watershed, merging."""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.ndimage import label as connected
from skimage.morphology import h_minima
from skimage.segmentation import watershed

from grainscout.microstructure.spec import SegmentationSpec
from grainscout.records import DataError
from grainscout.records.arrays import FloatArray, IntArray

Labels = NDArray[np.int32]

_SIGMA = 5.0  # a boundary stands out from its grains by at least so many standard deviations
_ORDERS = ((2, 0), (1, 1), (0, 2), (1, 0), (0, 1))  # derivatives: three of curvature, two of slope


def level(height: FloatArray, spec: SegmentationSpec) -> FloatArray:
    """The image without line offsets (median of differences of neighbouring lines) and plane.

    DataError if nothing is left but what numbers of its size are rounded by.
    """
    out = height - height.mean()
    if spec.level_lines:
        steps = np.median(np.diff(out, axis=0), axis=1)
        offset = np.concatenate([[0.0], np.cumsum(steps)])
        # The slow trend belongs to the plane: removing it here would tilt grains.
        line = np.arange(offset.size)
        offset -= np.polyval(np.polyfit(line, offset, 1), line)
        out = out - offset[:, None]
    if spec.level_plane:
        rows, columns = np.indices(out.shape)
        terms = np.column_stack([np.ones(out.size), rows.ravel(), columns.ravel()])
        out = out - (terms @ np.linalg.lstsq(terms, out.ravel(), rcond=None)[0]).reshape(out.shape)
    rounding = 1e3 * float(np.finfo(np.float64).eps * np.abs(height).max())
    if float(np.ptp(out)) <= rounding:
        raise DataError(
            f"topography height must have relief left after levelling; got {np.ptp(out):.2g} m, "
            "which is rounding. The image is a plane or line offsets alone: switch off level_plane "
            "or level_lines if those are what you want"
        )
    return np.ascontiguousarray(out)


def noise_of(height: FloatArray) -> tuple[float, float]:
    """Standard deviations [m] of the white noise of a pixel, and of the offset of a whole line.

    From median fourth differences, which smooth relief hardly changes: those along a line know
    nothing of its offset, those across lines hold both.
    """
    along, across = (
        # Weights 1, -4, 6, -4, 1: of white noise they make 70 times its variance.
        float(np.median(np.abs(np.diff(height, 4, axis=axis)))) / (0.6745 * np.sqrt(70.0))
        for axis in (1, 0)
    )
    return along, float(np.sqrt(max(across**2 - along**2, 0.0)))


def boundary_strength(
    height: FloatArray, pixel: tuple[float, float], spec: SegmentationSpec
) -> tuple[FloatArray, float]:
    """How much each pixel looks like a boundary, and the noise of that: in units of the median.

    valley: the largest curvature, if positive; step: the slope.  Both times the scale, so both are
    heights; each is divided by its own median, so that `valley` and `step` are plain weights.
    The noise is what `noise_of` the image leaves in them, a standard deviation.
    """
    sigma = [spec.scale_nm / p for p in pixel]

    def derivative(image: FloatArray, order: tuple[int, int]) -> FloatArray:
        """Of the smoothed image, per scale length: a height, whatever the pixels' proportions."""
        raw = gaussian_filter(image, sigma, order=order, mode="nearest")
        return raw * sigma[0] ** order[0] * sigma[1] ** order[1]

    rr, rc, cc, r, c = (derivative(height, order) for order in _ORDERS)
    valley = np.maximum(0.5 * (rr + cc) + np.hypot(0.5 * (rr - cc), rc), 0.0)
    step = np.hypot(r, c)

    # A filter's answer to one pixel and to one line is what it does to independent noise of each.
    size = [2 * math.ceil(4 * s) + 3 for s in sigma]
    one = np.zeros(size)
    one[size[0] // 2, size[1] // 2] = 1.0
    line = np.zeros(size)
    line[size[0] // 2] = 1.0
    white, offset = noise_of(height)
    noises = [
        np.hypot(
            white * np.linalg.norm(derivative(one, order)),
            offset * np.linalg.norm(derivative(line, order)[:, 0]),
        )
        for order in _ORDERS
    ]

    total, variance = np.zeros(height.shape), 0.0
    for cue, noise, weight in (
        (valley, max(noises[:3]), spec.valley),
        (step, max(noises[3:]), spec.step),
    ):
        # A valley is zero on half of the area: its typical size is the median where it is not.
        typical = float(np.median(cue[cue > 0])) if (cue > 0).any() else 0.0
        if weight > 0 and typical > 0:
            total += weight * cue / typical
            variance += (weight * noise / typical) ** 2
    return total, math.sqrt(variance)


def find_grains(height: FloatArray, pixel: tuple[float, float], spec: SegmentationSpec) -> Labels:
    """Labels 0 .. n-1 of the grains of a levelled image; one grain where no boundary stands out."""
    strength, noise = boundary_strength(height, pixel, spec)
    scale = [0.5 * spec.scale_nm / p for p in pixel]
    strength = gaussian_filter(strength, scale, mode="nearest")
    contrast = max(spec.contrast, _SIGMA * noise)
    minima = h_minima(strength, 0.25 * contrast)  # type: ignore[no-untyped-call]
    markers, _ = connected(minima, structure=np.ones((3, 3)))
    flooded = watershed(strength, markers)  # type: ignore[no-untyped-call]
    labels = flooded.astype(np.int32) - 1
    smallest = np.pi / 4 * spec.smallest_nm**2 / (pixel[0] * pixel[1])
    return merge(labels, strength, contrast, smallest)


def merge(labels: Labels, strength: FloatArray, contrast: float, smallest: float) -> Labels:
    """Merge neighbours, weakest boundary first, until every boundary and every grain counts.

    A boundary counts if its mean strength exceeds by `contrast` the quieter of its two sides'
    median strength; a grain counts if it has at least `smallest` pixels.
    """
    n = int(labels.max()) + 1
    if n < 2:
        return np.zeros_like(labels)
    area = np.bincount(labels.ravel(), minlength=n).astype(float)
    quiet = np.array([np.median(v) for v in _groups(labels, strength, n)])
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


def _groups(labels: Labels, values: FloatArray, n: int) -> list[FloatArray]:
    order = np.argsort(labels.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(labels.ravel(), minlength=n))[:-1]
    return np.split(values.ravel()[order], ends)


def _cracks(labels: Labels, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Label pairs (k, 2), smaller first, across every pixel edge between two labels; mean value."""
    pairs, means = [], []
    for low, high in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        a, b = labels[low], labels[high]
        differs = a != b
        pairs.append(np.sort(np.column_stack([a[differs], b[differs]]), axis=1))
        means.append(0.5 * (values[low] + values[high])[differs])
    return np.concatenate(pairs).astype(np.int64), np.concatenate(means)
