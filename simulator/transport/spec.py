"""Transport settings of a film."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from grainscout.records import ConfigError, one_of
from grainscout.records.validation import in_ranges
from grainscout.simulator.transport.family import Family, find_family
from grainscout.simulator.transport.parameters import ARCHETYPES, PARAMETERS, TransportGlobals

_RANGES = {
    "sweep_s": (1e-3, 1e4, "s"),
    "boundary_length": (1e-10, 1e-5, "m"),
    "junction_length": (1e-10, 1e-5, "m"),
    "junction_barrier": (0.0, 5.0, "V"),
    "boundary_contrast": (-5.0, 5.0, "(a logarithm)"),
    "structure_share": (0.0, 1.0, ""),
    "film_spread": (0.0, 3.0, ""),
    "boundary_rates": (-10.0, 10.0, "(a logarithm)"),
    "composition": (0.0, 10.0, ""),
    "boundary_spread": (0.0, 10.0, ""),
    "hidden": (0.0, 10.0, ""),
    "hidden_length": (1e-10, 1e-4, "m"),
    "gradient": (-20.0, 20.0, ""),
    "gradient_axis": (0, 1, ""),
    "tip_radius": (0.0, 1e-6, "m"),
    "insulating_fraction": (0.0, 0.9, ""),
    "insulating_radius": (1e-10, 1e-5, "m"),
    "insulating_contact": (0.0, 1.0, ""),
    "ripple": (*PARAMETERS["ripple"].limits, ""),
    "telegraph": (*PARAMETERS["telegraph"].limits, ""),
}
#: Laws that say where the archetypes sit.
Placement = Literal[
    "published", "swapped", "cycled", "junctions", "grain", "composition", "nowhere"
]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)
#: Settings that may be None.
_OPTIONAL = ("boundary_contrast", "structure_share")
#: Settings of films whose family has a parameter of that name.
_NEEDS = {"boundary_contrast": "g2", "ripple": "ripple", "telegraph": "telegraph"}


@dataclass(frozen=True, kw_only=True)
class TransportSpec:
    """Law from microstructure to transport.

    Every contrast is a hidden setting of a film.

    Raises
    ------
    ConfigError
        A value is outside its range.
    """

    #: What contacts do: "current", "piezoresponse", or one of the group ``grainscout.transport``
    family: str = "current"
    #: Where the archetypes sit. "published": clubs in grains, hearts at boundaries and junctions,
    #: diamonds at asymmetric boundaries. "swapped": hearts and diamonds change places. "cycled":
    #: hearts in grains, diamonds at boundaries, clubs at asymmetric ones. "junctions": diamonds at
    #: junctions, hearts at all boundaries. "grain": one archetype in a grain, at random.
    #: "composition": by the composition of the place. "nowhere": by a field of its own, of
    #: `hidden_length`, that nothing shows. Half of the area of the last three are clubs, a fifth
    #: diamonds.
    placement: Placement = "published"
    #: boundary_length, junction_length: Range of boundaries and junctions lB, lJ [m]
    boundary_length: float = 30e-9
    junction_length: float = 38e-9
    #: phiJ at a vertex in the dark [V]. At 0 junctions conduct in the dark.
    junction_barrier: float = 1.2
    #: ln of the loop area of a heart (a boundary, as published) over that of a club (a grain): > 0
    #: for hysteresis that grows towards boundaries (Gong2026), < 0 for one that shrinks (Liu2023), 0
    #: for none. None keeps what the archetypes have (+0.89). Measured on pure points at L0, T0 and a
    #: 1 s triangle to 1.5 V. Set by moving conductance between the prompt and the ion-activated
    #: path.
    boundary_contrast: float | None = None
    #: ln factor on nu and 1/tau at a boundary: > 0 for faster ions, < 0 for trapped ones
    boundary_rates: float = 0.0
    #: composition, boundary_spread, hidden: Standard deviations of the grains' composition, of the
    #: boundaries' own offsets and of the hidden field, in units of the built-in sensitivities
    composition: float = 1.0
    boundary_spread: float = 1.0
    hidden: float = 1.0
    hidden_length: float = 150e-9  #: Correlation length of the hidden field [m]
    #: Share (0 ... 1) of the loop area's variance, outside insulating disks, that microstructure
    #: explains. The three spreads above are scaled together to reach it, at the conditions above.
    #: None leaves them as they are.
    structure_share: float | None = None
    #: 0 gives all films the same archetypes. 1 draws a film's own, about 0.03 V and 15 % around the
    #: table's values.
    film_spread: float = 0.0
    gradient: float = 0.0  #: Composition change across the frame, in standard deviations
    gradient_axis: int = 1  #: Axis of the gradient: 0 along the rows' index, 1 along the columns'
    #: Tip radius of the contact factor [m]. 0 switches the contact factor off (A = 1).
    tip_radius: float = 25e-9
    insulating_fraction: float = 0.06  #: Share of the area covered by insulating disks
    insulating_radius: float = 60e-9  #: Mean radius of the disks [m]
    insulating_contact: float = 2e-4  #: Contact factor of the disks
    #: ripple, telegraph: rms ripple and telegraph step, relative to the conductance
    ripple: float = 0.0
    telegraph: float = 0.0
    #: Replaces values of club, heart and diamond by parameter name, in its unit
    archetypes: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    #: Spread from site to site that nothing shows: loadings of independent fields of `hidden_length`
    #: by parameter name, in its unit, or of its logarithm where it mixes geometrically. Where they
    #: would leave the parameter's limits, it takes the limit.
    modes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    #: Duration [s] of a 0 ... 1.5 ... 0 V sweep that the ionic rates refer to. Published curves
    #: often do not say it, and then only rates relative to the sweep are known.
    sweep_s: float = 1.0
    #: Constants that all points share
    globals_: TransportGlobals = field(default_factory=TransportGlobals)

    def __post_init__(self) -> None:
        unset = [name for name in _OPTIONAL if getattr(self, name) is None]
        in_ranges("TransportSpec", self, {k: v for k, v in _RANGES.items() if k not in unset})
        one_of("TransportSpec placement", self.placement, PLACEMENTS)
        known = self.law.parameters
        for name, needed in _NEEDS.items():
            if getattr(self, name) != getattr(type(self), name) and needed not in known:
                raise ConfigError(
                    f"TransportSpec {name} must be left out of family {self.family!r}, which has no "
                    f"parameter {needed!r}; got {getattr(self, name)}"
                )
        counts = {len(loadings) for loadings in self.modes.values()}
        finite = all(math.isfinite(x) for loadings in self.modes.values() for x in loadings)
        if not (set(self.modes) <= set(known) and len(counts) <= 1 and finite):
            raise ConfigError(
                "TransportSpec modes must map transport parameters to as many finite loadings each; "
                f"got {self.modes!r}"
            )
        for name, values in self.archetypes.items():
            if name not in known or len(values) != len(ARCHETYPES):
                raise ConfigError(
                    "TransportSpec archetypes must map a transport parameter to 3 numbers (club, "
                    f"heart, diamond); got {name!r}: {values!r}"
                )
            parameter = known[name]
            low, high = parameter.limits
            # Geometric mixing takes logarithms.
            above = 0.0 if parameter.blend == "geometric" else -math.inf
            if not all(low <= value <= high and value > above for value in values):
                raise ConfigError(
                    f"TransportSpec archetypes {name} must be in {low:g} ... {high:g} "
                    f"{parameter.unit}{' and above 0' if above == 0.0 else ''}; got {values!r}"
                )

    @property
    def law(self) -> Family:
        """What contacts do."""
        return find_family(self.family)
