"""Grains, boundaries and junctions of an image.

:class:`Structure` is the microstructure of a film on its pixel grid, drawn by the simulator or found in
an image by :func:`find_structure`.  :func:`structure_features` gives what a scan shows as maps that
policies learn from.  Both look with the trained structure reader, ``microstructure.reader``. It imports
torch only when it reads.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [
    "SegmentationSpec",
    "Structure",
    "StructureFeatures",
    "checked_image",
    "checked_relief",
    "find_structure",
    "groove_depth",
    "grooves",
    "structure_features",
    "structure_of",
]
