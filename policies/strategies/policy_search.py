"""A linear score of the candidates, whose weights were searched for over whole runs."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from grainscout.policies.base import SeededPolicy, Selection
from grainscout.policies.models.features import feature_table
from grainscout.policies.validation import check_number
from grainscout.records import ConfigError, FloatArray, IntArray

#: What ``search_weights(TaskEnv(task, goal="discovery"), generations=20, films=3, seed=0)`` found on the
#: task of docs/manual/learners.md, to two digits.
FOUND = (
    1.84, 0.47, 0.57, 0.81, 1.03, 0.73, -0.4, 1.6, -0.09, -0.71, -0.22, 0.59, -1.69, 0.99, 0.81, -0.64,
    -0.29, 0.28, 1.04, 0.77, 2.07, -0.82, 1.07, 0.26, 1.51, 0.45, 0.81, 0.71,
)  # fmt: skip
#: Columns of the score: the looks of a site, and what the run adds, also times the spent budget.
LOOKS, KNOWN = 20, 4
WEIGHTS = LOOKS + 2 * KNOWN


@dataclass(kw_only=True)
class PolicySearch(SeededPolicy):
    """The candidate with the largest linear score, by weights that were searched for.

    A site's looks are the 20 jets of its surroundings. What a run knows of it are the distances to
    the nearest measured site among looks and in the plane, and how unlike all others the curve of
    the site of nearest looks was, and its target. All are standardised over the candidates.
    """

    #: 28 weights, of the looks, of what is known, and of the latter times the spent share of the
    #: budget: `grainscout.benchmarks.learners.search_weights`.
    weights: tuple[float, ...] = FOUND
    seed_points: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.weights = tuple(self.weights)  # a file has lists
        if len(self.weights) != WEIGHTS:
            raise ConfigError(f"weights must be {WEIGHTS} numbers; got {len(self.weights)}")
        for k, weight in enumerate(self.weights):
            check_number(f"weights[{k}]", weight)

    def _begin(self) -> None:
        scan = self.problem.scan
        table = feature_table(scan, kind="jets", channels=(scan.image_name,), flat=True)
        self._looks = _standard(table.astype(np.float64))

    def _choose(self, n: int, available: IntArray) -> Selection:
        chosen: list[int] = []
        for _ in range(n):
            left = np.setdiff1d(available, chosen)
            score = self._table(left, chosen) @ np.array(self.weights)
            chosen.append(int(left[score.argmax()]))
        return Selection(index=np.array(chosen, np.int64))

    def _table(self, left: IntArray, chosen: list[int]) -> FloatArray:
        scan, sites, seen = self.problem.scan, self.problem.candidates, self.observations
        waiting = [*np.flatnonzero(self.history.pending), *chosen]
        here, there = sites[left], np.concatenate([seen.sites, sites[waiting]])
        looks = self._looks[scan.flat(here)]
        far = cdist(looks, self._looks[scan.flat(there)])
        apart = cdist(scan.positions(here), scan.positions(there))
        current = seen.current / (np.sqrt(np.mean(seen.current**2)) or 1.0)
        unlike = cdist(current, current) + np.diag(np.full(len(seen), np.inf))
        target = self.described().value
        valid = np.isfinite(target)
        target = np.where(valid, target, np.median(target[valid]) if valid.any() else 0.0)
        own = np.column_stack([unlike.min(1) if len(seen) > 1 else 0.0 * target, target])
        known = np.zeros((len(there), 2))  # 0, the average, for sites that wait for their curve
        known[: len(seen)] = _standard(own)
        gaps = np.column_stack([np.log(far.min(1)), np.log(apart.min(1))])
        told = _standard(np.hstack([gaps, known[far.argmin(1)]]))
        spent = len(self.history) / (self.problem.budget.curves or len(sites))
        return np.hstack([looks, told, spent * told])


def _standard(columns: FloatArray) -> FloatArray:
    spread = columns.std(0)
    standard: FloatArray = (columns - columns.mean(0)) / np.where(spread > 0, spread, 1.0)
    return standard
