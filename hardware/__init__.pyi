from .clock import RealClock, SimulatedClock
from .commands import Command, command_file
from .conformance import check_microscope
from .guard import Guard
from .guard import LimitsCurrent as LimitsCurrent
from .guard import LogsFaults as LogsFaults
from .limits import Limits
from .protocol import Capabilities, Clock, Microscope
from .protocol import Closes as Closes
from .protocol import Lamp as Lamp
from .protocol import Meter as Meter
from .protocol import Mover as Mover
from .protocol import Paper as Paper
from .protocol import Rescue as Rescue
from .protocol import Resumable as Resumable
from .protocol import SupportsClose as SupportsClose
from .protocol import SupportsContact as SupportsContact
from .protocol import SupportsFaults as SupportsFaults
from .protocol import SupportsGo as SupportsGo
from .protocol import SupportsLimitCurrent as SupportsLimitCurrent
from .protocol import SupportsRescue as SupportsRescue
from .protocol import SupportsSettings as SupportsSettings
from .protocol import SupportsState as SupportsState
from .protocol import SupportsWear as SupportsWear
from .protocol import Wears as Wears
from .registry import make_microscope, microscope_names
from .registry import paper_of as paper_of
from .replay import ReplayMicroscope
from .simulated import SimulatedMicroscope

__all__ = [
    "Capabilities",
    "Clock",
    "Command",
    "Guard",
    "Limits",
    "Microscope",
    "RealClock",
    "ReplayMicroscope",
    "SimulatedClock",
    "SimulatedMicroscope",
    "check_microscope",
    "command_file",
    "make_microscope",
    "microscope_names",
]
