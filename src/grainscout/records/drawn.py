"""Nouns that show themselves: one line as text, and a picture in a notebook."""

import base64
import html
import io
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from grainscout.records.arrays import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
else:
    Axes = Any  # matplotlib is imported when something is drawn


class Drawn(ABC):
    """A base class with a picture; a subclass has `draw` and a short ``repr``."""

    @abstractmethod
    def draw(self, axes: Axes | None = None) -> Axes:
        """Draw it in axes of matplotlib, or in new ones, and return them."""

    def _repr_html_(self) -> str:
        figure: Any = self.draw().figure
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=100, bbox_inches="tight")
        picture = base64.b64encode(data.getvalue()).decode()
        text = html.escape(repr(self))
        return f'<div><code>{text}</code><br><img src="data:image/png;base64,{picture}"></div>'


def new_axes(axes: Axes | None) -> Axes:
    """The axes, or those of a new figure that no window shows."""
    if axes is not None:
        return axes
    from matplotlib.figure import Figure

    return Figure(figsize=(4.2, 3.2)).subplots()


def draw_image(
    axes: Axes | None, image: FloatArray, pixel_size: tuple[float, float], name: str, unit: str
) -> Axes:
    """An image with its lengths in micrometres and its values beside it, without its plane offset."""
    axes = new_axes(axes)
    factor, shown = (1e9, "nm") if unit == "m" else (1e9, "nA") if unit == "A" else (1.0, unit)
    rows, columns = image.shape
    size: tuple[float, float, float, float] = (
        *(0.0, columns * pixel_size[1] * 1e6),
        *(rows * pixel_size[0] * 1e6, 0.0),
    )
    low = float(image.min()) if unit == "m" else 0.0
    drawn = axes.imshow((image - low) * factor, extent=size, cmap="gray")
    figure: Any = axes.figure
    figure.colorbar(drawn, ax=axes, label=f"{name} ({shown})" if shown else name)
    axes.set(xlabel="x (µm)", ylabel="y (µm)")
    return axes


def draw_curves(
    axes: Axes | None, voltage: FloatArray, current: FloatArray, unit: str = "A"
) -> Axes:
    """Curves over their voltage; at most 50 of them, evenly chosen."""
    axes = new_axes(axes)
    chosen = np.unique(np.linspace(0, len(current) - 1, 50).astype(int))
    factor, shown = (1e9, "nA") if unit == "A" else (1.0, unit)
    axes.plot(voltage, current[chosen].T * factor, lw=0.8, alpha=1.0 if len(chosen) < 4 else 0.5)
    axes.set(xlabel="voltage (V)", ylabel=f"current ({shown})" if unit == "A" else shown)
    return axes


def lengths(shape: tuple[int, int], pixel_size: tuple[float, float]) -> str:
    """Pixels and their size in words."""
    steps = [f"{s * 1e9:.4g}" for s in pixel_size]
    size = steps[0] if steps[0] == steps[1] else f"{steps[0]} x {steps[1]}"
    return f"{shape[0]} x {shape[1]} pixels of {size} nm"
