"""Learning curves and costs of a campaign's report."""

from __future__ import annotations

import pandas as pd

from grainscout.analysis import figures
from grainscout.benchmarks.campaign.campaign import Campaign
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.reports.page import Section, Table, picture
from grainscout.benchmarks.tasks.task import Goal

#: Number of tasks with pictures, the first of the campaign. The tables hold all.
PICTURED_TASKS = 8

#: goal -> table, column, label, references, caption and alt text of its learning curve.
_CURVES: dict[Goal, tuple[str, str, str, dict[str, str], str, str]] = {
    "discovery": (
        "steps",
        "found",
        "wanted examples found",
        {"random, expected": "found_random", "ideal": "found_ideal"},
        "Share of the wanted examples found: three of each archetype.",
        "Learning curves: share of wanted examples found against measurements",
    ),
    "mapping": (
        "maps",
        "own_nrmse",
        "map error / sd of truth",
        {"random designs": "nrmse_random", "ideal": "nrmse_ideal"},
        "Error of the policy's own map of the target, or of the referee's. 1 is no better than the mean.",
        "Learning curves: map error against measurements",
    ),
    "level-set": (
        "maps",
        "own_level_accuracy",
        "balanced accuracy",
        {"random designs": "level_accuracy_random"},
        "Where the own map says that the target is above the level. 0.5 is chance.",
        "Learning curves: balanced accuracy of the level set against measurements",
    ),
    "optimisation": (
        "steps",
        "best",
        "best value found / range",
        {"random, expected": "best_random"},
        "Largest true target among the measured sites, from the lowest of the candidates (0) to the largest (1).",
        "Learning curves: best value found against measurements",
    ),
}


def learning_section(campaign: Campaign, tables: Tables) -> Section:
    """Learning curves of the first tasks."""
    order = [p.title for p in campaign.policies if p.title in set(tables.steps["policy"])]
    band = "Line: interquartile mean over films. Band: 95 % interval."
    frames = {"steps": tables.steps, "maps": tables.maps.rename(columns={"n": "step"})}
    pictures = []
    for goal, (frame, column, label, references, caption, alt) in _CURVES.items():
        table = frames[frame]
        if len(table) == 0 or column not in table:
            continue
        of_goal = [t.id for t in campaign.tasks if goal in t.goals]
        drawn, only = _first(of_goal, table.dropna(subset=[column]))
        if len(drawn):
            known = {k: c for k, c in references.items() if c in drawn and drawn[c].notna().all()}
            figure = figures.learning_curves(
                drawn, column, label=label, references=known, order=order
            )
            pictures.append(picture(figure, f"{caption} {band}{only}", alt))
    drawn, only = _first([t.id for t in campaign.tasks], tables.steps)
    figure = figures.learning_curves(drawn, "diversity", label="diversity of curves", order=order)
    caption = (
        "Mean pairwise distance of the measured curves over their rms. It may fall when new "
        f"curves resemble old ones. {band}{only}"
    )
    alt = "Diversity of measured curves against measurements"
    pictures.append(picture(figure, caption, alt))
    return Section(id="learning", title="Learning", pictures=pictures)


def _first(tasks: list[str], table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rows of the first tasks, with a note."""
    rows = table[table["task"].isin(tasks[:PICTURED_TASKS])]
    left = len(tasks) > PICTURED_TASKS
    return rows, f" The first {PICTURED_TASKS} of {len(tasks)} tasks." if left else ""


#: Column -> axis label, caption and alt text of its picture.
_COSTS = {
    "minutes": (
        "time on the instrument (min)",
        "Time on the microscope's clock (travel, settling, sweeps, images, decisions) against score.",
        "Simulated time against score of each policy",
    ),
    "travel": (
        "travel of the tip (µm)",
        "Travel of the tip against score.",
        "Travel against score of each policy",
    ),
}


def cost_section(tables: Tables, scores: pd.DataFrame) -> Section | None:
    """Score against time and travel. None without a score."""
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
    parts = {name: merged[merged["policy"] == name] for name in dict.fromkeys(merged["policy"])}
    pictures = []
    for column, (label, caption, alt) in _COSTS.items():
        figure = figures.cost_benefit(
            {n: p[column].to_numpy() for n, p in parts.items()},
            {n: p["score"].to_numpy() for n, p in parts.items()},
            cost_label=label,
            benefit_label="mean score over the goals",
        )
        pictures.append(picture(figure, f"{caption} Faint: each film. Large: median.", alt))
    table = _medians(parts, tables.timings.groupby("policy")["decision_s"].median())
    return Section(id="cost", title="Cost against benefit", tables=[table], pictures=pictures)


def _medians(parts: dict[str, pd.DataFrame], decisions: pd.Series[float]) -> Table:
    """Table of the medians over films of each policy."""
    heads = ["measurements", "simulated time, min", "travel, µm", "decision here, ms", "score"]
    rows = []
    for name, part in parts.items():
        m = part[["measurements", "minutes", "travel", "score"]].median()
        shown = [f"{m['measurements']:.0f}", f"{m['minutes']:.1f}", f"{m['travel']:.1f}"]
        rows.append([name, *shown, f"{decisions[name] * 1e3:.1f}", f"{m['score']:.2f}"])
    return Table(title="Medians over films", heads=["policy", *heads], rows=rows)
