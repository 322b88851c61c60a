"""Grains, boundaries and junctions of an image.

:class:`Structure` is the microstructure of a film on its pixel grid, drawn by the simulator or found in
a measured image by :func:`structure_from_image`.  :func:`microstructure` gives what an image shows as
maps that policies learn from.  A trained boundary detector is in ``microstructure.detector`` (needs
torch, and is imported only when used).
"""

from grainscout.microstructure.features import (
    Microstructure,
    groove_depth,
    grooves,
    microstructure,
)
from grainscout.microstructure.from_image import (
    checked_image,
    structure_from_image,
    structure_from_labels,
)
from grainscout.microstructure.spec import SegmentationSpec
from grainscout.microstructure.structure import Structure

__all__ = [
    "Microstructure",
    "SegmentationSpec",
    "Structure",
    "checked_image",
    "groove_depth",
    "grooves",
    "microstructure",
    "structure_from_image",
    "structure_from_labels",
]
