from .campaign.campaign import Campaign, run_campaign
from .campaign.store import CampaignStore, CellKey
from .loading import Loaded, load
from .reports.results import Results, write_results
from .reports.run_report import write_run_report
from .tasks.environment import Bench, set_up
from .tasks.registry import difficulties, find_task, tasks, tasks_with
from .tasks.rehearsal import Flight, fly
from .tasks.task import MicroscopeSpec, PolicySpec, Task, WaveformSpec
from .tasks.truth import TaskTruth

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
