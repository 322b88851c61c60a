"""Parameter maps from the microstructure.

A point is a mixture of the three archetypes of Gong2026, by the law of `placement`. Voltages, couplings and energies mix linearly. Conductances, widths, rates and photocurrents mix
geometrically. Topography does not show the rest: a composition N(0, 1) for each grain, an offset
N(0, 1) for each boundary, a smooth random field, the contact of the tip with the surface, and
insulating disks. Each component draws from its own random stream, so that switching one off
leaves the others as they were.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from grainscout.microstructure.structure import Structure
from grainscout.records import BoolArray, FloatArray
from grainscout.simulator.film.mixture import (
    Changes,
    archetype_table,
    blend,
    perturbation_for_share,
)
from grainscout.simulator.film.placement import archetype_weights, placed
from grainscout.simulator.transport.spec import TransportSpec

__all__ = [
    "TransportMaps",
    "TransportSpec",
    "archetype_weights",
    "contact_factor",
    "parameter_maps",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class TransportMaps:
    """Every transport parameter of a film, and its origins."""

    #: Maps by the names of `PARAMETERS`, in the units there, (rows, columns)
    parameters: dict[str, FloatArray]
    #: Shares of club, heart, diamond and insulating, which sum to 1, (rows, columns, 4)
    weights: FloatArray
    archetype: NDArray[np.uint8]  #: Number of the largest share, (rows, columns)
    hidden: FloatArray  #: Hidden field, N(0, 1) at each point, (rows, columns)
    contact: FloatArray  #: Contact factor without disks, (rows, columns)
    #: composition, boundary_offset: Composition of each grain and offset of each boundary, in
    #: standard deviations, (grains,) and (boundaries,)
    composition: FloatArray
    boundary_offset: FloatArray
    archetypes: dict[str, FloatArray]  #: Values of this film's own archetypes, (3,)


def parameter_maps(
    structure: Structure, spec: TransportSpec, rng: np.random.Generator
) -> TransportMaps:
    """Parameter maps of a film. ConfigError if none of this structure has the contrast or share asked for."""
    streams = rng.spawn(7)
    published, pb, pj = archetype_weights(structure, spec)
    composition = streams[0].standard_normal(len(structure.grains)) * spec.composition
    offsets = streams[1].standard_normal(len(structure.boundaries)) * spec.boundary_spread
    hidden = _field(structure, spec.hidden_length, streams[2])
    disks = _disks(structure, spec, streams[3])
    table = archetype_table(spec, streams[4])
    contact = contact_factor(structure, spec.tip_radius)

    gradient = spec.gradient * _across(structure.shape, spec.gradient_axis)
    by: FloatArray | None = None
    if spec.placement == "grain":
        by = streams[5].standard_normal(len(structure.grains))[structure.labels]
    elif spec.placement == "composition":
        by = composition[structure.labels] + gradient
    elif spec.placement == "nowhere":
        by = _field(structure, spec.hidden_length, streams[5])
    weights = placed(published, pj, by, spec.placement)

    edge = np.zeros(structure.shape)
    if len(offsets):
        edge = np.where(structure.boundary_id >= 0, offsets[structure.boundary_id], 0.0) * pb
    changes = Changes(
        grain=composition[structure.labels],
        edge=edge,
        hidden=spec.hidden * hidden,
        gradient=gradient,
        ions=spec.boundary_rates * (1.0 - published[..., 0]),
        own=_own_shifts(structure, spec, streams[6]),
    )
    given = {"A": contact}
    if "phiJ" in spec.law.parameters:
        given["phiJ"] = spec.junction_barrier * pj
    if spec.structure_share is not None:
        some = _sample(~disks)
        chosen = {name: array.flat[some] for name, array in given.items()}
        size = perturbation_for_share(
            table, weights.reshape(-1, 3)[some], changes.at(some), chosen, spec
        )
        changes = changes.scaled(size)
        composition, offsets = size * composition, size * offsets

    maps = blend(table, weights, changes, spec.law) | given
    maps["A"] = np.where(disks, spec.insulating_contact * contact, contact)
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
        archetypes=table,
    )


def _own_shifts(
    structure: Structure, spec: TransportSpec, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Shifts by parameter name from the fields that `modes` loads."""
    count = max(map(len, spec.modes.values()), default=0)
    fields = np.array([_field(structure, spec.hidden_length, rng) for _ in range(count)])
    return {name: np.tensordot(loads, fields, 1) for name, loads in spec.modes.items()}


def _sample(allowed: BoolArray, wanted: int = 4096) -> NDArray[np.intp]:
    """Flat indices of about `wanted` allowed points, evenly spread."""
    index = np.flatnonzero(allowed)
    return index[:: max(1, index.size // wanted)]


def contact_factor(structure: Structure, tip_radius: float) -> FloatArray:
    """Contact factor of the surface.

    A = (cos(slope) / (R (1/R - c+)))^(2/3): a valley holds the tip's sphere more closely. c+ is the positive (valley) mean curvature, limited to 3/(4R): a sphere cannot touch more
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
    factor: FloatArray = (cosine / closeness) ** (2.0 / 3.0)
    return factor


def _field(structure: Structure, length: float, rng: np.random.Generator) -> FloatArray:
    """Random field of unit variance and correlation exp(-(r/length)^2/4)."""
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
    result: FloatArray = inner / np.sqrt(squared)
    return result


def _across(shape: tuple[int, int], axis: int) -> FloatArray:
    """A ramp -0.5 ... 0.5 along one axis."""
    line = np.linspace(-0.5, 0.5, shape[axis])
    return np.broadcast_to(line[:, None] if axis == 0 else line[None, :], shape)


def _disks(structure: Structure, spec: TransportSpec, rng: np.random.Generator) -> BoolArray:
    """Insulating disks, one by one up to their share."""
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
