"""Parts of policies that read the image: the pretrained surrogate, and designs that integrate it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.microstructure.reader import read_structure
from grainscout.policies.acquisition import Posterior
from grainscout.policies.base import nearest_sites
from grainscout.policies.design import greedy, integrated_fall, largest_cluster, tour
from grainscout.policies.models.kernels import Placed
from grainscout.policies.models.pretrained.inputs import make_inputs
from grainscout.policies.models.pretrained.kernel import HierarchicalKernel
from grainscout.policies.models.pretrained.kinds import kind_of
from grainscout.policies.models.pretrained.mixture import Member, Mixture
from grainscout.policies.models.pretrained.network import Network, knows_currents, shipped_network
from grainscout.policies.models.surrogates import KERNELS, Surrogate
from grainscout.policies.parts.roles import Acquisition, Maps, Model, RunContext
from grainscout.policies.validation import option
from grainscout.records import BoolArray, FloatArray, IntArray, PackedState, Problem, Scan

# Candidates below which a design takes all, else those of which it chooses, and integrates over.
_FEW, _CANDIDATES, _REFERENCES = 30, 2000, 300
_SPREAD = 1024  # points of a sequence, a power of two
#: Share of the images of training that are stranger, below which a reading places no sites.
_FAMILIAR = 0.1
PRIORS = ("pretrained", "none")


def read(run: RunContext) -> Any:
    """The reading of the run's scan, made once."""
    return run.memo("reading", lambda: read_structure(run.problem.scan))


def table_of(run: RunContext) -> tuple[NDArray[np.float32], Network]:
    """Rows of the hierarchical kernel for every pixel, and the network that made them."""

    def make() -> tuple[NDArray[np.float32], Network]:
        scan, reading = run.problem.scan, read(run)
        current = uses_current(scan)
        network = shipped_network(current=current)
        inputs = make_inputs(scan, reading.maps, reading.sd, current=current)
        return network.rows(inputs, _kind(run.problem)), network

    return run.memo("pretrained", make)


def uses_current(scan: Scan) -> bool:
    """Whether the network of a scan reads its current image."""
    return "current" in scan.channels and knows_currents()


def _kind(problem: Problem) -> NDArray[np.float32]:
    return kind_of(problem.target, problem.waveform, problem.light)


@dataclass(frozen=True, kw_only=True)
class PretrainedModel(Model):
    """The pretrained surrogate, mixed with a generic one by what each predicts of unseen curves."""

    #: ``"none"`` is the generic Gaussian process of ``"dkl"`` alone.
    prior: str = option("pretrained", choices=PRIORS)
    #: Hyper-parameters are refitted when the data have grown by this fraction.
    refit_growth: float = option(0.25, low=0.0)
    robust: bool = option(True)  #: Student-t noise, which spoilt curves do not bend

    def make(self, run: RunContext) -> Surrogate:
        """A mixture over the candidates."""
        rows = run.candidate_rows
        settings: dict[str, Any] = {"growth": self.refit_growth, "robust": self.robust}
        place = run.features.place(run.problem.scan)
        generic = Placed(inner=KERNELS["nngp"])
        digest = ""
        members = [Member(np.hstack([run.table(), place]), rows, generic, **settings)]
        if self.prior == "pretrained":
            table, network = table_of(run)
            prior = network.prior(_kind(run.problem))
            kernel, noise = HierarchicalKernel(prior[:-1]), prior[-1]
            first = Member(table, rows, kernel, noise_prior=(noise[0], noise[1]), **settings)
            members.insert(0, first)
            digest = network.digest
        return Mixture(members, lambda: _worn(run), digest)

    def scores(self, run: RunContext, count: int) -> Maps:
        """Weight of the pretrained member, and drift with wear per 100 curves."""
        mixture = run.surrogate
        if not isinstance(mixture, Mixture):
            return {}
        drift = {"gain_per_100" if mixture.drift.gain else "shift_per_100": mixture.drift.rate}
        shown = drift if self.prior == "none" else {"prior_weight": mixture.weight, **drift}
        return {name: np.full(count, value) for name, value in shown.items()}

    def maps(self, run: RunContext) -> Maps:
        """What the image is taken to show, and the weight of the pretrained member."""
        if self.prior == "none":
            return {}
        at, mixture = tuple(run.problem.candidates.T), run.surrogate
        weight = mixture.weight if isinstance(mixture, Mixture) else 1.0
        shown = {f"read_{k}": read(run).maps[k][at] for k in ("boundary", "junction", "diamond")}
        return {**shown, "prior_weight": np.full(len(at[0]), weight)}


def _worn(run: RunContext) -> FloatArray:
    """(n,) hundreds of curves before each one that can be learnt from."""
    order = np.argsort(np.argsort(run.observations.started, kind="stable"), kind="stable")
    return np.asarray(order[run.described.of(run.observations)[0]] / 100.0)


@dataclass(frozen=True, kw_only=True)
class Design(Acquisition):
    """Sites that lower the mean variance of the map most, one after another (I-optimal)."""

    shown = "integrated_variance"
    #: ``"auto"`` is ``"spread"`` where a current image is used, or where the image is unlike those
    #: of training (familiarity below 0.1), else ``"gain"``. ``"spread"`` is a Sobol' sequence over
    #: the frame. With a current image what is left to learn lies in few odd sites, and curves from
    #: them alone mislead the model; so do sites by a structure that is not there. ``"tour"`` plans
    #: all sites that the budget still allows, visits them by the shortest way, and plans anew
    #: whenever the model was refitted: more curves in the same time. ``"clusters"`` takes the
    #: farthest site of the largest cluster of the model's features (LCMD): it needs no curve, which
    #: suits large batches.
    order: str = option("auto", choices=("auto", "gain", "spread", "tour", "clusters"))

    def _sets(self, run: RunContext) -> tuple[IntArray, IntArray]:
        """Candidates that are considered, and those that stand for all: evenly spread ones."""

        def draw() -> tuple[IntArray, IntArray]:
            rng, count = np.random.default_rng([run.weights_seed, 18]), len(run.candidate_rows)
            if count < _FEW:
                return np.arange(count), np.arange(count)
            step = max(count / _REFERENCES, 2.0)
            reference = (rng.random() * step + step * np.arange(int(count / step))).astype(np.int64)
            # A reference is no candidate: what a curve tells of its own pixel alone serves no map.
            rest = np.setdiff1d(np.arange(count), reference)
            return np.sort(rng.permutation(rest)[:_CANDIDATES]), reference

        return run.memo("design", draw)

    def seeds(self, run: RunContext, count: int) -> IntArray:
        """The first candidates of the design, by the covariance that holds before any curve."""
        if self._order(run) == "spread":
            return self._sequence(run)[:count]
        surrogate, (at, reference) = run.surrogate, self._sets(run)
        member = surrogate.members[0] if isinstance(surrogate, Mixture) else None
        if member is None:
            return super().seeds(run, count)
        cross, variance = member.before(at, reference)
        chosen = greedy(
            cross, variance, lambda k: member.before(at, at[[k]])[0][:, 0], member.first_noise, count,
            np.ones(len(at), bool),
        )  # fmt: skip
        return at[chosen]

    def restore(self, run: RunContext, state: PackedState) -> None:
        """Continue from a state, with the sets of its seed and not those that planned anew."""
        super().restore(run, state)
        run.forget("design")
        run.forget("sequence")

    def plan(self, run: RunContext) -> tuple[str, Callable[[Posterior], FloatArray]]:
        """Fall of the mean variance, times the chance that the curve can be used."""
        gains = {
            "gain": self._fall,
            "spread": self._spread,
            "tour": self._toured,
            "clusters": self._apart,
        }
        gain = gains[self._order(run)]
        return "integrated-variance", lambda posterior: gain(run, posterior)

    def _order(self, run: RunContext) -> str:
        if self.order != "auto":
            return self.order
        taught = getattr(run.model, "prior", "none") == "pretrained"
        strange = taught and read(run).familiarity < _FAMILIAR
        return "spread" if strange or (taught and uses_current(run.problem.scan)) else "gain"

    def _fall(self, run: RunContext, posterior: Posterior) -> FloatArray:
        at, reference = self._sets(run)
        covariance, variance = posterior.between(at, reference), posterior.std[at] ** 2
        gain = np.full(len(posterior.mean), -np.inf)
        fall = integrated_fall(covariance, variance, posterior.surrogate.noise)
        gain[at] = fall * self._usable(run)[at]
        return gain

    def _spread(self, run: RunContext, posterior: Posterior) -> FloatArray:
        order = self._sequence(run)
        gain = np.full(len(posterior.mean), -1.0)
        gain[order] = np.linspace(1.0, 0.0, len(order))
        return gain

    def _sequence(self, run: RunContext) -> IntArray:
        """Candidates by a Sobol' sequence of the run."""

        def draw() -> IntArray:
            from scipy.stats import qmc

            sites = run.problem.candidates
            points = qmc.Sobol(2, seed=np.random.default_rng([run.weights_seed, 19])).random(
                _SPREAD
            )
            return nearest_sites(sites, np.arange(len(sites)), points[: len(sites)])

        return run.memo("sequence", draw)

    def _apart(self, run: RunContext, posterior: Posterior) -> FloatArray:
        (at, _), surrogate = self._sets(run), run.surrogate
        if not isinstance(surrogate, Mixture):
            return self._spread(run, posterior)
        member, gain = surrogate.members[0], np.full(len(posterior.mean), -np.inf)
        at = np.intersect1d(at, posterior.available)
        known = run.observations.index
        centres = np.unique(np.append(known[known >= 0], posterior.imagined).astype(np.int64))
        cross, own = member.before(at, centres)
        square = np.maximum(own[:, None] + member.before(centres, centres)[1] - 2.0 * cross, 0.0)
        gain[at] = largest_cluster(square)
        return gain

    def _usable(self, run: RunContext) -> FloatArray:
        """(c,) chance of a usable curve, by how near a junction is taken to be."""
        near = run.memo("near", lambda: self._nearness(run))
        index = run.observations.index
        use = run.described.of(run.observations)[0][index >= 0]
        there = near[index[index >= 0]]
        seen, used = np.bincount(there, minlength=4), np.bincount(there[use], minlength=4)
        return np.asarray(((used + 3.0 * (use.mean() if len(use) else 1.0)) / (seen + 3.0))[near])

    @staticmethod
    def _nearness(run: RunContext) -> IntArray:
        """(c,) class of the nearness to a junction, 0 to 3."""
        if getattr(run.model, "prior", "none") == "none":
            return np.zeros(len(run.candidate_rows), np.int64)
        read_ = read(run).maps["junction"].ravel()[run.candidate_rows]
        return np.asarray(np.minimum(4.0 * read_, 3.0), np.int64)

    def _toured(self, run: RunContext, posterior: Posterior) -> FloatArray:
        """The next site of the plan first, then the fall."""
        gain = self._fall(run, posterior)
        known, mixture = run.carried.get("_tour"), run.surrogate
        fitted = mixture.members[0].refits if isinstance(mixture, Mixture) else 0
        free = np.zeros(len(gain), bool)
        free[posterior.available] = True
        plan = known[1:] if known is not None and int(known[0]) == fitted else np.zeros(0, np.int64)
        plan = plan[free[plan]]
        if not len(plan):
            plan = self._planned(run, posterior, free)
        run.carried["_tour"] = np.append(fitted, plan)
        best = gain[np.isfinite(gain)].max(initial=0.0)
        gain[plan] = best * (2.0 - np.arange(len(plan)) / max(len(plan), 1)) + 1e-300
        return gain

    def _planned(self, run: RunContext, posterior: Posterior, free: BoolArray) -> IntArray:
        at, reference = self._sets(run)
        chosen = greedy(
            posterior.between(at, reference),
            posterior.std[at] ** 2,
            lambda k: posterior.between(at, at[[k]])[:, 0],
            posterior.surrogate.noise,
            _curves_left(run),
            free[at],
        )
        where = run.problem.scan.positions(run.problem.candidates[at[chosen]])
        last = run.observations.sites[np.argmax(run.observations.started)][None]
        return np.asarray(at[chosen][tour(where, run.problem.scan.positions(last)[0])], np.int64)


def _curves_left(run: RunContext) -> int:
    """Curves that the budget still allows, at least one."""
    budget, done = run.problem.budget, len(run.observations)
    left = (budget.curves or 10**6) - done
    if budget.seconds is not None and done:
        spent = float(run.observations.started.max())
        each = float(run.problem.cost.seconds(0.3e-6))
        left = min(left, int((budget.seconds - spent) / each))
    return int(np.clip(left, 1, 300))
