"""Kriging: a Gaussian process on the sites' positions, blind to the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grainscout.policies._dkl import DKL
from grainscout.policies._engine import KERNELS
from grainscout.policies._gp import GaussianProcess
from grainscout.policies._options import check_choice
from grainscout.policies._surrogate import Surrogate
from grainscout.records import Scan

# The lengths that the prior favours: this many correlation lengths along the image's side.
_LENGTHS_ACROSS = 8.0


@dataclass(kw_only=True)
class Kriging(DKL):
    """The options of ``"dkl"``, but the features of a site are its coordinates.

    What a map of the target gives without any use of the image: the baseline of every claim that
    structure predicts function.  ``engine`` is ``"matern"`` (5/2) or ``"rbf"``; ``features``,
    ``window`` and ``components`` only matter to the shown image novelty.
    """

    engine: str = "matern"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("engine", self.engine, ("matern", "rbf"))

    @property
    def surrogate(self) -> Surrogate:
        """The model, made when it is first needed."""
        if self._surrogate is None:
            scan, sites = self.problem.scan, self.problem.candidates
            pool = np.ravel_multi_index((sites[:, 0], sites[:, 1]), scan.shape).astype(np.int64)
            self._surrogate = GaussianProcess(
                coordinates(scan),
                pool,
                KERNELS[self.engine],
                growth=self.refit_growth,
                robust=self.robust,
            )
        return self._surrogate


def coordinates(scan: Scan) -> NDArray[np.float32]:
    """(rows columns, 2) centred positions of all pixels, row-major, in eighths of the image's side.

    The side is the square root of the image's area, so the aspect of pixels and image is kept.
    """
    rows, columns = scan.shape
    y = (np.arange(rows) - (rows - 1) / 2) * scan.pixel_size[0]
    x = (np.arange(columns) - (columns - 1) / 2) * scan.pixel_size[1]
    side = np.sqrt(rows * scan.pixel_size[0] * columns * scan.pixel_size[1])
    table = np.column_stack([np.repeat(y, columns), np.tile(x, rows)])
    return np.asarray(table * (_LENGTHS_ACROSS / side), np.float32)
