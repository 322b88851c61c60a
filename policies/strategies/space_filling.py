"""Sites that fill the plane, or another space, whatever was measured."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from grainscout.policies.base import CandidatePolicy, Selection, nearest_sites
from grainscout.records import AnyFloatArray, FloatArray, IntArray, PackedState


@dataclass(kw_only=True)
class Sobol(CandidatePolicy):
    """A scrambled Sobol' sequence over the candidates' extent, moved to the nearest available sites.

    Owen-scrambled with the generator of ``reset``, so that other seeds give other sequences.
    """

    _carried: ClassVar[tuple[str, ...]] = ("_seed", "_used")

    def _begin(self) -> None:
        self._seed = int(self.rng.integers(2**63))
        self._used = 0

    def _choose(self, n: int, available: IntArray) -> Selection:
        from scipy.stats import qmc  # scipy.stats alone takes half a second

        sequence = qmc.Sobol(2, scramble=True, seed=np.random.default_rng(self._seed))
        if self._used:
            sequence.fast_forward(self._used)
        self._used += n
        # One by one: scipy warns of a first draw whose size is not a power of two.
        points = np.concatenate([sequence.random(1) for _ in range(n)])
        return Selection(index=nearest_sites(self.problem.candidates, available, points))


@dataclass(kw_only=True)
class FarthestPoint(CandidatePolicy):
    """Always the site farthest from every measured and pending one, the first at random.

    The greedy k-centre rule (Gonzalez 1985): at every step the largest distance of a candidate to
    the nearest measured site is at most twice the smallest that is possible with as many sites.
    Distances are in the plane [m].
    """

    def _coordinates(self, sites: IntArray) -> AnyFloatArray:
        """(k, d) coordinates of (k, 2) sites in the space to be filled."""
        return self.problem.scan.positions(sites)

    def _begin(self) -> None:
        self._forget()

    def restore(self, state: PackedState) -> None:
        """Continue from `state`. The distances follow from the observations."""
        super().restore(state)
        self._forget()

    def _forget(self) -> None:
        self._gap: FloatArray | None = None
        self._seen: set[tuple[int, ...]] = set()

    def _choose(self, n: int, available: IntArray) -> Selection:
        gap = self.gaps()
        chosen, scores = [], []
        for _ in range(n):
            best = gap[available].max()
            tied = available[gap[available] == best]
            index = int(tied[0] if len(tied) == 1 else self.rng.choice(tied))
            chosen.append(index)
            scores.append(best)
            np.minimum(gap, self._distances(self.problem.candidates[index]), out=gap)
            available = available[available != index]
        return Selection(index=np.array(chosen, np.int64), scores={"distance": np.array(scores)})

    def gaps(self) -> FloatArray:
        """(n_candidates,) distance to the nearest measured or pending site, infinite before any.

        The minimum does not depend on the order of the sites, so neither does the policy.
        """
        if self._gap is None:
            self._points = self._coordinates(self.problem.candidates)
            self._gap = np.full(len(self._points), np.inf)
        for site in set(map(tuple, self.observations.sites.tolist())) - self._seen:
            np.minimum(self._gap, self._distances(np.array(site)), out=self._gap)
            self._seen.add(site)
        gap = self._gap.copy()
        for index in np.flatnonzero(self.history.pending):
            np.minimum(gap, self._distances(self.problem.candidates[index]), out=gap)
        return gap

    def _distances(self, site: IntArray) -> FloatArray:
        """(n_candidates,) distance from one (2,) site."""
        step = self._points - self._coordinates(site[None])
        distance: FloatArray = np.sqrt(np.einsum("ij,ij->i", step, step, dtype=np.float64))
        return distance
