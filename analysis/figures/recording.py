"""Figure of a file: its image, where curves were recorded, and what they look like."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grainscout.analysis.figures.style import (
    HEIGHT,
    PALETTE,
    VALUE,
    draw_image,
    engineering,
    image_extent,
    labelled,
    panels,
    scale_bar,
    style,
)
from grainscout.records import Recording, Scan

_CURVES = 60


@style()
def file_overview(data: Scan | Recording, *, title: str = "") -> Figure:
    """Draw the image that policies see, the recorded sites over it, and some curves.

    Parameters
    ----------
    data : Scan or Recording
        Content of a file.
    title : str
        Of the figure.
    """
    scan = data.scan if isinstance(data, Recording) else data
    fig, axes = panels(3 if isinstance(data, Recording) else 1, 4.2, 3.6)
    name, image = scan.image_name, scan.image
    factor, unit = engineering(image - image.min(), scan.units.get(name, ""))
    shown = draw_image(axes[0], (image - image.min()) * factor, scan.pixel_size, cmap=HEIGHT)
    extent, length_unit = image_extent(scan.shape, scan.pixel_size)
    scale_bar(axes[0], extent[1], length_unit)
    fig.colorbar(shown, ax=axes[0], label=labelled(name, unit), shrink=0.8, pad=0.03)
    axes[0].set_title(title or name)
    if not isinstance(data, Recording):
        return fig
    rows, columns = scan.shape
    x = extent[0] + (data.sites[:, 1] + 0.5) / columns * (extent[1] - extent[0])
    y = extent[3] + (data.sites[:, 0] + 0.5) / rows * (extent[2] - extent[3])
    size = float(np.clip(2e4 / max(rows, columns) ** 2, 0.5, 30.0))
    axes[0].scatter(x, y, s=size, marker="s", c=PALETTE[1], lw=0, alpha=0.35)
    axes[0].set_title(f"{title or name}: {len(data)} curves")
    _draw_largest(axes[1], fig, data, scan)
    _draw_curves(axes[2], data)
    return fig


def _draw_largest(ax: Axes, fig: Figure, data: Recording, scan: Scan) -> None:
    """Map of the largest response of each curve. Pixels without a curve stay white."""
    with np.errstate(invalid="ignore"):
        known = np.where(np.abs(data.current) < 1e9, np.abs(data.current), np.nan)
    largest = np.full(scan.shape, np.nan)
    some = np.isfinite(known).any(axis=1)
    largest[tuple(data.sites[some].T)] = np.nanmax(known[some], axis=1)
    factor, unit = engineering(largest[np.isfinite(largest)], data.unit)
    shown = draw_image(ax, largest * factor, scan.pixel_size, cmap=VALUE)
    what = "current" if data.unit == "A" else "response"
    fig.colorbar(shown, ax=ax, label=labelled(f"largest |{what}|", unit), shrink=0.8, pad=0.03)
    ax.set_title(f"largest |{what}| of each curve")


def _draw_curves(ax: Axes, data: Recording) -> None:
    """Some curves over the voltage, with the samples at a rail marked."""
    chosen = np.unique(np.linspace(0, len(data) - 1, _CURVES).astype(int))
    with np.errstate(invalid="ignore"):
        known = np.where(np.abs(data.current) < 1e9, data.current, np.nan)
    factor, unit = engineering(known[chosen], data.unit)
    for k in chosen:
        ax.plot(data.waveform.voltage, known[k] * factor, color=PALETTE[0], lw=0.5, alpha=0.4)
    railed = data.saturated[chosen]
    if railed.any():
        volts = np.broadcast_to(data.waveform.voltage, railed.shape)[railed]
        ax.scatter(volts, known[chosen][railed] * factor, s=4, c=PALETTE[3], label="at a rail")
        ax.legend()
    ax.set_xlabel("voltage (V)")
    ax.set_ylabel(labelled("current" if data.unit == "A" else "response", unit))
    ax.set_title(f"{len(chosen)} of {len(data)} curves")
