"""The nouns that all rooms share; numpy only (but for `_hdf5`, which those who read such files import).

A :class:`Waveform` is applied at a :class:`Site` of a :class:`Scan` and gives an
:class:`IVCurve`.  A policy makes a :class:`Proposal`, the microscope's answer is an
:class:`Outcome`, and a :class:`Problem` is all that the policy may know beforehand.

Units are SI throughout: volts, amperes, metres, seconds (light is in suns).  Arrays are
indexed ``[row, column]``; row 0 is the top line of the picture, x grows with the column and
y grows with the *row* (image convention), and :meth:`Scan.position` is the only place where
pixels become metres.
"""

from grainscout.records.checks import MISTAKES, CheckResult
from grainscout.records.curve import IVCurve
from grainscout.records.errors import (
    ConfigError,
    DataError,
    GrainscoutError,
    JournalError,
    LimitError,
    LinkError,
    MicroscopeError,
    PolicyError,
)
from grainscout.records.packing import PackedState, pack, unpack
from grainscout.records.problem import Budget, CostModel, Outcome, Problem, Proposal, Status
from grainscout.records.scan import Scan, Site
from grainscout.records.streams import Streams, measurement_stream, spawn_streams
from grainscout.records.waveform import Waveform

__all__ = [
    "MISTAKES",
    "Budget",
    "CheckResult",
    "ConfigError",
    "CostModel",
    "DataError",
    "GrainscoutError",
    "IVCurve",
    "JournalError",
    "LimitError",
    "LinkError",
    "MicroscopeError",
    "Outcome",
    "PackedState",
    "PolicyError",
    "Problem",
    "Proposal",
    "Scan",
    "Site",
    "Status",
    "Streams",
    "Waveform",
    "measurement_stream",
    "pack",
    "spawn_streams",
    "unpack",
]
