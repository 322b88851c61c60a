"""Distances from pixels to boundary lines and junctions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from grainscout.records import BoolArray, FloatArray, IntArray

_CHUNK = 1 << 18  # pixels handled at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """Polylines, one after another.

    `points` (n, 2) are rows and columns in any unit, `line` (n,) is the line of each point, and
    `last` (n,) is True at the last point of each line.
    """

    points: FloatArray
    line: IntArray
    last: BoolArray


def chunks(shape: tuple[int, int]) -> Iterator[slice]:
    """Row ranges of at most `_CHUNK` pixels, from the top."""
    step = max(1, _CHUNK // shape[1])
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def pixel_points(rows: slice, columns: int, pixel: tuple[float, float]) -> FloatArray:
    """Centres (n, 2) of the pixels of some rows, in the unit of `pixel`."""
    y, x = np.arange(rows.start, rows.stop) * pixel[0], np.arange(columns) * pixel[1]
    return np.stack(np.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2)


def nearest_line(
    lines: Lines, shape: tuple[int, int], pixel: tuple[float, float]
) -> tuple[FloatArray, IntArray]:
    """Distance of every pixel to the nearest line's segments, and the line."""
    distance, which = np.empty(shape), np.empty(shape, np.int64)
    tree = cKDTree(lines.points)
    for rows in chunks(shape):
        points = pixel_points(rows, shape[1], pixel)
        query = tree.query(points)
        best, at = np.asarray(query[0]), np.asarray(query[1])
        # The nearest segment begins or ends at the nearest point.
        for start in (np.maximum(at - 1, 0), np.minimum(at, len(lines.points) - 2)):
            a, b = lines.points[start], lines.points[start + 1]
            along, gap = b - a, points - a
            square = np.maximum((along**2).sum(1), 1e-300)
            share = np.clip((gap * along).sum(1) / square, 0.0, 1.0)
            foot = gap - share[:, None] * along
            away = np.hypot(foot[:, 0], foot[:, 1])
            best = np.where(lines.last[start], best, np.minimum(best, away))
        distance[rows] = best.reshape(-1, shape[1])
        which[rows] = lines.line[at].reshape(-1, shape[1])
    return distance, which


def nearest_point(
    points: FloatArray, shape: tuple[int, int], pixel: tuple[float, float]
) -> tuple[FloatArray, IntArray]:
    """Distance of every pixel to the nearest point, and its number; infinite and 0 for none."""
    distance, which = np.full(shape, np.inf), np.zeros(shape, np.int64)
    if len(points):
        tree = cKDTree(points)
        for rows in chunks(shape):
            query = tree.query(pixel_points(rows, shape[1], pixel))
            distance[rows] = np.reshape(query[0], (-1, shape[1]))
            which[rows] = np.reshape(query[1], (-1, shape[1]))
    return distance, which
