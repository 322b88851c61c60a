"""Films: structure, image and transport maps."""

from grainscout.simulator.film.film import Film
from grainscout.simulator.film.spec import FilmSpec, GrainSpec, ScanSpec, TopographySpec
from grainscout.simulator.film.streams import STREAMS as STREAMS
from grainscout.simulator.film.streams import as_seed, stream

__all__ = ["Film", "FilmSpec", "GrainSpec", "ScanSpec", "TopographySpec", "as_seed", "stream"]
