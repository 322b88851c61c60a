"""A policy of our own: find every kind of curve where the image says it may be, then map.

It joins what the other policies use one at a time.  Whole curves are the observations: each is
assigned to its *kind* (the loop shapes of S26 where the sweep shows them, else the low end, the
middle and the high end of the target).  Where a kind may be found is a Gaussian process with one
output a kind, whose prior mean is what S26 reports (clubs inside grains, hearts at boundaries and
junctions, diamonds at asymmetric boundaries), read from the image, and whose kernel shares what was
found among similar surroundings, near places and sites of one grain boundary.  Once all kinds were
seen often enough, it measures where the map of the target gains most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from grainscout.analysis.curves.archetypes import classification
from grainscout.microstructure.features import microstructure
from grainscout.policies.acquisition import Belief
from grainscout.policies.models.features import coordinates
from grainscout.policies.models.kernels import squared_distances
from grainscout.policies.strategies.dkl import DKL
from grainscout.policies.validation import check_choice, check_count, check_number
from grainscout.records.arrays import BoolArray, FloatArray, IntArray

_KINDS = ("club", "heart", "diamond")
_REACH = 1.5  # half-width of a boundary's and a junction's influence [pixels]
_DISCOVERY = "discovery"  # in the scores of a proposal
_WORTH = 0.03  # chance of a missing kind below which `aim = "both"` goes on to the map
# Shares of the kernel's variance: surroundings, place, boundary; and the noise of a kind.
_VARIANCES, _NOISE = (0.06, 0.01, 0.04), 0.02
_SURROUNDINGS, _PLACE = 0.5, 0.4  # lengths: of the features' spread, and in eighths of the image
_TAIL = 0.1  # share of the measured targets that counts as either end


@dataclass(frozen=True, kw_only=True, eq=False)
class _Layout:
    """What the image shows of each of m pixels.

    features : (m, d);  place : (m, 2);  boundary : (m,) name of the nearest boundary;  edge : (m,)
    nearness to it, 0 to 1;  prior : (m, 3) chance of each kind before anything is measured.
    """

    features: NDArray[np.float32]
    place: NDArray[np.float32]
    boundary: IntArray
    edge: FloatArray
    prior: FloatArray


@dataclass(kw_only=True)
class Scout(DKL):
    """Finds `examples` of every kind of curve, then maps the target (options of ``"dkl"``, too).

    Options
    -------
    aim : ``"discovery"``, ``"mapping"`` (the acquisition from the start) or ``"both"`` (discovery
        until all kinds were found or a missing one is unlikely everywhere, then mapping).
    examples : curves of each kind that are wanted.
    apart : least distance between a new site and all measured ones [pixels] while it discovers, so
        that examples are independent.
    prior : ``"published"`` (S26, see above) or ``"none"`` (every kind equally likely everywhere).
    curiosity : weight of the uncertainty of the chance to find a missing kind.
    """

    acquisition: str = "integrated-variance"
    seed_points: int = 1
    aim: str = "both"
    examples: int = 3
    apart: float = 3.0
    prior: str = "published"
    curiosity: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("aim", self.aim, ("discovery", "mapping", "both"))
        check_count("examples", self.examples, low=1)
        check_number("apart", self.apart, low=0.0, unit="pixels")
        check_choice("prior", self.prior, ("published", "none"))
        check_number("curiosity", self.curiosity, low=0.0)

    def _begin(self) -> None:
        super()._begin()
        self._layout: _Layout | None = None
        self._kind_of: dict[bytes, FloatArray] = {}

    # ---- what was found -------------------------------------------------------------------
    def kinds(self) -> FloatArray:
        """(n, 3) probability of each kind for each curve of the archive; zeros for a dead spot.

        One curve at a time, so that a restored run finds the same bits.
        """
        archive, voltage = self.archive, self.problem.waveform.voltage
        chances = np.zeros((len(archive), 3))
        for k, (current, saturated) in enumerate(
            zip(archive.current, archive.saturated, strict=True)
        ):
            key = current.tobytes() + saturated.tobytes()
            if key not in self._kind_of:
                found = classification(voltage, current[None], saturated[None])
                self._kind_of[key] = found.probability[0, :3]
            chances[k] = self._kind_of[key]
        return chances if chances.any() else self._ends()

    def _ends(self) -> FloatArray:
        """Kinds of a sweep without loops: the low end of the targets, the middle, the high end."""
        use, y, _ = self._described.of(self.archive)
        chances = np.zeros((len(use), 3))
        if len(y):
            low, high = np.quantile(y, [_TAIL, 1.0 - _TAIL])
            chances[use] = np.column_stack([y <= low, (y > low) & (y < high), y >= high])
        return chances

    def missing(self) -> FloatArray:
        """(3,) share of the wanted examples of each kind that is still to be found."""
        seen = (self.kinds() > 0.5).sum(0)
        return np.asarray(np.maximum(self.examples - seen, 0) / self.examples)

    # ---- where the rest may be ------------------------------------------------------------
    def _known(self) -> _Layout:
        """What the image shows, read when it is first needed."""
        if self._layout is None:
            found = microstructure(self.problem.scan)
            edge = np.exp(-0.5 * (found.boundary / _REACH) ** 2).ravel()
            corner = np.exp(-0.5 * (found.junction / (1.3 * _REACH)) ** 2).ravel()
            uneven = np.minimum(np.abs(found.asymmetry).ravel(), 1.0)
            side = edge * (1.0 - corner)
            prior = np.column_stack(
                [(1 - corner) * (1 - edge), corner + side * (1 - uneven), side * uneven]
            )
            ends = np.minimum(found.label, found.across), np.maximum(found.label, found.across)
            self._layout = _Layout(
                features=self._table(self.features),
                place=coordinates(self.problem.scan),
                boundary=(ends[0] * found.label.size + ends[1]).ravel(),
                edge=np.exp(-0.5 * (found.boundary / (1.5 * _REACH)) ** 2).ravel(),
                prior=np.full_like(prior, 1.0 / 3.0) if self.prior == "none" else prior,
            )
        return self._layout

    def chances(self) -> tuple[FloatArray, FloatArray]:
        """(c, 3) chance of each kind at each candidate, and its (c,) standard deviation."""
        prior = self._known().prior
        kinds, rows = self.kinds(), self._archive_rows()
        some = kinds.sum(1) > 0.5
        kinds, rows = kinds[some], rows[some]
        total = float(sum(_VARIANCES))
        if len(rows) == 0:
            return prior[self._pool], np.full(len(self._pool), np.sqrt(total))
        k = self._kernel(rows, rows)
        k.flat[:: len(rows) + 1] += _NOISE
        factor = cho_factor(k, lower=True)
        cross = self._kernel(rows, self._pool)
        solved = cho_solve(factor, cross)
        mean = prior[self._pool] + solved.T @ (kinds - prior[rows])
        variance = total - np.einsum("ij,ij->j", cross, solved)
        return np.clip(mean, 0.0, 1.0), np.sqrt(np.maximum(variance, 0.0))

    def _kernel(self, a: IntArray, b: IntArray) -> FloatArray:
        at = self._known()

        def rbf(table: NDArray[np.float32], length: float) -> FloatArray:
            d = squared_distances(table[a], table[b])
            d *= np.float32(-0.5 / length**2)
            return np.asarray(np.exp(d, out=d), np.float64)

        shared = (at.boundary[a][:, None] == at.boundary[b]) * np.outer(at.edge[a], at.edge[b])
        around, near, along = _VARIANCES
        return np.asarray(
            around * rbf(at.features, _SURROUNDINGS) + near * rbf(at.place, _PLACE) + along * shared
        )

    # ---- where it measures ----------------------------------------------------------------
    def _acquisition(self) -> str:
        """What the next choice goes by: ``"discovery"``, or the map's acquisition."""
        missing = self.missing()
        self._wanted = missing > 0 if missing.any() else np.ones(3, bool)
        if self.aim == "mapping" or (self.aim == "both" and not missing.any()):
            return self.acquisition
        self._outlook = self.chances()
        if self.aim == "both" and self._outlook[0][:, self._wanted].max() < _WORTH:
            return self.acquisition
        return _DISCOVERY

    def _gain(self, name: str, belief: Belief) -> FloatArray:
        if name != _DISCOVERY:
            return super()._gain(name, belief)
        chance, spread = self._outlook
        # A kind that is rare where it was looked for is worth more than one that is everywhere.
        worth = self._wanted / np.sqrt(np.maximum(chance.mean(0), 1e-3))
        gain = chance @ worth + self.curiosity * spread * worth.max()
        gain[self._close(belief.imagined)] = 0.0
        return np.asarray(gain)

    def _close(self, imagined: list[int]) -> BoolArray:
        """(c,) whether a candidate lies too near to a measured or imagined one."""
        sites = self.problem.candidates
        busy = np.vstack([self.archive.sites, sites[imagined]])
        out = np.zeros(len(sites), bool)
        for site in busy:
            out |= np.hypot(*(sites - site).T) < self.apart
        return out

    def explain(self) -> dict[str, FloatArray]:
        """The maps of ``"dkl"``, and the chance of each kind."""
        chance, _ = self.chances()
        maps = super().explain()
        return {
            **maps,
            **{n: self.problem.as_map(c) for n, c in zip(_KINDS, chance.T, strict=True)},
        }
