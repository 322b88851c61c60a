"""Figures on the pixel grid."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES
from grainscout.analysis.figures.style import (
    DIFFERENCE,
    HEIGHT,
    STEPS,
    UNCERTAINTY,
    VALUE,
    Extent,
    colours,
    draw_image,
    engineering,
    figure,
    headline,
    image_extent,
    labelled,
    panels,
    robust_limits,
    scale_bar,
    single,
    style,
)
from grainscout.records import BoolArray, DataError, FloatArray, IntArray, Scan


@style()
def sites_over_topography(
    scan: Scan,
    sites: ArrayLike,
    *,
    seeds: int = 0,
    boundary: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """Draw measured sites over topography, coloured by step.

    Parameters
    ----------
    scan : Scan
        Its channel that policies see is shown.
    sites : (n, 2) array of int
        Rows and columns in the order of measurement.
    seeds : int
        Number of seed points, drawn as white squares.
    boundary : (rows, columns) array of bool, optional
        True grain boundaries, drawn faintly.
    title : str
        Of the figure.
    """
    points = _points(sites, scan.shape)
    fig, ax = single(5.2, 4.4)
    channel, image = scan.image_name, scan.image
    factor, unit = engineering(
        image - image.min(), scan.units.get(channel, "m" if channel == "height" else "")
    )
    shown = draw_image(ax, (image - image.min()) * factor, scan.pixel_size, cmap=HEIGHT)
    extent, length_unit = image_extent(scan.shape, scan.pixel_size)
    if boundary is not None:
        _outline(ax, np.asarray(boundary, dtype=bool), extent)
    x, y = _in_extent(points, scan.shape, extent)
    steps = np.arange(1, len(points) + 1)
    if seeds:
        ax.scatter(
            x[:seeds], y[:seeds], s=26, marker="s", c="white", edgecolors="black", lw=0.9,
            label=f"{seeds} seed points", zorder=4,
        )  # fmt: skip
    order = ax.scatter(
        x[seeds:], y[seeds:], c=steps[seeds:], cmap=STEPS, s=17, edgecolors="white", lw=0.5,
        zorder=5, vmin=1, vmax=max(len(points), 2),
    )  # fmt: skip
    scale_bar(ax, extent[1], length_unit)
    fig.colorbar(order, ax=ax, label="measurement", shrink=0.8, pad=0.02)
    fig.colorbar(shown, ax=ax, label=labelled(channel, unit), shrink=0.8, pad=0.03)
    if seeds:
        ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.13), borderaxespad=0.0)
    ax.set_title(title or f"{len(points)} measured sites")
    return fig


@style()
def predicted_vs_true(
    truth: ArrayLike,
    mean: ArrayLike,
    std: ArrayLike,
    *,
    pixel_size: tuple[float, float],
    name: str,
    unit: str,
    sites: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """Draw truth, prediction (in the same colours) and its uncertainty.

    Parameters
    ----------
    truth, mean, std : (rows, columns) array of float
        Maps in `unit`, NaN without a value.
    pixel_size : (float, float)
        Height and width of a pixel [m].
    name, unit : str
        Of the descriptor; SI unit.
    sites : (n, 2) array of int, optional
        Measured rows and columns.
    title : str
        Of the figure.
    """
    maps = [np.asarray(m, dtype=np.float64) for m in (truth, mean, std)]
    if len({m.shape for m in maps}) != 1 or maps[0].ndim != 2:
        raise DataError(f"maps must be images of one shape; got {[m.shape for m in maps]}")
    factor, shown_unit = engineering(maps[0], unit)
    limits = robust_limits(maps[0] * factor)
    fig = figure(10.6, 3.5 if title else 3.2)
    axes = fig.subplots(1, 3)
    heads = ("truth", "prediction", "uncertainty (1 sd)")
    for ax, image, head in zip(axes, maps, heads, strict=True):
        sure = head.startswith("uncertainty")
        scaled = image * factor
        shown = draw_image(
            ax,
            scaled,
            pixel_size,
            cmap=UNCERTAINTY if sure else VALUE,
            limits=(0.0, robust_limits(scaled)[1]) if sure else limits,
        )
        fig.colorbar(
            shown, ax=ax, shrink=0.85, pad=0.02, extend="max" if sure else "both",
            label=labelled(name if not sure else f"sd of {name}", shown_unit),
        )  # fmt: skip
        ax.set_title(head)
        if ax is not axes[0]:
            ax.set_ylabel("")
    if sites is not None:
        extent, _ = image_extent(maps[0].shape, pixel_size)
        x, y = _in_extent(_points(sites, maps[0].shape), maps[0].shape, extent)
        for ax in axes[1:]:
            ax.scatter(x, y, s=5, c="white", edgecolors="black", lw=0.4)
    headline(fig, title)
    return fig


@style()
def explain_maps(
    maps: Mapping[str, ArrayLike],
    *,
    pixel_size: tuple[float, float],
    sites: ArrayLike | None = None,
    units: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the named maps of a policy (``Policy.explain``).

    Names with "uncertainty" or "std" take the colours of uncertainty. Signed maps take a diverging
    scale around 0.

    Parameters
    ----------
    maps : mapping of str to (rows, columns) array of float
        NaN where there is no candidate.
    pixel_size : (float, float)
        Height and width of a pixel [m].
    sites : (n, 2) array of int, optional
        Measured rows and columns.
    units : mapping of str to str, optional
        SI unit of each map.
    """
    if not maps:
        raise DataError("explain_maps must be given at least one map; got none")
    units = units or {}
    fig, axes = panels(len(maps), 3.6, 3.1)
    for k, (ax, (name, data)) in enumerate(zip(axes, maps.items(), strict=True)):
        image = np.asarray(data, dtype=np.float64)
        factor, unit = engineering(image, units.get(name, ""))
        limits = robust_limits(image * factor)
        cmap = UNCERTAINTY if "uncertainty" in name or "std" in name else VALUE
        if limits[0] < 0 < limits[1] and min(-limits[0], limits[1]) > 0.2 * max(
            -limits[0], limits[1]
        ):
            reach = max(-limits[0], limits[1])
            limits, cmap = (-reach, reach), DIFFERENCE
        shown = draw_image(ax, image * factor, pixel_size, cmap=cmap, limits=limits)
        fig.colorbar(shown, ax=ax, shrink=0.85, pad=0.02, label=labelled(name, unit))
        ax.set_title(name.replace("_", " "))
        if k % 3:
            ax.set_ylabel("")
        if sites is not None:
            extent, _ = image_extent(image.shape, pixel_size)
            x, y = _in_extent(_points(sites, image.shape), image.shape, extent)
            ax.scatter(x, y, s=5, c="white", edgecolors="black", lw=0.4)
    return fig


@style()
def archetype_map(
    archetype: ArrayLike, *, pixel_size: tuple[float, float], sites: ArrayLike | None = None
) -> Figure:
    """Draw a map of archetypes with their shares.

    Parameters
    ----------
    archetype : (rows, columns) array of int
        Index into `ARCHETYPE_NAMES`.
    pixel_size : (float, float)
        Height and width of a pixel [m].
    sites : (n, 2) array of int, optional
        Measured rows and columns.
    """
    classes, names = np.asarray(archetype), ARCHETYPE_NAMES
    palette = colours(names)
    fig, ax = single(5.2, 4.4)
    extent, unit = image_extent(classes.shape, pixel_size)
    ax.imshow(
        classes, extent=extent, cmap=ListedColormap(list(palette.values())), vmin=-0.5,
        vmax=len(names) - 0.5,
    )  # fmt: skip
    ax.set(xlabel=f"x ({unit})", ylabel=f"y ({unit})")
    if sites is not None:
        x, y = _in_extent(_points(sites, classes.shape), classes.shape, extent)
        ax.scatter(x, y, s=9, c="white", edgecolors="black", lw=0.5)
    shares = [f"{name}  {100 * (classes == k).mean():.1f} %" for k, name in enumerate(names)]
    handles = [Patch(color=palette[n], label=s) for n, s in zip(names, shares, strict=True)]
    fig.legend(handles=handles, loc="outside right center")
    ax.set_title("true archetypes")
    return fig


def _points(sites: ArrayLike, shape: tuple[int, ...]) -> IntArray:
    points = np.asarray(sites)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise DataError(f"sites must be an (n, 2) array, n >= 1; got shape {points.shape}")
    if (points < 0).any() or (points >= np.array(shape)).any():
        raise DataError(f"sites must lie on the {shape[0]} x {shape[1]} image")
    return points.astype(np.int64)


def _in_extent(
    points: IntArray, shape: tuple[int, ...], extent: Extent
) -> tuple[FloatArray, FloatArray]:
    """Centres of pixels in the units of the axes."""
    x = (points[:, 1] + 0.5) * extent[1] / shape[1]
    y = (points[:, 0] + 0.5) * extent[2] / shape[0]
    return x, y


def _outline(ax: Any, mask: BoolArray, extent: Extent) -> None:
    """Draw the edge of a mask (contour counts upwards)."""
    left, right, bottom, top = extent
    ax.contour(
        mask.astype(float), levels=[0.5], extent=(left, right, top, bottom), colors="#56B4E9",
        linewidths=0.5, alpha=0.8, zorder=3,
    )  # fmt: skip
