"""A film at a glance.  matplotlib is imported when a picture is asked for, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from grainscout.records import Waveform
from grainscout.records.arrays import FloatArray, IntArray
from grainscout.simulator.film.film import Film

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: Colours that colour-blind readers tell apart (Okabe and Ito 2008), for 0 .. 3.
ARCHETYPE_COLOURS = ("#0072B2", "#E69F00", "#CC3311", "#BBBBBB")
ARCHETYPE_NAMES = ("club", "heart", "diamond", "insulating")


def film_overview(film: Film, waveform: Waveform | None = None, *, light: float = 0.1) -> Figure:
    """Six panels: image, archetypes, largest current in dark and light, loop area, example curves.

    waveform : a triangle 0 -> 1.5 -> 0 V in 251 samples if None;  light : of the lit panels [suns].
    Save it with ``figure.savefig(path)``; no window is opened.
    """
    from matplotlib.figure import Figure

    sweep = waveform or Waveform.triangle()
    dark = film.property_map(lambda i: i.max(1), sweep, light=0.0)
    area = np.empty(film.shape)
    lit = np.empty(film.shape)
    for rows, current in film.all_curves(sweep, light=light):
        lit[rows] = current.max(2)
        # The signed area under the curve over the closed path: what one sweep loses.
        area[rows] = -np.trapezoid(current, sweep.voltage, axis=2)

    figure = Figure(figsize=(13.0, 8.2), layout="constrained")
    top = figure.subplots(2, 3)
    extent = _extent(film)
    unit, power = _length_unit(extent)
    scale = [v / power for v in extent]

    image = film.scan().height
    _map(top[0, 0], (image - np.median(image)) / 1e-9, scale, "gray", "measured height", "nm")
    _archetypes(top[0, 1], film, scale)
    largest = float(np.quantile(np.concatenate([dark, lit]), 0.995)) / 1e-9
    for axes, values, name in (
        (top[0, 2], dark, "largest current, dark"),
        (top[1, 2], lit, f"largest current, {light:g} sun"),
    ):
        _map(axes, values / 1e-9, scale, "viridis", name, "nA", low=0.0, high=largest)
    # A few grains with runaway loops must not flatten the rest.
    low, high = np.quantile(area / 1e-9, [0.005, 0.995])
    title = f"loop area, {light:g} sun"
    _map(
        top[1, 0],
        area / 1e-9,
        scale,
        "magma",
        title,
        "nA V",
        low=min(float(low), 0.0),
        high=float(high),
    )
    _examples(top[1, 1], film, sweep, light)
    for axes in (top[0, 0], top[0, 1], top[0, 2], top[1, 0], top[1, 2]):
        axes.set_xlabel(f"x ({unit})")
        axes.set_ylabel(f"y ({unit})")
    return figure


def _extent(film: Film) -> list[float]:
    """Left, right, bottom, top [m] of the image's outer pixel edges; row 0 on top."""
    (rows, columns), (dr, dc) = film.shape, film.pixel_size
    return [-0.5 * dc, (columns - 0.5) * dc, (rows - 0.5) * dr, -0.5 * dr]


def _length_unit(extent: list[float]) -> tuple[str, float]:
    return ("µm", 1e-6) if max(extent) >= 1e-6 else ("nm", 1e-9)


def _map(
    axes: Axes,
    values: FloatArray,
    extent: list[float],
    colours: str,
    title: str,
    unit: str,
    low: float | None = None,
    high: float | None = None,
) -> None:
    left, right, bottom, top = extent
    shown = axes.imshow(
        values, cmap=colours, extent=(left, right, bottom, top), vmin=low, vmax=high
    )
    axes.set_title(title)
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.85)
    bar.set_label(unit)


def _archetypes(axes: Axes, film: Film, extent: list[float]) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    left, right, bottom, top = extent
    colours = ListedColormap(ARCHETYPE_COLOURS)
    axes.imshow(
        film.archetype,
        cmap=colours,
        vmin=-0.5,
        vmax=3.5,
        extent=(left, right, bottom, top),
        interpolation="nearest",
    )
    shares = [float((film.archetype == k).mean()) for k in range(4)]
    handles = [
        Patch(color=c, label=f"{name} {100 * share:.0f} %")
        for c, name, share in zip(ARCHETYPE_COLOURS, ARCHETYPE_NAMES, shares, strict=True)
    ]
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=2,
        fontsize=8,
        frameon=False,
    )
    axes.set_title("archetype (truth)")


def typical_sites(film: Film) -> list[tuple[int, IntArray]]:
    """For every archetype that the film has, its index and the (1, 2) site where it is purest."""
    out: list[tuple[int, IntArray]] = []
    for kind in range(4):
        weight = np.where(film.archetype == kind, film.archetype_weights[..., kind], -1.0)
        if weight.max() > 0:
            at: Any = np.unravel_index(int(weight.argmax()), film.shape)
            out.append((kind, np.array([at], dtype=np.int64)))
    return out


def _examples(axes: Axes, film: Film, sweep: Waveform, light: float) -> None:
    for kind, site in typical_sites(film):
        current, _ = film.curves(site, sweep, light=light)
        axes.plot(
            sweep.voltage,
            current[0] / 1e-9,
            color=ARCHETYPE_COLOURS[kind],
            label=ARCHETYPE_NAMES[kind],
        )
    axes.set_box_aspect(1.0)
    axes.axhline(0.0, color="0.6", linewidth=0.6)
    axes.set_xlabel("voltage (V)")
    axes.set_ylabel("current (nA)")
    axes.set_title(f"purest of each archetype, {light:g} sun")
    axes.legend(fontsize=8)
