"""The structure of a label map: its boundaries, vertices, distances and tables."""

import numpy as np
from numpy.typing import NDArray

from grainscout.microstructure.distance import nearest_point
from grainscout.microstructure.structure import (
    BOUNDARY_DTYPE,
    GRAIN_DTYPE,
    Structure,
    neighbours,
    touches_another,
)
from grainscout.records import FloatArray, IntArray


def structure_of(
    labels: NDArray[np.int32],
    height: FloatArray,
    pixel_size: tuple[float, float],
    asymmetry: tuple[FloatArray, FloatArray] | None = None,
) -> Structure:
    """The structure of a label map over a levelled surface.

    Boundaries run along the edges between pixels of two labels. Vertices are the pixel corners at
    which three or four labels meet.

    Parameters
    ----------
    labels : (rows, columns) array of int32
        Grain of each pixel, 0 .. n-1.
    height : (rows, columns) array of float
        Levelled topography [m].
    pixel_size : (row step, column step)
        Pixel size [m].
    asymmetry : two (rows, columns) arrays of float, optional
        How asymmetric the nearest boundary is, 0 .. 1, and the same with its side. A boundary has
        the mean of the pixels that touch it. Default: all are symmetric.
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
    boundaries["smooth_side"] = -1

    distance, at = nearest_point(points * step, labels.shape, pixel_size)
    touching = touches_another(labels)
    boundary_id = np.full(labels.shape, -1, np.int32)
    signed = np.zeros(labels.shape)
    if len(points):
        boundary_id[...] = crack_id.ravel()[at]
    if len(points) and asymmetry is not None:
        near, first = boundary_id[touching], boundaries["first"][boundary_id] == labels
        side = np.where(first, 1.0, -1.0)
        size, towards = (
            np.bincount(near, values[touching], len(boundaries))
            / np.maximum(np.bincount(near, minlength=len(boundaries)), 1)
            for values in (asymmetry[0], asymmetry[1] * side)
        )
        boundaries["strength"], boundaries["asymmetric"] = size, size >= 0.5
        smooth = np.where(towards > 0, boundaries["first"], boundaries["second"])
        boundaries["smooth_side"] = np.where(size > 0, smooth, -1)
        signed = side * (np.sign(towards) * size)[boundary_id]

    vertices = _vertices(labels)
    junction, _ = nearest_point(vertices[:, :2] * step, labels.shape, pixel_size)
    return Structure(
        labels=labels,
        boundary_id=boundary_id,
        boundary=touching,
        boundary_distance=distance,
        junction_distance=junction,
        asymmetry=signed,
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
