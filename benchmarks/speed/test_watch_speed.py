"""The server's work for one new measurement on the live page, at 100 and at 1 000 measurements.

Everything that happens between the run's commit and the bytes for the viewers: opening the journal and
checking it, reading the new rows, describing the curve, all figures, and the message.  The bound of the
live page is 200 ms at 1 000 measurements (`UPDATE_S`).  Processor time: the run's own computer may be busy.
"""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from grainscout.experiment import make_problem
from grainscout.hardware import SimulatedMicroscope
from grainscout.journal import Header, Journal
from grainscout.records import Budget, IVCurve, Outcome, Proposal, Site, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film
from grainscout.watch.broadcaster import Broadcaster

UPDATE_S = 0.2
STREAMS = spawn_streams(1)


@pytest.fixture(scope="module")
def measured():
    """A problem on the reference film, and 2 000 outcomes that a run could have had."""
    film = Film.generate(PRESETS["reference"], STREAMS.film)
    scope = SimulatedMicroscope(film, "reference", seed=STREAMS.instrument)
    problem = make_problem(scope, Waveform.triangle(), Budget(curves=2000), light=0.1)
    sites = np.random.default_rng(0).choice(problem.candidates, 2000, replace=False)
    current, _ = film.curves(sites, problem.waveform, light=0.1)
    wave, outcomes = problem.waveform, []
    for k, (site, row) in enumerate(zip(sites.tolist(), current, strict=True)):
        curve = IVCurve(voltage=wave.voltage, current=row, time=wave.time)
        times = {"started": 2.0 * k, "finished": 2.0 * k + 1.5}
        outcomes.append(
            Outcome(site=Site(*site), status="ok", proposal_id=f"{k}-0", curve=curve, **times)
        )
    return problem, outcomes


@pytest.mark.benchmark(group="one update of the live page", timer=time.process_time)
@pytest.mark.parametrize("already", [100, 1000])
def test_update(benchmark, measured, tmp_path, already):
    problem, outcomes = measured
    left = iter(enumerate(outcomes))
    header = Header(problem=problem, config={}, seed=1)
    with Journal.create(tmp_path / "run.gsj", header) as journal:

        def measure():
            number, outcome = next(left)
            proposal = Proposal(id=f"{number}-0", site=outcome.site)
            journal.record_batch(number, [proposal], 0.1)
            journal.record_outcome(number, outcome)

        with journal.locked():
            journal.record_event("start", wear=0.0)
            for _ in range(already):
                measure()
            with Broadcaster(tmp_path / "run.gsj", maps=False) as broadcaster:

                def update():
                    page = broadcaster.update()
                    return json.dumps({"status": page.status, "parts": dict(page.parts)})

                benchmark.pedantic(update, setup=measure, rounds=15, warmup_rounds=1)
                assert broadcaster.page is not None
                assert len(broadcaster.run.sites) == already + 16
    assert benchmark.stats.stats.median <= UPDATE_S
