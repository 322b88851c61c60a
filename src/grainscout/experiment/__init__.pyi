from .bookkeeping import Result, Step
from .drift import DriftSettings
from .experiment import Experiment
from .operator import REQUESTS, attachable
from .problem import full_window_sites, make_problem
from .progress import progress_bar
from .stopping import StopRule
from .threads import one_thread

__all__ = [
    "REQUESTS",
    "DriftSettings",
    "Experiment",
    "Result",
    "Step",
    "StopRule",
    "attachable",
    "full_window_sites",
    "make_problem",
    "one_thread",
    "progress_bar",
]
