"""A regular grid of sites, in raster or serpentine order, as in a force-volume map."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from grainscout.policies.base import CandidatePolicy, Selection, nearest_sites
from grainscout.policies.validation import option
from grainscout.records import IntArray


@dataclass(kw_only=True)
class Grid(CandidatePolicy):
    """About `points` sites on a regular grid over the candidates, then the sites in between."""

    #: ``"serpentine"`` runs every other line backwards, without a fly-back.
    order: str = option("serpentine", choices=("serpentine", "raster"))
    #: Grid points of the first pass. 0 takes the budget's number of curves. The grid has lines and
    #: columns in the ratio of the candidates' extent. Each further pass halves the step.
    points: int = option(0)

    uses_budget: ClassVar[bool] = True
    _carried: ClassVar[tuple[str, ...]] = ("_pass", "_route")

    def _begin(self) -> None:
        self._pass = 0
        self._route = self._visits(0)

    def _choose(self, n: int, available: IntArray) -> Selection:
        chosen: list[int] = []
        usable = np.zeros(len(self.problem.candidates), bool)
        usable[available] = True
        while len(chosen) < n:
            ahead = self._route[usable[self._route]]
            take = ahead[: n - len(chosen)]
            chosen += take.tolist()
            usable[take] = False
            if len(chosen) < n:
                self._pass += 1
                self._route = self._visits(self._pass)
        return Selection(index=np.array(chosen, np.int64))

    def _visits(self, level: int) -> IntArray:
        """Candidates of the grid of that level, in the order of the visits."""
        sites = self.problem.candidates
        extent = np.ptp(sites, axis=0) + 1
        wanted = self.points or self.problem.budget.curves or len(sites)
        counts = grid_shape(min(wanted, len(sites)) * 4**level, (int(extent[0]), int(extent[1])))
        if counts == tuple(extent):
            order = np.lexsort((sites[:, 1], sites[:, 0]))
            return self._turned(order, sites[order, 0])
        rows = (np.arange(counts[0]) + 0.5) / counts[0]
        columns = (np.arange(counts[1]) + 0.5) / counts[1]
        points = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
        points = points[: len(sites)]
        every = np.arange(len(sites))
        line = np.repeat(np.arange(counts[0]), counts[1])[: len(points)]
        return self._turned(nearest_sites(sites, every, points), line)

    def _turned(self, order: IntArray, line: IntArray) -> IntArray:
        """The visits with every second line backwards, if the order is serpentine."""
        if self.order == "raster":
            return order
        lines = np.split(order, np.flatnonzero(np.diff(line)) + 1)
        return np.concatenate([part[:: -1 if k % 2 else 1] for k, part in enumerate(lines)])


def grid_shape(points: int, extent: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns, at most `points` altogether and at most `extent`, of a nearly square mesh."""
    rows = round(np.sqrt(points * extent[0] / extent[1]))
    rows = min(max(rows, 1), extent[0], points)
    return rows, min(max(points // rows, 1), extent[1])
