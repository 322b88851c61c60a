"""Types of arrays, one name each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
#: Single or double precision.
AnyFloatArray = NDArray[np.floating[Any]]


def freeze(record: object, **arrays: NDArray[Any]) -> None:
    """Set read-only arrays as attributes of a frozen dataclass."""
    for name, array in arrays.items():
        array.setflags(write=False)
        object.__setattr__(record, name, array)
