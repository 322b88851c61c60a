"""Microscopes behind one protocol: simulated, replayed or real.

A :class:`Microscope` scans, measures a curve at a site, sets the light and parks.  What it must
never do is written in :class:`Limits`, and a :class:`Guard` stands in front of every microscope and
refuses, with an error and before the command is issued, whatever would break one.
:func:`make_microscope` opens a microscope by name, and :func:`check_microscope` is the conformance
suite that every adapter, ours or a third party's, must pass.

    with Guard(make_microscope("simulated", {"instrument": "reference"}), Limits()) as microscope:
        scan = microscope.scan()
        curve = microscope.measure(Site(64, 64), Waveform.triangle())

An adapter of one's own is a class with the members of :class:`Microscope`, registered as a callable
under the entry point group ``grainscout.microscopes``; ``check_microscope(lambda: Guard(mine))`` says
what is wrong with it.

Importing this package needs numpy only; adapters are loaded when they are first named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grainscout.hardware._clock import RealClock, SimulatedClock
from grainscout.hardware._commands import Command, command_file
from grainscout.hardware._guard import Guard, LimitsCurrent, LogsFaults
from grainscout.hardware._protocol import Capabilities, Clock, Closes, Microscope, Resumable, Wears
from grainscout.hardware._registry import make_microscope, microscope_names
from grainscout.hardware.limits import Limits

if TYPE_CHECKING:
    from grainscout.hardware._check import check_microscope
    from grainscout.hardware._replay import ReplayMicroscope
    from grainscout.hardware._simulated import SimulatedMicroscope

_LAZY = {
    "ReplayMicroscope": "grainscout.hardware._replay",
    "SimulatedMicroscope": "grainscout.hardware._simulated",
    "check_microscope": "grainscout.hardware._check",
}

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
    "Wears",
    "check_microscope",
    "command_file",
    "make_microscope",
    "microscope_names",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
