"""What the pretrained surrogate is told of each pixel: the reading of its structure, and the relief."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from grainscout.policies.models.features import feature_table
from grainscout.records import Scan
from grainscout.records.arrays import FloatArray, IntArray

#: Readings that are used, those whose uncertainty is, and those that are also used smoothed, for a
#: tip that has drifted lands beside its site.
READ = ("boundary", "junction", "club", "heart", "diamond", "strength", "contact")
DOUBTED = ("boundary", "junction", "diamond", "strength")
SMOOTHED = ("boundary", "junction", "diamond", "contact")
_SMOOTH = 1.2  # [pixels]
_SEED = 0.25  # smoothed proximity below which a pixel is certainly inside a grain
_LEAST = 6  # pixels of the smallest grain
_UNIT = 100e-9  # of places [m]
_FLOOR = 1e-12  # current that an image is taken to resolve [A]


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """Inputs (pixels, d), and what ties pixels together: grain, boundary (pixels,), place (pixels, 2)."""

    x: NDArray[np.float32]
    grain: IntArray
    boundary: IntArray
    place: FloatArray


def make_inputs(
    scan: Scan, maps: Mapping[str, FloatArray], sd: Mapping[str, FloatArray], *, current: bool
) -> Inputs:
    """Inputs of every pixel from the reading of a scan, with those of its current image if asked."""
    pixel = float(np.sqrt(scan.pixel_size[0] * scan.pixel_size[1]))
    columns = [maps[name] for name in READ]
    columns += [np.log(maps[name] + 0.01) for name in ("boundary", "junction", "diamond")]
    columns += [sd[name] for name in DOUBTED]
    columns += [ndimage.gaussian_filter(maps[name], _SMOOTH, mode="mirror") for name in SMOOTHED]
    grain, boundary, depth = grains_of(maps["boundary"], scan.channels.get("grains"))
    size = np.bincount(grain.ravel())[grain]
    columns += [np.log1p(depth), np.log(size * pixel**2 / _UNIT**2)]
    columns.append(np.full(scan.shape, np.log(pixel / 20e-9)))
    if current:
        columns += _current_features(scan.channel("current"))
    # As in training, whatever the image is: one image, and the current where the network knows it.
    shown = {
        n: scan.channels[n]
        for n in ("grains", *(["current"] if current else []))
        if n in scan.channels
    }
    alike = replace(scan, channels={"height": scan.image, **shown}, units={})
    relief = feature_table(alike, kind="structure", flat=True)
    stacked = np.stack([np.asarray(c, np.float32).ravel() for c in columns], axis=1)
    rows, cols = np.indices(scan.shape)
    steps = np.array(scan.pixel_size) / _UNIT
    place = np.column_stack([rows.ravel(), cols.ravel()]).astype(np.float64) * steps
    return Inputs(
        x=np.hstack([stacked, 4.0 * relief]),
        grain=grain.ravel(),
        boundary=boundary.ravel(),
        place=place,
    )


def grains_of(
    proximity: FloatArray, own: FloatArray | None = None
) -> tuple[IntArray, IntArray, FloatArray]:
    """Grain and nearest boundary of each pixel, and the distance to it [pixels].

    Basins of the proximity to boundaries, or a person's `own` grains. A boundary's number is made
    of those of its two grains.
    """
    if own is None:
        smooth = ndimage.gaussian_filter(proximity, 0.7)
        seeds, count = ndimage.label(smooth < _SEED)
        size = np.bincount(seeds.ravel(), minlength=count + 1)
        seeds[size[seeds] < _LEAST] = 0
        if not seeds.any():
            seeds += 1
        label = watershed(smooth, seeds)
    else:
        label = own
    label = np.unique(label, return_inverse=True)[1].reshape(proximity.shape).astype(np.int64)
    edge, other = np.zeros(label.shape, bool), label.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            near = _shifted(label, step, axis)
            other = np.where(other == label, near, other)
            edge |= near != label
    if not edge.any():
        return label, label * 0, np.full(label.shape, float(sum(label.shape)))
    depth, at = ndimage.distance_transform_edt(~edge, return_indices=True)
    a, b = label[tuple(at)], other[tuple(at)]
    pair = np.minimum(a, b) * (label.max() + 1) + np.maximum(a, b)
    return label, np.unique(pair, return_inverse=True)[1].reshape(label.shape), depth


def _shifted(label: IntArray, step: int, axis: int) -> IntArray:
    """Neighbour's value of each pixel, its own at the edge."""
    index = np.clip(np.arange(label.shape[axis]) + step, 0, label.shape[axis] - 1)
    return np.take(label, index, axis=axis)


def _current_features(image: FloatArray) -> list[FloatArray]:
    """The logarithm of a current image, robustly scaled, at several widths."""
    log = np.log10(np.abs(np.nan_to_num(image)) + _FLOOR)
    middle = np.median(log)
    log = np.clip((log - middle) / (0.05 + 1.4826 * np.median(np.abs(log - middle))), -12.0, 6.0)
    fine, mid, coarse = (ndimage.gaussian_filter(log, s, mode="mirror") for s in (1.0, 2.0, 5.0))
    return [0.5 * c for c in (log, fine, mid, coarse, log - fine, fine - mid)]
