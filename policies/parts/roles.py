"""Five roles of a model policy, and the run as its parts see it.

A part is a frozen dataclass whose fields are options. What it finds out during a run is kept by the
:class:`RunContext`, so that one part may serve many policies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.acquisition import Posterior
from grainscout.policies.models.features import coordinates
from grainscout.policies.models.surrogates import Surrogate
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.novelty import PatchNovelty
from grainscout.policies.observations import ObservationHistory, Observations
from grainscout.policies.validation import check_options
from grainscout.records.arrays import FloatArray, IntArray
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import ConfigError, PolicyError
from grainscout.records.problem import Problem
from grainscout.records.scan import Scan
from grainscout.records.streams import POLICY_DEFAULTS

T = TypeVar("T")
Maps = Mapping[str, FloatArray]


class TrainingData(NamedTuple):
    """Data that a surrogate learns from."""

    rows: IntArray  #: (m,) rows of the feature table
    y: FloatArray  #: (m,) targets
    noise: FloatArray  #: (m,) variances of the targets' noise


NO_DATA = TrainingData(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


class Features:
    """Role: rows of numbers that stand for the sites."""

    #: False where the image is not looked at, so that no image novelty is shown.
    of_image: ClassVar[bool] = True

    __post_init__ = check_options

    def begin(self, run: RunContext) -> None:
        """Check that the problem has what is needed."""

    def table(self, scan: Scan) -> NDArray[np.float32]:
        """(m, d) features, those of the pixels first, row-major. The mean of x·x is about 1."""
        raise PolicyError(f"{type(self).__name__} must give features in table")

    def place(self, scan: Scan) -> NDArray[np.float32]:
        """(m, 2) coordinates of the table's rows, in eighths of the image's side."""
        return coordinates(scan)

    def earlier(self, scan: Scan) -> TrainingData:
        """Data from before the run."""
        return NO_DATA


class Model:
    """Role: the surrogate of what is learnt."""

    __post_init__ = check_options

    @property
    def width(self) -> float:
        """Factor on the standard deviations of maps, which no choice depends on."""
        return 1.0

    def begin(self, run: RunContext) -> None:
        """Check that the problem has what is needed."""

    def make(self, run: RunContext) -> Surrogate:
        """A new surrogate over the candidates."""
        raise PolicyError(f"{type(self).__name__} must make a surrogate in make")

    def scores(self, run: RunContext, count: int) -> Maps:
        """Scores of `count` proposals, beside the acquisition's."""
        return {}

    def maps(self, run: RunContext) -> Maps:
        """Name -> (c,) values that explain the model."""
        return {}


class Target:
    """Role: the quantity that is learnt from the curves."""

    #: Scores that mean and deviation are given as, where they are not the problem's target.
    score_names: ClassVar[tuple[str, ...]] = ()

    __post_init__ = check_options

    def begin(self, run: RunContext) -> None:
        """Check that the problem has what is needed."""

    def descriptor(self, problem: Problem) -> DescriptorTargets:
        """The descriptor that predictions are about."""
        return DescriptorTargets(problem.target, problem.waveform)

    def data(self, run: RunContext) -> TrainingData:
        """All that can be learnt from so far, in the order of the observations."""
        raise PolicyError(f"{type(self).__name__} must give training data in data")

    def maps(self, mean: FloatArray, std: FloatArray) -> Maps:
        """Name -> (c,) values that explain a learnt quantity other than the target."""
        return {}


class Acquisition:
    """Role: the gain of measuring a candidate."""

    #: Name of the map of the last gain.
    shown: ClassVar[str] = "acquisition"

    __post_init__ = check_options

    def begin(self, run: RunContext) -> None:
        """Check that the problem has what is needed."""

    def seeds(self, run: RunContext, count: int) -> IntArray:
        """Candidates to begin with, before any curve."""
        raise ConfigError(
            "seed_design must be 'random' or 'latin' here: 'planned' needs a design that can be "
            "made before the first curve, such as that of the policies map and scout"
        )

    def prepare(self, run: RunContext) -> None:
        """Fit what is needed beside the surrogate, before each choice."""

    def plan(self, run: RunContext) -> tuple[str, Callable[[Posterior], FloatArray]]:
        """Name of the gain in the scores, and the (c,) gain of a posterior."""
        raise PolicyError(f"{type(self).__name__} must give a gain in plan")

    def settings(self) -> dict[str, Any]:
        """Options of the posterior: sign, beta, xi, neighbours."""
        return {}

    def image_space(self, run: RunContext) -> tuple[NDArray[np.float32], int]:
        """Features and number of neighbours of the image novelty."""
        return run.table(), 1

    def scores(self, run: RunContext, index: IntArray) -> Maps:
        """Scores of the chosen candidates, beside the gain."""
        return {}

    def maps(self, run: RunContext) -> Maps:
        """Name -> (c,) values that explain the choice."""
        return {}

    def state(self, run: RunContext) -> PackedState:
        """All of its own that decides what comes next."""
        return {}

    def restore(self, run: RunContext, state: PackedState) -> None:
        """Continue from a state of the policy."""


class Candidates:
    """Role: the candidates that are measured first. This one takes all alike."""

    __post_init__ = check_options

    def begin(self, run: RunContext) -> None:
        """Check that the problem has what is needed."""

    def among(self, run: RunContext, available: IntArray) -> IntArray:
        """The available candidates to choose from, at least one."""
        return available

    def maps(self, run: RunContext) -> Maps:
        """Name -> (c,) values that explain the set."""
        return {}


Part = Features | Model | Target | Acquisition | Candidates


def part_options(part: object) -> dict[str, object]:
    """Option -> value of a part. A plain class has none."""
    own = dataclasses.fields(part) if dataclasses.is_dataclass(part) else ()
    return {f.name: getattr(part, f.name) for f in own}


@dataclass(kw_only=True, eq=False)
class RunContext:
    """One run as the parts of a policy see it."""

    problem: Problem  #: What is known before the first curve
    history: ObservationHistory  #: Proposals and outcomes so far
    rng: np.random.Generator  #: The only source of chance
    weights_seed: int  #: Seed of initial weights and samplers
    seed_points: int  #: Number of curves before the first choice
    features: Features
    model: Model
    target: Target
    acquisition: Acquisition
    #: Plain values and arrays that a part stores with the state.
    carried: dict[str, Any] = field(default_factory=dict)
    defaults: int = POLICY_DEFAULTS  #: Version of the defaults that the run began with
    _memo: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.candidate_rows = self.problem.scan.flat(self.problem.candidates)
        self.described = self.target.descriptor(self.problem)  # an unknown name fails here
        self.current: Surrogate | None = None

    def memo(self, key: str, make: Callable[[], T]) -> T:
        """The value under `key`, made when it is first needed."""
        if key not in self._memo:
            self._memo[key] = make()
        return cast("T", self._memo[key])

    def forget(self, key: str) -> None:
        """Make the value under `key` anew when it is next needed."""
        self._memo.pop(key, None)

    @property
    def observations(self) -> Observations:
        """The measured curves."""
        return self.history.observations

    @property
    def rows(self) -> IntArray:
        """(n,) feature row of each curve."""
        return self.problem.scan.flat(self.observations.sites)

    @property
    def surrogate(self) -> Surrogate:
        """The model that choices are made by, made when it is first needed."""
        if self.current is None:
            self.current = self.model.make(self)
        return self.current

    def table(self) -> NDArray[np.float32]:
        """Features, computed when first needed: those of a large image take a second."""
        return self.memo("table", lambda: self.features.table(self.problem.scan))

    def targets(self) -> TrainingData:
        """Usable values of the descriptor that predictions are about."""
        use, y, noise = self.described.of(self.observations)
        return TrainingData(self.rows[use], y, noise)

    def image_novelty(self, also: list[int] | None = None) -> FloatArray:
        """(c,) distance in feature space of each candidate to the nearest visited sites.

        also : candidates that count as visited, too.
        """

        def make() -> PatchNovelty:
            table, neighbours = self.acquisition.image_space(self)
            return PatchNovelty(table, self.candidate_rows, neighbours)

        patches = self.memo("patches", make)
        patches.visit(self.rows)
        return patches.scores([int(self.candidate_rows[i]) for i in also or []])
