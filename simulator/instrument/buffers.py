"""Append-only tables for microscope state.

Saving the state after each measurement is cheap with them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class AppendBuffer:
    """Rows (n, columns), added at the end."""

    def __init__(self, columns: int, dtype: type[np.generic] = np.float64) -> None:
        self._space = np.empty((64, columns), dtype)
        self._used = 0

    def add(self, rows: NDArray[np.generic]) -> None:
        """Add rows (k, columns), where k may be 0."""
        end = self._used + len(rows)
        if end > len(self._space):
            more = np.empty((2 * end, self._space.shape[1]), self._space.dtype)
            more[: self._used] = self.rows
            self._space = more
        self._space[self._used : end] = rows
        self._used = end

    @property
    def rows(self) -> NDArray[np.generic]:
        """All rows so far. Later rows leave them unchanged."""
        return self._space[: self._used]


class PixelTable:
    """Values of pixels, rows in order of first visits."""

    def __init__(
        self, values: int, dtype: type[np.generic] = np.float64, table: NDArray[Any] | None = None
    ) -> None:
        self._table = AppendBuffer(2 + values, dtype)
        self._row: dict[tuple[int, int], int] = {}
        if table is not None:
            self._table.add(table)
            self._row = {(int(r), int(c)): k for k, (r, c) in enumerate(table[:, :2].tolist())}

    def get(self, pixel: tuple[int, int]) -> list[Any] | None:
        """The values of a pixel, or None."""
        row = self._row.get((pixel[0], pixel[1]))
        if row is None:
            return None
        values: list[Any] = self._table.rows[row, 2:].tolist()
        return values

    def put(self, pixel: tuple[int, int], *values: float) -> None:
        """Set the values of a pixel."""
        key = (pixel[0], pixel[1])
        new = np.array([[*key, *values]], self._table.rows.dtype)
        if key in self._row:
            self._table.rows[self._row[key]] = new[0]
        else:
            self._row[key] = len(self._row)
            self._table.add(new)

    @property
    def table(self) -> NDArray[Any]:
        """A copy of all rows (row, column, values)."""
        return self._table.rows.copy()
