"""Microscopes behind one protocol: simulated, replayed or real."""
