from .features import StructureFeatures, structure_features
from .from_image import checked_image, checked_relief, find_structure
from .geometry import structure_of
from .spec import SegmentationSpec
from .structure import Structure

__all__ = [
    "SegmentationSpec",
    "Structure",
    "StructureFeatures",
    "checked_image",
    "checked_relief",
    "find_structure",
    "structure_features",
    "structure_of",
]
