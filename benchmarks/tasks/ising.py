"""The Ising demonstration: the same loop and policies on a plane of spin lattices.

Rows and columns are the couplings J2 and J1 of a square lattice, both in units of its temperature;
what is "measured" at a point is a thermal average per spin, and the image is the magnetisation that a
much smaller and shorter simulation gives: cheap, rough, and known everywhere.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from grainscout.analysis.formats import Recording
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.records import ConfigError, Problem, Scan, Waveform

PHASES = ("disordered", "ordered", "striped")
PROPERTIES = ("magnetisation", "heat_capacity", "susceptibility", "energy", "stripes")

_POINTS = 24
_NEAREST, _NEXT = (0.0, 0.9), (-0.9, 0.3)  # J1 and J2: all three phases meet in this window
_TEMPERATURES = (0.8, 1.25)  # each seed draws one, which moves the phases' borders
_UNIT = 1e-9  # one stands for 1 nA in curves, for 1 nm in the image
_SAMPLES = 16  # of the constant curve that stands for the average


@lru_cache(maxsize=4)
def ising_plane(seed: int) -> dict[str, np.ndarray]:
    """(24, 24) arrays [J2, J1] of each of `PROPERTIES`, and "cheap", the rough magnetisation."""
    from grainscout.simulator.ising import IsingSpec, phase_map

    rng = np.random.default_rng(seed)
    base = IsingSpec(
        size=12, temperature=float(rng.uniform(*_TEMPERATURES)), sweeps=300, warmup=100
    )
    couplings = np.linspace(*_NEAREST, _POINTS), np.linspace(*_NEXT, _POINTS)
    plane = phase_map(*couplings, base=base, rng=rng)
    rough = phase_map(*couplings, base=replace(base, size=4, sweeps=10, warmup=10), rng=rng)
    return {**plane, "cheap": rough["magnetisation"]}


def ising_recording(seed: int, options: Mapping[str, Any]) -> Recording:
    """The plane as a recording that can be replayed. ConfigError for an unknown option or property."""
    unknown = sorted(set(options) - {"property"})
    name = options.get("property", PROPERTIES[0])
    if unknown or name not in PROPERTIES:
        raise ConfigError(
            f"microscope options of kind 'ising' must be property, one of {', '.join(PROPERTIES)}; "
            f"got {dict(options)}"
        )
    plane = ising_plane(seed)
    return Recording(
        scan=Scan(channels={"height": _UNIT * plane["cheap"]}, pixel_size=(20e-9, 20e-9)),
        sites=np.argwhere(np.ones((_POINTS, _POINTS), bool)),
        waveform=Waveform.constant(1.0, duration=1.0, samples=_SAMPLES),
        current=np.repeat(_UNIT * plane[name].reshape(-1, 1), _SAMPLES, axis=1),
    )


def ising_truth(seed: int, truth: TaskTruth, problem: Problem) -> TaskTruth:
    """`truth` of the recording: ordered where |m| > 1/2, striped where alternate lines are."""
    plane = ising_plane(seed)
    phase = np.where(plane["magnetisation"] > 0.5, 1, np.where(plane["stripes"] > 0.5, 2, 0))
    here = phase[tuple(problem.candidates.T)].astype(np.uint8)
    wanted = tuple(int(k) for k in np.unique(here))
    return replace(truth, archetype=here, classes=PHASES, wanted=wanted)
