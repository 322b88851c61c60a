"""Imported by the warm server alone: whatever a victim needs is made once, here."""

import numpy as np
from storm_link import ride_link
from victim import POLICIES, SEED, tiny_task

from grainscout.benchmarks import make_environment
from grainscout.config.approval import load_approved
from grainscout.policies import make_policy
from grainscout.records import Site

__all__ = ["load_approved", "ride_link"]  # made here: nobody may not read an interpreter at home

_environment = make_environment(tiny_task(1, light_suns=0.1), SEED)
_problem = _environment.problem()
_environment.microscope.measure(Site(9, 9), _problem.waveform)
for _name in POLICIES:
    make_policy(_name).reset(_problem, rng=np.random.default_rng(0))
