from . import curves, diversity, figures, forensics, formats, latent, metrics, statistics
from .curves import archetypes, characterisation, descriptors, forc

__all__ = [
    "archetypes",
    "characterisation",
    "curves",
    "descriptors",
    "diversity",
    "figures",
    "forc",
    "forensics",
    "formats",
    "latent",
    "metrics",
    "statistics",
]
