"""Arrays as coloured PNG."""

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
    """Image and colour bar as PNG, with limits."""

    png: bytes
    bar: bytes
    limits: tuple[float, float]


def coloured(image: ArrayLike, cmap: str | None = None, name: str = "") -> Coloured | None:
    """Colour a map as ``figures.explain_maps`` does, unless nothing is finite. NaN is transparent."""
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
    share = np.clip((data - low) / (high - low), 0.0, 1.0)
    bar = np.linspace(1.0, 0.0, _BAR)[:, None]
    return Coloured(png=_png(share, cmap), bar=_png(bar, cmap), limits=(low, high))


def _png(share: FloatArray, cmap: str) -> bytes:
    pixels: NDArray[np.uint8] = colormaps[cmap](np.nan_to_num(share), bytes=True)
    pixels[~np.isfinite(share), 3] = 0  # no candidate there: the page's own colour
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="png", compress_level=3)
    return out.getvalue()
