from .contact import ApproachSpec, ContactSpec, CrashSpec, LandingSpec
from .drift import CreepSpec, DriftSpec
from .faults import (
    FAULT_LADDERS,
    INSTRUMENTS,
    Event,
    InstrumentSpec,
    MotionSpec,
    Visit,
    instrument_spec,
)
from .instrument import Instrument
from .light import LightSpec
from .noise import AmplifierSpec
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
    "Event",
    "Instrument",
    "InstrumentSpec",
    "LandingSpec",
    "LightSpec",
    "MotionSpec",
    "Visit",
    "WearSpec",
    "instrument_spec",
]
