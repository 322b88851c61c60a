"""Sites on a film."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.records import DataError


def rows_and_columns(
    sites: NDArray[np.integer[Any]], shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows and columns of (n, 2) sites on a film. DataError if one is not on it."""
    array = np.asarray(sites)
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            "film sites must be an (n, 2) integer array of rows and columns; got "
            f"{array.dtype} of shape {array.shape}"
        )
    off = (array < 0).any(1) | (array >= shape).any(1)
    if off.any():
        raise DataError(
            f"film sites must lie on the {shape[0]} x {shape[1]} film; got "
            f"{tuple(int(v) for v in array[off][0])} ({int(off.sum())} such sites)"
        )
    return array[:, 0], array[:, 1]
