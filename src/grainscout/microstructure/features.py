"""Grains, boundaries, junctions and asymmetry that an image shows, as maps of its shape.

Everything is estimated from the image; the truth of a simulated film is never used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu
from skimage.morphology import h_minima
from skimage.segmentation import watershed

from grainscout.records import Scan
from grainscout.records.arrays import BoolArray, FloatArray, IntArray

# Least height of the ridge between two grains, in deviations of the groove map: F1 of the boundaries
# (2 pixels tolerance) 0.88 on the reference films, 0.83 at 0.3.
_RIDGE = 0.8
_FLANK, _PLATEAU = (
    3.0,
    (5.0, 10.0),
)  # distances of flank and plateau from a boundary [groove scales]


@dataclass(frozen=True, kw_only=True, eq=False)
class Microstructure:
    """Estimates of the microstructure, each of the scan's shape; lengths in pixels.

    label : grain, 0, 1, ...;  across : the grain on the other side of the nearest boundary (the own
    one where there is no boundary);  boundary, junction : distance to the nearest one (a junction is where
    three grains or more meet);  asymmetry : of the nearest boundary, positive on the side with the
    wider flank, negative on the sharp one;  curvature, slope, thickness : of the smoothed
    height;  grain_height, grain_size : mean height and log10 area of the grain.
    """

    label: IntArray
    across: IntArray
    boundary: FloatArray
    junction: FloatArray
    asymmetry: FloatArray
    curvature: FloatArray
    slope: FloatArray
    thickness: FloatArray
    grain_height: FloatArray
    grain_size: FloatArray


def microstructure(scan: Scan, scale: float = 1.0) -> Microstructure:
    """The microstructure that the image shows, with grooves about `scale` pixels wide.

    Grains are the basins of the groove map (a watershed from its deeper minima).
    """
    image = scan.height if "height" in scan.channels else next(iter(scan.channels.values()))
    image = (image - image.mean()) / (float(image.std()) or 1.0)
    label = _grains(scan, scale)
    edge, other = _edges(label)
    far = float(np.hypot(*label.shape))
    boundary, nearest = _distance(edge, far)
    ring = np.ones((3, 3), bool)
    corner = _distinct(label, ring) >= 3
    junction, _ = _distance(corner, far)
    count = int(label.max()) + 1
    height = np.asarray(ndimage.mean(image, label, np.arange(count)), np.float64)
    area = np.bincount(label.ravel(), minlength=count).astype(np.float64)
    # The nearest boundary pixel may be this grain's own rim or the neighbour's.
    neighbour = np.where(label[nearest] == label, other[nearest], label[nearest])
    smooth = ndimage.gaussian_filter(image, scale, mode="mirror")
    return Microstructure(
        label=label,
        across=neighbour,
        boundary=boundary,
        junction=junction,
        asymmetry=_asymmetry(label, neighbour, image, boundary, scale),
        curvature=ndimage.gaussian_laplace(image, scale, mode="mirror"),
        slope=ndimage.gaussian_gradient_magnitude(image, scale, mode="mirror"),
        thickness=smooth,
        grain_height=height[label],
        grain_size=np.log10(area)[label],
    )


def _grains(scan: Scan, scale: float) -> IntArray:
    """Grain of each pixel: basins of the groove map that are separated by a ridge of some height."""
    depth = groove_depth(scan, scale)
    spread = float(depth.std())
    if spread == 0:
        return np.zeros(scan.shape, np.int64)
    smooth = ndimage.gaussian_filter(depth / spread, scale)
    basins = h_minima(smooth, _RIDGE)  # type: ignore[no-untyped-call]
    markers, count = ndimage.label(basins)
    if count == 0:
        return np.zeros(scan.shape, np.int64)
    return np.asarray(watershed(depth, markers), np.int64) - 1  # type: ignore[no-untyped-call]


def _edges(label: IntArray) -> tuple[BoolArray, IntArray]:
    """Pixels with a neighbour of another grain, and that grain (the own one elsewhere)."""
    other = label.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            near = np.roll(label, step, axis)
            rim = [slice(None), slice(None)]
            rim[axis] = slice(0, 1) if step == 1 else slice(-1, None)
            near[tuple(rim)] = label[tuple(rim)]
            other = np.where(other == label, near, other)
    return other != label, other


def _asymmetry(
    label: IntArray,
    neighbour: IntArray,
    image: FloatArray,
    distance: FloatArray,
    scale: float,
) -> FloatArray:
    """How much wider the flank on this side of the nearest boundary is than that on the other.

    The width of a flank is the share of the groove's depth, from the boundary to the plateau, that
    the mean height beside the boundary has yet to rise; shares do not change with a step between
    the plateaus.  0 where a grain is too small to have a plateau.
    """
    count = int(label.max()) + 1
    own, across = label * count + neighbour, neighbour * count + label
    sides, place = np.unique(own, return_inverse=True)
    place = place.reshape(label.shape)

    def mean(low: float, high: float) -> FloatArray:
        band = (distance >= low) & (distance <= high)
        total = np.bincount(place[band], image[band], len(sides))
        number = np.bincount(place[band], minlength=len(sides))
        found: FloatArray = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return found

    bottom, plateau = mean(0.0, 0.0), mean(_PLATEAU[0] * scale, _PLATEAU[1] * scale)
    depth = plateau - bottom
    width = np.full(len(sides), np.nan)
    deep = depth > 0
    width[deep] = ((plateau - mean(0.5, _FLANK * scale))[deep] / depth[deep]).clip(-1.0, 2.0)
    at = np.searchsorted(sides, across).clip(max=len(sides) - 1)
    other = np.where(sides[at] == across, width[at], np.nan)
    return np.asarray(np.nan_to_num(width[place] - other))


def _distinct(label: IntArray, ring: BoolArray) -> IntArray:
    """Number of different grains in each pixel's 3 x 3 surroundings."""
    padded = np.pad(label, 1, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, ring.shape)
    ordered = np.sort(views.reshape(*label.shape, -1), axis=-1)
    return np.asarray(1 + (np.diff(ordered, axis=-1) > 0).sum(-1), np.int64)


def _distance(mask: BoolArray, far: float) -> tuple[FloatArray, tuple[IntArray, IntArray]]:
    """Distance to the mask [pixels] (`far` if it is empty), and the indices of the nearest."""
    if not mask.any():
        rows, columns = np.indices(mask.shape)
        return np.full(mask.shape, far), (np.asarray(rows), np.asarray(columns))
    distance, nearest = ndimage.distance_transform_edt(~mask, return_indices=True)
    rows, columns = np.asarray(nearest, np.int64)
    return np.asarray(distance, np.float64), (rows, columns)


def groove_depth(scan: Scan, scale: float) -> FloatArray:
    """(rows, columns) curvature across a valley: the larger eigenvalue of the height's Hessian.

    Of the standardised height smoothed by `scale` pixels; a scan without a height gives its first
    channel.
    """
    image = scan.height if "height" in scan.channels else next(iter(scan.channels.values()))
    image = (image - image.mean()) / (float(image.std()) or 1.0)
    yy, xx, xy = (
        gaussian_filter(image, scale, order=order, mode="mirror")
        for order in ((2, 0), (0, 2), (1, 1))
    )
    return np.asarray(0.5 * (yy + xx) + np.hypot(0.5 * (yy - xx), xy))


def grooves(scan: Scan, scale: float = 1.5) -> BoolArray:
    """(rows, columns) where the image shows a valley between grains.

    :func:`groove_depth` above Otsu's threshold of its positive part.
    """
    depth = groove_depth(scan, scale)
    positive = depth[depth > 0]
    if positive.size == 0 or np.ptp(positive) == 0:
        return np.zeros(scan.shape, bool)
    least = float(threshold_otsu(positive))  # type: ignore[no-untyped-call]
    return np.asarray(depth > least)
