"""Films whose truth is known.

A film is a *structure* (grains, boundaries, junctions, a surface), from which everything
electrical follows as maps of a local current-voltage model with ionic memory.

    FilmSpec, seed  ->  Structure  ->  TransportMaps  ->  curves at any site, light, temperature
                            |
                            +->  tip dilation, artefacts  ->  the image that a policy sees

:meth:`Film.generate` draws a film, :meth:`Film.from_topography` builds one on a measured image.
`film.scan()` is all that a policy may know beforehand. Everything else is truth for the score.
Random streams are independent for each component: switching one off leaves the others bit-equal.
"""

from grainscout.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
