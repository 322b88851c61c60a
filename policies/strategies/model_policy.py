"""What DKL and dual-novelty share: a surrogate over image features, acquisitions, maps and state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.acquisition import ACQUISITIONS, Belief, choose_batch, per_second
from grainscout.policies.base import Choice, SeededPolicy
from grainscout.policies.models.engines import ENGINES, make_surrogate
from grainscout.policies.models.features import FEATURES, check_window, coordinates, feature_table
from grainscout.policies.models.surrogate import Surrogate
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.novelty import PatchNovelty
from grainscout.policies.validation import check_choice, check_count, check_flag, check_number
from grainscout.records import ConfigError, PackedState, PolicyError
from grainscout.records.arrays import FloatArray, IntArray

Targets = tuple[
    IntArray, FloatArray, FloatArray
]  # table rows (n,), targets (n,), noise variances (n,)


@dataclass(kw_only=True)
class ModelPolicy(SeededPolicy):
    """A policy that learns a scalar over the candidates and measures where that pays.

    Options
    -------
    engine : ``"nngp"`` (closed-form deep kernel), ``"mlp"`` (ensemble of learned deep kernels),
        ``"mlp-published"`` (the loop of S23: slow, for comparison), ``"rbf"``, ``"matern"``.
    features : ``"jets"`` (rotation-invariant), ``"pca"`` (of the patches), ``"both"``, or
        ``"structure"`` (jets, and the microstructure that the height image shows).
    position : learn a smooth field over the plane beside the features (closed-form engines), for
        what no image shows, such as composition.
    channels : images that the features come from; empty takes the height.
    window : side of the patch [pixels];  components : principal components of the patches.
    refit_growth : hyper-parameters are refitted when the data have grown by this fraction; 0 refits
        at every step.
    robust : give outliers more noise (closed-form engines).
    beta : weight of the uncertainty in ``ucb``;  xi : margin of ``ei`` and ``log-ei``, relative to
        the spread of the measured targets;  neighbours : k of ``beacon``.
    cost_aware : gain per second of travel and measurement instead of gain.
    """

    engine: str = "nngp"
    features: str = "jets"
    position: bool = False
    channels: tuple[str, ...] = ()
    window: int = 16
    components: int = 24
    refit_growth: float = 0.2
    robust: bool = False
    beta: float = 2.0
    xi: float = 0.01
    neighbours: int = 10
    cost_aware: bool = False

    _carried: ClassVar[tuple[str, ...]] = ("_weights_seed", "_rows", "_targets", "_noise")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("engine", self.engine, ENGINES)
        check_choice("features", self.features, FEATURES)
        check_flag("position", self.position)
        names: object = self.channels
        if not isinstance(names, (list, tuple)) or not all(isinstance(c, str) for c in names):
            raise ConfigError(f"channels must be a list of names of images; got {self.channels!r}")
        self.channels = tuple(self.channels)
        check_count("window", self.window, low=1)
        check_count("components", self.components, low=1)
        check_number("refit_growth", self.refit_growth, low=0.0)
        check_flag("robust", self.robust)
        check_number("beta", self.beta, low=0.0)
        check_number("xi", self.xi, low=0.0)
        check_count("neighbours", self.neighbours, low=1)
        check_flag("cost_aware", self.cost_aware)

    # ---- for subclasses -------------------------------------------------------------------
    def _data(self) -> Targets:
        """All that can be learnt from so far, in the archive's order; empty if nothing can."""
        raise PolicyError(f"{type(self).__name__} must say what it learns in _data")

    def _acquisition(self) -> str:
        """Name of the acquisition."""
        raise PolicyError(f"{type(self).__name__} must name its acquisition in _acquisition")

    def _target(self) -> DescriptorTargets:
        """The descriptor that `predict` is about."""
        return DescriptorTargets(self.problem.target, self.problem.waveform)

    def _gain(self, name: str, belief: Belief) -> FloatArray:
        """(c,) gain of measuring each candidate."""
        return ACQUISITIONS[name](belief)

    def _patch_space(self) -> tuple[str, int]:
        """Kind of features and number of neighbours of the image novelty."""
        return self.features, 1

    def _archive_rows(self) -> IntArray:
        """(n,) feature row of each curve in the archive."""
        sites = self.archive.sites
        rows = self.problem.scan.flat(sites)
        return np.asarray(rows, np.int64)

    # ---- the loop -------------------------------------------------------------------------
    def _begin(self) -> None:
        check_window(self.window, self.problem.scan.shape)
        for name in self.channels:
            self.problem.scan.channel(name)  # an unknown one fails here
        self._described = self._target()  # an unknown name fails here, not after ten curves
        self._weights_seed = int(self.rng.integers(2**31))
        self._rows, self._targets, self._noise = np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
        sites = self.problem.candidates
        self._pool = sites[:, 0] * self.problem.scan.shape[1] + sites[:, 1]
        self._tables: dict[str, NDArray[np.float32]] = {}
        self._surrogate: Surrogate | None = None
        self._ahead: tuple[Surrogate, Targets] | None = None
        self._patches: PatchNovelty | None = None
        self._shown: FloatArray | None = None

    def _table(self, kind: str) -> NDArray[np.float32]:
        """Features of all pixels, made when first needed (those of a large image take a second)."""
        if kind not in self._tables:
            self._tables[kind] = feature_table(
                self.problem.scan,
                kind=kind,
                window=self.window,
                components=self.components,
                channels=self.channels or None,
            )
        return self._tables[kind]

    @property
    def surrogate(self) -> Surrogate:
        """The model of what this policy learns."""
        if self._surrogate is None:
            self._surrogate = make_surrogate(
                self.engine,
                lambda: self._table(self.features),
                self.problem.scan,
                self._pool,
                window=self.window,
                growth=self.refit_growth,
                robust=self.robust,
                seed=self._weights_seed,
                place=coordinates(self.problem.scan) if self.position else None,
            )
        return self._surrogate

    def _learn(self, *, only_look: bool = False) -> Surrogate | None:
        """The model of all data so far, or None if there is nothing to learn from yet.

        A model that is only looked at is fitted ahead, on a copy: what is chosen next does not
        depend on who looked in between.  The next choice takes the copy over if it saw all data.
        """
        data = self._data()
        if len(data[1]) == 0:
            return None
        if self._same(data, (self._rows, self._targets, self._noise)):
            return self.surrogate
        if self._ahead is not None and not self._same(data, self._ahead[1]):
            self._ahead = None
        if self._ahead is None:
            model = self.surrogate.fork() if only_look else self.surrogate
            model.fit(*data)
            self._ahead = (model, data)
        model = self._ahead[0]
        if not only_look:
            self._surrogate, self._ahead = model, None
            self._rows, self._targets, self._noise = data
        return model

    @staticmethod
    def _same(a: Targets, b: Targets) -> bool:
        return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))

    def _belief(self, open_: IntArray) -> Belief:
        mean, std = self.surrogate.predict()
        return Belief(
            surrogate=self.surrogate,
            mean=mean,
            std=std,
            measured=self._targets,
            open_=open_,
            rng=self.rng,
            beta=self.beta,
            xi=self.xi,
            neighbours=self.neighbours,
        )

    def _select(self, n: int, open_: IntArray) -> Choice:
        if self._learn() is None:
            # No curve has told anything yet: go on at random until one does.
            return Choice(index=self.rng.choice(open_, n, replace=False))
        belief = self._belief(open_)
        mean, std = belief.mean, belief.std
        name = self._acquisition()
        pending = np.flatnonzero(self.ledger.pending)
        index, gains = choose_batch(
            belief, lambda b, last: self._priced(name, self._gain(name, b), last, open_), n, pending
        )
        self._shown = gains[0]
        return Choice(
            index=index,
            prediction=mean[index],
            uncertainty=std[index],
            scores={name: np.array([g[i] for g, i in zip(gains, index, strict=True)])},
        )

    def _priced(self, name: str, gain: FloatArray, last: int | None, open_: IntArray) -> FloatArray:
        if not self.cost_aware:
            return gain
        problem = self.problem
        if last is None:
            here = self.archive.sites[np.argmax(self.archive.started)][None]
        else:
            here = problem.candidates[last][None]
        distance = np.hypot(
            *(problem.scan.positions(problem.candidates) - problem.scan.positions(here)).T
        )
        seconds = np.asarray(problem.cost.seconds(distance), np.float64)
        return per_second(name, gain, seconds, open_)

    # ---- what it shows --------------------------------------------------------------------
    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the target, (n_candidates,) each.

        PolicyError while no curve can be learnt from.
        """
        model = self._learn(only_look=True) if len(self.ledger) else None
        if model is None:
            raise PolicyError(
                f"{type(self).__name__} can predict once a curve has given a usable target; it was "
                f"told {len(self.ledger)} curves"
            )
        return model.predict()

    def image_novelty(self, also: list[int] | None = None) -> FloatArray:
        """(c,) distance in feature space of each candidate to the nearest visited sites.

        also : candidates that count as visited, too.
        """
        kind, neighbours = self._patch_space()
        if self._patches is None:
            self._patches = PatchNovelty(self._table(kind), self._pool, neighbours)
        self._patches.visit(self._archive_rows())
        return self._patches.scores([int(self._pool[i]) for i in also or []])

    def explain(self) -> dict[str, FloatArray]:
        """Maps of what it thinks now; the acquisition is that of the last proposal."""
        mean, std = self.predict()
        maps = {
            "mean": self.problem.as_map(mean),
            "uncertainty": self.problem.as_map(std),
            "image_novelty": self.problem.as_map(self.image_novelty()),
        }
        if self._shown is not None:
            shown = np.where(np.isfinite(self._shown), self._shown, np.nan)
            maps["acquisition"] = self.problem.as_map(shown)
        return maps

    # ---- state ----------------------------------------------------------------------------
    def state(self) -> PackedState:
        """All that decides what comes next; the model's own part beside the ledger."""
        model = None if self._surrogate is None or len(self._rows) == 0 else self.surrogate.state()
        return {**super().state(), "model": model}

    def restore(self, state: PackedState) -> None:
        """Continue from `state`; PolicyError if it is of another policy, version or problem."""
        super().restore(state)
        self._surrogate, self._ahead = None, None
        if state["model"] is not None:
            self.surrogate.restore(state["model"], self._rows, self._targets, self._noise)
