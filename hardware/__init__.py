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

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
# Further names, such as those of the optional protocols, can be imported too.
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
