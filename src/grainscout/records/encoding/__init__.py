"""Records as plain trees, as bytes and in HDF5 files."""
