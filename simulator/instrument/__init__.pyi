from .contact import ApproachSpec, ContactSpec, CrashSpec, LandingSpec
from .drift import CreepSpec, DriftSpec
from .faults import FAULT_LADDERS, INSTRUMENTS, InstrumentSpec, instrument_spec
from .faults import Event as Event
from .faults import MotionSpec as MotionSpec
from .faults import Visit as Visit
from .instrument import Instrument
from .noise import AmplifierSpec
from .sample_memory import LightSpec
from .wear import DamageSpec, WearSpec

__all__ = [
    "FAULT_LADDERS",
    "INSTRUMENTS",
    "AmplifierSpec",
    "ApproachSpec",
    "ContactSpec",
    "CrashSpec",
    "CreepSpec",
    "DamageSpec",
    "DriftSpec",
    "Instrument",
    "InstrumentSpec",
    "LandingSpec",
    "LightSpec",
    "WearSpec",
    "instrument_spec",
]
