"""Figures that compare policies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from grainscout.analysis.figures.style import (
    colours,
    dashes,
    figure,
    labelled,
    markers,
    panels,
    single,
    style,
)
from grainscout.analysis.statistics import Interval, curve_interval
from grainscout.records import DataError, FloatArray

if TYPE_CHECKING:
    import pandas as pd

_TITLE = 30  # letters in a line of a title
_FEW = 15  # steps that are marked by dots as well as joined


@style()
def learning_curves(
    table: pd.DataFrame,
    metric: str,
    *,
    label: str = "",
    references: Mapping[str, str] | None = None,
    order: Sequence[str] | None = None,
) -> Figure:
    """Draw a metric against measurements, with 95 % bands.

    Films are resampled, not rows. A run that ended early keeps its last value. Each task has a panel.

    Parameters
    ----------
    table : DataFrame
        A row per measurement or checkpoint, with columns policy, film, step, the metric and task.
    metric : str
        Column to draw.
    label : str
        Of the metric.
    references : mapping of str to str, optional
        Caption and column that is the same for every policy, such as the ideal or the random
        expectation. Their means are drawn dotted.
    order : sequence of str, optional
        Policies to draw. All in the table's order if None.
    """
    missing = {"policy", "film", "step", metric} - set(table.columns)
    if missing:
        raise DataError(f"table must have the columns {sorted(missing)}; got {list(table.columns)}")
    names = list(order) if order is not None else list(dict.fromkeys(table["policy"]))
    split = "task" in table.columns
    groups = list(table.groupby("task", sort=False)) if split else [("", table)]
    fig, axes = panels(len(groups), max(3.6, 4.4 / min(len(groups), 3)), 3.1, across=1.2)
    for ax, (head, part) in zip(axes, groups, strict=True):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        seen = _bands(ax, part, metric, names)
        for caption, column in (references or {}).items():
            line = part.groupby("step")[column].mean()
            seen.append(line.to_numpy(dtype=np.float64))
            _reference(ax, caption, line)
        _frame(ax, seen)
        ax.set(xlabel="measurements", ylabel=labelled(label or metric, ""))
        ax.grid(axis="y", color="#E6E6E6", lw=0.7)
        if split and len(groups) > 1:
            ax.set_title(_wrapped(str(head)))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return fig


def _bands(ax: Axes, part: pd.DataFrame, metric: str, names: Sequence[str]) -> list[FloatArray]:
    """Draw a line and a band per policy, the bands of many policies faintly."""
    palette, lines, alpha = colours(names), dashes(names), 0.16 * min(1.0, 5 / len(names))
    seen = []
    for name in names:
        runs = part[part["policy"] == name]
        if not len(runs):
            continue
        steps, curves, films = _runs(runs, metric)
        seen.append(curves)
        middle, low, high = curve_interval(curves, film=films)
        marker = "o" if steps.size <= _FEW else None
        look = {"color": palette[name], "ls": lines[name]}
        ax.plot(steps, middle, label=name, marker=marker, ms=3.5, **look)
        ax.fill_between(steps, low, high, color=palette[name], alpha=alpha, lw=0)
    return seen


def _reference(ax: Axes, caption: str, line: pd.Series[float]) -> None:
    ax.plot(line.index, line, color="#555555", lw=1.1, ls=(0, (1, 1.5)), zorder=1)
    at = int(len(line) * 0.98)
    ax.annotate(
        caption, (line.index[at - 1], line.iloc[at - 1]), fontsize=7.5, ha="right",
        path_effects=[withStroke(linewidth=2, foreground="white")],
        va="bottom", color="#555555", xytext=(0, 2), textcoords="offset points",
    )  # fmt: skip


def _frame(ax: Axes, seen: list[FloatArray]) -> None:
    """Limit the axis to the runs, not their bands."""
    values = np.concatenate([v.ravel() for v in seen]) if seen else np.zeros(0)
    values = values[np.isfinite(values)]
    if values.size and np.ptp(values) > 0:
        margin = 0.06 * np.ptp(values)
        low, high = ax.get_ylim()
        ax.set_ylim(
            max(low, values.min() - margin), min(max(high, values.max()), values.max() + margin)
        )


def _wrapped(title: str) -> str:
    """Break a long name such as ``replay/some_long_file/max_current``."""
    lines = [""]
    for part in re.findall(r"[^/]+/?", title):
        if lines[-1] and len(lines[-1] + part) > _TITLE:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _runs(runs: pd.DataFrame, metric: str) -> tuple[FloatArray, FloatArray, list[Any]]:
    """Steps at which every run has a value, these values (runs, steps), and films."""
    keys = [c for c in ("film", "seed", "task") if c in runs.columns]
    parts = [(str(key), run.sort_values("step")) for key, run in runs.groupby(keys, sort=True)]
    steps = np.unique(runs["step"].to_numpy(dtype=np.float64))
    steps = steps[steps >= max(run["step"].iloc[0] for _, run in parts)]
    curves = []
    for _, run in parts:
        last = np.searchsorted(run["step"].to_numpy(), steps, side="right") - 1
        curves.append(run[metric].to_numpy(dtype=np.float64)[last])
    return steps, np.stack(curves), [film for film, _ in parts]


@style()
def policy_ranking(
    rows: Sequence[tuple[str, Interval]],
    *,
    label: str = "normalised score (0 random, 1 oracle)",
    marks: Mapping[str, float] | None = None,
    highlight: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Draw scores with intervals, best on top.

    Parameters
    ----------
    rows : sequence of (str, Interval)
        Such as ``(r.name, r.score)`` of `statistics.ranking`.
    label, title : str
        Of the score.
    marks : mapping of str to float, optional
        Scores drawn as vertical lines. Random at 0 and oracle at 1 if None.
    highlight : sequence of str
        Names printed in bold.
    """
    if not rows:
        raise DataError("policy_ranking must be given at least one policy; got none")
    ordered = sorted(rows, key=lambda row: row[1].estimate)
    palette = colours([name for name, _ in rows])
    fig, ax = single(6.4, 0.9 + 0.36 * len(rows) + (0.2 if title else 0))
    for y, (name, score) in enumerate(ordered):
        ax.plot([score.low, score.high], [y, y], color=palette[name], lw=3, alpha=0.45)
        ax.plot(score.estimate, y, "o", color=palette[name], ms=7, mec="white", mew=0.8)
    for caption, at in (marks or {"random": 0.0, "oracle": 1.0}).items():
        ax.axvline(at, color="#999999", lw=0.9, ls=(0, (3, 2)), zorder=0)
        ax.text(
            at, len(ordered) - 0.45, caption, fontsize=7.5, color="#666666", ha="center",
            va="bottom",
        )  # fmt: skip
    ends = [score.estimate for _, score in rows] + list((marks or {"a": 0.0, "b": 1.0}).values())
    span = max(max(ends) - min(ends), 1e-12)
    low, high = ax.get_xlim()  # a bar of very few films may be cut by the frame
    ax.set_xlim(max(low, min(ends) - span), min(high, max(ends) + span))
    ax.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    for text, (name, _) in zip(ax.get_yticklabels(), ordered, strict=True):
        text.set_fontweight("bold" if name in highlight else "normal")
    ax.set_ylim(-0.6, len(ordered) - 0.4)
    ax.set_xlabel(f"{label}; dot: interquartile mean, bar: {100 * rows[0][1].level:.0f} %")
    ax.grid(axis="x", color="#EDEDED", lw=0.7)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_title(title, pad=16)
    return fig


@style()
def cost_benefit(
    cost: Mapping[str, ArrayLike],
    benefit: Mapping[str, ArrayLike],
    *,
    cost_label: str = "time on the instrument (min)",
    benefit_label: str = "normalised score",
) -> Figure:
    """Draw cost against benefit by policy.

    The staircase joins the policies that no other beats in both (the Pareto front of the medians).

    Parameters
    ----------
    cost, benefit : mapping of str to (films,) array of float
        By policy, in the units of the labels.
    cost_label, benefit_label : str
        With the units.
    """
    if set(cost) != set(benefit) or not cost:
        raise DataError(
            f"cost and benefit must name the same policies; got {set(cost)}, {set(benefit)}"
        )
    palette, signs = colours(list(cost)), markers(list(cost))
    fig, ax = single(5.6, 3.8)
    middles = {}
    for name in cost:
        x, y = (np.asarray(d[name], dtype=np.float64) for d in (cost, benefit))
        middles[name] = (float(np.nanmedian(x)), float(np.nanmedian(y)))
        ax.scatter(x, y, s=14, color=palette[name], alpha=0.35, lw=0, marker=signs[name])
        ax.scatter(
            *middles[name], s=80, color=palette[name], edgecolors="white", lw=1, zorder=4,
            marker=signs[name], label=name,
        )  # fmt: skip
    front, best = [], -np.inf
    for spent, gained in sorted(middles.values(), key=lambda m: (m[0], -m[1])):
        if gained > best:
            front.append((spent, gained))
            best = gained
    ax.step(*zip(*front, strict=True), where="post", color="#888888", lw=1, ls="--", zorder=1)
    ax.set(xlabel=cost_label, ylabel=benefit_label)
    ax.grid(color="#EDEDED", lw=0.7)
    fig.legend(loc="outside right upper")
    return fig


@style()
def diversity_of_run(measures: Mapping[str, ArrayLike], *, seeds: int = 0) -> Figure:
    """Draw diversity of the measured set by step.

    Parameters
    ----------
    measures : mapping of str to (steps,) or (runs, steps) array of float
        A panel each. Several runs are drawn as mean and range.
    seeds : int
        Number of seed points, which are shaded.
    """
    if not measures:
        raise DataError("diversity_of_run must be given at least one measure; got none")
    fig = figure(3.4 * len(measures) + 0.3, 2.9)
    for k, (ax, (name, given)) in enumerate(
        zip(np.atleast_1d(fig.subplots(1, len(measures))), measures.items(), strict=True)
    ):
        data = np.atleast_2d(np.asarray(given, dtype=np.float64))
        steps = np.arange(1, data.shape[1] + 1)
        colour = colours(list(measures))[name]
        ax.plot(steps, data.mean(axis=0), color=colour)
        if len(data) > 1:
            ax.fill_between(steps, data.min(0), data.max(0), color=colour, alpha=0.16, lw=0)
        if seeds:
            ax.axvspan(0.5, seeds + 0.5, color="#EEEEEE", lw=0, zorder=0)
            if k == 0:
                ax.text(
                    seeds + 1, 0.02, "seed points", fontsize=7.5, color="#777777",
                    transform=ax.get_xaxis_transform(),
                )  # fmt: skip
        ax.set(xlabel="measurements", ylabel=name.replace("_", " "))
        ax.grid(axis="y", color="#E6E6E6", lw=0.7)
    return fig
