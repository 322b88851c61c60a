"""The models that ``grainscout regress`` watches, and how to name one's own."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from grainscout.analysis.curves import archetypes
from grainscout.analysis.curves.descriptors import DESCRIPTORS, describe_all
from grainscout.benchmarks.regression.films import FilmCase
from grainscout.benchmarks.regression.scores import Answer, Model
from grainscout.microstructure import SegmentationSpec, find_structure
from grainscout.policies import make_policy
from grainscout.policies.protocol import SupportsPredict
from grainscout.records import ConfigError, FloatArray, PolicyError, closest
from grainscout.records.supports import supports

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
    scan = case.problem.scan
    found = find_structure(scan.height, scan.pixel_size, SegmentationSpec())
    return {"boundary": -found.boundary_distance}


def _surrogate(name: str, about: str, **options: object) -> BuiltIn:
    def answer(case: FilmCase) -> Answer:
        policy = make_policy(name, options)
        policy.reset(case.problem, rng=case.rng())
        policy.tell(case.outcomes)
        if not supports(policy, SupportsPredict):
            raise PolicyError(f"policy {name} must have predict to be scored as a surrogate")
        mean, std = policy.predict()
        return {"mean": mean, "std": std}

    return BuiltIn(about=about, answer=answer)


# Small fits: enough to tell a good model from a damaged one, a second a film.
_WINDOW, _PATCHES, _EPOCHS, _HIDDEN = 12, 60, 10, 32


def _patches(case: FilmCase) -> FloatArray:
    from grainscout.analysis.latent import patches_at

    return patches_at(case.problem.scan.channel("height"), case.sites, _WINDOW)


def _rotation(case: FilmCase) -> Answer:
    """What it rebuilds of patches it never saw, and how still its content lies when they are turned."""
    from grainscout.analysis.latent import ImageOptions, RotationVAE, Training

    patches = _patches(case)
    unseen = patches[_PATCHES : 2 * _PATCHES]
    model = RotationVAE.fit(
        patches[:_PATCHES], ImageOptions(hidden=_HIDDEN), training=Training(epochs=_EPOCHS)
    )
    bare = unseen - unseen.mean(axis=(2, 3), keepdims=True)
    content = model.encode(unseen).content
    turned = model.encode(np.rot90(unseen, 1, axes=(2, 3))).content
    moved = np.abs(turned - content).mean() / content.std()
    rest = np.square(model.reconstruct(unseen) - bare).sum()
    return {"rebuilt": float(1 - rest / np.square(bare).sum()), "stillness": float(1 / (1 + moved))}


def dual_scores(case: FilmCase, *, seed: int = 0) -> Answer:
    """Its map of the pairs, and what it rebuilds of their curves."""
    from grainscout.analysis.latent import DualOptions, DualVAE, ImageOptions, Training

    patches, current = _patches(case), case.current
    options = DualOptions(image=ImageOptions(hidden=_HIDDEN, shift=0.0), own_size=True)
    model = DualVAE.fit(patches, current, options, training=Training(epochs=_EPOCHS), seed=seed)
    points, _ = model.encode_spectrum(current)
    size = np.sqrt(np.square(current).mean(axis=1, keepdims=True))
    shapes = current / np.maximum(size, model.spectrum_scaling.floor)
    rest = np.square(shapes - model.decode_spectrum(points)[:, 0]).sum(axis=1)
    spread = np.square(shapes - shapes.mean(axis=0)).sum(axis=1)
    # Medians: what a curve of noise alone is rebuilt like says nothing.
    return {"latent": points, "rebuilt": float(1 - np.median(rest) / np.median(spread))}


def _forensics(case: FilmCase) -> Answer:
    """Test on a run that prefers slopes and on one without preference."""
    from grainscout.analysis.forensics import choice_drivers, density_test, patch_components

    rng, sites = case.rng(), case.problem.candidates
    height = case.problem.scan.channel("height")
    at = tuple(sites.T)
    slope = np.hypot(*np.gradient(height))[at]
    wish = np.exp(2 * (slope - slope.mean()) / slope.std())
    led = rng.choice(len(sites), 80, replace=False, p=wish / wish.sum())
    idle = rng.choice(len(sites), 80, replace=False)
    space = patch_components(height, sites)
    seen = [density_test(space, run, permutations=99) for run in (led, idle)]
    others = {"height": height[at], "row": sites[:, 0], "chance": rng.normal(size=len(sites))}
    table = choice_drivers({"slope": slope, **others}, led, permutations=99)
    effect = table.set_index("property")["effect"]
    return {
        "run_contrast": float(np.log((seen[0].distance / seen[0].expected) / (seen[1].distance / seen[1].expected))),
        "driver_lead": float(effect["slope"] - effect.drop("slope").abs().max()),
    }  # fmt: skip


def _reader(case: FilmCase) -> Answer:
    from grainscout.microstructure.reader import read_structure

    reading = read_structure(case.problem.scan)
    rows, columns = case.sites.T
    shares = reading.stack(("club", "heart", "diamond"))[rows, columns]
    return {"boundary": reading.maps["boundary"], "archetype": shares.argmax(1)}


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
    "boundaries": BuiltIn(
        about="grain boundaries found in the image", answer=_boundaries, version="3"
    ),
    "reader": BuiltIn(about="boundaries and archetypes by the structure reader", answer=_reader),
    "latent-rotation": BuiltIn(about="rotation-invariant map of patches", answer=_rotation),
    "latent-dual": BuiltIn(about="dual map of patches and curves", answer=dual_scores),
    "forensics": BuiltIn(about="where a run went, and why", answer=_forensics),
    "surrogate-nngp": _surrogate("dkl", "closed-form deep kernel: map from 150 curves"),
    "surrogate-rbf": _surrogate("dkl", "RBF kernel on features: map from 150 curves", engine="rbf"),
    "surrogate-kriging": _surrogate("kriging", "kriging without the image: map from 150 curves"),
    "surrogate-map": _surrogate("map", "pretrained surrogate: map from 150 curves"),
    "policy-dkl": _policy("dkl"),
    "policy-dual-novelty": _policy("dual-novelty"),
    "policy-structured-gp": _policy("structured-gp"),
}


def find_model(name: str) -> Model:
    """A watched model by name, or ``module:object``. ConfigError says what is wrong with it."""
    if name in MODELS:
        return MODELS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(
            f"model must be one of {', '.join(MODELS)}, or module:object of your own; got {name!r}{closest(name, MODELS)}"
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
