import typing

from .campaign.campaign import Campaign
from .campaign.runner import run_campaign
from .campaign.store import CampaignStore
from .campaign.store import CellKey as CellKey
from .loading import Loaded as Loaded
from .loading import load
from .reports.results import Results as Results
from .reports.results import write_results
from .reports.run_report import write_run_report
from .tasks.environment import Bench as Bench
from .tasks.environment import Environment, make_environment
from .tasks.environment import set_up as set_up
from .tasks.microscopes import MicroscopeSpec
from .tasks.registry import difficulties as difficulties
from .tasks.registry import find_task
from .tasks.registry import tasks_with as tasks_with
from .tasks.rehearsal import Flight as Flight
from .tasks.rehearsal import Rehearsal as Rehearsal
from .tasks.rehearsal import fly as fly
from .tasks.rehearsal import rehearse
from .tasks.task import PolicySpec, Task
from .tasks.truth import TaskTruth as TaskTruth
from .tasks.waveforms import WaveformSpec

if typing.TYPE_CHECKING:
    from .tasks.registry import tasks
else:
    from . import tasks  # the module: a call of it is a call of the function

__all__ = [
    "Campaign",
    "CampaignStore",
    "Environment",
    "MicroscopeSpec",
    "PolicySpec",
    "Task",
    "WaveformSpec",
    "find_task",
    "load",
    "make_environment",
    "rehearse",
    "run_campaign",
    "tasks",
    "write_results",
    "write_run_report",
]
