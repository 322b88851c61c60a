"""The fixed films that models are scored on: what a model is shown of each, and the truth beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from grainscout.benchmarks.tasks.truth import TaskTruth, film_truth
from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Microscope, SimulatedMicroscope
from grainscout.policies import make_policy
from grainscout.records.arrays import BoolArray, FloatArray, IntArray
from grainscout.records.problem import Budget, Outcome, Problem
from grainscout.records.registry import one_of
from grainscout.records.streams import spawn_streams
from grainscout.records.waveform import Waveform
from grainscout.simulator import PRESETS, Film, FilmSpec

_PRESETS = ("s26", "s23")  # the papers' materials: loops grow, or shrink, towards boundaries
_FILMS = 16
_CURVES, RUN_CURVES = 150, 80  # measured for the model; budget of a policy's own run
# An instrument with noise alone: faults of a contact are a lottery that would drown a model's own.
_LIGHT, _TEMPERATURE, _INSTRUMENT = 0.1, 298.0, "quiet"
_WAVEFORM = Waveform.triangle(samples=101)
_TURN_ON_A = 10e-12

#: Names of the films, eight of each preset.
FILM_NAMES = tuple(f"{_PRESETS[k % 2]}-{k // 2}" for k in range(_FILMS))


@dataclass(frozen=True, kw_only=True, eq=False)
class FilmCase:
    """What a model is shown of a film; the truth is not in it.

    name : of the film;  problem : scan, candidates, waveform, light and target ("loop_area");
    outcomes : 150 curves measured with noise at random candidates.
    """

    name: str
    problem: Problem
    outcomes: Sequence[Outcome]

    @property
    def voltage(self) -> FloatArray:
        """(s,) applied voltage [V]."""
        return self.problem.waveform.voltage

    @property
    def sites(self) -> IntArray:
        """(n, 2) rows and columns of the measured curves."""
        return np.array([tuple(o.site) for o in self.outcomes], np.int64)

    @property
    def current(self) -> FloatArray:
        """(n, s) measured currents [A]."""
        return np.array([o.curve.current for o in self.outcomes if o.curve is not None])

    @property
    def saturated(self) -> BoolArray:
        """(n, s) True where a sample was at the rail."""
        return np.array([o.curve.saturated for o in self.outcomes if o.curve is not None])

    def rng(self) -> np.random.Generator:
        """The same fresh generator on every call: whatever a model draws must come from it."""
        return spawn_streams(FILM_NAMES.index(self.name)).policy_rng(1)  # that of the baselines


@dataclass(frozen=True, kw_only=True, eq=False)
class FilmTruth:
    """What is true of a film, for scoring only.

    film : the film itself;  problem : put to models on it;  current : (n, s) noiseless currents [A] at
    the measured sites;  archetype : (n,) there;  values : name of a
    descriptor -> (n,) its value by its definition in words on the noiseless curves, worked out apart
    from ``analysis.descriptors`` so that a fault there cannot hide in the truth.
    """

    film: Film
    problem: Problem
    current: FloatArray
    archetype: NDArray[np.uint8]
    values: Mapping[str, FloatArray]

    @cached_property
    def task(self) -> TaskTruth:
        """Target and archetype at the problem's candidates."""
        return film_truth(self.film, self.problem, _TEMPERATURE)


def film_case(name: str) -> FilmCase:
    """The film of that name as a model sees it. ConfigError for an unknown name."""
    return _made(name)[0]


def film_truth_of(name: str) -> FilmTruth:
    """The truth of the film of that name. ConfigError for an unknown name."""
    return _made(name)[1]


def microscope_on(name: str) -> Microscope:
    """A new microscope on that film, its light set as the problem says."""
    return _microscope(film_truth_of(name).film, FILM_NAMES.index(name))


@lru_cache(maxsize=_FILMS)
def _made(name: str) -> tuple[FilmCase, FilmTruth]:
    one_of("film", name, FILM_NAMES)
    seed = FILM_NAMES.index(name)
    film = Film.generate(_spec(name), spawn_streams(seed).film)
    microscope = _microscope(film, seed)
    problem = make_problem(microscope, _WAVEFORM, Budget(curves=_CURVES), light=_LIGHT)
    policy = make_policy("random", {})
    experiment = Experiment(microscope, policy, problem=problem, seed=seed)
    policy.reset(problem, rng=spawn_streams(seed).policy_rng(1))  # the sites of the baselines
    outcomes = experiment.run().outcomes
    case = FilmCase(name=name, problem=problem, outcomes=outcomes)
    sites = case.sites
    clean, _ = film.curves(sites, _WAVEFORM, light=_LIGHT, temperature=_TEMPERATURE)
    truth = FilmTruth(
        film=film,
        problem=problem,
        current=clean,
        archetype=film.archetype[sites[:, 0], sites[:, 1]],
        values=plain_values(_WAVEFORM.voltage, clean),
    )
    return case, truth


def _spec(name: str) -> FilmSpec:
    return PRESETS[name.rpartition("-")[0]]


def _microscope(film: Film, seed: int) -> SimulatedMicroscope:
    microscope = SimulatedMicroscope(film, _INSTRUMENT, seed=spawn_streams(seed).instrument)
    microscope.light(_LIGHT)
    return microscope


def plain_values(voltage: FloatArray, current: FloatArray) -> dict[str, FloatArray]:
    """Descriptors of noiseless curves (n, s) [A] of a symmetric triangle (s,) [V], by plain means."""
    half = len(voltage) // 2
    v, out, back = voltage[: half + 1], current[:, : half + 1], current[:, half:][:, ::-1]
    area = trapezoid(np.abs(back - out), v)
    swept = trapezoid(np.abs(back) + np.abs(out), v)
    over = out - np.maximum(out[:, :1], 0.0) - _TURN_ON_A
    first = (over > 0).argmax(axis=1)
    rows = np.arange(len(out))
    before = np.maximum(first - 1, 0)
    low, high = over[rows, before], over[rows, first]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(first > before, -low / (high - low), 0.0)
        hysteresis = area / swept
    turn_on = np.where((over > 0).any(axis=1), v[before] + share * (v[first] - v[before]), np.nan)
    return {
        "turn_on": turn_on,
        "loop_area": area,
        "hysteresis": hysteresis,
        "max_current": current.max(axis=1),
    }


def fingerprint(name: str) -> list[float]:
    """Root mean squares of image [m], noiseless and measured currents [A]: what the films are."""
    case, truth = _made(name)
    parts = (case.problem.scan.channel("height"), truth.current, case.current)
    return [float(f"{np.sqrt(np.mean(np.square(p))):.9g}") for p in parts]
