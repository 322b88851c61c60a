"""Policies put together from parts."""

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from grainscout.policies.acquisition import Posterior, choose_batch, expected_gain, per_second
from grainscout.policies.base import SeededPolicy, Selection
from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.likelihood import WIDTH
from grainscout.policies.models.surrogates import KERNELS, Surrogate
from grainscout.policies.parts.roles import (
    NO_DATA,
    Acquisition,
    Candidates,
    Features,
    Model,
    Part,
    RunContext,
    Target,
    TrainingData,
    part_options,
)
from grainscout.policies.parts.standard import (
    DescriptorTarget,
    ImageFeatures,
    KernelModel,
    PlaneModel,
    StandardAcquisition,
)
from grainscout.policies.validation import option
from grainscout.records import FloatArray, IntArray, PackedState, PolicyError
from grainscout.records.streams import POLICY_DEFAULTS


@dataclass(kw_only=True)
class ModelPolicy(SeededPolicy):
    """Learns a quantity over the candidates and measures where that pays."""

    title: str = ""  #: Name in states and messages. Empty takes the class's.
    features: Features = field(default_factory=ImageFeatures)
    model: Model = field(default_factory=KernelModel)
    target: Target = field(default_factory=DescriptorTarget)
    acquisition: Acquisition = field(default_factory=StandardAcquisition)
    candidates: Candidates = field(default_factory=Candidates)
    #: ``"latin"`` spreads the seed points as a Latin square, ``"planned"`` takes the first ones of
    #: the acquisition's design.
    seed_design: str = option("random", choices=("random", "latin", "planned"))
    cost_aware: bool = option(False)  #: Gain per second of travel and measurement instead of gain

    _carried: ClassVar[tuple[str, ...]] = ("_weights_seed", "_rows", "_targets", "_noise")

    @property
    def _title(self) -> str:
        return self.title or super()._title

    def _options(self) -> dict[str, object]:
        options: dict[str, object] = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Part):
                options |= part_options(value)
            elif f.name != "title":
                options[f.name] = value
        return options

    def _begin(self) -> None:
        self._weights_seed = int(self.rng.integers(2**31))
        self._keep(NO_DATA)
        self.run = RunContext(
            problem=self.problem,
            history=self.history,
            rng=self.rng,
            weights_seed=self._weights_seed,
            seed_points=self.seed_points,
            features=self.features,
            model=self.model,
            target=self.target,
            acquisition=self.acquisition,
        )
        for part in (self.features, self.model, self.target, self.acquisition, self.candidates):
            part.begin(self.run)
        if self.seed_design == "planned":
            self._seeds = self.acquisition.seeds(self.run, self.seed_points)
        self._ahead: tuple[Surrogate, TrainingData] | None = None
        self._shown: FloatArray | None = None

    @property
    def surrogate(self) -> Surrogate:
        """The model that choices are made by. `learned` gives one of all curves."""
        return self.run.surrogate

    def training_data(self) -> TrainingData:
        """All that the surrogate learns from, data from before the run first."""
        data, earlier = self.target.data(self.run), self.features.earlier(self.problem.scan)
        if len(data.y) == 0 or len(earlier.y) == 0:
            return data
        # New data are then updates of the same model.
        return TrainingData(*(np.concatenate(both) for both in zip(earlier, data, strict=True)))

    def learned(self) -> Surrogate:
        """The surrogate of all curves so far, without influence on the next choice.

        Raises
        ------
        PolicyError
            If no curve can be learnt from yet.
        """
        model = self._learn(only_look=True) if len(self.history) else None
        if model is None:
            raise self._too_early()
        return model

    def _learn(self, *, only_look: bool = False) -> Surrogate | None:
        """The model of all data so far, or None. One that is only looked at is fitted on a copy."""
        data = self.training_data()
        if len(data.y) == 0:
            return None
        if _same(data, self._kept):
            return self.surrogate
        if self._ahead is not None and not _same(data, self._ahead[1]):
            self._ahead = None
        if self._ahead is None:
            model = self.surrogate.fork() if only_look else self.surrogate
            model.fit(*data)
            self._ahead = (model, data)
        model = self._ahead[0]
        if not only_look:
            self.run.current, self._ahead = model, None
            self._keep(data)
        return model

    @property
    def _kept(self) -> TrainingData:
        """Data of the surrogate's last fit."""
        return TrainingData(self._rows, self._targets, self._noise)

    def _keep(self, data: TrainingData) -> None:
        self._rows, self._targets, self._noise = data

    def posterior(self, available: IntArray) -> Posterior:
        """The surrogate's posterior, as acquisitions take it."""
        mean, std = self.surrogate.predict()
        settings = {"sign": 1.0, **self.acquisition.settings()}
        # Whatever is best or new is so among this run's curves alone.
        measured = self._targets[len(self.features.earlier(self.problem.scan).y) :]
        return Posterior(
            surrogate=self.surrogate,
            mean=settings["sign"] * mean,
            std=std,
            measured=settings["sign"] * measured,
            available=available,
            rng=self.rng,
            **settings,
        )

    def _next(self, n: int, available: IntArray) -> Selection:
        available = self.candidates.among(self.run, available)
        return super()._next(min(n, available.size), available)

    def _choose(self, n: int, available: IntArray) -> Selection:
        self.acquisition.prepare(self.run)
        if self._learn() is None:
            # No curve can be learnt from yet: go on at random until one can.
            return Selection(index=self.rng.choice(available, n, replace=False))
        mean, std = self.surrogate.predict()
        name, gain = self.acquisition.plan(self.run)
        index, gains = choose_batch(
            self.posterior(available),
            lambda posterior, last: self._priced(name, gain(posterior), last, available),
            n,
            np.flatnonzero(self.history.pending),
        )
        self._shown = gains[0]
        about = dict(zip(self.target.score_names, (mean[index], std[index]), strict=False))
        return Selection(
            index=index,
            prediction=None if about else mean[index],
            uncertainty=None if about else self.model.width * std[index],
            scores={
                name: np.array([g[i] for g, i in zip(gains, index, strict=True)]),
                **about,
                **self.model.scores(self.run, len(index)),
                **self.acquisition.scores(self.run, index),
            },
        )

    def _priced(
        self, name: str, gain: FloatArray, last: int | None, available: IntArray
    ) -> FloatArray:
        if not self.cost_aware:
            return gain
        problem, observations = self.problem, self.observations
        if last is None:
            here = observations.sites[np.argmax(observations.started)][None]
        else:
            here = problem.candidates[last][None]
        distance = np.hypot(
            *(problem.scan.positions(problem.candidates) - problem.scan.positions(here)).T
        )
        seconds = np.asarray(problem.cost.seconds(distance), np.float64)
        return per_second(name, gain, seconds, available)

    def expected_gain(self, curves: int) -> float:
        """Relative fall of the model's integrated standard deviation by the best next curves."""
        few = len(self.history) < self.seed_points
        model = None if few else self._learn(only_look=True)
        return 1.0 if model is None else expected_gain(model, curves)

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the target, (n_candidates,) each.

        Raises
        ------
        PolicyError
            If no curve has a usable target yet.

        Notes
        -----
        Where something else is learnt, the target has a model of its own from the same features,
        which takes no part in the choice.
        """
        if not self.target.score_names:
            mean, std = self.learned().predict()
            return mean, self.model.width * std
        data = self.run.targets()
        if len(data.y) == 0:
            raise self._too_early()
        beside = GaussianProcess(self.run.table(), self.run.candidate_rows, KERNELS["nngp"])
        beside.fit(*data)
        mean, std = beside.predict()
        return mean, WIDTH * std

    def explain(self) -> dict[str, FloatArray]:
        """Maps of what is predicted now, and of the gain that the last proposal was chosen by.

        Raises
        ------
        PolicyError
            If no curve can be learnt from yet.
        """
        model = self._learn(only_look=True) if len(self.history) else None
        known = len(self.run.targets().y) > 0 if self.target.score_names else model is not None
        if model is None and not known:
            raise self._too_early()
        maps = dict(self.target.maps(*model.predict())) if model is not None else {}
        if known:
            maps["mean"], maps["uncertainty"] = self.predict()
        if self.features.of_image:
            maps["image_novelty"] = self.run.image_novelty()
        if self._shown is not None:
            maps[self.acquisition.shown] = np.where(np.isfinite(self._shown), self._shown, np.nan)
        for part in (self.model, self.acquisition, self.candidates):
            maps |= part.maps(self.run)
        return {name: self.problem.as_map(values) for name, values in maps.items()}

    def _too_early(self) -> PolicyError:
        return PolicyError(
            f"{self._title} can predict {self.run.described.name} once a curve has a usable value; "
            f"it has {len(self.history)} curves"
        )

    def take_earlier_defaults(self, version: int = 1, *, robust: bool = False) -> None:
        """Go on as a run that began with earlier defaults (records 0204 and 0206)."""
        self.run.defaults = version
        if version < 2 and isinstance(self.model, PlaneModel):
            self.model = self.run.model = dataclasses.replace(self.model, robust=robust)

    def state(self) -> PackedState:
        """All that decides what comes next, the surrogate's own part included."""
        state = super().state()
        state["own"] |= self.run.carried
        unused = self.run.current is None or len(self._rows) == 0
        model = None if unused else self.surrogate.state()
        state |= {"model": model, "defaults": self.run.defaults}
        return {**state, **self.acquisition.state(self.run)}

    def restore(self, state: PackedState) -> None:
        """Continue from `state`. PolicyError if it is of another policy, version or problem."""
        version = state.get("defaults", 1 if state.get("earlier_defaults", True) else 2)
        if version < POLICY_DEFAULTS:
            robust = "'robust': True" in str(state.get("options"))
            self.take_earlier_defaults(version, robust=robust)
        super().restore(state)
        self.run.carried |= {name: state["own"][name] for name in self.run.carried}
        self.run.weights_seed = self._weights_seed
        self.run.current, self._ahead = None, None
        if state["model"] is not None:
            self.surrogate.restore(state["model"], *self._kept)
        self.acquisition.restore(self.run, state)


def _same(a: TrainingData, b: TrainingData) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
