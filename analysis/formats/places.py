"""Positions of curves as pixels."""

import numpy as np

from grainscout.analysis.formats.files import MOST_PIXELS
from grainscout.analysis.formats.options import Asked
from grainscout.records import FloatArray, IntArray


def placed(
    asked: Asked, x: FloatArray, y: FloatArray
) -> tuple[IntArray, tuple[float, float], tuple[float, float], str]:
    """Rows and columns of positions on a grid with sides along x and y."""
    indices, steps, first = [], [], []
    for letter, values in (("y", y), ("x", x)):
        if not np.isfinite(values).all():
            raise asked.fault(f"have a position {letter} in each line", "lines without one")
        step = _grid_step(values)
        start = float(values.min())
        at = np.round((values - start) / step) if step else np.zeros(values.size)
        off = np.abs(values - start - at * (step or 0.0)).max()
        if step and off > 0.1 * step:
            raise asked.fault(
                f"have positions {letter} on an even grid, to a tenth of its step",
                f"a deviation of {off:.3g} m from steps of {step:.3g} m",
                "Give row and column instead",
            )
        if at.max() > MOST_PIXELS:
            raise asked.fault(
                f"have at most {MOST_PIXELS} pixels", f"{at.max():.3g} along {letter}"
            )
        indices.append(at.astype(np.int64))
        steps.append(step)
        first.append(start)
    size = (steps[0] or steps[1] or 1e-9, steps[1] or steps[0] or 1e-9)
    if 0.0 in steps:
        asked.note("a line of positions: its pixels are taken to be square")
    frame = "x along the columns, y along the rows, as the positions say"
    return np.column_stack(indices), size, (first[1], first[0]), frame


def _grid_step(values: FloatArray) -> float:
    """Step of positions that are read back with some noise; 0 where all are one."""
    levels = np.unique(values)
    gaps = np.diff(levels)
    if gaps.size == 0:
        return 0.0
    # Gaps of the noise are far smaller than those of the grid.
    wide = gaps[gaps > 0.2 * gaps.max()]
    step = float(np.median(wide))
    for _ in range(2):  # a missing row makes a gap of two steps
        whole = np.round(wide / step)
        good = whole >= 1
        step = float(np.sum(wide[good]) / np.sum(whole[good])) if good.any() else step
    span = float(levels[-1] - levels[0])
    return span / max(round(span / step), 1)


def recorded_pixels(asked: Asked, sites: IntArray) -> FloatArray:
    """An image that is 1 where a curve was recorded."""
    extent = sites.max(axis=0) + 1
    if np.prod(extent.astype(float)) > MOST_PIXELS:
        raise asked.fault(
            f"have rows and columns of a picture of at most {MOST_PIXELS} pixels",
            " x ".join(f"{v:g}" for v in extent),
        )
    image = np.zeros((int(extent[0]), int(extent[1])))
    image[sites[:, 0], sites[:, 1]] = 1.0
    asked.note("no image was recorded: policies see where curves were recorded instead")
    return image
