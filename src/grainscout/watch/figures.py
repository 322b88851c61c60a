"""The page's figures: a Snapshot in, SVG out; SI in, nA and nm on the axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN
from grainscout.analysis.figures.style import HEIGHT, STEPS, engineering, image_extent, labelled
from grainscout.records import Outcome, Proposal, Scan
from grainscout.records.arrays import FloatArray
from grainscout.watch.images import Coloured, coloured
from grainscout.watch.journal_reader import Snapshot
from grainscout.watch.svg_axes import WIDTH, Axes, drawing, limits, thinned

_SHADES = 8
_TRAIL = 8


class Ground:
    """The scan as the ground of all maps: its picture and the axes that lie over it."""

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
        """Pixel centres of sites (n, 2) in the units of the axes."""
        at = np.asarray(sites, np.float64).reshape(-1, 2)
        rows, columns = self.scan.shape
        return (
            (at[:, 1] + 0.5) * self.axes.x[1] / columns,
            (at[:, 0] + 0.5) * self.axes.y[1] / rows,
        )

    def picture(self, name: str, image: Coloured, label: str, version: int = 0) -> Markup:
        """The image under the axes, and its colour bar; name and version are the PNG's address."""
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
            parts.append(f'<text class="number" x="{at + 14}" y="{y}">{value:.3g}</text>')
        middle = top + height / 2
        parts.append(
            f'<text class="label" x="{at + 26}" y="{middle}" text-anchor="middle" '
            f'transform="rotate(-90 {at + 26} {middle})">{escape(label)}</text>'
        )
        frame = self.axes.frame(f"x ({self.length})", f"y ({self.length})")
        return Markup("").join([*map(Markup, parts), frame])


def sites(run: Snapshot, ground: Ground) -> Markup:
    """Where it measured, shaded by order, over the topography; failures, the last and the next."""
    axes, parts = ground.axes, []
    if ground.shown is not None:
        label = f"{ground.channel} ({ground.unit})"
        parts.append(ground.picture("height", ground.shown, label))
    n = len(run.sites)
    x, y = ground.places(run.sites)
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
        u, v = ground.places([tuple(p.site) for p in run.waiting])
        parts += [axes.crosses(u, v, kind) for kind in ("next-rim", "next")]
    alt = (
        f"Topography with {n} measured sites, {int(lost.sum())} of them failed"
        + (f"; the last at {_where(run.newest[-1], ground)}" if n else "")
        + (f"; next at {_where(run.waiting[0], ground)}" if run.waiting else "")
    )
    return drawing("map-sites", alt, axes.height, *parts, kind="clickable")


def policy_map(
    name: str, image: Coloured, ground: Ground, run: Snapshot, label: str, upto: int
) -> Markup:
    """A map of the policy, with the sites that it knew."""
    x, y = ground.places(run.sites[:upto])
    dots = [ground.axes.dots(x, y, kind) for kind in ("small-rim", "small")]
    low, high = image.limits
    alt = f"Map of {label}, from {low:.3g} to {high:.3g}, after {upto} measurements"
    return drawing(
        f"map-{name}", alt, ground.axes.height, ground.picture(name, image, label, upto), *dots,
        kind="clickable",
    )  # fmt: skip


def curves(outcomes: Sequence[Outcome], first: int, name: str = "plot-curves") -> Markup:
    """Measured curves, the last one strong: its way up solid, its way back dashed.

    first : the number of the first of them, from 1.
    """
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
    railed = last.saturated[keep]
    parts.append(axes.crosses(voltage[railed], current[railed], "lost"))
    finite = current[np.isfinite(current)]
    extent = f"{finite.min():.3g} to {finite.max():.3g} {unit}" if finite.size else "lost"
    alt = f"Current against voltage of measurement {number}: {extent}" + (
        f", with the {len(shown) - 1} curves before it" if len(shown) > 1 else ""
    )
    return drawing(name, alt, axes.height, *parts)


def course(run: Snapshot) -> Markup:
    """The target of each curve in order."""
    factor, unit = engineering(run.value, run.unit)
    values = run.value * factor
    keep = thinned(len(values))
    number = run.curve_of[keep] + 1
    axes = Axes(x=(0.0, max(len(run.sites), 2) * 1.02), y=limits(values))
    label = labelled(run.header.problem.target, unit)
    known = values[np.isfinite(values)]
    told = f"the last {known[-1]:.3g}, the largest {known.max():.3g}" if known.size else "none told"
    return (
        drawing(
            "plot-course",
            f"{label} against measurement: {told}",
            axes.height,
            axes.frame("measurement", label),
            axes.dots(number, values[keep], "point"),
            axes.line(number, np.fmax.accumulate(values)[keep] if known.size else [], "best"),
        )
        if len(values)
        else Markup("")
    )


def diversity(run: Snapshot) -> Markup:
    """How different the curves so far are from one another."""
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


def kinds(run: Snapshot) -> Markup:
    """How many curves of each kind, as bars with their numbers."""
    count = Counter(run.kind.tolist())
    rows = [(name, count[k], name) for k, name in enumerate(ARCHETYPE_NAMES)]
    if count[UNKNOWN]:
        rows.append(("not told", count[UNKNOWN], "untold"))
    most, step, left = max(1, *(n for _, n, _ in rows)), 36.0, 92.0
    width = WIDTH - left - 66.0
    parts = []
    for row, (name, number, kind) in enumerate(rows):
        y = 6 + row * step
        parts.append(
            f'<text class="label" x="{left - 8}" y="{y + 17}" text-anchor="end">{name}</text>'
            f'<rect class="bar {kind}" x="{left}" y="{y}" width="{width * number / most:.1f}" height="24"/>'
            f'<text class="label" x="{left + 6 + width * number / most:.1f}" y="{y + 17}">{number}</text>'
        )
    alt = "Kinds of curve: " + ", ".join(f"{n} {name}" for name, n, _ in rows)
    return drawing("plot-kinds", alt, 6 + step * len(rows), *map(Markup, parts))


def order_bar() -> list[str]:
    """The colours of the order of measurements, the first ones first, for the style sheet."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps[STEPS](k / (_SHADES - 1))) for k in range(_SHADES)]


def _where(thing: Outcome | Proposal, ground: Ground) -> str:
    x, y = ground.places([tuple(thing.site)])
    return f"x {x[0]:.3g}, y {y[0]:.3g} {ground.length}"
