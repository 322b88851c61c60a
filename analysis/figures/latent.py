"""Figures of latent maps (imports torch)."""

from grainscout.analysis.latent.figures import (
    latent_archetypes,
    latent_comparison,
    latent_map,
    latent_scatter,
)

__all__ = ["latent_archetypes", "latent_comparison", "latent_map", "latent_scatter"]
