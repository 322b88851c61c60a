"""Where the archetypes sit: as published, or by a law that no policy could know beforehand.

With pB = exp(-(d/lB)^2/2) near boundaries, pJ likewise near vertices and a the boundary's
asymmetry, a point of a film as published is a mixture of the three archetypes of Gong2026:

    club      (1 - pJ)(1 - pB)
    heart     pJ + (1 - pJ) pB (1 - a)
    diamond   (1 - pJ) pB a
"""

import numpy as np

from grainscout.microstructure.structure import Structure
from grainscout.records import ConfigError, FloatArray
from grainscout.simulator.transport.spec import TransportSpec

#: Shares of the area of club, heart and diamond where structure does not place them.
SHARES = (0.5, 0.3, 0.2)


def archetype_weights(
    structure: Structure, spec: TransportSpec
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights (rows, columns, 3) as published, and proximities pB and pJ."""
    pb = np.exp(-0.5 * (structure.boundary_distance / spec.boundary_length) ** 2)
    pj = np.exp(-0.5 * (structure.junction_distance / spec.junction_length) ** 2)
    a = np.abs(structure.asymmetry)
    edge = (1.0 - pj) * pb
    return np.stack([(1.0 - pj) * (1.0 - pb), pj + edge * (1.0 - a), edge * a], axis=-1), pb, pj


def placed(published: FloatArray, pj: FloatArray, by: FloatArray | None, name: str) -> FloatArray:
    """Weights (rows, columns, 3) of a placement, from the published ones, pJ, and what decides otherwise."""
    club, heart, diamond = np.moveaxis(published, -1, 0)
    if by is None:
        order = {
            "published": (club, heart, diamond),
            "swapped": (club, diamond, heart),
            "cycled": (diamond, club, heart),
            "junctions": (club, np.maximum(heart + diamond - pj, 0.0), pj),
        }[name]
        return published if name == "published" else np.stack(order, axis=-1)
    cuts = np.quantile(by, np.cumsum(SHARES)[:2])
    if not by.min() < cuts[0] < cuts[1] < by.max():
        raise ConfigError(
            f"TransportSpec placement {name!r} needs a film on which it can tell three kinds apart: "
            "more grains, or a composition that varies"
        )
    kind = (by[..., None] > cuts).sum(-1)
    weights: FloatArray = np.eye(3)[kind]
    return weights
