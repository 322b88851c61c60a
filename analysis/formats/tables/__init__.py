"""Text files: our own export, and anybody's table of voltages and currents."""
