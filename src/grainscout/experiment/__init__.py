"""The loop: ask, journal, measure, journal, tell. The same offline and on the instrument.

>>> from grainscout.experiment import Experiment, make_problem
>>> from grainscout.hardware import Guard, make_microscope
>>> from grainscout.policies import make_policy
>>> from grainscout.records import Budget, Waveform
>>> microscope = Guard(make_microscope("simulated", {"film": "tiny"}))
>>> problem = make_problem(microscope, Waveform.triangle(1.5, 51), Budget(curves=3))
>>> experiment = Experiment(microscope, make_policy("random"), problem=problem, seed=0)
>>> experiment.run().reason
'budget: 3 curves'

The microscope is parked whatever ends the loop: the budget, the policy, an operator or an error.
With a journal, ``Experiment.resume`` continues exactly where the run stopped.
"""

from grainscout.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
