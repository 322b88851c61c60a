"""Surrogate engines by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.kernels import ArcCosine, Kernel, Placed, Stationary
from grainscout.policies.models.surrogate import Surrogate
from grainscout.records import Scan
from grainscout.records.arrays import IntArray

KERNELS: dict[str, Kernel] = {
    "nngp": ArcCosine(depth=2),
    "rbf": Stationary(name="rbf"),
    "matern": Stationary(name="matern"),
}
ENGINES = ("nngp", "mlp", "mlp-published", "rbf", "matern")


def make_surrogate(
    engine: str,
    table: Callable[[], NDArray[np.float32]],
    scan: Scan,
    pool: IntArray,
    *,
    window: int,
    growth: float,
    robust: bool,
    seed: int,
    place: NDArray[np.float32] | None = None,
) -> Surrogate:
    """The engine of that name over the `pool` of rows of the feature table.

    table : gives the (rows columns, d) features, row-major; not called by ``mlp-published``, which
    works on the raw patches;  seed : of the initial weights of the torch engines;  place : (rows
    columns, 2) coordinates, if the closed-form engines shall learn a smooth field of them as well.
    """
    if engine == "mlp-published":
        from grainscout.policies.models.mlp_published import PublishedLoop

        return PublishedLoop(scan, pool, window=window)
    if engine == "mlp":
        from grainscout.policies.models.mlp_dkl import Ensemble

        return Ensemble(table(), pool, growth=growth, seed=seed)
    features, kernel = table(), KERNELS[engine]
    if place is not None:
        features, kernel = np.hstack([features, place]), Placed(inner=kernel)
    return GaussianProcess(features, pool, kernel, growth=growth, robust=robust)
