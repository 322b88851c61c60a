"""Figures for forensics and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.special import ndtri

from grainscout.analysis.curves.forc import Forc
from grainscout.analysis.figures.style import (
    DIFFERENCE,
    PALETTE,
    STEPS,
    VALUE,
    colours,
    dashes,
    draw_image,
    engineering,
    figure,
    labelled,
    robust_limits,
    single,
    style,
)
from grainscout.analysis.statistics import performance_profile
from grainscout.records import DataError

if TYPE_CHECKING:
    import pandas as pd

_DRAWN = 3000  # points that a density is drawn from


@style()
def latent_density(
    features: ArrayLike,
    visited: ArrayLike,
    *,
    axes: tuple[str, str] = ("latent 1", "latent 2"),
    note: str = "",
) -> Figure:
    """Draw densities of all and of visited candidates.

    Parameters
    ----------
    features : (n, 2) array of float
        Features or latents of all candidates.
    visited : (k,) array of int
        Indices in the order of measurement.
    axes : (str, str)
        Labels of the axes.
    note : str
        A line such as the result of `forensics.density_test`.
    """
    import seaborn

    points = np.asarray(features, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise DataError(f"features must be (n, 2) to be drawn; got shape {points.shape}")
    chosen = points[np.asarray(visited, dtype=np.int64)]
    fig = figure(8.6, 3.7)
    left, right = fig.subplots(1, 2, sharex=True, sharey=True)
    every = points[:: max(1, len(points) // _DRAWN)]
    seaborn.kdeplot(x=every[:, 0], y=every[:, 1], fill=True, cmap="Greys", ax=left, levels=8)
    if len(chosen) >= 5 and np.ptp(chosen, axis=0).min() > 0:
        seaborn.kdeplot(x=chosen[:, 0], y=chosen[:, 1], color=PALETTE[3], ax=left, levels=5)
    left.plot([], [], color="#999999", lw=6, label="all candidates")
    left.plot([], [], color=PALETTE[3], label="visited")
    left.legend(loc="upper right")
    left.set_title("visited against all")
    right.plot(chosen[:, 0], chosen[:, 1], color="#BBBBBB", lw=0.5, zorder=1)
    steps = right.scatter(
        chosen[:, 0], chosen[:, 1], c=np.arange(1, len(chosen) + 1), cmap=STEPS, s=14, zorder=2
    )
    fig.colorbar(steps, ax=right, label="measurement", pad=0.02)
    right.set_title("the way")
    for ax in (left, right):
        ax.set_xlabel(axes[0])
    left.set_ylabel(axes[1])
    if note:
        left.text(0.02, 0.02, note, transform=left.transAxes, fontsize=7.5)
    return fig


@style()
def forc_map(family: Forc) -> Figure:
    """Draw the reversal family of the first site, and its density."""
    fig = figure(8.4, 3.5)
    left, right = fig.subplots(1, 2)
    curves = family.current[0]
    factor, unit = engineering(curves, "A")
    tones = colormaps[VALUE](np.linspace(0, 0.92, len(curves)))
    for tone, row in zip(tones, curves, strict=True):
        left.plot(family.voltage, row * factor, color=tone, lw=1.1)
    left.set(
        xlabel="bias on the way back (V)",
        ylabel=f"current ({unit})",
        title="reversal curves, by reversal voltage",
    )
    density = family.density[0]
    scale, density_unit = engineering(density, "A V⁻²")
    reach = max(float(np.nanmax(np.abs(density))) * scale, 1e-30)
    shown = right.pcolormesh(
        family.voltage, family.reversal, np.ma.masked_invalid(density * scale), cmap=DIFFERENCE,
        vmin=-reach, vmax=reach, shading="nearest",
    )  # fmt: skip
    right.plot(family.voltage, family.voltage, color="#777777", lw=0.8, ls="--")
    right.set_ylim(family.reversal.min(), family.reversal.max())
    right.set(xlabel="bias on the way back (V)", ylabel="reversal voltage (V)", title="density")
    fig.colorbar(shown, ax=right, label=density_unit, pad=0.02)
    return fig


@style()
def performance_profiles(
    scores: Mapping[str, ArrayLike], *, label: str = "normalised score"
) -> Figure:
    """Draw the share of films above each score.

    Parameters
    ----------
    scores : mapping of str to (n,) array of float
        Scores by policy, one for each film.
    label : str
        Of the scores.
    """
    values = [np.asarray(v, dtype=np.float64) for v in scores.values()]
    low, high = robust_limits(*values, share=0.0)
    at = np.linspace(low - 0.02 * (high - low), high + 0.02 * (high - low), 101)
    palette, lines = colours(list(scores)), dashes(list(scores))
    fig, ax = single(5.6, 3.3)
    for name, data in scores.items():
        share, below, above = performance_profile(data, at)
        ax.plot(at, share, color=palette[name], ls=lines[name], label=name)
        ax.fill_between(at, below, above, color=palette[name], alpha=0.14, lw=0)
    ax.set(xlabel=label, ylabel="share of films that reach it")
    ax.set_ylim(-0.02, 1.02)
    ax.grid(color="#EDEDED", lw=0.7)
    fig.legend(loc="outside right upper")
    return fig


@style()
def calibration(predictions: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]]) -> Figure:
    """Draw observed against nominal coverage of central intervals.

    Below the diagonal a model is overconfident.

    Parameters
    ----------
    predictions : mapping of str to (truth, mean, std)
        Arrays of one shape and unit.
    """
    levels = np.linspace(0.02, 0.98, 49)
    palette, lines = colours(list(predictions)), dashes(list(predictions))
    fig, ax = single(4.9, 3.5)
    ax.plot([0, 1], [0, 1], color="#999999", lw=0.9, ls=(0, (3, 2)))
    for name, (truth, mean, std) in predictions.items():
        real, guess, width = (np.ravel(np.asarray(a, dtype=np.float64)) for a in (truth, mean, std))
        z = np.abs(real - guess) / width
        z = z[np.isfinite(z)]
        inside = (z[:, None] <= ndtri((1 + levels) / 2)).mean(axis=0)
        ax.plot(levels, inside, color=palette[name], ls=lines[name], label=name)
    ax.set(xlabel="nominal share", ylabel="share of truth inside the interval")
    ax.set_aspect("equal")
    ax.text(0.62, 0.1, "too sure", color="#777777", fontsize=8)
    ax.text(0.12, 0.86, "too careful", color="#777777", fontsize=8)
    fig.legend(loc="outside right upper")
    return fig


@style()
def boundary_visits(
    table: pd.DataFrame,
    boundary_id: ArrayLike,
    boundary_distance: ArrayLike,
    *,
    pixel_size: tuple[float, float],
    width: float = 30e-9,
) -> Figure:
    """Draw visits to boundaries as map and bars.

    Parameters
    ----------
    table : DataFrame
        Of `forensics.boundary_choice`, for the same maps and width. Stars mark p < 0.05 after Holm.
    boundary_id : (rows, columns) array of int
        Identifier of the nearest boundary.
    boundary_distance : (rows, columns) array of float
        Distance from it [m].
    pixel_size : (float, float)
        Height and width of a pixel [m].
    width : float
        Largest distance of a visit [m].
    """
    ids, distance = np.asarray(boundary_id), np.asarray(boundary_distance, dtype=np.float64)
    image = np.full(ids.shape, np.nan)
    near = (distance <= width) & (ids >= 0)
    ratio = table.set_index("boundary")["ratio"]
    image[near] = ratio.reindex(ids[near]).to_numpy()
    fig = figure(9.0, 3.6)
    left, right = fig.subplots(1, 2, width_ratios=[1.0, 1.15])
    top = max(2.0, float(np.nanquantile(image, 0.98)) if near.any() else 2.0)
    shown = draw_image(left, image, pixel_size, cmap=VALUE, limits=(0.0, top))
    fig.colorbar(shown, ax=left, label="visits / expected", extend="max", pad=0.02, shrink=0.85)
    left.set_title("visits to each boundary")
    rows = table.head(25)
    sure = rows["p_adjusted"].to_numpy() < 0.05
    place = np.arange(len(rows))
    right.bar(place, rows["visits"], color=np.where(sure, PALETTE[3], PALETTE[0]).tolist())
    right.plot(place, rows["expected"], "_", color="black", ms=9, mew=1.6, label="expected")
    for x, y in zip(place[sure], rows["visits"].to_numpy()[sure], strict=True):
        right.text(x, y, "*", ha="center", va="bottom")
    right.set_xticks(place, [str(b) for b in rows["boundary"]], rotation=90, fontsize=6)
    right.set(xlabel="boundary (id), largest surplus first", ylabel="visits")
    right.legend()
    return fig


@style()
def property_maps(
    maps: Mapping[str, Mapping[str, ArrayLike]],
    *,
    pixel_size: tuple[float, float],
    units: Mapping[str, str],
) -> Figure:
    """Draw maps by condition (rows) and property (columns).

    Parameters
    ----------
    maps : mapping of str to mapping of str to (rows, columns) array of float
        By condition (dark, light) and property. One colour scale per property.
    pixel_size : (float, float)
        Height and width of a pixel [m].
    units : mapping of str to str
        SI unit of each property.
    """
    conditions: Sequence[str] = list(maps)
    names: Sequence[str] = list(maps[conditions[0]])
    fig = figure(3.5 * len(names), 2.9 * len(conditions) + 0.2)
    grid = fig.subplots(len(conditions), len(names), squeeze=False)
    for column, name in enumerate(names):
        images = [np.asarray(maps[c][name], dtype=np.float64) for c in conditions]
        factor, unit = engineering(np.concatenate([i.ravel() for i in images]), units.get(name, ""))
        limits = robust_limits(*(i * factor for i in images))
        for row, (condition, image) in enumerate(zip(conditions, images, strict=True)):
            ax = grid[row, column]
            shown = draw_image(ax, image * factor, pixel_size, cmap=VALUE, limits=limits)
            ax.set_title(f"{name.replace('_', ' ')}, {condition}")
            if row < len(conditions) - 1:
                ax.set_xlabel("")
            if column:
                ax.set_ylabel("")
        fig.colorbar(shown, ax=grid[:, column], label=labelled("", unit), extend="both", shrink=0.8)
    return fig
