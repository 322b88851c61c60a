"""Grains, the boundaries between them, and their junctions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.records import BoolArray, DataError, FloatArray

#: One row a grain; row i is the grain with label i.  Lengths in m, area in m^2, tilts are slopes.
GRAIN_DTYPE = np.dtype(
    [
        ("row", "f8"),  # centre of area [pixels]
        ("column", "f8"),
        ("area", "f8"),  # [m^2], inside the frame
        ("interior", "?"),  # the whole grain lies inside the frame
        ("plateau", "f8"),  # height of its flat top [m]
        ("tilt_row", "f8"),  # slope of its top along the rows' direction
        ("tilt_column", "f8"),
    ]
)

#: One row a boundary; row i is the boundary with id i.  `first` < `second` are the two labels.
BOUNDARY_DTYPE = np.dtype(
    [
        ("first", "i4"),
        ("second", "i4"),
        ("length", "f8"),  # [m], inside the frame
        ("asymmetric", "?"),
        ("strength", "f8"),  # 0 symmetric .. 1 fully asymmetric
        ("smooth_side", "i4"),  # label of the grain with the smooth, wide flank; -1 if symmetric
        ("depth", "f8"),  # of the groove [m], 0 where it was found in an image
        (
            "width_first",
            "f8",
        ),  # of the groove's flank in the first and the second grain [m], 0 there
        ("width_second", "f8"),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Structure:
    """The microstructure of a film on its pixel grid.

    Attributes
    ----------
    labels : (rows, columns) array of int32
        Grain of each pixel, 0 .. n_grains - 1.
    boundary_id : (rows, columns) array of int32
        Row of the nearest boundary in `boundaries`, -1 everywhere if there is one grain only.
    boundary : (rows, columns) array of bool
        Pixels that touch a pixel of another grain (4-neighbours).
    boundary_distance : (rows, columns) array of float
        Distance to the nearest boundary line [m], infinite without boundaries.
    junction_distance : (rows, columns) array of float
        Distance to the nearest of `vertices` [m], infinite without any.
    asymmetry : (rows, columns) array of float
        From -1 to 1. Its size is the strength of the nearest boundary. It is positive in the grain
        with the smooth flank, negative in the one with the sharp flank, 0 at symmetric boundaries.
    height : (rows, columns) array of float
        True surface before any tip touched it [m].
    pixel_size : (row step, column step)
        Pixel size [m].
    grains, boundaries : array
        Tables of `GRAIN_DTYPE` and `BOUNDARY_DTYPE`.
    vertices : (k, 3) array of float
        Points where three or more grains meet: row and column [pixels] and degree. They may lie
        outside the frame.

    Raises
    ------
    DataError
        If shapes disagree.
    """

    labels: NDArray[np.int32]
    boundary_id: NDArray[np.int32]
    boundary: BoolArray
    boundary_distance: FloatArray
    junction_distance: FloatArray
    asymmetry: FloatArray
    height: FloatArray
    pixel_size: tuple[float, float]
    grains: NDArray[np.void]
    boundaries: NDArray[np.void]
    vertices: FloatArray

    def __post_init__(self) -> None:
        shape = self.labels.shape
        for name in MAPS:
            array = getattr(self, name)
            if array.shape != shape or array.ndim != 2:
                raise DataError(
                    f"Structure {name} must be a map of the labels' shape {shape}; got {array.shape}"
                )
            array.setflags(write=False)
        if self.grains.dtype != GRAIN_DTYPE or self.boundaries.dtype != BOUNDARY_DTYPE:
            raise DataError("Structure tables must be of GRAIN_DTYPE and BOUNDARY_DTYPE")
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise DataError(
                "Structure vertices must be (k, 3): row, column, degree; got shape "
                f"{self.vertices.shape}"
            )
        for table in (self.grains, self.boundaries, self.vertices):
            table.setflags(write=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of every map."""
        rows, columns = self.labels.shape
        return rows, columns


#: Names of the map fields of a `Structure`.
MAPS = (
    *("labels", "boundary_id", "boundary", "boundary_distance", "junction_distance"),
    *("asymmetry", "height"),
)


def neighbours(image: NDArray[Any]) -> tuple[tuple[NDArray[Any], NDArray[Any]], ...]:
    """Views of the two pixels of every edge between rows, and between columns."""
    return (image[:-1], image[1:]), (image[:, :-1], image[:, 1:])


def touches_another(labels: NDArray[np.int32]) -> BoolArray:
    """Mask of the pixels with another label above, below, left or right."""
    out = np.zeros(labels.shape, bool)
    for (a, b), (low, high) in zip(neighbours(labels), neighbours(out), strict=True):
        low |= a != b
        high |= a != b
    return out
