"""The records that all packages share.

A :class:`Waveform` is applied at a :class:`Site` of a :class:`Scan` and gives an
:class:`IVCurve`. A policy makes a :class:`Proposal`, the microscope's answer is an
:class:`Outcome`, and a :class:`Problem` is all that the policy may know beforehand. Many curves
of one scan are a :class:`Recording`.

Units are SI throughout: volts, amperes, metres, seconds (light is in suns). Arrays are indexed
``[row, column]``. Row 0 is the top line of the picture, x grows with the column and y grows with
the *row* (image convention). :meth:`Scan.position` is the only place where pixels become metres.

Errors are in `grainscout.records.errors`, random streams in `grainscout.records.streams`. All of
them can be imported from here as well.
"""

from grainscout.records.arrays import AnyFloatArray as AnyFloatArray
from grainscout.records.arrays import BoolArray as BoolArray
from grainscout.records.arrays import FloatArray as FloatArray
from grainscout.records.arrays import IntArray as IntArray
from grainscout.records.curve import IVCurve, Quality
from grainscout.records.encoding.packing import PackedState as PackedState
from grainscout.records.encoding.packing import pack as pack
from grainscout.records.encoding.packing import unpack as unpack
from grainscout.records.errors import MISTAKES as MISTAKES
from grainscout.records.errors import CheckResult as CheckResult
from grainscout.records.errors import ConfigError, DataError, GrainscoutError
from grainscout.records.errors import JournalError as JournalError
from grainscout.records.errors import LimitError as LimitError
from grainscout.records.errors import LinkError as LinkError
from grainscout.records.errors import MicroscopeError as MicroscopeError
from grainscout.records.errors import NotChecked as NotChecked
from grainscout.records.errors import NotSentError as NotSentError
from grainscout.records.errors import PolicyError as PolicyError
from grainscout.records.files import regular as regular
from grainscout.records.problem import Budget, CostModel, Outcome, Problem, Proposal, Status
from grainscout.records.recording import Recording
from grainscout.records.recording import Traces as Traces
from grainscout.records.registry import closest as closest
from grainscout.records.registry import one_of as one_of
from grainscout.records.scan import Scan, Site
from grainscout.records.streams import Streams as Streams
from grainscout.records.streams import measurement_stream as measurement_stream
from grainscout.records.streams import spawn_streams as spawn_streams
from grainscout.records.waveform import Waveform

__all__ = [
    "Budget",
    "ConfigError",
    "CostModel",
    "DataError",
    "GrainscoutError",
    "IVCurve",
    "Outcome",
    "Problem",
    "Proposal",
    "Quality",
    "Recording",
    "Scan",
    "Site",
    "Status",
    "Waveform",
]
