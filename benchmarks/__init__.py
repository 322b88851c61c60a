"""Tasks, campaigns, leaderboard and report: which policy is better, and is that decided?

A :class:`Task` says what is measured on which microscope towards which goal.  A :class:`Campaign` is
tasks x policies x films, its tasks written out or taken from the registry (:func:`tasks`); :func:`run_campaign` runs its cells (each one run of one policy on one film,
scored against the truth) into a :class:`CampaignStore`, and :func:`write_results` makes the
tables, the ranking, the report and ``winner.toml`` of it.

:func:`load` gives any journal, campaign or microscope's file as tables;
:mod:`grainscout.benchmarks.regress` watches that models do not get worse.

The truth stays on this side: a policy is given the ``Problem`` only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grainscout.benchmarks._registry import difficulties, find_task, tasks, tasks_with
from grainscout.benchmarks._stage import Bench, set_up
from grainscout.benchmarks._tasks import MicroscopeSpec, PolicySpec, Task, WaveformSpec
from grainscout.benchmarks._truth import TaskTruth

if TYPE_CHECKING:
    from grainscout.benchmarks._campaign import Campaign, run_campaign
    from grainscout.benchmarks._flight import Flight, fly
    from grainscout.benchmarks._load import Loaded, load
    from grainscout.benchmarks._results import Results, write_results
    from grainscout.benchmarks._run_report import write_run_report
    from grainscout.benchmarks._store import CampaignStore, CellKey

#: Loaded when first asked for: a worker, which runs cells, needs neither pandas nor matplotlib.
_LATER = {
    "Campaign": "_campaign",
    "run_campaign": "_campaign",
    "Flight": "_flight",
    "fly": "_flight",
    "Loaded": "_load",
    "load": "_load",
    "Results": "_results",
    "write_results": "_results",
    "write_run_report": "_run_report",
    "CampaignStore": "_store",
    "CellKey": "_store",
}

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


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
