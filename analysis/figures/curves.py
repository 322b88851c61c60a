"""Figures of curves."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN, classification
from grainscout.analysis.curves.block import Flag, explain
from grainscout.analysis.curves.descriptors import Described, describe_all
from grainscout.analysis.figures.style import (
    HEIGHT,
    PALETTE,
    TRUTH,
    colours,
    engineering,
    figure,
    headline,
    panels,
    single,
    style,
)
from grainscout.records import DataError

_MOST = 8  # curves of an archetype, spread evenly over the run
_PRINTED = ("turn_on", "loop_area", "hysteresis", "max_current")


@style()
def archetype_examples(
    voltage: ArrayLike,
    current: ArrayLike,
    archetype: ArrayLike,
    *,
    names: Sequence[str] = ("club", "heart", "diamond", "insulating"),
    true_current: ArrayLike | None = None,
    true_archetype: ArrayLike | None = None,
    steps: ArrayLike | None = None,
    time: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """Draw the curves of a run by archetype.

    Parameters
    ----------
    voltage : (s,) array of float
        Voltage [V].
    current : (n, s) array of float
        Current [A] as measured.
    archetype : (n,) array of int
        Index into `names` (true or classified).
    names : sequence of str
        Archetypes, a panel each.
    true_current, true_archetype : (m, s) and (m,) arrays, optional
        Noiseless curves of the film [A] and their archetypes.
    steps : (n,) array of int, optional
        Step of each measurement, to print the first of each archetype.
    time : (s,) array of float, optional
        Time of the samples [s], drawn instead of the voltage (pulses, constant voltages).
    title : str
        Of the figure.
    """
    axis = np.asarray(voltage if time is None else time, dtype=np.float64)
    data = np.asarray(current, dtype=np.float64)
    classes = np.asarray(archetype)
    if data.ndim != 2 or data.shape != (classes.size, axis.size):
        raise DataError(
            f"current must be ({classes.size}, {axis.size}), a row for each archetype and a column "
            f"for each voltage; got {data.shape}"
        )
    palette = colours(list(names))
    fig = figure(2.9 * len(names), 3.0)
    for k, (ax, name) in enumerate(zip(fig.subplots(1, len(names)), names, strict=True)):
        rows = np.flatnonzero(classes == k)
        mean = None
        if true_current is not None and true_archetype is not None:
            here = np.asarray(true_archetype) == k
            if here.any():
                mean = np.asarray(true_current, dtype=np.float64)[here].mean(axis=0)
        some = np.linspace(0, rows.size - 1, min(_MOST, rows.size)).astype(int)
        shown = rows[np.unique(some)]
        parts = [data[shown]] + ([mean[None]] if mean is not None else [])
        factor, unit = engineering(np.concatenate(parts), "A")
        for row in shown:
            ax.plot(axis, data[row] * factor, color=palette[name], lw=0.8, alpha=0.55)
        if mean is not None:
            ax.plot(axis, mean * factor, color=TRUTH, lw=1.8, label="mean true curve")
        ax.axhline(0, color="#BBBBBB", lw=0.6, zorder=0)
        first = ""
        if rows.size and steps is not None:
            first = f", first at {int(np.asarray(steps)[rows].min())}"
        if not rows.size and mean is None:
            ax.set_xlim(axis.min(), axis.max())
            ax.set_yticks([])
        ax.set_title(name)
        count = f"{rows.size} found{first}" if rows.size else "none found"
        ax.text(0.04, 0.95, count, transform=ax.transAxes, va="top", fontsize=8)
        if time is not None:
            ax.margins(y=0.18)  # curves against time leave no corner free for the words
        ax.set(xlabel="bias (V)" if time is None else "time (s)", ylabel=f"current ({unit})")
        if k == 0 and mean is not None:
            ax.legend(loc="upper left", bbox_to_anchor=(0.0, 0.93), handlelength=1.2)
    headline(fig, title)
    return fig


@style()
def curve_cards(
    voltage: ArrayLike,
    current: ArrayLike,
    *,
    saturated: ArrayLike | None = None,
    patches: ArrayLike | None = None,
) -> Figure:
    """Draw a card per curve with its descriptors.

    A bound is written with < or >, an undefined value with its reason.

    Parameters
    ----------
    voltage : (s,) array of float
        Voltage [V].
    current : (n, s) array of float
        Current [A].
    saturated : (n, s) array of bool, optional
        Samples at the rail, drawn dotted.
    patches : (n, h, w) array of float, optional
        Topography around each site.
    """
    axis = np.asarray(voltage, dtype=np.float64)
    data = np.atleast_2d(np.asarray(current, dtype=np.float64))
    rail = None if saturated is None else np.atleast_2d(np.asarray(saturated, dtype=bool))
    described = describe_all(_PRINTED, axis, data, rail)
    classes = classification(axis, data, rail)
    palette = colours(ARCHETYPE_NAMES)
    rows = -(-len(data) // 3)
    fig = figure(12.3, 2.35 * rows)
    cards = fig.subfigures(rows, 3, squeeze=False).ravel()
    for k, card in enumerate(cards[: len(data)]):
        left, right = card.subplots(1, 2, width_ratios=[1.0, 1.5])
        known = classes.archetype[k] != UNKNOWN
        archetype = ARCHETYPE_NAMES[classes.archetype[k]] if known else "unknown"
        colour = palette[archetype] if known else TRUTH
        factor, unit = engineering(data[k], "A")
        seen = data[k] * factor
        right.plot(axis, seen, color=colour, lw=0.8, ls=":")
        if rail is not None:
            seen = np.where(rail[k], np.nan, seen)
        right.plot(axis, seen, color=colour, lw=1.4)
        right.set(xlabel="bias (V)", ylabel=f"current ({unit})")
        right.set_title(archetype, color=colour)
        left.set_axis_off()
        text = [f"confidence {classes.confidence[k]:.2f}"]
        text += [_described(name, described[name], k) for name in _PRINTED]
        left.text(
            0.0, -0.03 if patches is not None else 0.9, "\n".join(text), fontsize=6.5,
            va="top", transform=left.transAxes, linespacing=1.35,
        )  # fmt: skip
        if patches is not None:
            left.imshow(np.asarray(patches)[k], cmap=HEIGHT)
            left.set_anchor("N")
    return fig


def _described(name: str, described: Described, k: int) -> str:
    """Describe curve k in a short line."""
    text = name.replace("_", " ")
    if not described.valid[k]:
        return f"{text}: {explain(int(described.flags[k]))}"
    factor, unit = engineering([described.value[k]], described.unit)
    upper = bool(described.flags[k] & Flag.BELOW_NOISE)
    bound = ("< " if upper else "> ") if described.censored[k] else ""
    return f"{text}: {bound}{described.value[k] * factor:.3g} {unit}".rstrip()


@style()
def iv_curves(
    voltage: ArrayLike, current: ArrayLike, *, labels: Sequence[str] | None = None, title: str = ""
) -> Figure:
    """Draw curves over one voltage axis.

    Parameters
    ----------
    voltage : (s,) array of float
        Voltage [V].
    current : (n, s) array of float
        Current [A].
    labels : sequence of str, optional
        Name of each curve.
    title : str
        Of the figure.
    """
    axis = np.asarray(voltage, dtype=np.float64)
    data = np.atleast_2d(np.asarray(current, dtype=np.float64))
    fig, ax = single(4.2, 3.2)
    names = list(labels) if labels is not None else [""] * len(data)
    palette = colours([str(k) for k in range(len(data))])
    factor, unit = engineering(data, "A")
    for k, (row, name) in enumerate(zip(data, names, strict=True)):
        ax.plot(axis, row * factor, color=palette[str(k)], label=name or None)
    ax.axhline(0, color="#BBBBBB", lw=0.6, zorder=0)
    for at in (axis.size // 3, (5 * axis.size) // 6):
        ax.annotate(
            "", xy=(axis[at + 1], data[0, at + 1] * factor),
            xytext=(axis[at], data[0, at] * factor),
            arrowprops={"arrowstyle": "-|>", "color": palette["0"], "lw": 1.2},
        )  # fmt: skip
    ax.set(xlabel="bias (V)", ylabel=f"current ({unit})")
    if labels is not None:
        ax.legend()
    ax.set_title(title)
    return fig


@style()
def unusable_curves(
    voltage: ArrayLike,
    current: ArrayLike,
    labels: Sequence[str],
    *,
    reference: ArrayLike | None = None,
    most: int = 12,
) -> Figure:
    """Draw unusable curves in small panels with their reasons.

    Parameters
    ----------
    voltage : (s,) array of float
        Voltage [V].
    current : (n, s) array of float
        Current [A] of the unusable curves.
    labels : sequence of str
        Title of each panel.
    reference : (s,) array of float, optional
        Median usable curve [A], in grey.
    most : int
        Largest number of panels, spread evenly over the run.
    """
    axis = np.asarray(voltage, dtype=np.float64)
    data = np.atleast_2d(np.asarray(current, dtype=np.float64))
    shown = np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).astype(int))
    fig, axes = panels(len(shown), 2.5, 2.0, columns=4)
    for ax, k in zip(axes, shown, strict=True):
        factor, unit = engineering(data[k], "A")
        if reference is not None:
            ax.plot(axis, np.asarray(reference) * factor, color="#BBBBBB", lw=1.2)
        ax.plot(axis, data[k] * factor, color=PALETTE[3], lw=1.0)
        low, high = np.nanmin(data[k], initial=0.0), np.nanmax(data[k], initial=0.0)
        room = 0.08 * ((high - low) or 1.0 / factor)
        ax.set_ylim((low - room) * factor, (high + room) * factor)
        ax.set_title(labels[k], fontsize=8)
        ax.set(xlabel="bias (V)", ylabel=f"current ({unit})")
        ax.tick_params(labelsize=7)
    return fig


@style()
def quality_over_run(share: ArrayLike, reasons: Mapping[str, ArrayLike], *, window: int) -> Figure:
    """Draw the share of unusable curves over a run, and where each reason was seen.

    Parameters
    ----------
    share : (n,) array of float
        Share of unusable curves among the latest ones, after each curve.
    reasons : mapping of str to array of int
        Numbers of the curves with that reason, from 1.
    window : int
        Number of curves that a share is taken over.
    """
    percent = 100.0 * np.asarray(share, dtype=np.float64)
    fig = figure(7.6, 2.2 + 0.22 * len(reasons))
    top, rows = fig.subplots(2, 1, sharex=True, height_ratios=[2.0, 0.4 + 0.35 * len(reasons)])
    top.plot(np.arange(1, len(percent) + 1), percent, color=PALETTE[0])
    top.set(ylabel=f"unusable, latest {window} (%)", ylim=(0, max(10.0, 1.15 * percent.max())))
    for row, at in enumerate(reasons.values()):
        rows.plot(np.asarray(at), np.full(np.size(at), row), "|", color=PALETTE[3], ms=8)
    rows.set_yticks(range(len(reasons)), list(reasons))
    rows.set(xlabel="curve", ylim=(len(reasons) - 0.4, -0.6), xlim=(0, len(percent) + 1))
    return fig
