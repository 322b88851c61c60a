"""The instrument between a film and its user.

:class:`Instrument` turns a commanded site into a measured curve. :class:`InstrumentSpec` holds its
settings, each fault a part of its own. ``INSTRUMENTS`` are named settings, and ``FAULT_LADDERS`` are
faults by severity level.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
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
