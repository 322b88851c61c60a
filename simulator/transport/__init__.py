"""Current-voltage curves of contact points with memory."""

from grainscout.simulator.transport.family import Family, find_family
from grainscout.simulator.transport.kernel import (
    IVResult,
    iv_curves,
    relax,
    rest_state,
    stray_current,
)
from grainscout.simulator.transport.parameters import (
    ARCHETYPES,
    PARAMETERS,
    Parameter,
    TransportGlobals,
    archetype_parameters,
)
from grainscout.simulator.transport.spec import TransportSpec

__all__ = [
    "ARCHETYPES",
    "PARAMETERS",
    "Family",
    "IVResult",
    "Parameter",
    "TransportGlobals",
    "TransportSpec",
    "archetype_parameters",
    "find_family",
    "iv_curves",
    "relax",
    "rest_state",
    "stray_current",
]
