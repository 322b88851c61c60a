"""The journal: one SQLite file a run, from which the run can be read, resumed and told again.

What is written, and in which order, is the promise of the whole loop::

    batch (proposals)  ->  outcome, outcome, ...  ->  batch  ->  ...

Every arrow is a commit.  An outcome reaches the policy only after its commit, together
with the state that the microscope was left in, so a run that is killed anywhere goes on as if it
had not been.  Curves, scans and states are checked binary blobs (``records.pack``), every row has
a checksum, and nothing is unpickled.
"""

from grainscout.journal.as_recording import recording_of, salvaged_recordings
from grainscout.journal.journal import Journal
from grainscout.journal.lock import is_claimed
from grainscout.journal.models import Batch, Event, Header, Request, package_versions
from grainscout.journal.salvaging import Salvaged, salvage

__all__ = [
    "Batch",
    "Event",
    "Header",
    "Journal",
    "Request",
    "Salvaged",
    "is_claimed",
    "package_versions",
    "recording_of",
    "salvage",
    "salvaged_recordings",
]
