"""Images by a drifting tip, line by line."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from grainscout.records.arrays import FloatArray, IntArray


def shifted(image: FloatArray, offsets: FloatArray) -> FloatArray:
    """Image whose row i is displaced by offsets[i] [pixels].

    Linear between pixels, mirrored beyond the edges.
    """
    rows, columns = image.shape
    at_row = np.arange(rows)[:, np.newaxis] + offsets[:, :1] + np.zeros(columns)
    at_column = np.arange(columns)[np.newaxis, :] + offsets[:, 1:]
    return np.asarray(map_coordinates(image, [at_row, at_column], order=1, mode="reflect"))


def mirrored(index: IntArray, size: int) -> IntArray:
    """Pixel that mirrors at both edges show."""
    folded = index % (2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)
