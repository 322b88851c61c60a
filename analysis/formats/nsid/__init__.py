"""NSID HDF5 files (sidpy, pyNSID, DTMicroscope), and our own export in this layout."""

from grainscout.analysis.formats.nsid.reader import read_nsid
from grainscout.analysis.formats.nsid.writer import write_nsid

__all__ = ["read_nsid", "write_nsid"]
