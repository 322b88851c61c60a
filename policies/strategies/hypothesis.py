"""Hypothesis learning: several physical models compete during the experiment."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from grainscout.policies.models.structured_gp import StructuredGP
from grainscout.policies.models.surrogates import Surrogate
from grainscout.policies.parts.roles import Maps, RunContext
from grainscout.policies.recipe import Recipe
from grainscout.policies.strategies.structured import NEVER, StructuredModel, check_causes
from grainscout.policies.validation import option
from grainscout.records import BoolArray, ConfigError, FloatArray, IntArray, PackedState

_REWARDS = ("evidence", "prequential", "published")
_DRAWS = 4000  # samples of the success rates for the probability of being best


class Competition:
    """A :class:`~grainscout.policies.models.surrogates.Surrogate` made of competing structured GPs.

    The rewards ``"evidence"`` and ``"prequential"`` average all models by their probabilities,
    ``"published"`` uses one at a time (see :class:`CompetingModels`).
    """

    def __init__(
        self,
        models: Mapping[str, StructuredGP],
        *,
        reward: str,
        epsilon: float,
        warm_up: int,
        seed: int,
    ) -> None:
        self.models, self.reward = dict(models), reward
        self.epsilon, self.warm_up, self.seed = epsilon, warm_up, seed
        count = len(self.models)
        self._fitted = np.zeros(count, np.int64)  # number of data that each model was fitted to
        self._score = np.zeros(count)  # sum of log scores, or of rewards
        self._trials = np.zeros(count, np.int64)
        self._steps, self._chosen, self._median = 0, 0, np.inf

    @property
    def candidate_rows(self) -> IntArray:
        """(c,) rows of the candidates."""
        return self._list[0].candidate_rows

    @property
    def noise(self) -> float:
        """Variance of the noise, averaged over the models."""
        return float(self._shares @ [m.noise for m in self._list])

    def fork(self) -> Self:
        """See the protocol."""
        twin = copy.copy(self)
        twin.models = {name: model.fork() for name, model in self.models.items()}
        for name in ("_fitted", "_score", "_trials"):
            setattr(twin, name, getattr(self, name).copy())
        return twin

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """See the protocol; one step of the competition."""
        self._steps += 1
        if self.reward == "published":
            self._play(rows, y, noise)
        else:
            self._judge(rows, y, noise)

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """See the protocol: the average over the models, disagreement included."""
        found = [(w, *m.predict()) for w, m in zip(self._shares, self._list, strict=True) if w > 0]
        weight = np.array([w for w, _, _ in found])
        means, stds = (np.array([f[i] for f in found]) for i in (1, 2))
        mean = weight @ means
        return mean, np.sqrt(weight @ (stds**2 + (means - mean) ** 2))

    def covariance(self, rows: IntArray) -> FloatArray:
        """See the protocol."""
        return self._mixed(
            [(m.covariance(rows), m.predict()[0], m.joint(rows)[0]) for m in self._active]
        )

    def joint(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        found = [m.joint(rows) for m in self._active]
        weight = self._shares[self._shares > 0]
        mean = np.asarray(weight @ [m for m, _ in found])
        return mean, self._mixed([(covariance, m, m) for m, covariance in found])

    def state(self) -> PackedState:
        """The models' states and the score so far."""
        return {
            "models": [m.state() for m in self._list],
            "fitted": self._fitted,
            "score": self._score,
            "trials": self._trials,
            "steps": self._steps,
            "chosen": self._chosen,
            "median": self._median,
        }

    def restore(
        self, state: PackedState, rows: IntArray, y: FloatArray, noise: FloatArray | None
    ) -> None:
        """See the protocol."""
        self._fitted, self._score = np.array(state["fitted"]), np.array(state["score"])
        self._trials, self._steps = np.array(state["trials"]), int(state["steps"])
        self._chosen, self._median = int(state["chosen"]), float(state["median"])
        for model, stored, n in zip(self._list, state["models"], self._fitted, strict=True):
            # Data are only ever appended, so what a model last saw is the beginning of them.
            model.restore(stored, rows[:n], y[:n], None if noise is None else noise[:n])

    @property
    def _list(self) -> list[StructuredGP]:
        return list(self.models.values())

    @property
    def _active(self) -> list[StructuredGP]:
        return [m for m, w in zip(self._list, self._shares, strict=True) if w > 0]

    @property
    def _shares(self) -> FloatArray:
        """(m,) weights of the models in what is predicted."""
        if self.reward == "published":
            return np.asarray(np.eye(len(self.models))[self._chosen])
        probability = self.probabilities()
        probability[probability < 1e-4] = 0.0
        return np.asarray(probability / probability.sum())

    def probabilities(self) -> FloatArray:
        """(m,) probability of each model.

        Evidence and prequential: posterior probabilities from equal prior ones. Published: the
        probability of having the highest rate of rewards, with Beta(1, 1) priors on the rates.
        """
        if self.reward != "published":
            relative = np.exp(self._score - self._score.max())
            return np.asarray(relative / relative.sum())
        wins = 0.5 * (self._score + self._trials)
        rng = np.random.default_rng(self.seed)
        rates = rng.beta(1.0 + wins, 1.0 + self._trials - wins, (_DRAWS, len(wins)))
        return np.bincount(rates.argmax(1), minlength=len(wins)) / _DRAWS

    def by_name(self) -> dict[str, float]:
        """Model -> its probability, most probable first."""
        pairs = zip(self.models, self.probabilities().tolist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: -pair[1]))

    def _judge(self, rows: IntArray, y: FloatArray, noise: FloatArray | None) -> None:
        for k, model in enumerate(self._list):
            if self.reward == "prequential" and 0 < self._fitted[k] < len(y):
                self._score[k] += model.log_score(rows, y, noise)
            model.fit(rows, y, noise)
            self._fitted[k] = len(y)
            if self.reward == "evidence":
                self._score[k] = model.log_evidence

    def _play(self, rows: IntArray, y: FloatArray, noise: FloatArray | None) -> None:
        rng = np.random.default_rng([self.seed, self._steps])
        unmeasured = ~np.isin(self.candidate_rows, rows)
        if self._steps <= self.warm_up:
            medians = [self._fitted_median(k, rows, y, noise, unmeasured) for k in self._every]
            self._chosen = int(np.argmin(medians))
            self._score += np.where(np.arange(len(medians)) == self._chosen, 1.0, -1.0)
            self._trials += 1
            self._median = medians[self._chosen]
            return
        mean = self._score / np.maximum(self._trials, 1)
        explore = rng.random() < self.epsilon
        self._chosen = int(rng.integers(len(mean)) if explore else np.argmax(mean))
        median = self._fitted_median(self._chosen, rows, y, noise, unmeasured)
        self._score[self._chosen] += 1.0 if median < self._median else -1.0
        self._trials[self._chosen] += 1
        self._median = median

    @property
    def _every(self) -> range:
        return range(len(self.models))

    def _fitted_median(
        self, k: int, rows: IntArray, y: FloatArray, noise: FloatArray | None, unmeasured: BoolArray
    ) -> float:
        """Median predictive variance of model k over what is not measured yet."""
        model = self._list[k]
        model.fit(rows, y, noise)
        self._fitted[k] = len(y)
        std = model.predict()[1]
        return float(np.median(std[unmeasured] if unmeasured.any() else std) ** 2)

    def _mixed(self, found: list[tuple[FloatArray, FloatArray, FloatArray]]) -> FloatArray:
        """Covariance of a mixture from (covariance, means of its rows, means of its columns)."""
        weight = self._shares[self._shares > 0]
        left, right = (np.array([f[i] for f in found]) for i in (1, 2))
        left, right = left - weight @ left, right - weight @ right
        within = sum(w * f[0] for w, f in zip(weight, found, strict=True))
        return np.asarray(within + (left.T * weight) @ right)


@dataclass(frozen=True, kw_only=True)
class CompetingModels(StructuredModel):
    """Structured GPs that compete, one for each hypothesis.

    References
    ----------
    Ziatdinov et al. 2022, Adv. Mater. 34, 2201345.
    """

    #: Hypotheses separated by ``;``, each a comma-separated list of causes (see
    #: ``"structured-gp"``).
    hypotheses: str = "constant; boundary; junction; asymmetry; topography; grain"
    #: ``"evidence"`` weights models by their marginal likelihood, and the site where their average
    #: is least sure (disagreement included) is measured next. ``"prequential"`` does the same with
    #: the sum of the log scores of each new curve before it was learnt. ``"published"`` chooses one
    #: model at each step, the best so far or, with probability epsilon, any. It is rewarded with +1
    #: if the median predictive variance fell and with -1 otherwise, and the next site is where this
    #: model is least sure. In the warm-up all are fitted and the one with the least median is
    #: rewarded.
    reward: str = option("evidence", choices=_REWARDS)
    #: Probability of any model under the reward ``"published"``.
    epsilon: float = option(0.4, low=0.0, high=1.0)
    #: Number of steps of the warm-up under the reward ``"published"``.
    warm_up: int = option(5, low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self._names()
        if len(names) < 2 or len(set(names)) < len(names):
            raise ConfigError(
                f"hypotheses must be at least two different ones; got {self.hypotheses!r}"
            )

    def _names(self) -> list[str]:
        parts = str(self.hypotheses).split(";")
        return [" + ".join(check_causes("hypotheses", part)) for part in parts]

    def make(self, run: RunContext) -> Surrogate:
        """The competition."""
        return Competition(
            {name: self.of_causes(run, tuple(name.split(" + "))) for name in self._names()},
            reward=self.reward,
            epsilon=self.epsilon,
            warm_up=self.warm_up,
            seed=run.weights_seed,
        )

    def scores(self, run: RunContext, count: int) -> Maps:
        """Probability of each hypothesis."""
        if not isinstance(run.surrogate, Competition):
            return {}
        chances = zip(run.surrogate.models, run.surrogate.probabilities(), strict=True)
        return {f"P({name})": np.full(count, chance) for name, chance in chances}


hypothesis = Recipe(
    "Hypothesis",
    """Structured GPs compete, one for each hypothesis about the cause of the target.

    The published reward favours over-confidence: the site of the largest variance leaves the
    available ones, so the median falls whether the model is right or wrong.
    """,
    model=CompetingModels(),
    never=NEVER,
)
