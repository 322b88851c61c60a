"""Microscopes that a person works: points out, curves in."""
