"""The instrument between a film and its user.

:class:`Instrument` turns a commanded site into a measured curve. :class:`InstrumentSpec` holds its
settings, each fault a part of its own. ``INSTRUMENTS`` are named settings, and ``FAULT_LADDERS`` are
faults by severity level.
"""

from grainscout.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
