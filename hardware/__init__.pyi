from .clock import RealClock, SimulatedClock
from .commands import Command, command_file
from .conformance import check_microscope
from .guard import Guard, LimitsCurrent, LogsFaults
from .limits import Limits
from .protocol import (
    Capabilities,
    Clock,
    Closes,
    Microscope,
    Resumable,
    SupportsClose,
    SupportsFaults,
    SupportsLimitCurrent,
    SupportsState,
    SupportsWear,
    Wears,
)
from .registry import make_microscope, microscope_names
from .replay import ReplayMicroscope
from .simulated import SimulatedMicroscope

__all__ = [
    "Capabilities",
    "Clock",
    "Closes",
    "Command",
    "Guard",
    "Limits",
    "LimitsCurrent",
    "LogsFaults",
    "Microscope",
    "RealClock",
    "ReplayMicroscope",
    "Resumable",
    "SimulatedClock",
    "SimulatedMicroscope",
    "SupportsClose",
    "SupportsFaults",
    "SupportsLimitCurrent",
    "SupportsState",
    "SupportsWear",
    "Wears",
    "check_microscope",
    "command_file",
    "make_microscope",
    "microscope_names",
]
