"""Imported by the warm server alone: whatever a victim needs is made once, here."""

import numpy as np
from storm_link import ride_link
from victim import POLICIES, SEED

from grainscout.benchmarks import MicroscopeSpec, Task, WaveformSpec, make_environment
from grainscout.policies import make_policy

__all__ = ["ride_link"]

_TASK = Task(
    microscope=MicroscopeSpec(film="tiny"),
    waveform=WaveformSpec(samples=51),
    light_suns=0.1,
    curves=1,
)
_problem = make_environment(_TASK, SEED).problem()
for _name in POLICIES:
    make_policy(_name, {}).reset(_problem, rng=np.random.default_rng(0))
