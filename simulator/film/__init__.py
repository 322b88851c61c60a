"""Films: structure, image and transport maps."""

from grainscout.simulator.film.film import STREAMS as STREAMS
from grainscout.simulator.film.film import Film, as_seed, stream
from grainscout.simulator.film.spec import FilmSpec, GrainSpec, ScanSpec, TopographySpec

__all__ = ["Film", "FilmSpec", "GrainSpec", "ScanSpec", "TopographySpec", "as_seed", "stream"]
