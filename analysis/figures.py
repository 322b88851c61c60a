"""One function a figure, in one style; each takes arrays or a table and returns a Figure.

    with style():                        # the house style for your own drawings
        ...
    learning_curves(table, "found", references={"ideal": "found_ideal"}).savefig("curve.png")

`latent_map`, `latent_comparison`, `latent_archetypes` and `latent_scatter` come with torch, imported when
one is asked for.
Arguments are SI; axes show nA, nm and the like.  Colours are those of Okabe and Ito, and policies
differ by line or marker as well.  A Figure is not registered with pyplot: it needs no closing.
"""

from importlib import import_module
from typing import Any

from grainscout.analysis._fig_compare import (
    cost_benefit,
    diversity_of_run,
    learning_curves,
    policy_ranking,
)
from grainscout.analysis._fig_curves import archetype_examples, curve_cards, iv_curves
from grainscout.analysis._fig_forensics import (
    boundary_visits,
    calibration,
    forc_map,
    latent_density,
    performance_profiles,
    property_maps,
)
from grainscout.analysis._fig_maps import (
    archetype_map,
    explain_maps,
    predicted_vs_true,
    sites_over_topography,
)
from grainscout.analysis._fig_style import ARCHETYPE_COLOURS, PALETTE, engineering, style

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


def __getattr__(name: str) -> Any:
    if name in ("latent_archetypes", "latent_comparison", "latent_map", "latent_scatter"):
        return getattr(import_module("grainscout.analysis.latent"), name)
    raise AttributeError(f"module 'grainscout.analysis.figures' has no attribute {name!r}")
