"""The scout: examples of every archetype first, then the map of the target.

Whole curves are the observations. Each is assigned to its *archetype*: the loop shapes of Gong2026
where the sweep shows them, else the low end, the middle and the high end of the target. A Gaussian
process with one output an archetype predicts where each occurs. Its prior mean is that reported by
Gong2026 (clubs inside grains, hearts at boundaries and junctions, diamonds at asymmetric
boundaries), read from the image. Its kernel connects similar surroundings, near places and sites of
one grain boundary. Once all archetypes were seen often enough, the standard acquisition takes over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from grainscout.analysis.curves.archetypes import classification
from grainscout.microstructure.features import structure_features
from grainscout.policies.acquisition import Posterior
from grainscout.policies.models.features import coordinates
from grainscout.policies.models.kernels import squared_distances
from grainscout.policies.parts.roles import Maps, RunContext
from grainscout.policies.parts.standard import StandardAcquisition
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records.arrays import BoolArray, FloatArray, IntArray

_ARCHETYPES = ("club", "heart", "diamond")
_REACH = 1.5  # half-width of a boundary's and a junction's influence [pixels]
_WORTH = 0.03  # chance of a missing archetype below which `aim = "both"` goes on to the map
# Shares of the kernel's variance: surroundings, place, boundary; and the noise of an archetype.
_VARIANCES, _NOISE = (0.06, 0.01, 0.04), 0.02
_SURROUNDINGS, _PLACE = 0.5, 0.4  # lengths: of the features' spread, and in eighths of the image
_TAIL = 0.1  # share of the measured targets that counts as either end


@dataclass(frozen=True, kw_only=True, eq=False)
class _Layout:
    """Image of m pixels: features (m, d), place (m, 2), and the grain boundaries.

    boundary is the number (m,) of the nearest boundary, edge the nearness (m,) to it, 0 to 1, and
    prior the chance (m, 3) of each archetype before anything is measured.
    """

    features: NDArray[np.float32]
    place: NDArray[np.float32]
    boundary: IntArray
    edge: FloatArray
    prior: FloatArray


@dataclass(frozen=True, kw_only=True)
class Discovery(StandardAcquisition):
    """Examples of every archetype first, then the standard acquisition.

    Parameters
    ----------
    aim : {"both", "discovery", "mapping"}
        ``"mapping"`` is the acquisition from the start, ``"both"`` discovery until all archetypes
        were found or a missing one is unlikely everywhere, then mapping.
    examples : int
        Number of curves of each archetype that are wanted.
    apart : float
        Least distance between a new site and all measured ones during discovery [pixels], so that
        examples are independent.
    prior : {"published", "none"}
        Chance of the archetypes before the first curve: after Gong2026, or equal everywhere.
    curiosity : float
        Weight of the uncertainty of the chance of a missing archetype.
    """

    acquisition: str = "integrated-variance"
    aim: str = option("both", choices=("discovery", "mapping", "both"))
    examples: int = option(3, low=1)
    apart: float = option(3.0, low=0.0, unit="pixels")
    prior: str = option("published", choices=("published", "none"))
    curiosity: float = option(0.5, low=0.0)

    # ---- archetypes of the curves ---------------------------------------------------------
    def archetypes(self, run: RunContext) -> FloatArray:
        """(n, 3) probability of each archetype for each curve. Zeros for a dead contact."""
        voltage = run.problem.waveform.voltage

        def classify(current: FloatArray, saturated: BoolArray) -> FloatArray:
            # One curve at a time, so that a restored run finds the same bits.
            return classification(voltage, current[None], saturated[None]).probability[0, :3]

        curves = run.observations.each("archetype", classify)
        chances = np.array(curves, np.float64).reshape(-1, 3)
        return chances if chances.any() else self._ends(run)

    def _ends(self, run: RunContext) -> FloatArray:
        """Classes of a sweep without loops: low end of the targets, middle, high end."""
        use, y, _ = run.described.of(run.observations)
        chances = np.zeros((len(use), 3))
        if len(y):
            low, high = np.quantile(y, [_TAIL, 1.0 - _TAIL])
            chances[use] = np.column_stack([y <= low, (y > low) & (y < high), y >= high])
        return chances

    def missing(self, run: RunContext) -> FloatArray:
        """(3,) share of the wanted examples of each archetype that is still to be found."""
        seen = (self.archetypes(run) > 0.5).sum(0)
        return np.asarray(np.maximum(self.examples - seen, 0) / self.examples)

    # ---- chances elsewhere ----------------------------------------------------------------
    def _layout(self, run: RunContext) -> _Layout:
        def read() -> _Layout:
            shown = structure_features(run.problem.scan)
            edge = np.exp(-0.5 * (shown.boundary / _REACH) ** 2).ravel()
            corner = np.exp(-0.5 * (shown.junction / (1.3 * _REACH)) ** 2).ravel()
            uneven = np.minimum(np.abs(shown.asymmetry).ravel(), 1.0)
            side = edge * (1.0 - corner)
            prior = np.column_stack(
                [(1 - corner) * (1 - edge), corner + side * (1 - uneven), side * uneven]
            )
            ends = np.minimum(shown.label, shown.across), np.maximum(shown.label, shown.across)
            return _Layout(
                features=run.table(),
                place=coordinates(run.problem.scan),
                boundary=(ends[0] * shown.label.size + ends[1]).ravel(),
                edge=np.exp(-0.5 * (shown.boundary / (1.5 * _REACH)) ** 2).ravel(),
                prior=np.full_like(prior, 1.0 / 3.0) if self.prior == "none" else prior,
            )

        return run.memo("layout", read)

    def chances(self, run: RunContext) -> tuple[FloatArray, FloatArray]:
        """(c, 3) chance of each archetype at each candidate, and its (c,) standard deviation."""
        layout, here = self._layout(run), run.candidate_rows
        found, rows = self.archetypes(run), run.rows
        some = found.sum(1) > 0.5
        found, rows = found[some], rows[some]
        total = float(sum(_VARIANCES))
        if len(rows) == 0:
            return layout.prior[here], np.full(len(here), np.sqrt(total))
        k = _kernel(layout, rows, rows)
        k.flat[:: len(rows) + 1] += _NOISE
        factor = cho_factor(k, lower=True)
        cross = _kernel(layout, rows, here)
        solved = cho_solve(factor, cross)
        mean = layout.prior[here] + solved.T @ (found - layout.prior[rows])
        variance = total - np.einsum("ij,ij->j", cross, solved)
        return np.clip(mean, 0.0, 1.0), np.sqrt(np.maximum(variance, 0.0))

    # ---- the choice -----------------------------------------------------------------------
    def plan(self, run: RunContext) -> tuple[str, Callable[[Posterior], FloatArray]]:
        """Discovery while archetypes are missing, else the acquisition."""
        missing = self.missing(run)
        wanted = missing > 0 if missing.any() else np.ones(3, bool)
        if self.aim == "mapping" or (self.aim == "both" and not missing.any()):
            return super().plan(run)
        chance, spread = self.chances(run)
        if self.aim == "both" and chance[:, wanted].max() < _WORTH:
            return super().plan(run)

        def gain(posterior: Posterior) -> FloatArray:
            # One that is rare where it was looked for is worth more than one that is everywhere.
            worth = wanted / np.sqrt(np.maximum(chance.mean(0), 1e-3))
            gain = chance @ worth + self.curiosity * spread * worth.max()
            gain[self._close(run, posterior.imagined)] = 0.0
            return np.asarray(gain)

        return "discovery", gain

    def _close(self, run: RunContext, imagined: list[int]) -> BoolArray:
        """(c,) True where a candidate lies too near to a measured or imagined one."""
        sites = run.problem.candidates
        out = np.zeros(len(sites), bool)
        for site in np.vstack([run.observations.sites, sites[imagined]]):
            out |= np.hypot(*(sites - site).T) < self.apart
        return out

    def maps(self, run: RunContext) -> Maps:
        """Chance of each archetype."""
        return dict(zip(_ARCHETYPES, self.chances(run)[0].T, strict=True))


def _kernel(at: _Layout, a: IntArray, b: IntArray) -> FloatArray:
    """(len(a), len(b)) covariances of the chances at rows of the table."""

    def rbf(table: NDArray[np.float32], length: float) -> FloatArray:
        d = squared_distances(table[a], table[b])
        d *= np.float32(-0.5 / length**2)
        return np.asarray(np.exp(d, out=d), np.float64)

    shared = (at.boundary[a][:, None] == at.boundary[b]) * np.outer(at.edge[a], at.edge[b])
    around, near, along = _VARIANCES
    return np.asarray(
        around * rbf(at.features, _SURROUNDINGS) + near * rbf(at.place, _PLACE) + along * shared
    )


scout = Recipe(
    "Scout",
    """Finds examples of every archetype, then maps the target.

    Our own. The chance of each archetype is predicted from the image and the curves so far. Once
    all were seen often enough, it measures where the map of the target gains most.
    """,
    seed_points=1,
    acquisition=Discovery(),
)
