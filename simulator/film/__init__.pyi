from .film import Film
from .spec import FilmSpec, GrainSpec, ScanSpec, TopographySpec
from .streams import STREAMS, as_seed, stream

__all__ = [
    "STREAMS",
    "Film",
    "FilmSpec",
    "GrainSpec",
    "ScanSpec",
    "TopographySpec",
    "as_seed",
    "stream",
]
