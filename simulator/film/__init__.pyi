from .film import Film
from .spec import FilmSpec, GrainSpec, ScanSpec, TopographySpec
from .streams import STREAMS as STREAMS
from .streams import as_seed, stream

__all__ = ["Film", "FilmSpec", "GrainSpec", "ScanSpec", "TopographySpec", "as_seed", "stream"]
