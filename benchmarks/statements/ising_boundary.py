"""The published demonstration of structured Gaussian processes, on a lattice that is solved exactly.

The square Ising lattice with unequal couplings J1 and J2 (in units of k T) is ordered where
sinh(2 J1) sinh(2 J2) > 1 (Onsager 1944).  A structured GP whose mean is A tanh(f(J1) + f(J2)) with
a cubic f (Ziatdinov, Ghosh & Kalinin 2022; log sinh 2J is just such an f) and a plain GP measure
its magnetisation, each where it is least sure.
"""

import numpy as np

from grainscout.policies.models.kernels import Stationary
from grainscout.policies.models.mean_model import MeanModel
from grainscout.policies.models.structured_gp import StructuredGP
from grainscout.records.arrays import BoolArray, FloatArray

_SIDE = 16
_AXIS = np.linspace(0.05, 0.95, _SIDE)

#: (256, 2) pairs of couplings, and whether the infinite lattice is ordered there.
COUPLINGS: FloatArray = np.column_stack([np.repeat(_AXIS, _SIDE), np.tile(_AXIS, _SIDE)])
CRITICAL: FloatArray = np.sinh(2 * COUPLINGS[:, 0]) * np.sinh(2 * COUPLINGS[:, 1])
ORDERED: BoolArray = CRITICAL > 1.0


def magnetisation(
    rng: np.random.Generator, *, size: int = 14, sweeps: int = 800, burn: int = 200
) -> FloatArray:
    """(256,) mean |m| per spin at all couplings: checkerboard heat bath from the ground state."""
    spins = np.ones((len(COUPLINGS), size, size), np.float32)
    along, across = COUPLINGS.T.astype(np.float32)[:, :, None, None]
    board = np.indices((size, size)).sum(0) % 2
    total = np.zeros(len(COUPLINGS))
    for sweep in range(sweeps):
        for colour in (0, 1):
            field = along * (np.roll(spins, 1, 2) + np.roll(spins, -1, 2))
            field += across * (np.roll(spins, 1, 1) + np.roll(spins, -1, 1))
            up = rng.random(spins.shape, np.float32) < 1.0 / (1.0 + np.exp(-2.0 * field))
            spins = np.where(board == colour, 2 * up.astype(np.float32) - 1, spins)
        if sweep >= burn:
            total += abs(spins.mean((1, 2)))
    mean: FloatArray = total / (sweeps - burn)
    return mean


def _boundary_basis(couplings: FloatArray, shape: FloatArray) -> FloatArray:
    j = (couplings - 0.5) / 0.5
    f = shape[0] + j * (shape[1] + j * (shape[2] + j * shape[3]))
    return np.column_stack([np.ones(len(j)), np.tanh(f.sum(1))])


# No idea where the boundary is, nor on which side the order: the prior is centred on nothing.
STRUCTURED = MeanModel(
    name="boundary",
    basis=_boundary_basis,
    scale=np.array([1.0, 1.0]),
    shape=np.array([[0.0, 1.5], [0.0, 3.0], [0.0, 1.5], [0.0, 1.5]]),
)
PLAIN = MeanModel(name="constant", basis=lambda z, _: np.ones((len(z), 1)), scale=np.array([1.0]))


def errors(mean: MeanModel, values: FloatArray, seed: int, *, steps: int = 8) -> FloatArray:
    """(steps,) share of the plane in the wrong phase after 3, 4, ... measurements of `values`."""
    rng = np.random.default_rng(seed)
    y = values + 0.02 * rng.normal(size=len(values))
    rows = [int(r) for r in rng.choice(len(y), 3, replace=False)]
    features = ((COUPLINGS - 0.5) / 0.45).astype(np.float32)
    wrong = []
    for _ in range(steps):
        gp = StructuredGP(
            features, COUPLINGS, np.arange(len(y)), Stationary(), mean, particles=128, seed=seed
        )
        gp.fit(np.array(rows), y[rows])
        mu, std = gp.predict()
        wrong.append(np.mean((mu > 0.5) != ORDERED))
        std[rows] = -1.0
        rows.append(int(std.argmax()))
    return np.array(wrong)
