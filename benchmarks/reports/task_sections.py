"""Sections of a campaign's report about its tasks."""

import json

import numpy as np
import pandas as pd

from grainscout.analysis import figures
from grainscout.benchmarks.campaign.campaign import Campaign
from grainscout.benchmarks.campaign.cell import film_seed
from grainscout.benchmarks.campaign.store import CampaignStore, CellKey
from grainscout.benchmarks.reports.page import (
    Details,
    Picture,
    Row,
    Section,
    Table,
    picture,
    styled,
)
from grainscout.benchmarks.tasks.environment import make_environment
from grainscout.benchmarks.tasks.registry import difficulties, unmappable
from grainscout.benchmarks.tasks.task import Task
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.records import PackedState, Problem, Waveform

#: Number of tasks with pictures of every policy. The others show the winner alone.
EVERY_POLICY = 2


def asked_section(campaign: Campaign) -> Section:
    """Settings of tasks and policies."""
    measured, no_map = difficulties(), unmappable()
    tasks: list[Row] = []
    for task in campaign.tasks:
        left = measured.get(task.id, {})
        hard = ", ".join(f"{goal} {left[goal]:.2f}" for goal in task.goals if goal in left)
        hard += ": no map can be made" if task.id in no_map else ""
        tasks.append([task.id, styled(task.about()), styled(hard or "not measured")])
    policies: list[Row] = [
        [p.title, styled(p.name), styled(json.dumps(p.options) if p.options else "defaults")]
        for p in campaign.policies
    ]
    text = (
        "Left by random: the rest that random sampling leaves at the end of the budget, measured once "
        "for each registered task. Discovery: share of the wanted examples not found. Mapping: error "
        "of the map over the spread of the truth. Optimisation: regret over the range of the truth."
    )
    tables = [
        Table(title="Tasks", heads=["task", "what it asks", "left by random"], rows=tasks),
        Table(title="Policies", heads=["policy", "name", "options"], rows=policies),
    ]
    return Section(id="asked", title="Tasks and policies", text=[text], tables=tables)


def by_task_section(campaign: Campaign, scores: pd.DataFrame) -> Section | None:
    """Mean score of each policy on each task."""
    if len(campaign.tasks) < 2:
        return None
    order = [p.title for p in campaign.policies]
    words, tables = {t.id: t.about() for t in campaign.tasks}, []
    for goal in dict.fromkeys(scores["goal"]):
        part = scores[scores["goal"] == goal].pivot_table(
            index="task", columns="policy", values="score", aggfunc="mean"
        )
        names = [n for n in order if n in part.columns]
        rows: list[Row] = []
        for task in [t.id for t in campaign.tasks if t.id in part.index]:
            values = part.loc[task, names].to_numpy(dtype=float)
            best = np.nanmax(values)
            cells = ["-" if np.isnan(v) else f"{v:.2f}" for v in values]
            marks = ["top" if v == best else "" for v in values]
            rows.append([words[task], *map(styled, cells, marks)])
        title = f"{goal.capitalize()}: mean score over films"
        tables.append(Table(title=title, heads=["task", *names], rows=rows))
    text = "The highest of each row is underlined. Only the verdicts say if it is decided."
    return Section(id="by-task", title="Task by task", text=[text], tables=tables)


def task_section(
    task: Task, campaign: Campaign, store: CampaignStore, scores: pd.DataFrame, winner: str | None
) -> Section:
    """Runs of the policies on a task's first film."""
    environment = make_environment(task, film_seed(campaign.seed, task.id, 0))
    problem = environment.problem()
    truth = environment.truth(problem)
    boundary = None if environment.film is None else environment.film.structure.boundary
    shown: list[Picture] = []
    folded: list[Details] = []
    order = sorted(campaign.policies, key=lambda p: p.title != winner)
    for policy in order:
        if shown and task not in campaign.tasks[:EVERY_POLICY]:
            break
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
    wave, (height, width) = problem.waveform, problem.scan.shape
    of_all = task in campaign.tasks[:EVERY_POLICY]
    text = [
        f"Task {task.id}. {len(problem.candidates)} candidate sites on {height} x {width} pixels; "
        f"{wave.kind} of {len(wave)} samples {_volts(wave)} in {wave.duration:g} s at "
        f"{problem.light:g} suns; target {task.target}. Pictures are of the first film"
        + ("." if of_all else ", by one policy.")
    ]
    if task.microscope.one_sample:
        text.append(
            "All runs of this task measure the same sample. Their spread is that of the policies' chance "
            "and says nothing about other samples."
        )
    return Section(
        id="task-" + task.id.replace("/", "-"),
        title=task.about().capitalize(),
        text=text,
        tables=[Table(title="Mean score", heads=["policy", *map(str, part.columns)], rows=rows)],
        pictures=shown,
        details=folded,
    )


def _volts(waveform: Waveform) -> str:
    low, high = waveform.voltage.min(), waveform.voltage.max()
    return f"at {low:g} V" if low == high else f"from {low:g} to {high:g} V"


def _is_swept(waveform: Waveform) -> bool:
    """True for a swept voltage, not for pulses."""
    return bool(0 < np.abs(np.diff(waveform.voltage)).max() < 0.5 * np.ptp(waveform.voltage))


def _run_pictures(
    name: str, payload: PackedState, problem: Problem, truth: TaskTruth, boundary: np.ndarray | None
) -> list[Picture]:
    steps = payload["steps"]
    sites = np.column_stack([steps["row"], steps["column"]])
    drawn = figures.sites_over_topography(problem.scan, sites, boundary=boundary, title=name)
    caption = f"{name}: sites over the scanned topography, coloured by step"
    caption += "; true grain boundaries in blue." if boundary is not None else "."
    pictures = [picture(drawn, caption, f"Sites that {name} measured over the topography")]
    if payload["final"]:
        drawn = figures.predicted_vs_true(
            *(problem.as_map(v) for v in (truth.target, *payload["final"].values())),
            pixel_size=problem.scan.pixel_size,
            name=problem.target,
            unit=truth.unit,
            sites=sites,
            title=name,
        )
        caption = (
            f"{name}: true {problem.target}, the evaluation model's map from this run's curves, and "
            "its uncertainty."
        )
        alt = f"True and predicted maps of {problem.target} after the run of {name}"
        pictures.append(picture(drawn, caption, alt))
    measured = np.flatnonzero(steps["ok"])
    drawn = figures.archetype_examples(
        problem.waveform.voltage,
        payload["curves"],
        steps["class_index"][measured],
        names=truth.classes,
        steps=measured + 1,
        time=None if _is_swept(problem.waveform) else problem.waveform.time,
        title=name,
    )
    caption = f"{name}: measured curves by the true archetype of their site."
    alt = f"Example curves that {name} measured, by archetype"
    return [*pictures, picture(drawn, caption, alt)]
