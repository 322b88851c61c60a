"""Figures of curves: the found archetypes, families of reversal curves, dark against light."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN, classification
from grainscout.analysis.curves.block import Flag, explain
from grainscout.analysis.curves.descriptors import Described, describe_all
from grainscout.analysis.figures.style import HEIGHT, TRUTH, colours, engineering, figure, style
from grainscout.records import DataError


def archetype_examples(
    voltage: ArrayLike,
    current: ArrayLike,
    archetype: ArrayLike,
    *,
    names: Sequence[str] = ("club", "heart", "diamond", "insulating"),
    true_current: ArrayLike | None = None,
    true_archetype: ArrayLike | None = None,
    steps: ArrayLike | None = None,
    most: int = 8,
    time: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """Curves that a run found, by archetype, with the mean true curve of that archetype in black.

    voltage : (s,) [V];  current : (n, s) [A] as measured;  archetype : (n,) index into `names` (true
    or classified);  true_current : (m, s) [A] noiseless curves of the film with their
    true_archetype (m,);  steps : (n,) when each was measured, to say when the first came;  most :
    curves drawn for each, spread evenly over those found;  time : (s,) [s] of the samples, drawn
    against it instead, for pulses and voltages that do not change.
    """
    axis = np.asarray(voltage if time is None else time, dtype=np.float64)
    data = np.asarray(current, dtype=np.float64)
    kinds = np.asarray(archetype)
    if data.ndim != 2 or data.shape != (kinds.size, axis.size):
        raise DataError(
            f"current must be ({kinds.size}, {axis.size}), a row for each archetype and a column "
            f"for each voltage; got {data.shape}"
        )
    with style():
        palette = colours(list(names))
        fig = figure(2.9 * len(names), 3.0)
        for k, (ax, name) in enumerate(zip(fig.subplots(1, len(names)), names, strict=True)):
            found = np.flatnonzero(kinds == k)
            mean = None
            if true_current is not None and true_archetype is not None:
                here = np.asarray(true_archetype) == k
                if here.any():
                    mean = np.asarray(true_current, dtype=np.float64)[here].mean(axis=0)
            shown = found[np.unique(np.linspace(0, found.size - 1, min(most, found.size)).astype(int))] if found.size else found  # fmt: skip
            parts = [data[shown]] + ([mean[None]] if mean is not None else [])
            factor, unit = engineering(np.concatenate(parts), "A")
            for row in shown:
                ax.plot(axis, data[row] * factor, color=palette[name], lw=0.8, alpha=0.55)
            if mean is not None:
                ax.plot(axis, mean * factor, color=TRUTH, lw=1.8, label="mean true curve")
            ax.axhline(0, color="#BBBBBB", lw=0.6, zorder=0)
            first = ""
            if found.size and steps is not None:
                first = f", first at {int(np.asarray(steps)[found].min())}"
            if not found.size and mean is None:
                ax.set_xlim(axis.min(), axis.max())
                ax.set_yticks([])
            ax.set_title(name)
            count = f"{found.size} found{first}" if found.size else "none found"
            ax.text(0.04, 0.95, count, transform=ax.transAxes, va="top", fontsize=8)
            if time is not None:
                ax.margins(y=0.18)  # curves against time leave no corner free for the words
            ax.set_xlabel("bias (V)" if time is None else "time (s)")
            ax.set_ylabel(f"current ({unit})")
            if k == 0 and mean is not None:
                ax.legend(loc="upper left", bbox_to_anchor=(0.0, 0.93), handlelength=1.2)
        if title:
            fig.suptitle(title, fontsize=10, x=0.01, ha="left")
    return fig


def curve_cards(
    voltage: ArrayLike,
    current: ArrayLike,
    *,
    saturated: ArrayLike | None = None,
    patches: ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    names: Sequence[str] = ("turn_on", "loop_area", "hysteresis", "max_current"),
    columns: int = 3,
) -> Figure:
    """One card a curve: its patch of topography, the curve, its archetype and descriptors.

    voltage (s,) [V], current (n, s) [A], saturated (n, s) bool (drawn dotted), patches (n, h, w).
    A bound is written with < or >, an undefined value with its reason.
    """
    axis = np.asarray(voltage, dtype=np.float64)
    data = np.atleast_2d(np.asarray(current, dtype=np.float64))
    rail = None if saturated is None else np.atleast_2d(np.asarray(saturated, dtype=bool))
    found = describe_all(names, axis, data, rail)
    kinds = classification(axis, data, rail)
    with style():
        palette = colours(ARCHETYPE_NAMES)
        rows = -(-len(data) // columns)
        fig = figure(4.1 * columns, 2.35 * rows)
        cards = fig.subfigures(rows, columns, squeeze=False).ravel()
        for k, card in enumerate(cards[: len(data)]):
            left, right = card.subplots(1, 2, width_ratios=[1.0, 1.5])
            known = kinds.archetype[k] != UNKNOWN
            kind = ARCHETYPE_NAMES[kinds.archetype[k]] if known else "unknown"
            colour = palette[kind] if known else TRUTH
            factor, unit = engineering(data[k], "A")
            seen = data[k] * factor
            right.plot(axis, seen, color=colour, lw=0.8, ls=":")
            if rail is not None:
                seen = np.where(rail[k], np.nan, seen)
            right.plot(axis, seen, color=colour, lw=1.4)
            right.set_xlabel("bias (V)")
            right.set_ylabel(f"current ({unit})")
            right.set_title(f"{labels[k]}: {kind}" if labels is not None else kind, color=colour)
            left.set_axis_off()
            text = [f"confidence {kinds.confidence[k]:.2f}"]
            text += [_described(name, found[name], k) for name in names]
            left.text(
                0.0, -0.03 if patches is not None else 0.9, "\n".join(text), fontsize=6.5,
                va="top", transform=left.transAxes, linespacing=1.35,
            )  # fmt: skip
            if patches is not None:
                left.imshow(np.asarray(patches)[k], cmap=HEIGHT)
                left.set_anchor("N")
    return fig


def _described(name: str, found: Described, k: int) -> str:
    """A descriptor of curve k in one short line."""
    text = name.replace("_", " ")
    if not found.valid[k]:
        return f"{text}: {explain(int(found.flags[k]))}"
    factor, unit = engineering([found.value[k]], found.unit)
    upper = bool(found.flags[k] & Flag.BELOW_NOISE)
    bound = ("< " if upper else "> ") if found.censored[k] else ""
    return f"{text}: {bound}{found.value[k] * factor:.3g} {unit}".rstrip()


def iv_curves(
    voltage: ArrayLike, current: ArrayLike, *, labels: Sequence[str] | None = None, title: str = ""
) -> Figure:
    """Curves (n, s) [A] over one voltage axis (s,) [V], with arrows along the first of them."""
    axis = np.asarray(voltage, dtype=np.float64)
    data = np.atleast_2d(np.asarray(current, dtype=np.float64))
    with style():
        fig = figure(4.2, 3.2)
        ax = fig.add_subplot()
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
        ax.set_xlabel("bias (V)")
        ax.set_ylabel(f"current ({unit})")
        if labels is not None:
            ax.legend()
        if title:
            ax.set_title(title)
    return fig
