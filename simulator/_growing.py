"""Tables that only grow, for logs that are asked for after every measurement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Growing:
    """Rows (n, columns) that are added at the end and never change."""

    def __init__(self, columns: int, dtype: type[np.generic] = np.float64) -> None:
        self._room = np.empty((64, columns), dtype)
        self._used = 0

    def add(self, rows: NDArray[np.generic]) -> None:
        """Add rows (k, columns); k may be 0."""
        end = self._used + len(rows)
        if end > len(self._room):
            more = np.empty((2 * end, self._room.shape[1]), self._room.dtype)
            more[: self._used] = self.rows
            self._room = more
        self._room[self._used : end] = rows
        self._used = end

    @property
    def rows(self) -> NDArray[np.generic]:
        """All rows so far; what is added later does not change them."""
        return self._room[: self._used]
