"""Conformance suite of microscopes: what every adapter must do, ours or a third party's."""

from grainscout.hardware.conformance.suite import check_microscope

__all__ = ["check_microscope"]
