from .compare import (
    cost_benefit,
    diversity_of_run,
    learning_curves,
    policy_ranking,
)
from .curves import archetype_examples, curve_cards, iv_curves
from .forensics import (
    boundary_visits,
    calibration,
    forc_map,
    latent_density,
    performance_profiles,
    property_maps,
)
from .latent import latent_archetypes as latent_archetypes
from .latent import latent_comparison as latent_comparison
from .latent import latent_map as latent_map
from .latent import latent_scatter as latent_scatter
from .maps import (
    archetype_map,
    explain_maps,
    predicted_vs_true,
    sites_over_topography,
)
from .style import ARCHETYPE_COLOURS, PALETTE, engineering, style

__all__ = [
    "ARCHETYPE_COLOURS",
    "PALETTE",
    "archetype_examples",
    "archetype_map",
    "boundary_visits",
    "calibration",
    "cost_benefit",
    "curve_cards",
    "diversity_of_run",
    "engineering",
    "explain_maps",
    "forc_map",
    "iv_curves",
    "latent_density",
    "learning_curves",
    "performance_profiles",
    "policy_ranking",
    "predicted_vs_true",
    "property_maps",
    "sites_over_topography",
    "style",
]
