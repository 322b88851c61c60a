"""Runs on a small film, as tests of the loop and of its journals have them."""

from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film

WAVE = Waveform.triangle(1.5, 51)


def film_of(seed, preset="tiny"):
    return Film.generate(PRESETS[preset], spawn_streams(seed).film)


def scope_on(film, seed, instrument="quiet", limits=None, **settings):
    """A guarded simulated microscope; the same seed gives the same instrument."""
    inner = SimulatedMicroscope(film, instrument, seed=spawn_streams(seed).instrument, **settings)
    return Guard(inner, limits)


def problem_of(scope, curves, wave=WAVE, light=0.1):
    return make_problem(scope, wave, Budget(curves=curves), light=light)


def flown(scope, policy, seed, path=None, *, curves, wave=WAVE, config=None, **settings):
    """The result of a run of a policy, or of one by its name, with a journal if there is a path for it."""
    problem = problem_of(scope, curves, wave)
    policy = make_policy(policy) if isinstance(policy, str) else policy
    settings |= {"problem": problem, "seed": seed}
    if path is None:
        return Experiment(scope, policy, **settings).run()
    header = Header(problem=problem, config=config or {}, seed=seed)
    with Journal.create(path, header) as journal, journal.locked():
        return Experiment(scope, policy, journal=journal, **settings).run()
