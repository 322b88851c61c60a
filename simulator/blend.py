"""Microstructure to parameter maps: what a contact point becomes by where it lies.

With pB = exp(-(d/lB)^2/2) near boundaries, pJ likewise near vertices and a the boundary's
asymmetry, a point is a mixture of the three archetypes of S26:

    club (1 - pJ)(1 - pB);   heart pJ + (1 - pJ) pB (1 - a);   diamond (1 - pJ) pB a.

Voltages, couplings and energies mix linearly, conductances, widths, rates and photocurrents
geometrically.  Then what topography does not show: a composition N(0, 1) for each grain, an offset
N(0, 1) for each boundary, and a smooth random field; the contact of the tip with the surface; and
insulating disks.  Each component draws from its own random stream, so that switching one off
leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from grainscout.records import ConfigError
from grainscout.simulator._parameters import (
    ARCHETYPES,
    PARAMETERS,
    Floats,
    TransportGlobals,
)
from grainscout.simulator.structure import Structure

__all__ = [
    "TransportMaps",
    "TransportSpec",
    "archetype_weights",
    "contact_factor",
    "parameter_maps",
]

#: What one standard deviation of composition does: volts for linear parameters, ln for geometric.
_COMPOSITION = {"V1": 0.02, "V2": 0.02, "Vx": 0.02, "g1": 0.15, "g2": 0.15, "nu": 0.2, "tau": 0.1}
#: ... of a boundary's own offset, where pB = 1: "boundaries differ from one another" (S23).
_BOUNDARY = {"V1": 0.02, "V2": 0.02, "Vx": 0.015, "g1": 0.2, "g2": 0.25, "IL": 0.2}
#: ... of the hidden field.
_HIDDEN = {"V1": 0.02, "V2": 0.02, "Vx": 0.015, "g1": 0.2, "g2": 0.2, "nu": 0.15, "IL": 0.15}


@dataclass(frozen=True, kw_only=True)
class TransportSpec:
    """How microstructure decides transport; every contrast is a hidden setting of a film.

    boundary_length, junction_length : range of boundaries and junctions lB, lJ [m].
    junction_barrier : phiJ at a vertex in the dark [V] (0: junctions conduct in the dark).
    boundary_rates : ln factor on nu and 1/tau at a boundary: > 0 faster ions, < 0 trapped ones.
    composition, boundary_spread, hidden : standard deviations of the grains' composition, of the
        boundaries' own offsets and of the hidden field, in units of the built-in sensitivities.
    hidden_length : correlation length of the hidden field [m].
    gradient : composition change across the frame, in standard deviations;  gradient_axis : 0 along
        the rows' index, 1 along the columns'.
    tip_radius : [m], of the contact factor; 0 switches the contact factor off (A = 1).
    insulating_fraction : share of the area covered by insulating disks;  insulating_radius : their
        mean radius [m];  insulating_contact : their contact factor.
    ripple, telegraph : rms ripple and telegraph step, relative to the conductance.
    archetypes : replaces archetype values: name -> (club, heart, diamond).
    globals_ : the constants that all points share.
    Raises ConfigError for values outside their range.
    """

    boundary_length: float = 30e-9
    junction_length: float = 38e-9
    junction_barrier: float = 1.2
    boundary_rates: float = 0.0
    composition: float = 1.0
    boundary_spread: float = 1.0
    hidden: float = 1.0
    hidden_length: float = 150e-9
    gradient: float = 0.0
    gradient_axis: int = 1
    tip_radius: float = 25e-9
    insulating_fraction: float = 0.06
    insulating_radius: float = 60e-9
    insulating_contact: float = 2e-4
    ripple: float = 0.0
    telegraph: float = 0.0
    archetypes: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    globals_: TransportGlobals = field(default_factory=TransportGlobals)

    def __post_init__(self) -> None:
        ranges = {
            "boundary_length": (1e-10, 1e-5, "m"),
            "junction_length": (1e-10, 1e-5, "m"),
            "junction_barrier": (0.0, 5.0, "V"),
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
        for name, (low, high, unit) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(
                    f"TransportSpec {name} must be in {low:g} ... {high:g} {unit}".rstrip()
                    + f"; got {value}"
                )
        for name, values in self.archetypes.items():
            if name not in PARAMETERS or len(values) != len(ARCHETYPES):
                raise ConfigError(
                    "TransportSpec archetypes must map a transport parameter to 3 numbers (club, "
                    f"heart, diamond); got {name!r}: {values!r}"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class TransportMaps:
    """Every transport parameter of a film, and what it was made of.

    parameters : name -> (rows, columns), the names of `transport.PARAMETERS`.
    weights : (rows, columns, 4): club, heart, diamond, insulating; they sum to 1.
    archetype : (rows, columns) uint8, the largest weight.
    hidden : the hidden field, (rows, columns), N(0, 1) at each point;  contact : the contact
    factor without disks;  composition : (grains,);  boundary_offset : (boundaries,).
    """

    parameters: dict[str, Floats]
    weights: Floats
    archetype: NDArray[np.uint8]
    hidden: Floats
    contact: Floats
    composition: Floats
    boundary_offset: Floats


def archetype_weights(structure: Structure, spec: TransportSpec) -> tuple[Floats, Floats, Floats]:
    """Weights of club, heart and diamond (rows, columns, 3), and the proximities pB and pJ."""
    pb = np.exp(-0.5 * (structure.boundary_distance / spec.boundary_length) ** 2)
    pj = np.exp(-0.5 * (structure.junction_distance / spec.junction_length) ** 2)
    a = np.abs(structure.asymmetry)
    edge = (1.0 - pj) * pb
    return np.stack([(1.0 - pj) * (1.0 - pb), pj + edge * (1.0 - a), edge * a], axis=-1), pb, pj


def parameter_maps(
    structure: Structure, spec: TransportSpec, rng: np.random.Generator
) -> TransportMaps:
    """The maps of a film; all randomness comes from `rng`, one child for each component."""
    streams = rng.spawn(4)
    weights, pb, pj = archetype_weights(structure, spec)
    composition = streams[0].standard_normal(len(structure.grains)) * spec.composition
    offsets = streams[1].standard_normal(len(structure.boundaries)) * spec.boundary_spread
    hidden = _field(structure, spec.hidden_length, streams[2])
    disks = _disks(structure, spec, streams[3])

    grain = composition[structure.labels] + spec.gradient * _across(
        structure.shape, spec.gradient_axis
    )
    edge = np.zeros(structure.shape)
    if len(offsets):
        edge = np.where(structure.boundary_id >= 0, offsets[structure.boundary_id], 0.0) * pb
    ions = spec.boundary_rates * np.maximum(pb, pj)

    maps: dict[str, Floats] = {}
    for name, parameter in PARAMETERS.items():
        values = np.asarray(spec.archetypes.get(name, parameter.archetypes))
        geometric = parameter.blend == "geometric"
        if geometric:
            values = np.log(values)
        changes = (
            (grain, _COMPOSITION.get(name)),
            (edge, _BOUNDARY.get(name)),
            (spec.hidden * hidden, _HIDDEN.get(name)),
            (ions, {"nu": 1.0, "tau": -1.0}.get(name)),
        )
        if np.ptp(values) == 0.0 and all(s is None for _, s in changes):
            constant = np.exp(values[0]) if geometric else values[0]
            maps[name] = np.broadcast_to(np.float64(constant), structure.shape)
            continue
        blended = weights @ values
        for change, sensitivity in changes:
            if sensitivity is not None:
                blended += sensitivity * change
        maps[name] = np.exp(blended, out=blended) if geometric else blended

    contact = contact_factor(structure, spec.tip_radius)
    maps["phiJ"] = spec.junction_barrier * pj
    maps["A"] = np.where(disks, spec.insulating_contact * contact, contact)
    maps["ripple"] = np.broadcast_to(np.float64(spec.ripple), structure.shape)
    maps["telegraph"] = np.broadcast_to(np.float64(spec.telegraph), structure.shape)
    if spec.ripple:
        maps["ripple_phase"] = 2.0 * np.pi * hidden
    full = np.concatenate([weights * ~disks[..., None], disks[..., None]], axis=-1)
    return TransportMaps(
        parameters=maps,
        weights=full,
        archetype=full.argmax(axis=-1).astype(np.uint8),
        hidden=hidden,
        contact=contact,
        composition=composition,
        boundary_offset=offsets,
    )


def contact_factor(structure: Structure, tip_radius: float) -> Floats:
    """A = (cos(slope) / (R (1/R - c+)))^(2/3): a valley holds the tip's sphere more closely.

    c+ is the positive (valley) mean curvature, limited to 3/(4R): a sphere cannot touch more
    closely than the tip's roughness lets it.
    """
    if tip_radius == 0.0:
        return np.ones(structure.shape)
    rows, columns = structure.pixel_size
    smooth = ndimage.gaussian_filter(structure.height, 1.0, mode="nearest")
    slope_r, slope_c = np.gradient(smooth, rows, columns)
    curvature = 0.5 * (np.gradient(slope_r, rows, axis=0) + np.gradient(slope_c, columns, axis=1))
    cosine = 1.0 / np.sqrt(1.0 + slope_r**2 + slope_c**2)
    closeness = np.maximum(1.0 - tip_radius * np.maximum(curvature, 0.0), 0.25)
    factor: Floats = (cosine / closeness) ** (2.0 / 3.0)
    return factor


def _field(structure: Structure, length: float, rng: np.random.Generator) -> Floats:
    """A Gaussian random field of unit variance with correlation exp(-(r/length)^2/4)."""
    sigma = [length / pixel for pixel in structure.pixel_size]
    pad = [min(4 * int(np.ceil(s)), n) for s, n in zip(sigma, structure.shape, strict=True)]
    shape = [n + 2 * k for n, k in zip(structure.shape, pad, strict=True)]
    noise = rng.standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    inner = smooth[tuple(slice(k, k + n) for k, n in zip(pad, structure.shape, strict=True))]
    # The variance of filtered white noise is the sum of the squared kernel.
    squared = 1.0
    for s, n in zip(sigma, shape, strict=True):
        delta = np.zeros(n)
        delta[n // 2] = 1.0
        squared *= float((ndimage.gaussian_filter1d(delta, s, mode="wrap") ** 2).sum())
    result: Floats = inner / np.sqrt(squared)
    return result


def _across(shape: tuple[int, int], axis: int) -> Floats:
    """-0.5 ... 0.5 along one axis, broadcast to the map."""
    line = np.linspace(-0.5, 0.5, shape[axis])
    return np.broadcast_to(line[:, None] if axis == 0 else line[None, :], shape)


def _disks(
    structure: Structure, spec: TransportSpec, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Insulating disks, placed one after another until their share of the area is reached."""
    covered = np.zeros(structure.shape, dtype=bool)
    wanted = spec.insulating_fraction * covered.size
    (rows, columns), (step_r, step_c) = structure.shape, structure.pixel_size
    count = 0
    while count < wanted:
        radius = spec.insulating_radius * np.exp(0.3 * rng.standard_normal())
        row, column = rng.uniform(-0.5, rows - 0.5), rng.uniform(-0.5, columns - 0.5)
        r0, r1 = int(max(0, row - radius / step_r)), int(min(rows, row + radius / step_r + 2))
        c0, c1 = (
            int(max(0, column - radius / step_c)),
            int(min(columns, column + radius / step_c + 2)),
        )
        r, c = np.ogrid[r0:r1, c0:c1]
        disk = ((r - row) * step_r) ** 2 + ((c - column) * step_c) ** 2 <= radius**2
        window = covered[r0:r1, c0:c1]
        new = int((disk & ~window).sum())
        # The last disk is kept only if it brings the share nearer to the wanted one.
        if count + new - wanted > wanted - count:
            break
        window |= disk
        count += new
    return covered
