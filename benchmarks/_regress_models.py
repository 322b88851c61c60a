"""The models that ``grainscout regress`` watches, and how to name one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from grainscout.analysis import archetypes
from grainscout.analysis.descriptors import DESCRIPTORS, describe_all
from grainscout.benchmarks._regress_films import FilmCase
from grainscout.benchmarks._regress_scores import Answer, Model
from grainscout.policies import make_policy
from grainscout.policies._protocol import Predicts
from grainscout.records import ConfigError, PolicyError

_DESCRIPTORS = ("turn_on", "loop_area", "hysteresis", "max_current")


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """A model of this package: what it is, the version of its definition, and how it answers."""

    about: str
    answer: Callable[[FilmCase], Answer]
    version: str = "1"

    def __call__(self, case: FilmCase) -> Answer:
        """What it predicts for a film."""
        return self.answer(case)


def _archetypes(case: FilmCase) -> Answer:
    return {"archetype": archetypes.classify(case.voltage, case.current, case.saturated)}


def _descriptors(case: FilmCase) -> Answer:
    found = describe_all(_DESCRIPTORS, case.voltage, case.current, case.saturated)
    # A bound says something only as a bound: a curve that never turns on has no turn-on.
    return {
        name: np.where(d.valid & (~d.censored | (name != "turn_on")), d.value, np.nan)
        for name, d in found.items()
    }


def _boundaries(case: FilmCase) -> Answer:
    from grainscout.simulator import Film

    scan = case.problem.scan
    film = Film.from_topography(scan.channel("height"), scan.pixel_size)
    return {"boundary": -film.structure.boundary_distance}


def _surrogate(name: str, about: str, **options: object) -> BuiltIn:
    def answer(case: FilmCase) -> Answer:
        policy = make_policy(name, options)
        policy.reset(case.problem, rng=case.rng())
        policy.tell(case.outcomes)
        if not isinstance(policy, Predicts):
            raise PolicyError(f"policy {name} must have predict to be scored as a surrogate")
        mean, std = policy.predict()
        return {"mean": mean, "std": std}

    return BuiltIn(about=about, answer=answer)


def _policy(name: str) -> BuiltIn:
    return BuiltIn(about=f"whole runs of {name}", answer=lambda _: make_policy(name, {}))


MODELS: dict[str, BuiltIn] = {
    "descriptors": BuiltIn(
        about="descriptors of noisy curves",
        answer=_descriptors,
        version=", ".join(f"{name} {DESCRIPTORS[name].version}" for name in _DESCRIPTORS),
    ),
    "archetypes": BuiltIn(
        about="archetype classifier on noisy curves",
        answer=_archetypes,
        version=str(archetypes.VERSION),
    ),
    "boundaries": BuiltIn(about="grain boundaries found in the image", answer=_boundaries),
    "surrogate-nngp": _surrogate("dkl", "closed-form deep kernel: map from 150 curves"),
    "surrogate-rbf": _surrogate("dkl", "RBF kernel on features: map from 150 curves", engine="rbf"),
    "surrogate-kriging": _surrogate("kriging", "kriging without the image: map from 150 curves"),
    "policy-dkl": _policy("dkl"),
    "policy-dual-novelty": _policy("dual-novelty"),
    "policy-structured-gp": _policy("structured-gp"),
}


def find_model(name: str) -> Model:
    """A watched model by name, or ``module:object``; ConfigError says what is wrong with it."""
    if name in MODELS:
        return MODELS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(
            f"model must be one of {', '.join(MODELS)}, or module:object of your own; got {name!r}"
        )
    here = str(Path.cwd())
    if here not in sys.path:  # as `python -m` would
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"model {name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise ConfigError(f"model {name!r} must be callable with a FilmCase; it is {found!r}")
    model: Model = found
    return model
