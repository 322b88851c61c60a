"""A `Structure` from an image: its label map and heights alone.

Boundaries run along the edges between pixels of two labels.  Vertices are the pixel corners at
which three or four labels meet.  A boundary's asymmetry compares the widths of its two flanks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from grainscout.microstructure.distance import nearest_point
from grainscout.microstructure.segmentation import find_grains, has_relief, level, noise_of
from grainscout.microstructure.spec import LARGEST, PATCH, SegmentationSpec
from grainscout.microstructure.structure import (
    BOUNDARY_DTYPE,
    GRAIN_DTYPE,
    Structure,
    neighbours,
    touches_another,
)
from grainscout.records import ConfigError, DataError
from grainscout.records.arrays import BoolArray, FloatArray, IntArray

NM = 1e-9


def checked_image(
    height: ArrayLike, pixel_size: float | tuple[float, float]
) -> tuple[FloatArray, tuple[float, float]]:
    """A measured image as float64 and its pixel steps as a pair.

    Parameters
    ----------
    height : (rows, columns) array of numbers
        Topography [m].
    pixel_size : float or (row step, column step)
        Pixel size [m].

    Raises
    ------
    DataError
        If the image is unusable.
    ConfigError
        If the pixel size is.
    """
    try:
        given = np.asarray(height)
    except ValueError as error:
        raise DataError(f"topography height must be an image of numbers [m]: {error}") from error
    if given.dtype.kind not in "fiu":
        raise DataError(
            f"topography height must be numbers [m]; got an array of {given.dtype}. Convert it first"
        )
    image = np.array(given, dtype=np.float64)
    if image.ndim != 2 or min(image.shape, default=0) < PATCH or max(image.shape) > LARGEST:
        raise DataError(
            f"topography height must be an image of {PATCH} .. {LARGEST} pixels on each side; got "
            f"shape {image.shape}"
        )
    bad = int((~np.isfinite(image)).sum())
    if bad:
        raise DataError(
            f"topography height must be finite [m]; {bad} of {image.size} pixels are NaN or "
            "infinite. Crop or inpaint them first"
        )
    if float(np.ptp(image)) == 0.0:
        raise DataError("topography height must vary [m]; every pixel is the same")
    steps = np.broadcast_to(np.asarray(pixel_size, dtype=np.float64), (2,))
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ConfigError(f"topography pixel_size must be positive [m]; got {pixel_size}")
    if not ((steps >= 1e-11) & (steps <= 1e-4)).all():
        raise ConfigError(
            f"topography pixel_size must be 1e-11 .. 1e-4 m; got {pixel_size}. Is it in metres?"
        )
    if float(np.ptp(image)) > 1e-4:
        raise DataError(
            f"topography height must span at most 1e-4 m; got {float(np.ptp(image)):g}. Is it in "
            "metres?"
        )
    return image, (float(steps[0]), float(steps[1]))


def checked_extent(
    shape: tuple[int, int], pixel_size: tuple[float, float], spec: SegmentationSpec
) -> None:
    """Refuse an image that is smaller than the smallest grain looked for (DataError)."""
    rows, columns = (n * step / NM for n, step in zip(shape, pixel_size, strict=True))
    if min(rows, columns) < spec.smallest_nm:
        raise DataError(
            f"topography must be larger than the smallest grain, {spec.smallest_nm:g} nm; got "
            f"{rows:g} x {columns:g} nm. Give its true pixel size (pixel_nm), or a smaller "
            "segmentation smallest_nm and scale_nm"
        )


def checked_relief(structure: Structure, image: FloatArray) -> None:
    """DataError if levelling left only rounding of an image (rows, columns) [m]."""
    if not has_relief(structure.height, image):
        raise DataError(
            "topography height must have relief left after levelling; got "
            f"{np.ptp(structure.height):.2g} m, which is rounding. The image is a plane or line "
            "offsets alone: switch off level_plane or level_lines if those are what you want"
        )


def find_structure(
    image: FloatArray,
    pixel_size: tuple[float, float],
    spec: SegmentationSpec,
    grains: NDArray[np.integer[Any]] | None = None,
) -> Structure:
    """Grains, boundaries and junctions that an image shows.

    Parameters
    ----------
    image : (rows, columns) array of float
        Topography [m].
    pixel_size : (row step, column step)
        Pixel size [m].
    spec : SegmentationSpec
        Settings.
    grains : (rows, columns) array of int, optional
        Grain of each pixel, 0 .. n-1, where a person knows them.

    Returns
    -------
    Structure
        Its height is the levelled image. An image without relief, or in which nothing stands out
        of its noise, is one grain.
    """
    height = level(image, spec)
    pixel = (pixel_size[0] / NM, pixel_size[1] / NM)
    labels = np.zeros(image.shape, np.int32)
    if grains is not None:
        labels = np.asarray(grains, np.int32)
    elif has_relief(height, image):
        labels = find_grains(height, pixel, spec)
    return structure_of(labels, height, pixel_size, spec)


def structure_of(
    labels: NDArray[np.int32],
    height: FloatArray,
    pixel_size: tuple[float, float],
    spec: SegmentationSpec,
) -> Structure:
    """The structure of a label map over a levelled surface.

    Parameters
    ----------
    labels : (rows, columns) array of int32
        Grain of each pixel, 0 .. n-1.
    height : (rows, columns) array of float
        Levelled topography [m].
    pixel_size : (row step, column step)
        Pixel size [m].
    spec : SegmentationSpec
        How flanks are compared.
    """
    step = np.array(pixel_size)
    points, pairs = _cracks(labels)
    table_pairs, crack_id = np.unique(pairs, axis=0, return_inverse=True)
    boundaries = np.zeros(len(table_pairs), BOUNDARY_DTYPE)
    boundaries["first"], boundaries["second"] = table_pairs.T
    # Cracks along the rows' and the columns' direction are the two legs of a staircase.
    between_rows = points[:, 0] % 1 != 0
    legs = [
        np.bincount(crack_id.ravel(), long, len(boundaries))
        for long in (between_rows * step[1], ~between_rows * step[0])
    ]
    boundaries["length"] = np.hypot(*legs)

    distance, at = nearest_point(points * step, labels.shape, pixel_size)
    boundary_id = np.full(labels.shape, -1, np.int32)
    asymmetry = np.zeros(labels.shape)
    if len(points):
        boundary_id[...] = crack_id.ravel()[at]
        _compare_flanks(boundaries, labels, boundary_id, distance, height, pixel_size, spec)
        strength = boundaries["strength"][boundary_id]
        asymmetry = np.where(boundaries["smooth_side"][boundary_id] == labels, strength, -strength)

    vertices = _vertices(labels)
    junction, _ = nearest_point(vertices[:, :2] * step, labels.shape, pixel_size)
    return Structure(
        labels=labels,
        boundary_id=boundary_id,
        boundary=touches_another(labels),
        boundary_distance=distance,
        junction_distance=junction,
        asymmetry=asymmetry,
        height=height,
        pixel_size=pixel_size,
        grains=_grain_table(labels, height, step),
        boundaries=boundaries,
        vertices=vertices,
    )


def _cracks(labels: NDArray[np.int32]) -> tuple[FloatArray, IntArray]:
    """Midpoints (k, 2) [pixels] of the pixel edges between two labels, and the labels, sorted."""
    points, pairs = [], []
    for (low, high), middle in zip(neighbours(labels), ([0.5, 0.0], [0.0, 0.5]), strict=True):
        pairs.append(np.column_stack([low[low != high], high[low != high]]))
        points.append(np.argwhere(low != high) + middle)
    return np.concatenate(points), np.sort(np.concatenate(pairs), axis=1).astype(np.int64)


def _vertices(labels: NDArray[np.int32]) -> FloatArray:
    """(k, 3) row, column and degree of the pixel corners at which three or four labels meet."""
    block = np.sort(
        np.stack([labels[:-1, :-1], labels[:-1, 1:], labels[1:, :-1], labels[1:, 1:]], -1), axis=-1
    )
    degree = 1 + (np.diff(block, axis=-1) != 0).sum(-1)
    at = np.argwhere(degree >= 3)
    return np.column_stack([at + 0.5, degree[degree >= 3]]).astype(np.float64)


def _compare_flanks(
    boundaries: NDArray[np.void],
    labels: NDArray[np.int32],
    boundary_id: NDArray[np.int32],
    distance: FloatArray,
    height: FloatArray,
    pixel_size: tuple[float, float],
    spec: SegmentationSpec,
) -> None:
    """Fill in depth, widths and asymmetry from mean profiles on either side.

    A flank's width is the distance over which half of its rise is gained. Unlike a slope it does
    not depend on the height of its grain.
    """
    bin_size = max(pixel_size)
    bins = max(4, round(spec.flank_nm * NM / bin_size))
    smooth = gaussian_filter(height, 0.5, mode="nearest")
    side = (boundaries["second"][boundary_id] == labels).astype(np.int64)
    at = np.minimum(distance / bin_size, bins).astype(np.int64)
    used = (at < bins) & ((side == 1) | (boundaries["first"][boundary_id] == labels))
    key = ((2 * boundary_id.astype(np.int64) + side) * bins + at)[used]
    n = 2 * bins * len(boundaries)
    count = np.bincount(key, minlength=n)
    mean = np.bincount(key, smooth[used], n) / np.maximum(count, 1)
    noise, _ = noise_of(height)
    flanks = [
        _half_rise(profile, seen, 3.0 * noise)
        for profile, seen in zip(mean.reshape(-1, bins), count.reshape(-1, bins) >= 2, strict=True)
    ]
    rise, width = np.array(flanks).reshape(-1, 2, 2).transpose(2, 0, 1)
    width = width * bin_size

    both = (rise > 0).all(1)
    boundaries["depth"] = np.where(both, rise.min(1), 0.0)
    boundaries["width_first"], boundaries["width_second"] = width.T
    ratio = np.ones(len(boundaries))
    ratio[both] = width[both, 0] / width[both, 1]
    strength = np.abs(np.log(ratio)) / np.log(spec.asymmetric_ratio)
    strength = np.where(strength >= 0.5, np.minimum(strength, 1.0), 0.0)
    boundaries["strength"] = strength
    boundaries["asymmetric"] = strength > 0
    wide = np.where(ratio > 1, boundaries["first"], boundaries["second"])
    boundaries["smooth_side"] = np.where(strength > 0, wide, -1)


def _half_rise(profile: FloatArray, seen: BoolArray, least: float) -> tuple[float, float]:
    """Rise of a profile above its first bin, and the distance [bins] at half of it; 0, 0 if unclear."""
    if not seen[0] or seen.sum() < 3:
        return 0.0, 0.0
    where, z = np.flatnonzero(seen) + 0.5, profile[seen]
    rise = float(z.max() - z[0])
    if rise <= least:
        return 0.0, 0.0
    after = int(np.argmax(z >= z[0] + 0.5 * rise))
    share = (z[0] + 0.5 * rise - z[after - 1]) / (z[after] - z[after - 1])
    return rise, float(where[after - 1] + share * (where[after] - where[after - 1]))


def _grain_table(
    labels: NDArray[np.int32], height: FloatArray, step: FloatArray
) -> NDArray[np.void]:
    """Centres, areas, and the plane that fits each grain best (its tilt and middle height)."""
    n = int(labels.max()) + 1
    flat = labels.ravel()
    grains = np.zeros(n, GRAIN_DTYPE)
    count = np.bincount(flat, minlength=n)
    grains["area"] = count * step.prod()
    rows, columns = np.indices(labels.shape).reshape(2, -1).astype(np.float64)
    z = height.ravel()

    def mean(values: FloatArray) -> FloatArray:
        average: FloatArray = np.bincount(flat, values, n) / count
        return average

    grains["row"], grains["column"], grains["plateau"] = mean(rows), mean(columns), mean(z)
    y = (rows - grains["row"][flat]) * step[0]
    x = (columns - grains["column"][flat]) * step[1]
    yy, xx, xy, yz, xz = mean(y * y), mean(x * x), mean(x * y), mean(y * z), mean(x * z)
    determinant = yy * xx - xy**2
    solvable = determinant > 1e-6 * (yy * xx)
    safe = np.where(solvable, determinant, 1.0)
    grains["tilt_row"] = np.where(solvable, (xx * yz - xy * xz) / safe, 0.0)
    grains["tilt_column"] = np.where(solvable, (yy * xz - xy * yz) / safe, 0.0)
    at_rim = np.zeros(n, bool)
    at_rim[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    grains["interior"] = ~at_rim
    return grains
