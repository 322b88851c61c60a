"""A film in one picture."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grainscout.records import FloatArray, IntArray, Waveform
from grainscout.simulator.film.film import Film

#: Colours that colour-blind readers can distinguish (Okabe and Ito 2008), for 0 .. 3.
ARCHETYPE_COLOURS = ("#0072B2", "#E69F00", "#CC3311", "#BBBBBB")
ARCHETYPE_NAMES = ("club", "heart", "diamond", "insulating")


def film_overview(film: Film, waveform: Waveform | None = None, *, light: float = 0.1) -> Figure:
    """Draw image, archetypes, currents in dark and light, loop area and example curves, without a window."""
    sweep = waveform or Waveform.triangle()
    dark = film.property_map(lambda i: i.max(1), sweep, light=0.0) / 1e-9
    area, lit = np.empty((2, *film.shape))
    for rows, current in film.all_curves(sweep, light=light):
        lit[rows] = current.max(2) / 1e-9
        # The signed area under the curve over the closed path: what one sweep loses.
        area[rows] = -np.trapezoid(current, sweep.voltage, axis=2) / 1e-9

    figure = Figure(figsize=(13.0, 8.2), layout="constrained")
    panels = figure.subplots(2, 3)
    image = film.scan().height
    largest = float(np.quantile(np.concatenate([dark, lit]), 0.995))
    # A few grains with runaway loops must not flatten the rest.
    low, high = (float(q) for q in np.quantile(area, [0.005, 0.995]))
    lit_name, area_name = f"largest current, {light:g} sun", f"loop area, {light:g} sun"
    maps: tuple[tuple[Axes, FloatArray, str, str, str, float | None, float | None], ...] = (
        (
            panels[0, 0],
            (image - np.median(image)) / 1e-9,
            "gray",
            "measured height",
            "nm",
            None,
            None,
        ),
        (panels[0, 2], dark, "viridis", "largest current, dark", "nA", 0.0, largest),
        (panels[1, 2], lit, "viridis", lit_name, "nA", 0.0, largest),
        (panels[1, 0], area, "magma", area_name, "nA V", min(low, 0.0), high),
    )
    for axes, values, colours, title, unit, least, most in maps:
        shown = axes.imshow(values, cmap=colours, vmin=least, vmax=most)
        axes.set_title(title)
        figure.colorbar(shown, ax=axes, shrink=0.85).set_label(unit)
    _archetypes(panels[0, 1], film)
    _examples(panels[1, 1], film, sweep, light)
    for axes in panels.flat:
        if axes is not panels[1, 1]:
            _scale(axes, film)
    return figure


def _scale(axes: Axes, film: Film) -> None:
    """Lengths on the axes of an image, between its outer pixel edges."""
    (rows, columns), (dr, dc) = film.shape, film.pixel_size
    left, right, bottom, top = -0.5 * dc, (columns - 0.5) * dc, (rows - 0.5) * dr, -0.5 * dr
    unit, power = ("µm", 1e-6) if max(right, bottom) >= 1e-6 else ("nm", 1e-9)
    axes.images[0].set_extent((left / power, right / power, bottom / power, top / power))
    axes.set_xlabel(f"x ({unit})")
    axes.set_ylabel(f"y ({unit})")


def _archetypes(axes: Axes, film: Film) -> None:
    colours = ListedColormap(ARCHETYPE_COLOURS)
    axes.imshow(film.archetype, cmap=colours, vmin=-0.5, vmax=3.5, interpolation="nearest")
    shares = [float((film.archetype == k).mean()) for k in range(4)]
    handles = [
        Patch(color=c, label=f"{name} {100 * share:.0f} %")
        for c, name, share in zip(ARCHETYPE_COLOURS, ARCHETYPE_NAMES, shares, strict=True)
    ]
    below = (0.5, -0.16)
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=below,
        ncols=2,
        fontsize=8,
        frameon=False,
    )
    axes.set_title("archetype (truth)")


def typical_sites(film: Film) -> list[tuple[int, IntArray]]:
    """Number and purest site (1, 2) of every archetype."""
    out: list[tuple[int, IntArray]] = []
    for k in range(len(ARCHETYPE_NAMES)):
        weight = np.where(film.archetype == k, film.archetype_weights[..., k], -1.0)
        if weight.max() > 0:
            at: Any = np.unravel_index(int(weight.argmax()), film.shape)
            out.append((k, np.array([at], dtype=np.int64)))
    return out


def _examples(axes: Axes, film: Film, sweep: Waveform, light: float) -> None:
    for k, site in typical_sites(film):
        current = film.curves(site, sweep, light=light)[0][0] / 1e-9
        axes.plot(sweep.voltage, current, color=ARCHETYPE_COLOURS[k], label=ARCHETYPE_NAMES[k])
    axes.set_box_aspect(1.0)
    axes.axhline(0.0, color="0.6", linewidth=0.6)
    axes.set_xlabel("voltage (V)")
    axes.set_ylabel("current (nA)")
    axes.set_title(f"purest of each archetype, {light:g} sun")
    axes.legend(fontsize=8)
