"""Films: structure, image and transport maps."""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["Film", "FilmSpec", "GrainSpec", "ScanSpec", "TopographySpec", "as_seed", "stream"]
