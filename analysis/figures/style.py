"""Common style of figures: colours, units, panels."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from grainscout.moved import callable_module
from grainscout.records import DataError, FloatArray

#: Okabe and Ito's palette, reordered so that the first few differ most; black is kept for truth.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#8C6D1F", "#5B4B8A")
ARCHETYPE_COLOURS = {
    "club": "#0072B2",
    "heart": "#D55E00",
    "diamond": "#009E73",
    "insulating": "#A8A8A8",
}
TRUTH = "#222222"
_FIXED = {"random": "#A0A0A0", "oracle": "#222222"}
#: Colour maps: heights, a value, its uncertainty, a difference, the order of measurements.
HEIGHT, VALUE, UNCERTAINTY, DIFFERENCE, STEPS = "gray", "viridis", "cividis", "PuOr", "plasma"

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (7, 2, 2, 2)))
_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": "#222222",
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "lines.linewidth": 1.6,
    "image.interpolation": "nearest",
    "svg.hashsalt": "grainscout",
}
_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


Extent = tuple[float, float, float, float]


@contextmanager
def style() -> Iterator[None]:
    """Apply the style in a block or as decorator."""
    with rc_context(_RC):
        yield


callable_module(__name__)


def figure(width: float, height: float) -> Figure:
    """Make an empty figure of that size [inches]."""
    return Figure(figsize=(width, height), layout="constrained")


def headline(fig: Figure, title: str) -> None:
    """Set the title over several panels, if any."""
    if title:
        fig.suptitle(title, fontsize=10, x=0.01, ha="left")


def single(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure [inches] with one panel."""
    fig = figure(width, height)
    return fig, fig.add_subplot()


def panels(
    count: int,
    width: float,
    height: float,
    *,
    across: float = 0.0,
    down: float = 0.0,
    columns: int = 3,
) -> tuple[Figure, list[Axes]]:
    """Make panels [inches] with further room around them."""
    columns = min(count, columns)
    rows = -(-count // columns)
    fig = figure(width * columns + across, height * rows + down)
    axes = list(fig.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[count:]:
        ax.set_axis_off()
    return fig, axes[:count]


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name; archetypes, random and oracle have their own."""
    fixed = {**ARCHETYPE_COLOURS, **_FIXED}
    free = sorted(set(names) - set(fixed))
    taken = {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(free)}
    return {name: fixed.get(name) or taken[name] for name in names}


def markers(names: Sequence[str]) -> dict[str, str]:
    """Return a marker per name."""
    return {name: _MARKERS[k % len(_MARKERS)] for k, name in enumerate(sorted(set(names)))}


def dashes(names: Sequence[str]) -> dict[str, Any]:
    """Return a line style per name."""
    return {name: _DASHES[k % len(_DASHES)] for k, name in enumerate(sorted(set(names)))}


def engineering(values: ArrayLike, unit: str) -> tuple[float, str]:
    """Choose an SI prefix for readable numbers.

    Parameters
    ----------
    values : array of float
        Of any shape, in `unit`.
    unit : str
        SI unit. One with a space ("A V") gets the prefix in front. "log10 A", "1" and "" are kept.

    Returns
    -------
    factor, unit : float, str
        For factor * values.
    """
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if unit in ("", "1") or unit.startswith("log10") or sizes.size == 0:
        return 1.0, {"1": "", "log10": "decades"}.get(unit, unit)
    # The size of most values, not that of a single outlier.
    power = 3 * int(np.floor(np.log10(np.quantile(sizes, 0.98)) / 3))
    power = min(max(power, -15), 9)
    return 10.0**-power, f"{_PREFIXES[power]}{unit}"


def labelled(name: str, unit: str) -> str:
    """Format an axis label such as "loop area (nA V)"."""
    text = name.replace("_", " ")
    return f"{text} ({unit})" if unit else text


def image_extent(shape: Sequence[int], pixel_size: tuple[float, float]) -> tuple[Extent, str]:
    """Return the imshow extent, row 0 on top."""
    height, width = shape[0] * pixel_size[0], shape[1] * pixel_size[1]
    factor, unit = (1e6, "µm") if max(height, width) >= 1e-6 else (1e9, "nm")
    return (0.0, width * factor, height * factor, 0.0), unit


def draw_image(
    ax: Axes,
    image: FloatArray,
    pixel_size: tuple[float, float],
    *,
    cmap: str,
    limits: tuple[float, float] | None = None,
) -> Any:
    """Draw an image with axes in µm or nm."""
    extent, unit = image_extent(image.shape, pixel_size)
    colour_map = colormaps[cmap].with_extremes(bad="#E4E4E4")
    low, high = limits if limits is not None else robust_limits(image)
    artist = ax.imshow(
        np.ma.masked_invalid(image), extent=extent, cmap=colour_map, vmin=low, vmax=high
    )
    ax.set(xlabel=f"x ({unit})", ylabel=f"y ({unit})")
    ax.spines[["top", "right"]].set_visible(True)
    return artist


def robust_limits(*images: ArrayLike, share: float = 0.01) -> tuple[float, float]:
    """Return common colour limits from quantiles."""
    values = np.concatenate([np.ravel(np.asarray(i, dtype=np.float64)) for i in images])
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise DataError("an image to draw must have a finite pixel; got none")
    low, high = (float(v) for v in np.quantile(values, [share, 1 - share]))
    if low == high:
        low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    return low, high


def scale_bar(ax: Axes, width: float, unit: str) -> None:
    """Draw a bar of a round length."""
    target = width / 5
    decade = 10.0 ** np.floor(np.log10(target))
    length = max(step * decade for step in (1.0, 2.0, 5.0) if step * decade <= target * 1.0001)
    bottom, top = ax.get_ylim()
    x, y = 0.05 * width, bottom + 0.06 * (top - bottom)
    ax.plot([x, x + length], [y, y], color="black", lw=5, solid_capstyle="butt", zorder=5)
    ax.plot([x, x + length], [y, y], color="white", lw=3, solid_capstyle="butt", zorder=6)
    from matplotlib import patheffects

    ax.text(
        x + length / 2,
        y + 0.02 * (top - bottom),
        f"{length:g} {unit}",
        color="white",
        ha="center",
        va="bottom",
        fontsize=8,
        fontweight="bold",
        zorder=6,
        path_effects=[patheffects.withStroke(linewidth=2, foreground="black")],
    )
