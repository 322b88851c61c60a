"""A finished run, and journals that are told by hand."""

import pytest

from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film

SEED = 3


@pytest.fixture(scope="session")
def film():
    return Film.generate(PRESETS["tiny"], spawn_streams(SEED).film)


@pytest.fixture(scope="session")
def night(film, tmp_path_factory):
    """Makes a run: 14 curves by a learning policy, in a journal of that name."""

    def make(path, curves=14, policy="dkl", options=None, instrument="reference", **settings):
        microscope = Guard(
            SimulatedMicroscope(film, instrument, seed=spawn_streams(SEED).instrument)
        )
        problem = make_problem(
            microscope, Waveform.triangle(1.5, 51), Budget(curves=curves), light=0.1
        )
        config = {"policy": {"name": policy, "options": options or {}}, "max_failures": 10}
        header = Header(problem=problem, config=config, seed=SEED)
        with Journal.create(path, header) as journal, journal.locked():
            policy_object = make_policy(policy, options or {})
            Experiment(
                microscope, policy_object, problem=problem, seed=SEED, journal=journal, **settings
            ).run()
        return path

    return make


@pytest.fixture(scope="session")
def finished(night, tmp_path_factory):
    """The journal of a run that has ended."""
    return night(tmp_path_factory.mktemp("finished") / "night.gsj")
