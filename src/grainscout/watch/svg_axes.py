"""Axes, lines and marks as SVG, and arrays as coloured PNG.

Figures are text, so that they follow the page's colours (light or dark) and a screen reader reads
them out. matplotlib takes the whole time of an update for one figure (decision 0030). All figures are
400 px wide, as a phone and a column of the desktop's page are.
"""

import io
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from grainscout.analysis.figures.style import DIFFERENCE, UNCERTAINTY, VALUE, robust_limits
from grainscout.records import DataError, FloatArray, IntArray

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


WIDTH = 400.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 10.0, 8.0, 42.0
_MOST_POINTS = 1500


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Frame of `height` px over ranges x and y."""

    x: tuple[float, float]
    y: tuple[float, float]
    height: float = 270.0
    right: float = _RIGHT
    down: bool = False

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the inside [px]."""
        return _LEFT, _TOP, WIDTH - _LEFT - self.right, self.height - _TOP - _BOTTOM

    def at(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Positions of points [px]."""
        left, top, width, height = self.box
        u = (np.asarray(x, np.float64) - self.x[0]) / (self.x[1] - self.x[0])
        v = (np.asarray(y, np.float64) - self.y[0]) / (self.y[1] - self.y[0])
        return left + width * u, top + height * (v if self.down else 1.0 - v)

    def frame(self, x_label: str, y_label: str) -> Markup:
        """Outline, ticks with numbers, and labels."""
        left, top, width, height = self.box
        parts = [f'<rect class="frame" x="{left}" y="{top}" width="{width}" height="{height}"/>']
        for tick in ticks(self.x, 6):
            x = _short(self.at(tick, self.y[0])[0])
            base = top + height
            parts.append(
                f'<path class="tick" d="M{x} {base}v4"/>'
                f'<text class="number" x="{x}" y="{base + 16}" text-anchor="middle">{tick:g}</text>'
            )
        for tick in ticks(self.y, 6):
            y = _short(self.at(self.x[0], tick)[1])
            parts.append(
                f'<path class="tick" d="M{left} {y}h-4"/><text class="number" x="{left - 7}" y="{y}" '
                f'dy=".35em" text-anchor="end">{tick:g}</text>'
            )
        middle = top + height / 2
        parts.append(
            f'<text class="label" x="{left + width / 2}" y="{self.height - 6}" text-anchor="middle">'
            f'{escape(x_label)}</text><text class="label" x="12" y="{middle}" text-anchor="middle" '
            f'transform="rotate(-90 12 {middle})">{escape(y_label)}</text>'
        )
        return Markup("").join(map(Markup, parts))

    def line(self, x: ArrayLike, y: ArrayLike, kind: str) -> Markup:
        """Line through the finite points, with gaps elsewhere."""
        return _path(_joined(*self.at(x, y)), kind)

    def dots(self, x: ArrayLike, y: ArrayLike, kind: str) -> Markup:
        """Dots as one element."""
        u, v = self.at(x, y)
        good = np.isfinite(u) & np.isfinite(v)
        pairs = zip(u[good].tolist(), v[good].tolist(), strict=True)
        return _path("".join(f"M{a:.1f} {b:.1f}h0" for a, b in pairs), kind)

    def crosses(self, x: ArrayLike, y: ArrayLike, kind: str) -> Markup:
        """Crosses of 6 px as one element."""
        u, v = self.at(x, y)
        pairs = zip(np.atleast_1d(u).tolist(), np.atleast_1d(v).tolist(), strict=True)
        return _path("".join(f"M{a - 3:.1f} {b - 3:.1f}l6 6m-6 0l6-6" for a, b in pairs), kind)


def drawing(name: str, alt: str, height: float, *parts: Markup, kind: str = "") -> Markup:
    """Complete figure; a screen reader reads `alt`."""
    return Markup(
        f'<svg id="{escape(name)}" class="{escape(kind)}" viewBox="0 0 {WIDTH:g} {height:g}" '
        f'role="img" aria-label="{escape(alt)}">'
    ) + Markup("").join([*parts, Markup("</svg>")])


def limits(values: ArrayLike, *, zero: bool = False) -> tuple[float, float]:
    """Range of the finite values with a margin."""
    found = np.asarray(values, np.float64)
    found = found[np.isfinite(found)]
    if zero or not found.size:
        found = np.append(found, 0.0)
    low, high = float(found.min()), float(found.max())
    span = high - low
    margin = 0.05 * span if span > 1e-12 * max(abs(low), abs(high)) else 0.5 * abs(high) or 0.5
    return (0.0 if zero and low == 0.0 else low - margin), high + margin


def ticks(span: tuple[float, float], most: int) -> list[float]:
    """Round numbers within a span."""
    found = np.asarray(MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(*span))
    slack = 1e-9 * (span[1] - span[0])
    inside = (found >= span[0] - slack) & (found <= span[1] + slack)
    return [0.0 if abs(t) < slack else float(f"{t:.10g}") for t in found[inside]]


def thinned(count: int) -> IntArray:
    """Indices of the points to draw, evenly spaced."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    every = -(-count // _MOST_POINTS)
    return np.arange(count - 1, -1, -every)[::-1]


def _joined(u: FloatArray, v: FloatArray) -> str:
    parts, pen = [], "M"
    for a, b in zip(u.tolist(), v.tolist(), strict=True):
        if a - a == 0.0 and b - b == 0.0:  # both finite
            parts.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(parts)


def _path(d: str, kind: str) -> Markup:
    return Markup(f'<path class="{escape(kind)}" d="{d}"/>') if d else Markup("")


def _short(value: FloatArray) -> str:
    return f"{float(value):.1f}"
