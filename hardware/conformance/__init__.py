"""Conformance suite for microscopes: checks of every adapter."""

from grainscout.hardware.conformance.suite import check_microscope, require_conforming

__all__ = ["check_microscope", "require_conforming"]
