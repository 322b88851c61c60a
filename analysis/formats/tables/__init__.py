"""Text files: our own export, and anybody's table of voltages and currents."""

from grainscout.analysis.formats.tables.csv import load_csv, write_csv
from grainscout.analysis.formats.tables.curves import read_csv_traces

__all__ = ["load_csv", "read_csv_traces", "write_csv"]
