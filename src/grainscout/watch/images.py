"""Arrays as PNG, with the house's colour maps."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from grainscout.analysis.figures.style import DIFFERENCE, UNCERTAINTY, VALUE, robust_limits
from grainscout.records import DataError
from grainscout.records.arrays import FloatArray

_MOST_PIXELS = 512
_BAR = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Coloured:
    """An image as PNG, the values at the ends of its colours, and the bar (one column) that tells them.

    step : pixels of the map that became one pixel of the image, for very large maps.
    """

    png: bytes
    bar: bytes
    limits: tuple[float, float]
    step: int


def coloured(image: ArrayLike, cmap: str | None = None, name: str = "") -> Coloured | None:
    """A map (rows, columns) with NaN where nothing is known; None if nothing is finite.

    Without a `cmap` the rule of ``figures.explain_maps``: uncertainties have colours of their own, and
    what has both signs diverges around 0.
    """
    data = np.asarray(image, np.float64)
    step = -(-max(data.shape) // _MOST_PIXELS)
    data = data[::step, ::step]
    try:
        low, high = robust_limits(data)
    except DataError:
        return None
    if cmap is None:
        cmap = UNCERTAINTY if "uncertainty" in name or "std" in name else VALUE
        reach = max(-low, high)
        if low < 0 < high and min(-low, high) > 0.2 * reach:
            low, high, cmap = -reach, reach, DIFFERENCE
    share = np.clip((data - low) / (high - low), 0.0, 1.0)  # the colours end; the numbers do not
    bar = np.linspace(1.0, 0.0, _BAR)[:, None]
    return Coloured(
        png=_png(_painted(share, cmap)),
        bar=_png(_painted(bar, cmap)),
        limits=(low, high),
        step=step,
    )


def _painted(share: FloatArray, cmap: str) -> NDArray[np.uint8]:
    colours: NDArray[np.uint8] = colormaps[cmap](np.nan_to_num(share), bytes=True)
    colours[~np.isfinite(share), 3] = 0  # no candidate there: the page's own colour
    return colours


def _png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="png", compress_level=3)
    return out.getvalue()
