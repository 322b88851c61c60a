"""The journal: one SQLite file a run, from which it can be read and resumed.

Rows are written in this order::

    batch (proposals)  ->  outcome, outcome, ...  ->  batch  ->  ...

Every arrow is a commit. An outcome reaches the policy only after its commit, which holds the
microscope's state as well. So a run that is killed anywhere continues as if it had not been.
Curves, scans and states are checked binary blobs (``records.pack``), every row has a checksum, and
nothing is unpickled.
"""

from grainscout.journal.as_recording import recording_of, salvaged_recordings
from grainscout.journal.journal import Journal
from grainscout.journal.lock import is_locked
from grainscout.journal.models import Batch, Event, Header, Request, package_versions
from grainscout.journal.salvaging import Salvaged, salvage

__all__ = [
    "Batch",
    "Event",
    "Header",
    "Journal",
    "Request",
    "Salvaged",
    "is_locked",
    "package_versions",
    "recording_of",
    "salvage",
    "salvaged_recordings",
]

is_claimed = is_locked  # the former name
