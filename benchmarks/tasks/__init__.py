"""What is measured, on which microscope, towards which goal; the truth and the score of it.

``grainscout.benchmarks.tasks()`` was a function before this package had its name; a call of the package
still gives the registered tasks.
"""

import sys
from types import ModuleType

from grainscout.benchmarks.tasks.microscopes import MicroscopeSpec
from grainscout.benchmarks.tasks.registry import find_task, tasks, tasks_with
from grainscout.benchmarks.tasks.task import PolicySpec, Task
from grainscout.benchmarks.tasks.waveforms import WaveformSpec

__all__ = [
    "MicroscopeSpec",
    "PolicySpec",
    "Task",
    "WaveformSpec",
    "find_task",
    "tasks",
    "tasks_with",
]


class _CallableModule(ModuleType):
    def __call__(self) -> dict[str, Task]:
        return tasks()


sys.modules[__name__].__class__ = _CallableModule
