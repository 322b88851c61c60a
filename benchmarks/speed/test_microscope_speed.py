"""One curve through the simulated microscope, beside the bare transport kernel.

Target: at most 1 ms a curve through the microscope object on one core.  Compare medians within
one run: what the instrument's faults, the guard and a stored state add to the film's own curve.
"""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from grainscout.hardware import Guard, Limits, SimulatedMicroscope
from grainscout.records import Site, Waveform, pack
from grainscout.simulator import Film, FilmSpec

WAVEFORM = Waveform.triangle()
ROWS, COLUMNS = 64, 64


@pytest.fixture(scope="module")
def film() -> Film:
    made = Film.generate(FilmSpec(rows=ROWS, columns=COLUMNS), 0)
    assert made.truth.parameters
    return made


@pytest.fixture
def sites() -> itertools.cycle[Site]:
    order = np.random.default_rng(0).permutation(ROWS * COLUMNS)
    return itertools.cycle([Site(int(i) // COLUMNS, int(i) % COLUMNS) for i in order])


def test_film_alone(benchmark, film, sites):
    """The baseline: the noiseless curve of one site."""
    benchmark(lambda: film.curves(np.array([next(sites)]), WAVEFORM, light=0.1))


@pytest.mark.parametrize("spec", ["ideal", "quiet", "reference", "all-mild"])
def test_microscope(benchmark, film, sites, spec):
    microscope = SimulatedMicroscope(film, spec, seed=np.random.SeedSequence(1), light=0.1)

    def once() -> None:
        site = next(sites)
        if not microscope.instrument.land(site, 0, 0.0).failure:
            microscope.instrument.sweep(site, 0, WAVEFORM, microscope.clock.now())

    if spec == "all-mild":  # its approaches fail now and then, which is not what is timed here
        benchmark(once)
    else:
        benchmark(lambda: microscope.measure(next(sites), WAVEFORM))


def test_guarded_microscope(benchmark, film, sites):
    inner = SimulatedMicroscope(film, "reference", seed=np.random.SeedSequence(1), light=0.1)
    guard = Guard(inner, Limits(frame_m=(0.0, 0.0, 1e-3, 1e-3), total_s=1e9, curves=10**9))
    guard.scan()
    benchmark(lambda: guard.measure(next(sites), WAVEFORM))


@pytest.mark.parametrize("measured", [0, 210])
def test_stored_state(benchmark, film, sites, measured):
    """What the journal stores with each outcome."""
    microscope = SimulatedMicroscope(film, "reference", seed=np.random.SeedSequence(1))
    for _ in range(measured):
        microscope.measure(next(sites), WAVEFORM)
    benchmark(lambda: pack(microscope.state()))


@pytest.mark.parametrize("module", ["numpy", "grainscout.hardware"])
def test_import(benchmark, module):
    """A fresh interpreter that imports the hardware room, beside one that imports NumPy."""
    command = [sys.executable, "-c", f"import {module}"]
    benchmark.pedantic(lambda: subprocess.run(command, check=True), rounds=5)
