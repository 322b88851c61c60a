"""The instrument between a film and its user.

:class:`Instrument` turns a commanded site into a measured curve. :class:`InstrumentSpec` holds its
settings, each fault a part of its own. ``INSTRUMENTS`` are named settings, and ``FAULT_LADDERS`` are
faults by severity level.
"""

from grainscout.simulator.instrument.contact import (
    ApproachSpec,
    ContactSpec,
    CrashSpec,
    LandingSpec,
)
from grainscout.simulator.instrument.drift import CreepSpec, DriftSpec
from grainscout.simulator.instrument.faults import (
    FAULT_LADDERS,
    INSTRUMENTS,
    InstrumentSpec,
    instrument_spec,
)
from grainscout.simulator.instrument.faults import Event as Event
from grainscout.simulator.instrument.faults import MotionSpec as MotionSpec
from grainscout.simulator.instrument.faults import Visit as Visit
from grainscout.simulator.instrument.instrument import Instrument
from grainscout.simulator.instrument.light import LightSpec
from grainscout.simulator.instrument.noise import AmplifierSpec
from grainscout.simulator.instrument.wear import DamageSpec, WearSpec

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
