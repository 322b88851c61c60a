"""Families of transport: the parameters of a contact point, and its answer to a waveform.

Microstructure decides where a film's archetypes sit and how grains, boundaries and the hidden field
move them. A family says what is moved and what a contact then does. Third parties register theirs
as entry points of the group ``grainscout.transport``, functions without arguments that give a `Family`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from grainscout.records import ConfigError, FloatArray, Waveform
from grainscout.records.registry import Registry
from grainscout.simulator.transport import kernel
from grainscout.simulator.transport.parameters import PARAMETERS, Parameter, TransportGlobals


@dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """A kind of transport."""

    #: Parameters of a contact, with their values for the three archetypes. "A" must be among them:
    #: the factor of the contact, by which tips and disks differ. "phiJ" is the barrier at junctions,
    #: if there is one.
    parameters: Mapping[str, Parameter]
    #: grain, edge, hidden: Effect of one standard deviation of a grain's composition, of a
    #: boundary's own offset and of the hidden field: in the unit of linear parameters, ln of
    #: geometric ones
    grain: Mapping[str, float] = field(default_factory=dict)
    edge: Mapping[str, float] = field(default_factory=dict)
    hidden: Mapping[str, float] = field(default_factory=dict)
    #: Power of the ionic rates that a parameter goes with, such as -1 for a time
    ions: Mapping[str, float] = field(default_factory=dict)
    #: curves, rest, relax: As `iv_curves`, `rest_state` and `relax`. A state is two numbers a
    #: contact.
    curves: Callable[..., kernel.IVResult]
    rest: Callable[..., FloatArray]
    relax: Callable[..., FloatArray]
    #: As `stray_current`: what is read without a contact
    stray: Callable[[Waveform, TransportGlobals], FloatArray]
    #: True if curves have the loop shapes by which `analysis.curves.archetypes` tells archetypes
    loop_shapes: bool = False

    def __post_init__(self) -> None:
        if "A" not in self.parameters:
            raise ConfigError(
                "a transport family must have the parameter 'A', the factor of the contact; got "
                f"{', '.join(self.parameters)}"
            )


#: Currents through contacts with ionic memory. A grain's composition moves both thresholds and the activation, and
#: scales what conducts. Boundaries have offsets of their own: they "differ from one another" (Liu2023).
CURRENT = Family(
    parameters=PARAMETERS,
    grain={"V1": 0.02, "V2": 0.02, "Vx": 0.02, "g1": 0.15, "g2": 0.15, "nu": 0.2, "tau": 0.1},
    edge={"V1": 0.02, "V2": 0.02, "Vx": 0.015, "g1": 0.2, "g2": 0.25, "IL": 0.2},
    hidden={"V1": 0.02, "V2": 0.02, "Vx": 0.015, "g1": 0.2, "g2": 0.2, "nu": 0.15, "IL": 0.15},
    ions={"nu": 1.0, "tau": -1.0},
    curves=kernel.iv_curves,
    rest=kernel.rest_state,
    relax=kernel.relax,
    stray=kernel.stray_current,
    loop_shapes=True,
)

_BUILTIN = {
    "current": "grainscout.simulator.transport.family:_current",
    "piezoresponse": "grainscout.simulator.transport.piezoresponse:piezoresponse",
}
_FAMILIES: Registry[Family] = Registry(
    "transport family", group="grainscout.transport", builtin=_BUILTIN
)


def _current() -> Family:
    return CURRENT


@lru_cache
def find_family(name: str) -> Family:
    """Find the family of that name. ConfigError names the known ones if there is none."""
    return _FAMILIES.make(name)
