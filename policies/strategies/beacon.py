"""Novelty search in the space of outcomes (BEACON)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from grainscout.policies.acquisition import Belief
from grainscout.policies.base import Choice
from grainscout.policies.models.surrogate import Surrogate
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.strategies.dkl import DKL
from grainscout.policies.validation import check_choice
from grainscout.records import ConfigError, PackedState
from grainscout.records.arrays import FloatArray, IntArray

_SUBSET = 512  # candidates that the posterior functions are sampled at
_JITTER = 1e-6


@dataclass(kw_only=True)
class Beacon(DKL):
    """Measures where the outcome is expected to be unlike all measured ones.

    Tang, Chakrabarty & Paulson 2024 (BEACON): of one function sampled from each outcome's posterior,
    the site whose sampled outcomes have the largest sum of distances to the `neighbours` nearest
    outcomes in the archive.  The gain of a batch's later members is counted with the expected
    outcomes of the earlier ones in the archive.

    Options
    -------
    outcomes : comma-separated descriptors that span the space; each is scaled by its spread over
        the archive.  Models are independent and of the engine of ``"dkl"``.

    `predict` is about ``target``, as in ``"dkl"``; `acquisition` is fixed.
    """

    outcomes: str = "loop_area, log_max_current, turn_on"
    acquisition: str = "beacon"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("acquisition", self.acquisition, ("beacon",))
        if not isinstance(self.outcomes, str):
            raise ConfigError(
                f"outcomes must be comma-separated descriptors; got {self.outcomes!r}"
            )

    def _begin(self) -> None:
        super()._begin()
        names = [name.strip() for name in self.outcomes.split(",")]
        self._spaces = [
            DescriptorTargets(
                name,
                self.problem.waveform,
                censored=self.censored == "bound",
                saturated=self.saturated == "use",
            )
            for name in names
        ]
        self._models: list[Surrogate] | None = None
        self._known = np.zeros(len(names), np.int64)

    def _outcome_data(self, space: DescriptorTargets) -> tuple[IntArray, FloatArray, FloatArray]:
        use, y, noise = space.of(self.archive)
        return self._archive_rows()[use], y, noise

    @property
    def outcome_models(self) -> list[Surrogate]:
        """One model for each outcome, made when first needed."""
        if self._models is None:
            self._models = [self._new_surrogate() for _ in self._spaces]
        return self._models

    def _new_surrogate(self) -> Surrogate:
        kept, self._surrogate = self._surrogate, None
        fresh, self._surrogate = self.surrogate, kept
        return fresh

    def _select(self, n: int, open_: IntArray) -> Choice:
        for k, (space, model) in enumerate(zip(self._spaces, self.outcome_models, strict=True)):
            rows, y, noise = self._outcome_data(space)
            if len(y) > 0 and len(y) != self._known[k]:
                model.fit(rows, y, noise)
                self._known[k] = len(y)
        return super()._select(n, open_)

    def _gain(self, name: str, belief: Belief) -> FloatArray:
        """(c,) novelty of one joint sample of the outcomes; minus infinity off a random subset."""
        count = min(_SUBSET, len(belief.open_))
        members = np.sort(belief.rng.choice(belief.open_, count, replace=False))
        use = np.ones(len(self.archive), bool)
        for space in self._spaces:
            use &= space.of(self.archive)[0]
        sampled, known = [], []
        for space, model, n in zip(self._spaces, self.outcome_models, self._known, strict=True):
            if n == 0 or not use.any():
                continue  # no curve has shown this outcome yet: it cannot tell sites apart
            mask, y, _ = space.of(self.archive)
            archive = y[use[mask]]
            if belief.imagined:
                archive = np.append(archive, model.predict()[0][belief.imagined])
            spread = float(archive.std()) or 1.0
            mean, covariance = model.joint(self._pool[members])
            sampled.append(_draw(mean, covariance, belief.rng) / spread)
            known.append(archive / spread)
        gain = np.full(len(belief.mean), -np.inf)
        # Where no outcome is known yet, every site is as good as another.
        gain[members] = (
            novelty(np.transpose(sampled), np.transpose(known), self.neighbours) if known else 0.0
        )
        return gain

    def state(self) -> PackedState:
        """All that decides what comes next; the outcomes' models beside the rest."""
        models = [
            m.state() if n else None for m, n in zip(self.outcome_models, self._known, strict=True)
        ]
        return {**super().state(), "outcomes": models, "known": self._known}

    def restore(self, state: PackedState) -> None:
        """Continue from `state`; PolicyError if it is of another policy, version or problem."""
        super().restore(state)
        self._models, self._known = None, np.array(state["known"], np.int64)
        for space, n, stored, model in zip(
            self._spaces, self._known, state["outcomes"], self.outcome_models, strict=True
        ):
            if stored is not None:
                # Data are only ever appended, so what was fitted is the beginning of them.
                rows, y, noise = self._outcome_data(space)
                model.restore(stored, rows[:n], y[:n], noise[:n])


def novelty(sampled: FloatArray, known: FloatArray, neighbours: int) -> FloatArray:
    """(m,) sum of the distances of (m, d) outcomes to the nearest `neighbours` of (n, d) known ones."""
    k = min(neighbours, len(known))
    distance = np.partition(cdist(sampled, known), k - 1, axis=1)
    return np.asarray(distance[:, :k].sum(1))


def _draw(mean: FloatArray, covariance: FloatArray, rng: np.random.Generator) -> FloatArray:
    """One sample of a normal vector; a covariance that is singular to rounding is jittered."""
    covariance.flat[:: len(covariance) + 1] += _JITTER * float(np.diagonal(covariance).max())
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # an interpolated kernel is positive to single precision only
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(mean + root @ rng.standard_normal(len(mean)))
