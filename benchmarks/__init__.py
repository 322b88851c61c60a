"""Tasks, campaigns, leaderboard and report: which policy is better, and is that decided?

A :class:`Task` says what is measured on which microscope towards which goal.  A :class:`Campaign` is
tasks x policies x films, its tasks written out or taken from the registry (:func:`tasks`); :func:`run_campaign` runs its cells (each one run of one policy on one film,
scored against the truth) into a :class:`CampaignStore`, and :func:`write_results` makes the
tables, the ranking, the report and ``winner.toml`` of it.

:func:`load` gives any journal, campaign or microscope's file as tables;
:mod:`grainscout.benchmarks.regress` watches that models do not get worse.

The truth stays on this side: a policy is given the ``Problem`` only.
"""

from grainscout.benchmarks._campaign import Campaign, run_campaign
from grainscout.benchmarks._flight import Flight, fly
from grainscout.benchmarks._load import Loaded, load
from grainscout.benchmarks._registry import difficulties, find_task, tasks, tasks_with
from grainscout.benchmarks._results import Results, write_results
from grainscout.benchmarks._run_report import write_run_report
from grainscout.benchmarks._stage import Bench, set_up
from grainscout.benchmarks._store import CampaignStore, CellKey
from grainscout.benchmarks._tasks import MicroscopeSpec, PolicySpec, Task, WaveformSpec
from grainscout.benchmarks._truth import TaskTruth

__all__ = [
    "Bench",
    "Campaign",
    "CampaignStore",
    "CellKey",
    "Flight",
    "Loaded",
    "MicroscopeSpec",
    "PolicySpec",
    "Results",
    "Task",
    "TaskTruth",
    "WaveformSpec",
    "difficulties",
    "find_task",
    "fly",
    "load",
    "run_campaign",
    "set_up",
    "tasks",
    "tasks_with",
    "write_results",
    "write_run_report",
]
