"""HDF5 files (sidpy, pyNSID, DTMicroscope), and our own export in this layout."""
