"""File formats: recorded images and grids of curves, with their units, axes and raw metadata.

Everything that a file says becomes one of three records:

* :class:`~grainscout.records.Scan`: images on one pixel grid;
* :class:`Recording`: curves of one waveform at sites of a scan, such as a spectroscopy grid;
* :class:`Traces`: the columns of a single curve, whatever they are.

:func:`read` looks at a file's content, not at its name.  Two rules hold for every format.  Row 0 is
the top line of the picture as the instrument's own software shows it, and y grows with the row:
where an instrument's Y points up, y is -Y (``metadata["frame"]`` says so).  A file that is foreign,
truncated, damaged or without units raises :class:`~grainscout.records.DataError`, which names the
file, what was expected and what was found; nothing is guessed, filled or skipped silently.
"""

from grainscout.analysis.formats.gwy import write_gwy
from grainscout.analysis.formats.labelled import from_xarray, to_xarray
from grainscout.analysis.formats.masks import read_grains as read_grains
from grainscout.analysis.formats.nsid.writer import write_nsid
from grainscout.analysis.formats.reader import read, read_traces
from grainscout.analysis.formats.reader import read_image as read_image
from grainscout.analysis.formats.summary import notes_of as notes_of
from grainscout.analysis.formats.summary import summary_of as summary_of
from grainscout.analysis.formats.tables.csv import write_csv
from grainscout.records import Recording, Traces
from grainscout.records.recording import find_rails, record_outcomes

# Names of before, when each format had a function.
read_3ds = read_csv = read_dat = read_gwy = read_ibw = read_nsid = read_sxm = read

__all__ = [
    "Recording",
    "Traces",
    "find_rails",
    "from_xarray",
    "read",
    "read_traces",
    "record_outcomes",
    "to_xarray",
    "write_csv",
    "write_gwy",
    "write_nsid",
]
