"""Physical models that a structured GP has as its mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from grainscout.records.arrays import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class MeanModel:
    """A physical model of the target, linear in all but its shape parameters.

    Parameters
    ----------
    name : str
        Name of the model.
    basis : callable
        Function of (n, d) covariates and (q,) shape parameters that gives (n, p) columns.
    scale : (p,) array of float
        Prior standard deviations of the coefficients, in deviations of the target.
    shape : (q, 2) array of float
        Normal prior (mean, standard deviation) of the shape parameters.
    names : tuple of str
        Names of the p coefficients.
    """

    name: str
    basis: Callable[[FloatArray, FloatArray], FloatArray]
    scale: FloatArray
    shape: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    names: tuple[str, ...] = ()
