"""The course of the runs in a report: learning curves, and cost against benefit."""

from __future__ import annotations

import pandas as pd

from grainscout.analysis import figures
from grainscout.benchmarks.campaign.campaign import Campaign
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.reports.page import Section, Table, picture
from grainscout.benchmarks.tasks.task import Goal

#: Pictures are drawn for so many tasks, those first in the campaign; the tables hold all.
PICTURED_TASKS = 8

#: goal -> table, column, label, references, caption and alt text of its learning curve.
_CURVES: dict[Goal, tuple[str, str, str, dict[str, str], str, str]] = {
    "discovery": (
        "steps",
        "found",
        "wanted examples found",
        {"random, expected": "found_random", "ideal": "found_ideal"},
        "Share of the wanted examples in hand: three of each archetype.",
        "Learning curves: share of wanted examples found against measurements",
    ),
    "mapping": (
        "maps",
        "nrmse",
        "map error / sd of truth",
        {},
        "Error of the referee's map of the target, 1 = no better than the mean.",
        "Learning curves: map error against measurements",
    ),
    "optimisation": (
        "steps",
        "best",
        "best value in hand / range",
        {"random, expected": "best_random"},
        "Largest true target among the measured sites, from the candidates' lowest (0) to their largest (1).",
        "Learning curves: best value in hand against measurements",
    ),
}


def learning_section(campaign: Campaign, tables: Tables) -> Section:
    """Learning curves of every task."""
    order = [p.title for p in campaign.policies if p.title in set(tables.steps["policy"])]
    band = "Line: interquartile mean over films; band: 95 % interval."
    frames = {"steps": tables.steps, "maps": tables.maps.rename(columns={"n": "step"})}
    pictures = []
    for goal, (frame, column, label, references, caption, alt) in _CURVES.items():
        table = frames[frame]
        if len(table) == 0 or column not in table:
            continue
        of_goal = [t.id for t in campaign.tasks if goal in t.goals]
        drawn, only = _first(of_goal, table.dropna(subset=[column]))
        if len(drawn):
            figure = figures.learning_curves(
                drawn, column, label=label, references=references, order=order
            )
            pictures.append(picture(figure, f"{caption} {band}{only}", alt))
    drawn, only = _first([t.id for t in campaign.tasks], tables.steps)
    pictures.append(
        picture(
            figures.learning_curves(drawn, "diversity", label="diversity of curves", order=order),
            "Mean pairwise distance of the measured curves over their rms. It may fall when new "
            f"curves resemble old ones. {band}{only}",
            "Diversity of measured curves against measurements",
        )
    )
    return Section(id="learning", title="Learning", pictures=pictures)


def _first(tasks: list[str], table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows of the first tasks, and a word about the others."""
    rows = table[table["task"].isin(tasks[:PICTURED_TASKS])]
    left = len(tasks) > PICTURED_TASKS
    return rows, f" The first {PICTURED_TASKS} of {len(tasks)} tasks." if left else ""


def cost_section(tables: Tables, scores: pd.DataFrame) -> Section | None:
    """Score against time and tip wear; None without costs."""
    runs = tables.steps.groupby(["task", "film", "policy"])
    cost = pd.DataFrame(
        {
            "minutes": runs["finished_s"].max() / 60.0,
            "travel": runs["travel_m"].max() * 1e6,
            "measurements": runs.size(),
        }
    ).reset_index()
    merged = scores.groupby(["task", "film", "policy"])["score"].mean().reset_index()
    merged = merged.merge(cost).dropna(subset=["score"])
    if not len(merged):
        return None
    names = list(dict.fromkeys(merged["policy"]))
    parts = {n: merged[merged["policy"] == n] for n in names}
    decisions = tables.timings.groupby("policy")["decision_s"].median()
    rows = [
        [
            n,
            f"{p['measurements'].median():.0f}",
            f"{p['minutes'].median():.1f}",
            f"{p['travel'].median():.1f}",
            f"{decisions[n] * 1e3:.1f}",
            f"{p['score'].median():.2f}",
        ]
        for n, p in parts.items()
    ]
    drawn = []
    for column, label, caption, alt in (
        (
            "minutes",
            "time on the instrument (min)",
            "Time on the microscope's clock (travel, settling, sweeps, images, decisions) against score.",
            "Simulated time against score of each policy",
        ),
        (
            "travel",
            "travel of the tip (µm)",
            "Way of the tip against score.",
            "Travel against score of each policy",
        ),
    ):
        figure = figures.cost_benefit(
            {n: p[column].to_numpy() for n, p in parts.items()},
            {n: p["score"].to_numpy() for n, p in parts.items()},
            cost_label=label,
            benefit_label="mean score over the goals",
        )
        drawn.append(picture(figure, f"{caption} Faint: each film; large: median.", alt))
    heads = [
        "policy",
        "measurements",
        "simulated time, min",
        "travel, µm",
        "decision here, ms",
        "score",
    ]
    return Section(
        id="cost",
        title="Cost against benefit",
        tables=[Table(title="Medians over films", heads=heads, rows=rows)],
        pictures=drawn,
    )
