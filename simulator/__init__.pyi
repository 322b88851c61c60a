from .film.blend import TransportMaps
from .film.film import Film
from .film.spec import FilmSpec, GrainSpec, ScanSpec, SegmentationSpec, Structure, TopographySpec
from .presets import PRESETS, preset
from .transport.fit import Fit, fit_iv
from .transport.spec import TransportSpec

__all__ = [
    "PRESETS",
    "Film",
    "FilmSpec",
    "Fit",
    "GrainSpec",
    "ScanSpec",
    "SegmentationSpec",
    "Structure",
    "TopographySpec",
    "TransportMaps",
    "TransportSpec",
    "fit_iv",
    "preset",
]
