"""Figures on the pixel grid: where a run went and what it believes the film looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from grainscout.analysis.figures.style import (
    DIFFERENCE,
    HEIGHT,
    STEPS,
    UNCERTAINTY,
    VALUE,
    Extent,
    draw_image,
    engineering,
    figure,
    image_extent,
    labelled,
    robust_limits,
    scale_bar,
    style,
)
from grainscout.records import DataError, Scan
from grainscout.records.arrays import BoolArray, FloatArray, IntArray


def sites_over_topography(
    scan: Scan,
    sites: ArrayLike,
    *,
    seeds: int = 0,
    channel: str = "height",
    boundary: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """The measured sites over the topography, coloured by step; seed points as white squares.

    scan : with the channel to show;  sites : (n, 2) rows and columns in the order of measurement;
    seeds : how many of the first ones were given and not chosen;  boundary : (rows, columns) bool
    of the true grain boundaries, drawn faintly if given.
    """
    points = _points(sites, scan.shape)
    with style():
        fig = figure(5.2, 4.4)
        ax = fig.add_subplot()
        image = scan.channel(channel)
        factor, unit = engineering(image - image.min(), scan.units.get(channel, "m"))
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
    """Truth, prediction (in the same colours) and predicted uncertainty, (rows, columns) each.

    unit : SI, as the descriptor says;  pixels without a value are NaN;  sites : (n, 2) measured.
    """
    maps = [np.asarray(m, dtype=np.float64) for m in (truth, mean, std)]
    if len({m.shape for m in maps}) != 1 or maps[0].ndim != 2:
        raise DataError(f"maps must be images of one shape; got {[m.shape for m in maps]}")
    with style():
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
        if title:
            fig.suptitle(title, fontsize=10, x=0.01, ha="left")
    return fig


def explain_maps(
    maps: Mapping[str, ArrayLike],
    *,
    pixel_size: tuple[float, float],
    sites: ArrayLike | None = None,
    units: Mapping[str, str] | None = None,
    title: str = "",
) -> Figure:
    """What a policy thinks: its named maps (``Policy.explain``), NaN where there is no candidate.

    Names that hold "uncertainty" or "std" take the uncertainty's colours; signed maps a diverging
    scale around 0.
    """
    if not maps:
        raise DataError("explain_maps must be given at least one map; got none")
    units = units or {}
    with style():
        columns = min(len(maps), 3)
        rows = -(-len(maps) // columns)
        fig = figure(3.6 * columns, 3.1 * rows)
        axes = np.atleast_1d(fig.subplots(rows, columns)).ravel()
        for ax, (name, data) in zip(axes, maps.items(), strict=False):
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
            if ax not in axes[::columns]:
                ax.set_ylabel("")
            if sites is not None:
                extent, _ = image_extent(image.shape, pixel_size)
                x, y = _in_extent(_points(sites, image.shape), image.shape, extent)
                ax.scatter(x, y, s=5, c="white", edgecolors="black", lw=0.4)
        for ax in axes[len(maps) :]:
            ax.set_axis_off()
        if title:
            fig.suptitle(title, fontsize=10, x=0.01, ha="left")
    return fig


def archetype_map(
    archetype: ArrayLike,
    *,
    pixel_size: tuple[float, float],
    names: tuple[str, ...] = ("club", "heart", "diamond", "insulating"),
    sites: ArrayLike | None = None,
    title: str = "true archetypes",
) -> Figure:
    """A map of classes (rows, columns), integers into `names`, with a legend of their shares."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    from grainscout.analysis.figures.style import colours

    classes = np.asarray(archetype)
    with style():
        palette = colours(list(names))
        fig = figure(5.2, 4.4)
        ax = fig.add_subplot()
        extent, unit = image_extent(classes.shape, pixel_size)
        ax.imshow(
            classes, extent=extent, cmap=ListedColormap(list(palette.values())), vmin=-0.5,
            vmax=len(names) - 0.5,
        )  # fmt: skip
        ax.set_xlabel(f"x ({unit})")
        ax.set_ylabel(f"y ({unit})")
        if sites is not None:
            x, y = _in_extent(_points(sites, classes.shape), classes.shape, extent)
            ax.scatter(x, y, s=9, c="white", edgecolors="black", lw=0.5)
        shares = [f"{name}  {100 * (classes == k).mean():.1f} %" for k, name in enumerate(names)]
        handles = [Patch(color=palette[n], label=s) for n, s in zip(names, shares, strict=True)]
        fig.legend(handles=handles, loc="outside right center")
        ax.set_title(title)
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
    """Centres of the pixels in the units of the axes."""
    x = (points[:, 1] + 0.5) * extent[1] / shape[1]
    y = (points[:, 0] + 0.5) * extent[2] / shape[0]
    return x, y


def _outline(ax: Any, mask: BoolArray, extent: Extent) -> None:
    """The edge of a mask; contour counts rows upwards, as the extent's second pair does not."""
    left, right, bottom, top = extent
    ax.contour(
        mask.astype(float), levels=[0.5], extent=(left, right, top, bottom), colors="#56B4E9",
        linewidths=0.5, alpha=0.8, zorder=3,
    )  # fmt: skip
