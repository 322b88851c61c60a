"""What is measured, on which microscope, towards which goal; the truth and the score of it."""

from grainscout.benchmarks.tasks.microscopes import MicroscopeSpec
from grainscout.benchmarks.tasks.registry import find_task, tasks, tasks_with
from grainscout.benchmarks.tasks.task import PolicySpec, Task
from grainscout.benchmarks.tasks.waveforms import WaveformSpec
from grainscout.moved import callable_module

__all__ = [
    "MicroscopeSpec",
    "PolicySpec",
    "Task",
    "WaveformSpec",
    "find_task",
    "tasks",
    "tasks_with",
]

callable_module(__name__)
