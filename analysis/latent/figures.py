"""Figures of latent maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES
from grainscout.analysis.figures.style import (
    ARCHETYPE_COLOURS,
    HEIGHT,
    PALETTE,
    STEPS,
    TRUTH,
    VALUE,
    figure,
    panels,
    single,
    style,
)
from grainscout.analysis.latent.maps import DecodedMap
from grainscout.records import ConfigError, DataError, FloatArray

_GAP = 0.06  # of a cell, between neighbours
_VEIL = "#FFFFFF"


@style()
def latent_map(
    decoded: DecodedMap,
    *,
    channel: int = 0,
    spectrum_names: Sequence[str] = (),
    voltage: ArrayLike | None = None,
    known: ArrayLike | None = None,
) -> Figure:
    """Draw decoded images, and spectra at the same points.

    Parameters
    ----------
    decoded : DecodedMap
        Of `decoded_map`.
    channel : int
        Of the images.
    spectrum_names : sequence of str
        Names of the spectra's channels ("dark", "light").
    voltage : (samples,) array of float, optional
        Voltage [V] of the spectra, for the legend.
    known : (n, d) array of float, optional
        Latents of data, drawn as dots.
    """
    dual = decoded.spectra is not None
    side = 5.0 if len(decoded.first) <= 16 else 7.6
    # Room for titles, and for the legend's line: cells are square and take all the rest.
    fig = figure(1.88 * side if dual else side, side + 0.3)
    axes = fig.subplots(1, 2 if dual else 1, squeeze=False)[0]
    _draw(axes, decoded, channel, spectrum_names, known, "decoded images", "decoded spectra")
    if dual and (spectrum_names or voltage is not None):
        _spectrum_legend(fig, axes[1], spectrum_names, voltage)
    return fig


@style()
def latent_comparison(
    maps: Mapping[str, DecodedMap], *, voltage: ArrayLike | None = None
) -> Figure:
    """Draw maps of the same pairs below each other.

    Each title gives the share of the cells that lie on data.

    Parameters
    ----------
    maps : mapping of str to DecodedMap
        Maps with spectra.
    voltage : (samples,) array of float, optional
        Voltage [V] of the spectra, for the legend.
    """
    if bad := [name for name, decoded in maps.items() if decoded.spectra is None]:
        raise DataError(f"maps to compare must have spectra; {', '.join(bad) or 'none given'}")
    side = 4.4
    fig = figure(1.95 * side, 1.06 * side * len(maps) + 0.3)
    table = fig.subplots(len(maps), 2, squeeze=False)
    for axes, (name, decoded) in zip(table, maps.items(), strict=True):
        images = f"{name}: images ({decoded.supported.mean():.0%} of cells on data)"
        _draw(axes, decoded, 0, (), None, images, f"{name}: spectra")
    if voltage is not None:
        _spectrum_legend(fig, table[0, 1], (), voltage)
    return fig


def _draw(
    axes: Sequence[Axes], decoded: DecodedMap, channel: int, names: Sequence[str],
    known: ArrayLike | None, images: str, spectra: str,
) -> None:  # fmt: skip
    """Draw images and, beside them, spectra at the same points."""
    _images(axes[0], decoded, channel)
    axes[0].set_title(images)
    if decoded.spectra is not None:
        _spectra(axes[1], decoded, decoded.spectra, names)
        axes[1].set_title(f"{spectra} at the same points")
    for ax in axes:
        _frame(ax, decoded, known)


def _spectrum_legend(
    fig: Figure, ax: Axes, names: Sequence[str], voltage: ArrayLike | None
) -> None:
    fig.legend(
        *ax.get_legend_handles_labels(), loc="outside lower right", ncols=max(1, len(names)),
        title=None if voltage is None else _over(voltage), title_fontsize=8,
    )  # fmt: skip


@style()
def latent_scatter(
    latent: ArrayLike,
    values: ArrayLike,
    *,
    label: str = "archetype",
    held_out: ArrayLike | None = None,
    order: bool = False,
) -> Figure:
    """Draw latents coloured by archetype, descriptor or step.

    Parameters
    ----------
    latent : (n, 2) array of float
        Latents.
    values : (n,) array
        Integers are archetype indices. Other numbers are a quantity, NaN grey.
    label : str
        Of the values, with their unit.
    held_out : (k,) array of int, optional
        Indices drawn with a rim.
    order : bool
        Values are steps, joined in their order.
    """
    z, v = np.asarray(latent, dtype=np.float64), np.asarray(values)
    if z.ndim != 2 or z.shape[1] < 2 or v.shape != (len(z),):
        raise DataError(
            f"a scatter must have latents (n, 2) and values (n,); got {z.shape}, {v.shape}"
        )
    rim = np.zeros(len(z), dtype=bool)
    rim[np.asarray([] if held_out is None else held_out, dtype=np.int64)] = True
    fig, ax = single(4.9, 3.9)
    if v.dtype.kind in "iu" and not order:
        _archetypes(ax, z, v)
    else:
        quantity = v.astype(np.float64)
        lost = ~np.isfinite(quantity)
        name = "no value" if lost.any() else None
        ax.scatter(z[lost, 0], z[lost, 1], s=10, color="#CCCCCC", label=name)
        if order:
            path = z[np.argsort(quantity)]
            ax.plot(path[:, 0], path[:, 1], color="#BBBBBB", lw=0.5, zorder=1)
        shown = ax.scatter(
            z[~lost, 0], z[~lost, 1], c=quantity[~lost], cmap=STEPS if order else VALUE, s=20,
            lw=0, zorder=2,
        )  # fmt: skip
        fig.colorbar(shown, ax=ax, label=label, pad=0.02)
    _rim(ax, z[rim])
    if ax.get_legend_handles_labels()[0]:
        fig.legend(loc="outside lower center", ncols=3, handletextpad=0.2, columnspacing=1.2)
    ax.set(xlabel="latent 1", ylabel="latent 2", title=label)
    return fig


@style()
def latent_archetypes(
    maps: Mapping[str, ArrayLike],
    archetype: ArrayLike,
    *,
    notes: Mapping[str, str] | None = None,
    held_out: ArrayLike | None = None,
) -> Figure:
    """Draw maps of the same curves by archetype.

    Parameters
    ----------
    maps : mapping of str to (n, 2) array of float
        Latents.
    archetype : (n,) array of int
        Archetype indices.
    notes : mapping of str to str, optional
        A line over each map, such as its score.
    held_out : (k,) array of int, optional
        Indices drawn with a rim.
    """
    classes = np.asarray(archetype)
    points = {name: np.asarray(z, dtype=np.float64) for name, z in maps.items()}
    if not points or any(z.ndim != 2 or z.shape[1] < 2 or len(z) != classes.size for z in points.values()):  # fmt: skip
        raise DataError(
            f"maps must be latents (n, 2) of the n = {classes.size} curves of archetype; got "
            + (", ".join(f"{name} {z.shape}" for name, z in points.items()) or "none")
        )
    tested = np.asarray([] if held_out is None else held_out, dtype=np.int64)
    fig, axes = panels(len(points), 3.5, 3.0, down=0.5, columns=2)
    for ax, (name, z) in zip(axes, points.items(), strict=True):
        _archetypes(ax, z, classes)
        _rim(ax, z[tested])
        note = (notes or {}).get(name)
        ax.set_title(name, pad=6 if note is None else 16)
        ax.text(0, 1.02, note or "", transform=ax.transAxes, fontsize=7.5)
        ax.set(xlabel="latent 1", ylabel="latent 2")
    fig.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center", ncols=5 if len(points) > 1 else 3, handletextpad=0.2, columnspacing=1.2,
    )  # fmt: skip
    return fig


def _archetypes(ax: Axes, z: FloatArray, archetype: NDArray[Any]) -> None:
    """Draw points by archetype, with colour and marker."""
    for k in np.unique(archetype):
        if not 0 <= k < len(ARCHETYPE_NAMES):
            raise DataError(f"archetype indices must be 0 to 3; got {int(k)}")
        name, some = ARCHETYPE_NAMES[k], archetype == k
        ax.scatter(
            z[some, 0], z[some, 1], s=20, marker="os^D"[k], color=ARCHETYPE_COLOURS[name],
            lw=0, alpha=0.85, label=f"{name} ({int(some.sum())})",
        )  # fmt: skip


def _rim(ax: Axes, z: FloatArray) -> None:
    if len(z):
        ax.scatter(z[:, 0], z[:, 1], s=48, color="none", edgecolors=TRUTH, lw=0.7, label="held out")


def _images(ax: Axes, decoded: DecodedMap, channel: int) -> None:
    k, w = len(decoded.first), decoded.images.shape[-1]
    if not 0 <= channel < decoded.images.shape[2]:
        raise ConfigError(f"channel must be 0 to {decoded.images.shape[2] - 1}; got {channel}")
    pad = max(1, round(_GAP * w))
    tile = w + pad
    mosaic = np.full((k * tile, k * tile), np.nan)
    for row in range(k):
        for column in range(k):
            # The first row of cells is the lowest coordinate; a picture's first row is on top.
            top, left = (k - 1 - row) * tile, column * tile
            mosaic[top : top + w, left : left + w] = decoded.images[row, column, channel]
    trusted = decoded.images[decoded.supported][:, channel] if decoded.supported.any() else mosaic
    low, high = np.nanquantile(trusted, [0.01, 0.99])
    # Tiles fill their cells from the upper left corner; the frame is moved by half the gap.
    off = 0.5 * pad / tile
    ax.imshow(
        mosaic,
        cmap=HEIGHT,
        vmin=low,
        vmax=high,
        extent=(off, k + off, -off, k - off),
        aspect="equal",
    )


def _spectra(ax: Axes, decoded: DecodedMap, spectra: FloatArray, names: Sequence[str]) -> None:
    k, channels, samples = len(decoded.first), spectra.shape[2], spectra.shape[3]
    trusted = (
        spectra[decoded.supported]
        if decoded.supported.any()
        else spectra.reshape(-1, channels, samples)
    )
    low, high = trusted.min(axis=(0, 2)), trusted.max(axis=(0, 2))
    across = np.linspace(0.5 * _GAP + 0.04, 1 - 0.5 * _GAP - 0.04, samples)
    colours = (TRUTH, *PALETTE[1:]) if channels > 1 else (PALETTE[0],)
    for c in range(channels):
        height = 0.08 + 0.84 * (spectra[:, :, c] - low[c]) / max(float(high[c] - low[c]), 1e-300)
        # Outside the data a curve may leave its cell; it is cut there, and the cell is marked.
        height = np.where((height > 0.0) & (height < 1.0), height, np.nan)
        lines = [
            np.column_stack([column + across, row + height[row, column]])
            for row in range(k)
            for column in range(k)
        ]
        width = 1.0 if k <= 16 else 0.6
        ax.add_collection(LineCollection(lines, colors=[colours[c]], linewidths=width))
        if c < len(names):
            ax.plot([], [], color=colours[c], label=names[c])
    ax.set_aspect("equal")
    ax.set_facecolor("#F6F6F6")
    for edge in range(1, k):
        ax.axhline(edge, color="white", lw=1.2, zorder=1)
        ax.axvline(edge, color="white", lw=1.2, zorder=1)


def _frame(ax: Axes, decoded: DecodedMap, known: ArrayLike | None) -> None:
    """Draw veils, crosses and data, and label axes."""
    k = len(decoded.first)
    for row, column in np.argwhere(~decoded.supported):
        ax.fill(
            column + np.array([0, 1, 1, 0]), row + np.array([0, 0, 1, 1]), color=_VEIL, alpha=0.72, lw=0, zorder=3,
        )  # fmt: skip
        for low, high in [(0.36, 0.64), (0.64, 0.36)] if k <= 16 else []:
            across, down = [column + 0.36, column + 0.64], [row + low, row + high]
            ax.plot(across, down, color="#999999", lw=0.8, zorder=4)
    _outline(ax, decoded)

    def place(coordinates: FloatArray, values: FloatArray) -> FloatArray:
        part = (values - coordinates[0]) / (coordinates[-1] - coordinates[0])
        return np.asarray(part * (k - 1) + 0.5)

    if known is not None:
        data = np.asarray(known, dtype=np.float64)
        ax.scatter(
            place(decoded.first, data[:, decoded.axes[0]]),
            place(decoded.second, data[:, decoded.axes[1]]),
            s=5, color=PALETTE[3], lw=0, zorder=5,
        )  # fmt: skip
    for axis, coordinates in ((ax.xaxis, decoded.first), (ax.yaxis, decoded.second)):
        low, high = sorted(coordinates[[0, -1]])
        ticks = MaxNLocator(5).tick_values(low, high)
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        axis.set_ticks(place(coordinates, ticks), [f"{t:g}" for t in ticks])
    ax.set_xlim(0, k)
    ax.set_ylim(0, k)
    ax.set(xlabel=f"latent {decoded.axes[0] + 1}", ylabel=f"latent {decoded.axes[1] + 1}")


def _outline(ax: Axes, decoded: DecodedMap) -> None:
    """Draw a line around the supported cells."""
    padded = np.pad(decoded.supported, 1)
    for row, column in np.argwhere(padded):
        for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            if padded[row + down, column + right]:
                continue
            y, x = row - 1, column - 1
            if down:
                line = ([x, x + 1], [y + (down > 0)] * 2)
            else:
                line = ([x + (right > 0)] * 2, [y, y + 1])
            ax.plot(*line, color=PALETTE[0], lw=1.3, zorder=4, solid_capstyle="round")


def _over(voltage: ArrayLike) -> str:
    v = np.asarray(voltage, dtype=np.float64)
    turn = v[np.abs(v - v[0]).argmax()]
    there = f"{v[0]:.3g} to {turn:.3g} V"
    return f"across a cell: {there}{' and back' if abs(v[-1] - turn) > abs(v[-1] - v[0]) else ''}"
