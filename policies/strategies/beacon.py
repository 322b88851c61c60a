"""Novelty search in the space of outcomes (BEACON)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.distance import cdist

from grainscout.policies.acquisition import SUBSET, Posterior, draw
from grainscout.policies.models.surrogates import Surrogate
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.parts.roles import Acquisition, RunContext, TrainingData
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records import ConfigError, FloatArray, PackedState


@dataclass(kw_only=True)
class _Outcome:
    """One outcome: its values, its model, and the number of values that the model has seen."""

    values: DescriptorTargets
    model: Surrogate
    seen: int = 0

    def data(self, run: RunContext) -> TrainingData:
        use, y, noise = self.values.of(run.observations)
        return TrainingData(run.rows[use], y, noise)


@dataclass(frozen=True, kw_only=True)
class OutcomeNovelty(Acquisition):
    """Distance of one posterior sample of the outcomes to the measured ones."""

    #: Comma-separated descriptors that span the space. Each is scaled by its spread over the
    #: measured curves. Their models are independent and as that of the target.
    outcomes: str = "loop_area, log_max_current, turn_on"
    neighbours: int = option(10, low=1)  #: Number of nearest measured outcomes that count

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.outcomes, str):
            raise ConfigError(
                f"outcomes must be comma-separated descriptors; got {self.outcomes!r}"
            )

    def begin(self, run: RunContext) -> None:
        """Check the names of the outcomes."""
        self._values(run)

    def _values(self, run: RunContext) -> list[DescriptorTargets]:
        names = [name.strip() for name in self.outcomes.split(",")]
        return [replace(run.described, name=name, dead_contacts=False) for name in names]

    def _outcomes(self, run: RunContext) -> list[_Outcome]:
        return run.memo(
            "outcomes",
            lambda: [_Outcome(values=v, model=run.model.make(run)) for v in self._values(run)],
        )

    def prepare(self, run: RunContext) -> None:
        """Fit the outcomes' models."""
        for outcome in self._outcomes(run):
            data = outcome.data(run)
            if len(data.y) > 0 and len(data.y) != outcome.seen:
                outcome.model.fit(*data)
                outcome.seen = len(data.y)

    def plan(self, run: RunContext) -> tuple[str, Callable[[Posterior], FloatArray]]:
        """The novelty of one joint sample of the outcomes."""
        return "beacon", lambda posterior: self._gain(run, posterior)

    def _gain(self, run: RunContext, posterior: Posterior) -> FloatArray:
        """(c,) novelty of one joint sample. Minus infinity off a random subset."""
        count = min(SUBSET, len(posterior.available))
        members = np.sort(posterior.rng.choice(posterior.available, count, replace=False))
        outcomes = self._outcomes(run)
        use = np.ones(len(run.observations), bool)
        for outcome in outcomes:
            use &= outcome.values.of(run.observations)[0]
        sampled, known = [], []
        for outcome in outcomes:
            if outcome.seen == 0 or not use.any():
                continue  # no curve has shown this outcome yet: it says nothing about the sites
            mask, y, _ = outcome.values.of(run.observations)
            measured = y[use[mask]]
            if posterior.imagined:
                expected = outcome.model.predict()[0][posterior.imagined]
                measured = np.append(measured, expected)
            spread = float(measured.std()) or 1.0
            mean, covariance = outcome.model.joint(run.candidate_rows[members])
            sampled.append(draw(mean, covariance, posterior.rng) / spread)
            known.append(measured / spread)
        gain = np.full(len(posterior.mean), -np.inf)
        # Where no outcome is known yet, every site is as good as another.
        gain[members] = (
            novelty(np.transpose(sampled), np.transpose(known), self.neighbours) if known else 0.0
        )
        return gain

    def state(self, run: RunContext) -> PackedState:
        """The outcomes' models."""
        outcomes = self._outcomes(run)
        return {
            "outcomes": [o.model.state() if o.seen else None for o in outcomes],
            "known": np.array([o.seen for o in outcomes], np.int64),
        }

    def restore(self, run: RunContext, state: PackedState) -> None:
        """Continue with the models of a state."""
        run.forget("outcomes")
        for outcome, stored, seen in zip(
            self._outcomes(run), state["outcomes"], state["known"], strict=True
        ):
            outcome.seen = int(seen)
            if stored is not None:
                # Data are only ever appended: those of the last fit are the beginning.
                rows, y, noise = outcome.data(run)
                outcome.model.restore(stored, rows[:seen], y[:seen], noise[:seen])


def novelty(sampled: FloatArray, known: FloatArray, neighbours: int) -> FloatArray:
    """(m,) sum of the distances of (m, d) outcomes to the nearest `neighbours` of (n, d) known ones."""
    k = min(neighbours, len(known))
    distance = np.partition(cdist(sampled, known), k - 1, axis=1)
    return np.asarray(distance[:, :k].sum(1))


beacon = Recipe(
    "Beacon",
    """Measures where the outcome is expected to be unlike all measured ones.

    Tang, Chakrabarty & Paulson 2024 (BEACON). Of one function sampled from each outcome's
    posterior, the site is chosen whose sampled outcomes have the largest sum of distances to the
    nearest measured outcomes. For the later members of a batch, the expected outcomes of the
    earlier ones count as measured. The prediction is of the target, as in ``"dkl"``.
    """,
    acquisition=OutcomeNovelty(),
    never=("acquisition", "goal", "beta", "xi"),
)
