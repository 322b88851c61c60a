from .features import StructureFeatures, structure_features
from .from_image import checked_image, checked_relief, find_structure, structure_of
from .segmentation import groove_depth, grooves
from .spec import SegmentationSpec
from .structure import Structure

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
