import typing

from .compare import cost_benefit, diversity_of_run, learning_curves, policy_ranking
from .curves import archetype_examples, curve_cards, iv_curves
from .curves import quality_over_run as quality_over_run
from .curves import unusable_curves as unusable_curves
from .forensics import boundary_visits, calibration, latent_density, performance_profiles
from .forensics import forc_map as forc_map
from .forensics import property_maps as property_maps
from .latent import latent_archetypes as latent_archetypes
from .latent import latent_comparison as latent_comparison
from .latent import latent_map as latent_map
from .latent import latent_scatter as latent_scatter
from .maps import archetype_map, explain_maps, predicted_vs_true, sites_over_topography
from .recording import file_overview as file_overview
from .style import ARCHETYPE_COLOURS as ARCHETYPE_COLOURS
from .style import PALETTE as PALETTE
from .style import engineering as engineering

if typing.TYPE_CHECKING:
    from .style import style as style
else:
    from . import style as style  # the module: a call of it is a call of the function

__all__ = [
    "archetype_examples",
    "archetype_map",
    "boundary_visits",
    "calibration",
    "cost_benefit",
    "curve_cards",
    "diversity_of_run",
    "explain_maps",
    "iv_curves",
    "latent_density",
    "learning_curves",
    "performance_profiles",
    "policy_ranking",
    "predicted_vs_true",
    "sites_over_topography",
]
