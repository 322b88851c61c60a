"""Images by a drifting tip, line by line."""

import numpy as np
from scipy.ndimage import map_coordinates

from grainscout.records.arrays import FloatArray, IntArray


def shifted(
    image: FloatArray,
    offsets: FloatArray,
    start: tuple[int, int] = (0, 0),
    columns: int | None = None,
) -> FloatArray:
    """Rows from `start` on, `columns` wide, displaced by offsets [pixels]; mirrored beyond the edges."""
    wide = image.shape[1] if columns is None else columns
    at_row = start[0] + np.arange(len(offsets))[:, np.newaxis] + offsets[:, :1] + np.zeros(wide)
    at_column = start[1] + np.arange(wide)[np.newaxis, :] + offsets[:, 1:]
    return np.asarray(map_coordinates(image, [at_row, at_column], order=1, mode="reflect"))


def mirrored(index: IntArray, size: int) -> IntArray:
    """Pixel that mirrors at both edges show."""
    folded = index % (2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)
