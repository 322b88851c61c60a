"""Microscopes behind one protocol: simulated, replayed or real.

A :class:`Microscope` scans, measures a curve at a site, sets the light and parks. :class:`Limits`
hold what it must never be asked to do. A :class:`Guard` around it refuses every command that would
break one, with an error and before the command is issued.

>>> from grainscout.hardware import Guard, Limits, make_microscope
>>> from grainscout.records import Site, Waveform
>>> with Guard(make_microscope("simulated", {"film": "tiny"}), Limits(voltage_V=2.0)) as microscope:
...     scan = microscope.scan()
...     curve = microscope.measure(Site(24, 24), Waveform.triangle(1.5, 51))
>>> len(curve)
51

:func:`make_microscope` opens a microscope by name. Adapters are imported when they are first named,
so importing this package needs numpy only.

An adapter of your own is a class with the members of :class:`Microscope`, registered as a callable
under the entry point group ``grainscout.microscopes``. :func:`check_microscope` is the conformance
suite that every adapter must pass.
"""

from grainscout.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
