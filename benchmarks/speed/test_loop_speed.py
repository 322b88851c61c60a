"""What the loop, the guard and the journal add to a measurement.

The floor is the same measurements without any of them; the cost of the commit on disk is the
difference between the two journals of one run.
"""

from __future__ import annotations

import itertools

import pytest

from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film

CURVES = 100
STREAMS = spawn_streams(1)


@pytest.fixture(scope="module")
def film():
    return Film.generate(PRESETS["reference"], STREAMS.film)


def setting(film):
    scope = Guard(SimulatedMicroscope(film, "reference", seed=STREAMS.instrument))
    return scope, make_problem(scope, Waveform.triangle(), Budget(curves=CURVES), light=0.1)


@pytest.mark.benchmark(group="100 measurements by the random policy")
def test_bare_measurements(benchmark, film):
    def go():
        scope, problem = setting(film)
        policy = make_policy("random", {})
        policy.reset(problem, rng=STREAMS.policy_rng())
        for _ in range(CURVES):
            scope.microscope.measure(policy.ask()[0].site, problem.waveform)

    benchmark.pedantic(go, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="100 measurements by the random policy")
@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "journal on disk"])
def test_loop(benchmark, film, tmp_path, kept):
    numbers = itertools.count()

    def go():
        scope, problem = setting(film)
        journal = None
        if kept:
            header = Header(problem=problem, config={}, seed=1)
            journal = Journal.create(tmp_path / f"{next(numbers)}.gsj", header)
        Experiment(scope, make_policy("random", {}), problem=problem, seed=1, journal=journal).run()
        if journal is not None:
            journal.close()

    benchmark.pedantic(go, rounds=5, warmup_rounds=1)
