"""The scout: examples of every archetype first, then the map of the target.

Whole curves are the observations. Each is assigned to its *archetype*: the loop shapes of Gong2026
where the sweep shows them, else the low end, the middle and the high end of the target. Where each
occurs is read from the image. The run's own curves say which archetype each kind of place has (so a
film whose archetypes sit elsewhere is learnt, too: decision 0207), and a Gaussian process with the
covariance of the surrogate carries what they showed to similar sites. Once all archetypes were seen
often enough, the design for the map takes over.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import gammaln

from grainscout.analysis.curves.archetypes import classification
from grainscout.policies.acquisition import Posterior
from grainscout.policies.models.pretrained.mixture import Mixture
from grainscout.policies.parts.pretrained import Design, PretrainedModel, read
from grainscout.policies.parts.roles import Maps, RunContext
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records import BoolArray, FloatArray, IntArray, PolicyError

_ARCHETYPES = ("club", "heart", "diamond")
#: Usual archetype of grains, symmetric boundaries, asymmetric boundaries and junctions (Gong2026).
_USUALLY = np.array([0, 1, 2, 1])
_WORTH = 0.03  # chance of a missing archetype below which `aim = "both"` goes on to the map
_TAIL = 0.1  # share of the measured targets that counts as either end
_TRUSTED, _OTHER = 8.0, 0.4  # curves that a place's usual archetype is worth, and each other one
_USUAL = 0.6  # chance that a kind of place has its usual archetype, else it may have any
_SURE = 0.95  # weight of what image and curves say together, the rest is any archetype
_VARIANCE, _NOISE = 0.11, 0.02  # of a chance before any curve, and of an archetype's reading
_LIKELY = 300  # surest candidates of each kind of place that are considered beside random ones


@dataclass(frozen=True, kw_only=True)
class Discovery(Design):
    """Examples of every archetype first, then the design for the map."""

    #: ``"mapping"`` is the design from the start, ``"both"`` discovery until all archetypes were
    #: found or a missing one is unlikely everywhere, then mapping.
    aim: str = option("both", choices=("discovery", "mapping", "both"))
    examples: int = option(3, low=1)  #: Number of curves of each archetype that are wanted
    #: Least distance between a new site and all measured ones during discovery [pixels], so that
    #: examples are independent.
    apart: float = option(3.0, low=0.0, unit="pixels")
    #: Weight of the uncertainty of the chance of a missing archetype.
    curiosity: float = option(0.5, low=0.0)

    def archetypes(self, run: RunContext) -> FloatArray:
        """(n, 3) probability of each archetype for each curve. Zeros for a dead contact."""
        shapes = self._shapes(run)
        if not shapes.any():
            return self._ends(run)
        shown = self._places(run)[run.rows] @ self._taught(run, shapes)
        expected = _SURE * shown + (1.0 - _SURE) / 3.0
        product = shapes[:, :3] * expected
        share = product / np.maximum(product.sum(1, keepdims=True), 1e-12)
        chances: FloatArray = share * shapes[:, :3].sum(1, keepdims=True)
        if run.problem.light == 0.0 and self._informed(run):
            # In the dark the barrier of a junction lets nothing through.
            at_junction = read(run).maps["junction"].ravel()[run.rows] > 0.5
            chances[:, 1] += np.where(at_junction, shapes[:, 3], 0.0)
        return chances

    def _shapes(self, run: RunContext) -> FloatArray:
        """(n, 4) probability of each archetype, and of none, by the curve alone."""
        voltage = run.problem.waveform.voltage

        def classify(current: FloatArray, saturated: BoolArray) -> FloatArray:
            # One curve at a time, so that a restored run finds the same bits.
            return classification(voltage, current[None], saturated[None]).probability[0, :4]

        return np.array(run.observations.each("archetype", classify), np.float64).reshape(-1, 4)

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

    @staticmethod
    def _informed(run: RunContext) -> bool:
        return isinstance(run.model, PretrainedModel) and run.model.prior != "none"

    def _places(self, run: RunContext) -> FloatArray:
        """(pixels, 4) chance of each kind of place, as the image shows it."""

        def make() -> FloatArray:
            if not self._informed(run):
                return np.full((run.problem.scan.image.size, len(_USUALLY)), 1.0 / len(_USUALLY))
            maps = {k: read(run).maps[k].ravel() for k in (*_ARCHETYPES, "junction")}
            junction = np.minimum(maps["junction"], maps["heart"])
            parts = maps["club"], maps["heart"] - junction, maps["diamond"], junction
            chance = np.clip(np.stack(parts, axis=1), 1e-3, 1.0)
            return np.asarray(chance / chance.sum(1, keepdims=True))

        return run.memo("places", make)

    def _taught(self, run: RunContext, shapes: FloatArray) -> FloatArray:
        """(4, 3) chance of each archetype at each kind of place, by the curves so far.

        Expectation maximisation of the place of each curve. A kind of place has its usual
        archetype (a Dirichlet density around it) or any (a flat one), by what its curves tell.
        """
        shown = self._places(run)[run.rows]
        usual = np.full((len(_USUALLY), 3), _OTHER)
        usual[np.arange(len(_USUALLY)), _USUALLY] = _TRUSTED
        before = np.stack([usual, np.ones_like(usual)])
        weight = np.array([_USUAL, 1.0 - _USUAL]) if self._informed(run) else np.array([0.0, 1.0])
        seen = shapes[:, :3] * (shapes[:, :3].sum(1, keepdims=True) > 0.5)
        counts = np.zeros_like(usual)
        for _ in range(9):
            evidence = weight[:, None] * np.exp(_log_beta(before + counts) - _log_beta(before))
            evidence /= evidence.sum(0)
            mean = (before + counts) / (before + counts).sum(2, keepdims=True)
            taught: FloatArray = np.einsum("mp,mpk->pk", evidence, mean)
            joint = shown[:, :, None] * taught * seen[:, None, :]
            joint /= np.maximum(joint.sum((1, 2), keepdims=True), 1e-12)
            counts = joint.sum(0)
        return taught

    def chances(self, run: RunContext, at: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Chance (c, 3) of each archetype at candidates (all by default), and its deviation (c,)."""
        here = run.candidate_rows if at is None else run.candidate_rows[at]
        shapes, places = self._shapes(run), self._places(run)
        taught = self._taught(run, shapes) if shapes.any() else np.eye(3)[_USUALLY]
        found, rows = self.archetypes(run), run.rows
        some = found.sum(1) > 0.5
        found, rows = found[some], rows[some]
        if len(rows) == 0:
            return places[here] @ taught, np.full(len(here), np.sqrt(_VARIANCE))
        covariance = self._covariance(run)
        k = covariance(rows, rows)
        k.flat[:: len(rows) + 1] += _NOISE
        cross = covariance(rows, here)
        solved = cho_solve(cho_factor(k, lower=True), cross)
        mean = places[here] @ taught + solved.T @ (found - places[rows] @ taught)
        variance = _VARIANCE - np.einsum("ij,ij->j", cross, solved)
        return np.clip(mean, 0.0, 1.0), np.sqrt(np.maximum(variance, 0.0))

    @staticmethod
    def _covariance(run: RunContext) -> Callable[[IntArray, IntArray], FloatArray]:
        """Correlation of pixels by the surrogate before any curve, times the variance of a chance."""
        surrogate = run.surrogate
        if not isinstance(surrogate, Mixture):
            raise PolicyError("discovery needs the model of scout, a mixture; got another one")
        return lambda a, b: _VARIANCE * surrogate.members[0].correlation(a, b)

    def plan(self, run: RunContext) -> tuple[str, Callable[[Posterior], FloatArray]]:
        """Discovery while archetypes are missing, else the design."""
        missing = self.missing(run)
        wanted = missing > 0 if missing.any() else np.ones(3, bool)
        if self.aim == "mapping" or (self.aim == "both" and not missing.any()):
            return super().plan(run)
        at = self._promising(run)
        chance, spread = self.chances(run, at)
        if self.aim == "both" and chance[:, wanted].max() < _WORTH:
            return super().plan(run)

        def gain(posterior: Posterior) -> FloatArray:
            # One that is rare where it was looked for is worth more than one that is everywhere.
            worth = wanted / np.sqrt(np.maximum(chance.mean(0), 1e-3))
            gain = np.full(len(posterior.mean), -np.inf)
            gain[at] = chance @ worth + self.curiosity * spread * worth.max()
            gain[self._close(run, posterior.imagined)] = -np.inf
            return gain

        return "discovery", gain

    def _promising(self, run: RunContext) -> IntArray:
        """Candidates that are considered: random ones, and the surest of each kind of place."""

        def make() -> IntArray:
            shown = self._places(run)[run.candidate_rows]
            best = np.argpartition(-shown, min(_LIKELY, len(shown)) - 1, axis=0)[:_LIKELY]
            return np.union1d(self._sets(run)[0], best.ravel())

        return run.memo("promising", make)

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


def _log_beta(a: FloatArray) -> FloatArray:
    """Logarithm of the normaliser of Dirichlet densities along the last axis."""
    out: FloatArray = gammaln(a).sum(-1) - gammaln(a.sum(-1))
    return out


scout = Recipe(
    "Scout",
    """Finds examples of every archetype, then maps the target.

    Our own. The chance of each archetype is read from the image and corrected by the curves so far.
    Once all were seen often enough, it measures where the map of the target gains most.
    """,
    seed_points=1,
    model=PretrainedModel(),
    acquisition=Discovery(),
)
