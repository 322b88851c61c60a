"""Comparison of two campaigns, or of two runs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from grainscout.analysis import figures, statistics
from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, classify
from grainscout.analysis.curves.descriptors import describe_target
from grainscout.analysis.curves.quality_of_run import with_quality
from grainscout.benchmarks.campaign.campaign import Campaign
from grainscout.benchmarks.campaign.cell import evaluation_map
from grainscout.benchmarks.campaign.leaderboard import goal_rankings, goal_scores, winner
from grainscout.benchmarks.campaign.store import CampaignStore
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.benchmarks.reports.boards import against_cell
from grainscout.benchmarks.reports.page import Picture, Row, Section, Table, picture, write_page
from grainscout.benchmarks.reports.run_quality import curves_of
from grainscout.benchmarks.tasks.score import running_diversity, score_map, score_run
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.journal import Journal
from grainscout.records import DataError

_FILM = ["task", "film"]


def write_campaign_comparison(
    path: Path, plans: Sequence[Campaign], stores: Sequence[CampaignStore]
) -> str:
    """Compare two campaigns on common films, as one family (Holm). DataError if there are none."""
    if plans[0].seed != plans[1].seed:
        raise DataError(
            f"campaigns must have one seed, for the same films; got {plans[0].seed} and {plans[1].seed}"
        )
    known = [{t.id: t for t in plan.tasks} for plan in plans]
    common = {k: t for k, t in known[0].items() if known[1].get(k) == t}
    parts, best = [], []
    for plan, store in zip(plans, stores, strict=True):
        tables = read_tables(store)
        scores = goal_scores(tables, common)
        parts.append(scores[scores["task"].isin(common)])
        fair = {p.title for p in plan.policies if not (p.twin or p.uses_truth)}
        best.append(winner(goal_rankings(parts[-1]), fair))
    rows, compared = _pairs(parts, best)
    if not compared:
        raise DataError("campaigns must have tasks, films and policies in common; these have none")
    judged = statistics.judge_family(compared, tasks=len(common))
    cells: list[Row] = [[*row, against_cell(v)] for row, v in zip(rows, judged, strict=True)]
    changed = [v for v in judged if v.outcome != "not decided"]
    first = (
        f"{best[1]} wins B ({stores[1].path.parent}), {best[0]} wins A ({stores[0].path.parent})."
    )
    verdict = "; ".join(str(v) for v in changed) or (
        "No difference is decided. More films decide smaller ones: raise --films of both"
    )
    table = Table(
        title="B against A: every policy of both, and the winners",
        heads=["goal", "policy", "A", "B", "films", "B against A"],
        rows=cells,
    )
    about = (
        f"The {len(common)} tasks that both have, on the films that both finished, film by film. Differences "
        "are of scores, with intervals adjusted for all of the table."
    )
    _write(path, f"{plans[0].name} and {plans[1].name}", about, [first, verdict], table)
    return f"{first} {verdict}"


def _pairs(
    parts: list[pd.DataFrame], best: list[str | None]
) -> tuple[list[list[str]], list[tuple[str, str, statistics.Difference]]]:
    rows, compared = [], []
    both = set(parts[0]["policy"]) & set(parts[1]["policy"])
    pairs = [(name, name) for name in sorted(both)]
    if best[0] and best[1] and best[0] != best[1]:
        pairs.append((best[0], best[1]))
    for goal in dict.fromkeys(parts[0]["goal"]):
        for a, b in pairs:
            a_b = [
                part[(part["goal"] == goal) & (part["policy"] == name)].set_index(_FILM)["score"]
                for part, name in zip(parts, (a, b), strict=True)
            ]
            wide = pd.concat(a_b, axis=1, keys=["A", "B"], join="inner").dropna()
            if len(wide) < 2:
                continue
            film, task = (wide.index.get_level_values(k).to_numpy() for k in ("film", "task"))
            d = statistics.paired_difference(wide["B"], wide["A"], film=film, task=task)
            compared.append((f"B: {b}", f"A: {a}", d))
            means = [f"{wide[name].mean():.2f}" for name in ("A", "B")]
            rows.append([goal, b if a == b else f"{b} (A: {a})", *means, str(len(wide))])
    return rows, compared


def write_run_comparison(
    path: Path, journals: Sequence[Journal], truths: Sequence[TaskTruth | None]
) -> str:
    """Compare two runs side by side, and return which one has the better map."""
    columns, pictures, errors = [], [], []
    for letter, journal, truth in zip("AB", journals, truths, strict=True):
        header = journal.header()
        problem, spec = header.problem, header.config.get("policy", {})
        outcomes = with_quality(journal.outcomes(), problem)
        usable = [o for o in outcomes if o.usable and o.curve is not None]
        if not usable:
            raise DataError(f"journal {journal.path} holds no usable curve: nothing to compare")
        current, saturated = curves_of(usable)
        described = describe_target(problem, current, saturated)
        values = described.value[described.valid]
        factor, unit = figures.engineering(values, described.unit)
        kinds = classify(problem.waveform.voltage, current, saturated)
        ends = [e.detail.get("reason", "") for e in journal.events() if e.kind == "end"]
        sites = np.array([tuple(o.site) for o in outcomes])
        column = {
            "policy": str(spec.get("label") or spec.get("name", "policy")),
            "ended with": str(ends[-1]) if ends else "still running",
            "usable curves": f"{len(usable)} of {len(outcomes)}",
            "clock, min": f"{outcomes[-1].finished / 60:.1f}",
            f"{problem.target}, median": f"{np.median(values) * factor:.3g} {unit}",
            f"{problem.target}, quartiles": " to ".join(
                f"{q * factor:.3g}" for q in np.percentile(values, [25, 75])
            ),
            "diversity of curves": f"{running_diversity(problem, usable)[-1]:.2f}",
            **{
                f"curves of {kind}": str(int((kinds == k).sum()))
                for k, kind in enumerate(ARCHETYPE_NAMES)
            },
        }
        if truth is not None and np.ptp(truth.target[truth.mapped]) > 0:
            score = score_map(truth, *evaluation_map(problem, usable))
            found = score_run(problem, truth, usable)["found"][-1]
            errors.append(float(score["nrmse"]))
            column |= {"wanted examples found": f"{found:.0%}"}
            column |= {"map error / sd of truth": f"{score['nrmse']:.2f}"}
        columns.append(column)
        drawn = figures.sites_over_topography(problem.scan, sites)
        pictures.append(picture(drawn, f"{letter}: {journal.path.name}.", f"Sites of run {letter}"))
    verdict = "Without the truth of both, no run is better: the table tells them apart."
    if len(errors) == 2:
        low = int(errors[1] < errors[0])
        verdict = (
            f"{'AB'[low]}, {columns[low]['policy']}, has the lower error of the map: {errors[low]:.2f} "
            f"against {errors[1 - low]:.2f}. One run each decides nothing: race them with grainscout bench."
        )
    heads = list(dict.fromkeys(name for column in columns for name in column))
    rows = [[name, *(c.get(name, "-") for c in columns)] for name in heads]
    table = Table(title="Side by side", heads=["", "A", "B"], rows=rows)
    title = " and ".join(j.path.name for j in journals)
    _write(path, title, "Two runs side by side.", [verdict], table, pictures)
    return verdict


def _write(
    path: Path,
    title: str,
    about: str,
    verdicts: list[str],
    table: Table,
    pictures: Sequence[Picture] = (),
) -> None:
    section = Section(id="both", title="Side by side", tables=[table], pictures=pictures)
    write_page(
        path, kind="comparison", title=title, question=about, verdicts=verdicts, sections=[section]
    )
