"""The report of a campaign: what was asked, the verdict, and the pictures behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from grainscout.analysis import figures
from grainscout.analysis.statistics import Verdict
from grainscout.benchmarks._campaign import Campaign
from grainscout.benchmarks._cell import film_seed
from grainscout.benchmarks._leaderboard import BASELINE, Board
from grainscout.benchmarks._page import Details, Picture, Section, Table, picture, write_page
from grainscout.benchmarks._score import as_map
from grainscout.benchmarks._stage import set_up
from grainscout.benchmarks._store import CampaignStore, CellKey
from grainscout.benchmarks._tables import Tables
from grainscout.benchmarks._tasks import Task
from grainscout.benchmarks._truth import TaskTruth
from grainscout.journal import package_versions
from grainscout.records import PackedState, Problem

#: Pictures are drawn for so many tasks, those first in the campaign; the tables hold all.
_PICTURED_TASKS = 8

_GOALS = {
    "discovery": "How early a policy has three examples of each archetype. 0 is the exact expectation of "
    "random sampling on that film, 1 a policy that meets a wanted example with each of its first "
    "measurements.",
    "mapping": "How well the target is known everywhere from the measured curves alone, by one referee "
    "model for all policies, averaged over the run. 0 is random sampling on the same film, 1 no error.",
}


def write_report(
    path: Path,
    campaign: Campaign,
    store: CampaignStore,
    tables: Tables,
    scores: pd.DataFrame,
    boards: list[Board],
    winner: str | None,
) -> None:
    """Write the page."""
    sections: list[Section | None] = [_result(boards)]
    if len(tables.steps):
        sections += [_learning(campaign, tables), _cost(tables, scores)]
        tasks = campaign.tasks[:_PICTURED_TASKS]
        sections += [_task(task, campaign, store, scores, winner) for task in tasks]
    sections += [_failures(campaign, store), _repeat(campaign)]
    policies = ", ".join(p.title for p in campaign.policies)
    verdicts = [board.verdict() for board in boards]
    if winner is not None:
        decided = all(not b.rivals for b in boards if b.best == winner)
        verdicts.append(
            f"Over all goals {winner} has the best mean rank, so winner.toml runs it"
            + ("." if decided else "; by the verdicts above that is a choice, not a proof.")
        )
    left_out = len(campaign.tasks) - _PICTURED_TASKS
    write_page(
        path,
        kind="campaign report",
        title=campaign.name,
        question=f"{campaign.description}. Policies {policies}, raced on {len(campaign.tasks)} tasks x "
        f"{campaign.films} films with the same films and noise for each."
        + (f" Pictures show the first {_PICTURED_TASKS} tasks." if left_out > 0 else ""),
        verdicts=verdicts or ["No cell has finished: there is nothing to compare."],
        sections=[s for s in sections if s is not None],
    )


def _result(boards: list[Board]) -> Section:
    tables, pictures = [], []
    for board in boards:
        rows: list[list[str | dict[str, str]]] = []
        for r in board.ranked:
            verdict = board.against_baseline.get(r.name)
            kind = "" if verdict is None else verdict.outcome.split()[0]
            rows.append(
                [
                    r.name + (" (told the truth)" if r.name in board.told else ""),
                    f"{r.score.estimate:.2f}",
                    f"{r.score.low:.2f} to {r.score.high:.2f}",
                    f"{r.mean_rank.estimate:.1f}",
                    {"text": _against(verdict), "kind": kind},
                ]
            )
        tables.append(
            Table(
                title=f"{board.goal.capitalize()}, {board.cells} films",
                heads=["policy", "score", "95 % interval", "mean rank", f"against {BASELINE}"],
                rows=rows,
            )
        )
        pictures.append(
            picture(
                figures.policy_ranking(
                    [(r.name, r.score) for r in board.ranked],
                    label=f"{board.goal} score",
                    marks={"random": 0.0, "ideal": 1.0},
                    highlight=[board.best],
                ),
                f"{board.goal.capitalize()}. {_GOALS[board.goal]} Dot: interquartile mean over films; "
                "bar: 95 % stratified bootstrap interval. Intervals of two policies may overlap though "
                "their paired difference is decided: the table's last column says.",
                f"Ranking for {board.goal}: "
                + ", ".join(f"{r.name} {r.score.estimate:.2f}" for r in board.ranked),
            )
        )
    return Section(id="result", title="Result", tables=tables, pictures=pictures)


def _against(verdict: Verdict | None) -> str:
    if verdict is None:
        return "-"
    d = verdict.difference
    more = f", {verdict.more_films} more films a task would" if verdict.more_films else ""
    return f"{verdict.outcome} ({d.estimate:+.2f}, {d.low:+.2f} to {d.high:+.2f}{more})"


def _learning(campaign: Campaign, tables: Tables) -> Section:
    order = [p.title for p in campaign.policies if p.title in set(tables.steps["policy"])]
    found = figures.learning_curves(
        tables.steps,
        "found",
        label="wanted examples found",
        references={"random, expected": "found_random", "ideal": "found_ideal"},
        order=order,
    )
    errors = figures.learning_curves(
        tables.maps.rename(columns={"n": "step"}),
        "nrmse",
        label="map error / sd of truth",
        order=order,
    )
    diversity = figures.learning_curves(
        tables.steps, "diversity", label="diversity of curves", order=order
    )
    band = "Line: interquartile mean over films; band: 95 % interval."
    return Section(
        id="learning",
        title="Learning",
        pictures=[
            picture(
                found,
                f"Share of the wanted examples in hand: three of each archetype. {band}",
                "Learning curves: share of wanted examples found against measurements",
            ),
            picture(
                errors,
                f"Error of the referee's map of the target, 1 = no better than the mean. {band}",
                "Learning curves: map error against measurements",
            ),
            picture(
                diversity,
                "Mean pairwise distance of the measured curves over their rms. It may fall when new "
                f"curves resemble old ones. {band}",
                "Diversity of measured curves against measurements",
            ),
        ],
    )


def _cost(tables: Tables, scores: pd.DataFrame) -> Section | None:
    runs = tables.steps.groupby(["task", "film", "policy"])
    minutes = (runs["finished_s"].max() / 60.0).rename("minutes").reset_index()
    travel = (runs["travel_m"].max() * 1e6).rename("travel").reset_index()
    merged = scores.groupby(["task", "film", "policy"])["score"].mean().reset_index()
    merged = merged.merge(minutes).merge(travel).dropna(subset=["score"])
    if not len(merged):
        return None
    names = list(dict.fromkeys(merged["policy"]))
    parts = {n: merged[merged["policy"] == n] for n in names}
    figure = figures.cost_benefit(
        {n: p["minutes"].to_numpy() for n, p in parts.items()},
        {n: p["score"].to_numpy() for n, p in parts.items()},
        benefit_label="mean score over the goals",
    )
    decisions = tables.timings.groupby("policy")["decision_s"].median()
    rows = [
        [
            n,
            f"{p['minutes'].median():.1f}",
            f"{p['travel'].median():.1f}",
            f"{decisions[n] * 1e3:.1f}",
        ]
        for n, p in parts.items()
    ]
    return Section(
        id="cost",
        title="Cost against benefit",
        tables=[
            Table(
                title="Medians over films",
                heads=["policy", "simulated time, min", "travel, µm", "decision here, ms"],
                rows=rows,
            )
        ],
        pictures=[
            picture(
                figure,
                "Time on the microscope's clock (travel, settling, sweeps, images, decisions) against "
                "score. Faint: each film; large: median.",
                "Cost against benefit of each policy",
            )
        ],
    )


def _task(
    task: Task, campaign: Campaign, store: CampaignStore, scores: pd.DataFrame, winner: str | None
) -> Section:
    """Film 0 of a task: where each policy went and what it learnt."""
    bench = set_up(task, film_seed(campaign.seed, task.id, 0))
    problem = bench.problem()
    truth = bench.truth(problem)
    boundary = None if bench.film is None else bench.film.structure.boundary
    shown: list[Picture] = []
    folded: list[Details] = []
    order = sorted(campaign.policies, key=lambda p: p.title != winner)
    for policy in order:
        payload = store.payload(CellKey(task=task.id, film=0, policy=policy.title))
        if payload is None:
            continue
        drawn = _run_pictures(policy.title, payload, problem, truth, boundary)
        if not shown:
            shown = drawn
        else:
            folded.append(Details(title=f"The same for {policy.title}", pictures=drawn))
    part = scores[scores["task"] == task.id].pivot_table(
        index="policy", columns="goal", values="score", aggfunc="mean"
    )
    rows = [
        [str(n), *(f"{v:.2f}" for v in row)]
        for n, row in zip(part.index, part.to_numpy(), strict=True)
    ]
    wave = problem.waveform
    notes = []
    if bench.recording is not None or task.microscope.film_file is not None:
        notes.append(
            "One and the same sample stands behind all runs of this task: their spread is that of the "
            "policies' chance, and says nothing of other samples."
        )
    return Section(
        id="task-" + task.id.replace("/", "-"),
        title=f"Task {task.id}",
        text=[
            f"{len(problem.candidates)} candidate sites on {problem.scan.shape[0]} x "
            f"{problem.scan.shape[1]} pixels; {wave.kind} of {len(wave)} samples from "
            f"{wave.voltage.min():g} to {wave.voltage.max():g} V in {wave.duration:g} s at "
            f"{problem.light:g} suns; target {task.target}. Pictures are of the first film.",
            *notes,
        ],
        tables=[Table(title="Mean score", heads=["policy", *map(str, part.columns)], rows=rows)],
        pictures=shown,
        details=folded,
    )


def _run_pictures(
    name: str,
    payload: PackedState,
    problem: Problem,
    truth: TaskTruth,
    boundary: np.ndarray | None,
) -> list[Picture]:
    steps = payload["steps"]
    sites = np.column_stack([steps["row"], steps["column"]])
    pictures = [
        picture(
            figures.sites_over_topography(problem.scan, sites, boundary=boundary, title=name),
            f"{name}: sites over the scanned topography, coloured by step"
            + ("; true grain boundaries in blue." if boundary is not None else "."),
            f"Sites that {name} measured over the topography",
        )
    ]
    if payload["final"]:
        maps = [as_map(problem, v) for v in (truth.target, *payload["final"].values())]
        pictures.append(
            picture(
                figures.predicted_vs_true(
                    *maps,
                    pixel_size=problem.scan.pixel_size,
                    name=problem.target,
                    unit=truth.unit,
                    sites=sites,
                    title=name,
                ),
                f"{name}: true {problem.target}, the referee's map from this run's curves, and how sure "
                "it is.",
                f"True and predicted maps of {problem.target} after the run of {name}",
            )
        )
    measured = np.flatnonzero(steps["ok"])
    pictures.append(
        picture(
            figures.archetype_examples(
                problem.waveform.voltage,
                payload["curves"],
                steps["class_index"][measured],
                names=truth.classes,
                steps=measured + 1,
                title=name,
            ),
            f"{name}: measured curves by the true kind of their site.",
            f"Example curves that {name} measured, by kind",
        )
    )
    return pictures


def _failures(campaign: Campaign, store: CampaignStore) -> Section:
    failed = store.failures()
    waiting = len(campaign.cells()) - len(store.finished()) - len(failed)
    text = []
    if not failed and not waiting:
        text.append(f"None: all {len(campaign.cells())} cells finished.")
    if failed:
        text.append(
            f"{len(failed)} cells failed. They count for nothing above; the same command tries them "
            "again."
        )
    if waiting:
        text.append(f"{waiting} cells have not been run yet.")
    return Section(
        id="failures",
        title="Failures",
        text=text,
        details=[
            Details(title=f"{k.policy} on {k.task}, film {k.film}", pre=error)
            for k, error in failed.items()
        ],
    )


def _repeat(campaign: Campaign) -> Section:
    versions = "\n".join(f"{k:14} {v}" for k, v in package_versions().items())
    return Section(
        id="repeat",
        title="How to repeat it",
        text=[
            "The same command on a machine of the same kind gives the same table.parquet, with any "
            f"number of workers. Campaign seed {campaign.seed}; film k of a task is made from (seed, "
            "task, k); film, instrument and policy have separate random streams."
        ],
        details=[
            Details(
                title="Command", pre=f"grainscout bench {campaign.name} --out out/{campaign.name}"
            ),
            Details(title="Versions", pre=versions),
        ],
    )
