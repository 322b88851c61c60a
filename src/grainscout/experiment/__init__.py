"""The loop: ask, journal, measure, journal, tell; the same offline and on the instrument.

    >>> experiment = Experiment(microscope, policy, problem=problem, journal=journal, rng=rng)
    >>> result = experiment.run()

The microscope is parked whatever ends the loop: the budget, the policy, a person or an error.
``Experiment.resume`` goes on from a journal exactly where it stopped.
"""

from grainscout.experiment.experiment import Experiment, Result, Step
from grainscout.experiment.operator import REQUESTS, attachable
from grainscout.experiment.problem import full_window_sites, make_problem
from grainscout.experiment.threads import one_thread

__all__ = [
    "REQUESTS",
    "Experiment",
    "Result",
    "Step",
    "attachable",
    "full_window_sites",
    "make_problem",
    "one_thread",
]
