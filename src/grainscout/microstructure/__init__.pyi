from .features import StructureFeatures, structure_features
from .from_image import checked_image, checked_relief, find_structure
from .geometry import structure_of
from .spec import SegmentationSpec
from .structure import Structure
from .valleys import groove_depth, grooves

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
