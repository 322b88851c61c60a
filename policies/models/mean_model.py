"""Physical models that a structured GP has as its mean."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from grainscout.records.arrays import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class MeanModel:
    """A physical model of the target, linear in all but its shape parameters."""

    name: str  #: Name of the model
    #: Function of (n, d) covariates and (q,) shape parameters that gives (n, p) columns.
    basis: Callable[[FloatArray, FloatArray], FloatArray]
    #: Prior standard deviations of the coefficients, in deviations of the target, (p,).
    scale: FloatArray
    #: Normal prior (mean, standard deviation) of the shape parameters, (q, 2).
    shape: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    names: tuple[str, ...] = ()  #: Names of the p coefficients
