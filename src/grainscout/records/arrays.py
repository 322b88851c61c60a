"""Types of arrays, one name each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
#: Single or double precision.
AnyFloatArray = NDArray[np.floating[Any]]
