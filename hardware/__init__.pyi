from .clock import RealClock, SimulatedClock
from .commands import Command, command_file
from .conformance import check_microscope
from .guard import Guard, LimitsCurrent, LogsFaults
from .limits import Limits
from .protocol import (
    Capabilities,
    Clock,
    Closes,
    Lamp,
    Meter,
    Microscope,
    Mover,
    Paper,
    Rescue,
    Resumable,
    SupportsClose,
    SupportsContact,
    SupportsFaults,
    SupportsGo,
    SupportsLimitCurrent,
    SupportsRescue,
    SupportsSettings,
    SupportsState,
    SupportsWear,
    Wears,
)
from .registry import make_microscope, microscope_names, paper_of
from .replay import ReplayMicroscope
from .simulated import SimulatedMicroscope

__all__ = [
    "Capabilities",
    "Clock",
    "Closes",
    "Command",
    "Guard",
    "Lamp",
    "Limits",
    "LimitsCurrent",
    "LogsFaults",
    "Meter",
    "Microscope",
    "Mover",
    "Paper",
    "RealClock",
    "ReplayMicroscope",
    "Rescue",
    "Resumable",
    "SimulatedClock",
    "SimulatedMicroscope",
    "SupportsClose",
    "SupportsContact",
    "SupportsFaults",
    "SupportsGo",
    "SupportsLimitCurrent",
    "SupportsRescue",
    "SupportsSettings",
    "SupportsState",
    "SupportsWear",
    "Wears",
    "check_microscope",
    "command_file",
    "make_microscope",
    "microscope_names",
    "paper_of",
]
