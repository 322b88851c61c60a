import typing

from .campaign.campaign import Campaign
from .campaign.runner import run_campaign
from .campaign.store import CampaignStore, CellKey
from .loading import Loaded, load
from .reports.results import Results, write_results
from .reports.run_report import write_run_report
from .tasks.environment import Bench, Environment, make_environment, set_up
from .tasks.microscopes import MicroscopeSpec
from .tasks.registry import difficulties, find_task, tasks_with
from .tasks.rehearsal import Flight, Rehearsal, fly, rehearse
from .tasks.task import PolicySpec, Task
from .tasks.truth import TaskTruth
from .tasks.waveforms import WaveformSpec

if typing.TYPE_CHECKING:
    from .tasks.registry import tasks
else:
    from . import tasks  # the module: a call of it is a call of the function

__all__ = [
    "Bench",
    "Campaign",
    "CampaignStore",
    "CellKey",
    "Environment",
    "Flight",
    "Loaded",
    "MicroscopeSpec",
    "PolicySpec",
    "Rehearsal",
    "Results",
    "Task",
    "TaskTruth",
    "WaveformSpec",
    "difficulties",
    "find_task",
    "fly",
    "load",
    "make_environment",
    "rehearse",
    "run_campaign",
    "set_up",
    "tasks",
    "tasks_with",
    "write_results",
    "write_run_report",
]
