"""Films: structure, image and transport maps."""

from grainscout.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
