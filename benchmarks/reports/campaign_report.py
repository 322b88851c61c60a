"""Report of a campaign: tasks, verdicts, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import tomli_w

from grainscout.analysis import figures
from grainscout.analysis.statistics import Verdict
from grainscout.benchmarks.campaign.campaign import Campaign
from grainscout.benchmarks.campaign.leaderboard import BASELINE, GoalRanking
from grainscout.benchmarks.campaign.stopping import CampaignProgress, describe_progress
from grainscout.benchmarks.campaign.store import CampaignStore
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.reports.learning import (
    PICTURED_TASKS,
    cost_section,
    learning_section,
)
from grainscout.benchmarks.reports.page import (
    Details,
    Row,
    Section,
    Table,
    picture,
    styled,
    write_page,
)
from grainscout.benchmarks.reports.task_sections import asked_section, by_task_section, task_section
from grainscout.benchmarks.statements.statement import Finding
from grainscout.benchmarks.tasks.task import Goal, plain
from grainscout.journal import package_versions

_GOALS: dict[Goal, str] = {
    "discovery": "How early a policy has three examples of each archetype. 0 is the exact expectation of "
    "random sampling on that film, 1 a policy that meets a wanted example with each of its first "
    "measurements.",
    "mapping": "How well the measured curves alone predict the target everywhere, by one evaluation "
    "model for all policies, averaged over the run. 0 is random sampling on the same film, 1 no error.",
    "optimisation": "How near the largest true target found comes to the largest of the film, averaged "
    "over the run. 0 is the exact expectation of random sampling on that film, 1 the oracle.",
}


def write_report(
    path: Path,
    campaign: Campaign,
    store: CampaignStore,
    tables: Tables,
    scores: pd.DataFrame,
    rankings: list[GoalRanking],
    winner: str | None,
    progress: CampaignProgress,
    findings: Sequence[Finding] = (),
) -> None:
    """Write the page. `findings` are verdicts on published statements."""
    sections: list[Section | None] = [_result(rankings, campaign), asked_section(campaign)]
    if findings:
        sections.append(_published(findings))
    if campaign.stopping is not None:
        sections.append(_stopping(campaign, progress))
    if len(tables.steps):
        sections += [
            by_task_section(campaign, scores),
            learning_section(campaign, tables),
            cost_section(tables, scores),
        ]
        tasks = campaign.tasks[:PICTURED_TASKS]
        sections += [task_section(task, campaign, store, scores, winner) for task in tasks]
    sections += [_failures(progress, store), _repeat(campaign)]
    policies = "; ".join(p.title for p in campaign.policies)
    verdicts = [board.verdict() for board in rankings]
    if winner is not None:
        decided = all(b.best == winner and not b.undecided_against for b in rankings)
        verdicts.append(
            f"Over all goals {winner} has the best mean score, so winner.toml runs it"
            + ("." if decided else ". The verdicts above do not prove that it is the best.")
        )
    left_out = len(campaign.tasks) - PICTURED_TASKS
    write_page(
        path,
        kind="campaign report",
        title=campaign.name,
        question=f"{campaign.description}. {len(campaign.policies)} policies ({policies}) raced on "
        f"{len(campaign.tasks)} tasks x {campaign.films} films, with the same films and noise for each."
        + (f" Pictures show the first {PICTURED_TASKS} tasks." if left_out > 0 else ""),
        verdicts=verdicts or ["No cell has finished: there is nothing to compare."],
        sections=[s for s in sections if s is not None],
    )


def _published(findings: Sequence[Finding]) -> Section:
    styles = {"reproduced": "better", "not reproduced": "worse"}
    rows: list[Row] = []
    for finding in findings:
        statement, case, outcome, effect, controls = finding.row()
        verdict = styled(outcome, styles.get(outcome, ""))
        rows.append([styled(statement), case, verdict, effect, controls])
    return Section(
        id="published",
        title="Published statements",
        text=[
            "Each statement is one number for each film, above zero where the statement holds. The table gives "
            "its mean over films with a 95 % interval. If a control that ignores its curves gives the same, and "
            "the policy is not decidedly above it, the statement also holds for the control."
        ],
        tables=[
            Table(
                title="Verdicts by film",
                heads=["statement", "case", "verdict", "effect", "controls"],
                rows=rows,
            )
        ],
    )


def _result(rankings: list[GoalRanking], campaign: Campaign) -> Section:
    tables, pictures = [], []
    for board in rankings:
        asked = campaign.films * sum(board.goal in t.goals for t in campaign.tasks)
        films = f"{board.films} films"
        if board.films < asked:
            films += f" of {asked}: those that every policy finished"
        rows: list[Row] = [
            [
                r.name + (" (given the truth)" if r.name in board.oracles else ""),
                f"{r.score.estimate:.2f}",
                f"{r.score.low:.2f} to {r.score.high:.2f}",
                f"{r.mean_rank.estimate:.1f}",
                _against(board.against_baseline.get(r.name)),
            ]
            for r in board.ranked
        ]
        tables.append(
            Table(
                title=f"{board.goal.capitalize()}, {films}",
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
                f"{board.goal.capitalize()}. {_GOALS[board.goal]} Dot: interquartile mean over films. "
                "Bar: 95 % stratified bootstrap interval. Intervals of two policies may overlap although "
                "their paired difference is decided: see the last column of the table.",
                f"Ranking for {board.goal}: "
                + ", ".join(f"{r.name} {r.score.estimate:.2f}" for r in board.ranked),
            )
        )
    pairs = [
        Details(
            title=f"Every pair of policies, {board.goal}",
            pre="\n".join(str(v) for v in board.pairs),
        )
        for board in rankings
        if board.pairs
    ]
    return Section(id="result", title="Result", tables=tables, pictures=pictures, details=pairs)


def _against(verdict: Verdict | None) -> dict[str, str]:
    if verdict is None:
        return styled("-", "")
    d = verdict.difference
    more = f", {verdict.more_films} more films a task would" if verdict.more_films else ""
    text = f"{verdict.outcome} ({d.estimate:+.2f}, {d.low:+.2f} to {d.high:+.2f}{more})"
    return styled(text, verdict.outcome.split()[0])


def _stopping(campaign: Campaign, progress: CampaignProgress) -> Section:
    rows: list[Row] = [
        [
            c.goal,
            f"{c.verdict.policy} against {c.verdict.baseline}",
            str(c.verdict.difference.films),
            _against(c.verdict),
        ]
        for c in progress.comparisons
    ]
    return Section(
        id="stopping",
        title="Early stopping",
        text=[describe_progress(campaign, progress)],
        tables=[
            Table(
                title="Comparisons, with the films of each decision",
                heads=["goal", "policies", "films a task", "verdict"],
                rows=rows,
            )
        ],
    )


def campaign_file(campaign: Campaign) -> str:
    """The campaign with all its tasks as TOML."""
    document = plain(campaign)
    document["task"], document["policy"] = document.pop("tasks"), document.pop("policies")
    return tomli_w.dumps(document)


def _failures(progress: CampaignProgress, store: CampaignStore) -> Section:
    failed = store.failures()
    asked = progress.planned - progress.saved
    waiting = asked - len(store.finished() & set(progress.asked)) - len(failed)
    text = []
    if not failed and not waiting:
        text.append(f"None: all {asked} cells finished.")
    if failed:
        text.append(
            f"{len(failed)} cells failed. They count for nothing above. The same command tries them "
            "again."
        )
    if waiting:
        text.append(f"{waiting} cells have not been run yet.")
    return Section(
        id="failures",
        title="Failures",
        text=text,
        details=[
            Details(
                title=f"{k.policy} on {k.task}, film {k.film}: {error.strip().splitlines()[-1]}",
                pre=error,
            )
            for k, error in failed.items()
        ],
    )


def _repeat(campaign: Campaign) -> Section:
    versions = "\n".join(f"{k:14} {v}" for k, v in package_versions().items())
    return Section(
        id="repeat",
        title="Reproduction",
        text=[
            "The same command on a machine of the same kind gives the same table.parquet, with any "
            f"number of workers. The campaign seed is {campaign.seed}. Film k of a task is made from "
            "(seed, task, k). Film, instrument and policy have separate random streams. Save the campaign "
            f"below as {campaign.name}.toml, unless it comes with Grainscout: then its name is enough."
        ],
        details=[
            Details(
                title="Command",
                pre=f"grainscout bench {campaign.name}.toml --out out/{campaign.name}",
            ),
            Details(title=f"The campaign, {campaign.name}.toml", pre=campaign_file(campaign)),
            Details(title="Versions", pre=versions),
        ],
    )
