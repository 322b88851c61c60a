"""Tables for states that are asked for after every measurement: nothing is made anew that did not change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Growing:
    """Rows (n, columns), added at the end."""

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


class ByPixel:
    """Values of pixels, kept as the table of them: (n, 2 + values), in the order of their first visits."""

    def __init__(
        self, values: int, dtype: type[np.generic] = np.float64, table: NDArray[Any] | None = None
    ) -> None:
        self._table = Growing(2 + values, dtype)
        self._row: dict[tuple[int, int], int] = {}
        if table is not None:
            self._table.add(table)
            self._row = {(int(r), int(c)): k for k, (r, c) in enumerate(table[:, :2].tolist())}

    def get(self, pixel: tuple[int, int]) -> list[Any] | None:
        """The values of a pixel, None if it has none."""
        row = self._row.get((pixel[0], pixel[1]))
        if row is None:
            return None
        found: list[Any] = self._table.rows[row, 2:].tolist()
        return found

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
