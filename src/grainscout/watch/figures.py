"""Figures of a Snapshot as SVG."""

from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
from markupsafe import Markup, escape
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import ArrayLike

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN
from grainscout.analysis.figures.style import HEIGHT, STEPS, engineering, image_extent, labelled
from grainscout.experiment.changes import Changes
from grainscout.records import BoolArray, FloatArray, Outcome, Scan
from grainscout.watch.journal_reader import Snapshot
from grainscout.watch.svg_axes import WIDTH, Axes, Coloured, coloured, drawing, limits, thinned

_SHADES = 8
_TRAIL = 8


class MapAxes:
    """Axes of all maps, over the scan's picture."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        channel = next(iter(scan.channels))
        image = scan.channel(channel)
        self.channel = labelled(channel, "")
        factor, self.unit = engineering(image - image.min(), scan.units.get(channel, "m"))
        self.factor = factor
        self.shown = coloured((image - image.min()) * factor, HEIGHT)
        (_, right, bottom, _), self.length = image_extent(scan.shape, scan.pixel_size)
        inside = 278.0
        height = min(max(inside * bottom / right, 80.0), 560.0) + 50.0
        self.axes = Axes(x=(0.0, right), y=(0.0, bottom), height=height, right=68.0, down=True)

    def places(self, sites: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Pixel centres of sites (n, 2) on the axes."""
        row, column = np.asarray(sites, np.float64).reshape(-1, 2).T
        rows, columns = self.scan.shape
        return (column + 0.5) * self.axes.x[1] / columns, (row + 0.5) * self.axes.y[1] / rows

    def place(self, site: tuple[int, int]) -> str:
        """Position of one site in words."""
        x, y = self.places([tuple(site)])
        return f"x {x[0]:.3g}, y {y[0]:.3g} {self.length}"

    def shade(self, mask: BoolArray) -> Markup:
        """Pixels of a mask (rows, columns) as one shaded element."""
        edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        (row, begin), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)
        height, width = np.array([self.axes.y[1], self.axes.x[1]]) / self.scan.shape
        left, top = self.axes.at(begin * width, row * height)
        right, bottom = self.axes.at(end * width, (row + 1) * height)
        corners = zip(left.tolist(), top.tolist(), right.tolist(), bottom.tolist(), strict=True)
        drawn = "".join(f"M{x:.1f} {y:.1f}H{u:.1f}V{v:.1f}H{x:.1f}z" for x, y, u, v in corners)
        return Markup(f'<path class="excluded" d="{drawn}"/>')

    def picture(self, name: str, image: Coloured, label: str, version: int = 0) -> Markup:
        """Image under the axes with its colour bar."""
        left, top, width, height = self.axes.box
        low, high = image.limits
        at, place = left + width + 12, f"{quote(name, safe='')}?{version}"
        parts = [
            f'<image class="map" href="picture/{place}" x="{left}" y="{top}" width="{width}" '
            f'height="{height}" preserveAspectRatio="none"/>',
            f'<image href="picture/bar-{place}" x="{at}" y="{top}" width="10" '
            f'height="{height}" preserveAspectRatio="none"/>',
        ]
        for value, y in ((high, top + 10), (low, top + height)):
            text = f"{value:.3g}"
            text = text if len(text) <= 6 else f"{value:.1g}"  # there is room for so many
            parts.append(f'<text class="number" x="{at + 14}" y="{y}">{text}</text>')
        middle = top + height / 2
        parts.append(
            f'<text class="label" x="{at + 26}" y="{middle}" text-anchor="middle" '
            f'transform="rotate(-90 {at + 26} {middle})">{escape(label)}</text>'
        )
        frame = self.axes.frame(f"x ({self.length})", f"y ({self.length})")
        return Markup("").join([*map(Markup, parts), frame])


def sites(run: Snapshot, base: MapAxes) -> Markup:
    """Measured sites over the topography, shaded by order."""
    axes, parts = base.axes, []
    if base.shown is not None:
        label = f"{base.channel} ({base.unit})"
        parts.append(base.picture("height", base.shown, label))
    problem, n = run.header.problem, len(run.sites)
    changes = Changes(problem, None)
    changes.restore(run.events)
    if changes.excluded.any():
        mask = np.zeros(problem.scan.shape, bool)
        mask[tuple(problem.candidates[changes.excluded].T)] = True
        parts.append(base.shade(mask))
    x, y = base.places(run.sites)
    good = np.isin(run.status, ("ok", "saturated"))
    shade = np.arange(n) * _SHADES // max(n, 1)
    for k in range(_SHADES):
        chosen = good & (shade == k)
        parts += [axes.dots(x[chosen], y[chosen], kind) for kind in ("rim", f"dot order{k}")]
    lost = run.status == "failed"
    parts.append(axes.line(x[-_TRAIL:], y[-_TRAIL:], "trail"))
    parts.append(axes.crosses(x[lost], y[lost], "lost"))
    if n:
        parts += [axes.dots(x[-1:], y[-1:], kind) for kind in ("ring-rim", "ring", "hole")]
    if run.waiting:
        u, v = base.places([tuple(p.site) for p in run.waiting])
        parts += [axes.crosses(u, v, kind) for kind in ("next-rim", "next")]
    alt = (
        f"Topography with {n} measured sites, {int(lost.sum())} of them failed"
        + (f"; the last at {base.place(run.newest[-1].site)}" if n else "")
        + (f"; next at {base.place(run.waiting[0].site)}" if run.waiting else "")
        + (f"; {int(changes.excluded.sum())} candidates excluded" if changes.excluded.any() else "")
    )
    return drawing("map-sites", alt, axes.height, *parts, kind="clickable")


def policy_map(
    name: str, image: Coloured, base: MapAxes, run: Snapshot, label: str, upto: int
) -> Markup:
    """Map of the policy with its known sites."""
    x, y = base.places(run.sites[:upto])
    dots = [base.axes.dots(x, y, kind) for kind in ("small-rim", "small")]
    low, high = image.limits
    alt = f"Map of {label}, from {low:.3g} to {high:.3g}, after {upto} measurements"
    return drawing(
        f"map-{name}", alt, base.axes.height, base.picture(name, image, label, upto), *dots,
        kind="clickable",
    )  # fmt: skip


def curves(outcomes: Sequence[Outcome], first: int, name: str = "plot-curves") -> Markup:
    """Measured curves with the last one strong."""
    shown = [(first + k, o.curve) for k, o in enumerate(outcomes) if o.curve is not None]
    if not shown:
        return Markup("")
    factor, unit = engineering(np.concatenate([c.current for _, c in shown]), "A")
    axes = Axes(
        x=limits(np.concatenate([c.voltage for _, c in shown])),
        y=limits(np.concatenate([c.current for _, c in shown]) * factor),
    )
    parts = [axes.frame("voltage (V)", f"current ({unit})")]
    for _, curve in shown[:-1]:
        keep = thinned(len(curve.voltage))
        parts.append(axes.line(curve.voltage[keep], curve.current[keep] * factor, "before"))
    number, last = shown[-1]
    keep = thinned(len(last.voltage))
    voltage, current = last.voltage[keep], last.current[keep] * factor
    turn = int(np.argmax(np.abs(voltage)))
    parts.append(axes.line(voltage[: turn + 1], current[: turn + 1], "last"))
    parts.append(axes.line(voltage[turn:], current[turn:], "last back"))
    at_rail = last.saturated[keep]
    parts.append(axes.crosses(voltage[at_rail], current[at_rail], "lost"))
    finite = current[np.isfinite(current)]
    extent = f"{finite.min():.3g} to {finite.max():.3g} {unit}" if finite.size else "lost"
    alt = f"Current against voltage of measurement {number}: {extent}" + (
        f", with the {len(shown) - 1} curves before it" if len(shown) > 1 else ""
    )
    return drawing(name, alt, axes.height, *parts)


def values(run: Snapshot) -> Markup:
    """Target of each curve against its number."""
    if not len(run.value):
        return Markup("")
    factor, unit = engineering(run.value, run.unit)
    scaled = run.value * factor
    usable = np.array([q is None or q.usable for q in run.quality], bool)
    best = np.fmax.accumulate(np.where(usable, scaled, np.nan))
    keep = thinned(len(scaled))
    number = run.curve_of[keep] + 1
    axes = Axes(x=(0.0, max(len(run.sites), 2) * 1.02), y=limits(scaled))
    label = labelled(run.header.problem.target, unit)
    known = scaled[np.isfinite(scaled)]
    extent = (
        f"the last {known[-1]:.3g}, the largest {np.nanmax(best):.3g}"
        if np.isfinite(best).any()
        else "none known"
    )
    return drawing(
        "plot-values",
        f"{label} against measurement: {extent}",
        axes.height,
        axes.frame("measurement", label),
        axes.dots(number, scaled[keep], "point"),
        axes.line(number, best[keep], "best"),
    )


def diversity(run: Snapshot) -> Markup:
    """Diversity of the curves so far against their number."""
    if len(run.diversity) < 2:
        return Markup("")
    keep = thinned(len(run.diversity))
    axes = Axes(
        x=(0.0, max(len(run.sites), 2) * 1.02), y=limits(run.diversity[1:], zero=True), height=220.0
    )
    return drawing(
        "plot-diversity",
        f"Diversity of the curves against measurement: now {run.diversity[-1]:.3g} of the rms current",
        axes.height,
        axes.frame("measurement", "distance / rms current"),
        axes.line(run.curve_of[keep] + 1, run.diversity[keep], "last"),
    )


def archetypes(run: Snapshot) -> Markup:
    """Number of curves of each archetype, as bars."""
    count = np.bincount(run.archetype, minlength=UNKNOWN + 1)
    rows = [(name, int(count[k]), name) for k, name in enumerate(ARCHETYPE_NAMES)]
    if count[UNKNOWN]:
        rows.append(("unclear", int(count[UNKNOWN]), "unclear"))
    most, step, left = max(1, *(n for _, n, _ in rows)), 36.0, 92.0
    parts = []
    for row, (name, number, style) in enumerate(rows):
        y, width = 6 + row * step, (WIDTH - left - 66.0) * number / most
        parts.append(
            f'<text class="label" x="{left - 8}" y="{y + 17}" text-anchor="end">{name}</text>'
            f'<rect class="bar {style}" x="{left}" y="{y}" width="{width:.1f}" height="24"/>'
            f'<text class="label" x="{left + 6 + width:.1f}" y="{y + 17}">{number}</text>'
        )
    alt = "Archetypes of the curves: " + ", ".join(f"{n} {name}" for name, n, _ in rows)
    return drawing("plot-archetypes", alt, 6 + step * len(rows), *map(Markup, parts))


def order_bar() -> list[str]:
    """Colours of the order of measurements."""
    return [to_hex(colormaps[STEPS](k / (_SHADES - 1))) for k in range(_SHADES)]
