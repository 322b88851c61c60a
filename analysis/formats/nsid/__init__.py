"""NSID HDF5 files (sidpy, pyNSID, DTMicroscope), and our own export in this layout."""

from grainscout.analysis.formats.nsid.reader import load_hdf5
from grainscout.analysis.formats.nsid.writer import write_nsid

__all__ = ["load_hdf5", "write_nsid"]
