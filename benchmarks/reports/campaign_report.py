"""Report of a campaign: tasks, verdicts, tables and pictures."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import tomli_w

from grainscout.analysis import figures
from grainscout.benchmarks.campaign.campaign import Campaign
from grainscout.benchmarks.campaign.leaderboard import GoalRanking
from grainscout.benchmarks.campaign.stopping import CampaignProgress, describe_progress
from grainscout.benchmarks.campaign.store import CampaignStore
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.reports.boards import against_cell, board_table, same_sites
from grainscout.benchmarks.reports.learning import PICTURED_TASKS, cost_section, learning_section
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

#: What a table says, and the table.
Page = tuple[str, Table]

_GOALS: dict[Goal, str] = {
    "discovery": "How early a policy has three examples of each archetype. 0 is the exact expectation of "
    "random sampling on that film, 1 a policy that meets a wanted example with each of its first "
    "measurements.",
    "mapping": "How well the policy's own map gives the target everywhere, averaged over the run. 0 is the mean "
    "of many random designs on that film without noise, mapped by the referee; 1 the ideal map, which knows "
    "structure and laws and infers only what is hidden.",
    "level-set": "How well the policy's own map tells where the target is above the level: balanced accuracy, "
    "averaged over the run. 0 is the mean of many random designs on that film, 1 no error.",
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
    more: Sequence[Page] = (),
) -> None:
    """Write the page. `findings` are verdicts on published statements, `more` further tables."""
    sections: list[Section | None] = [_result(rankings, more), asked_section(campaign)]
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
    sections += [_failures(progress, store, tables), _repeat(campaign)]
    policies = "; ".join(p.title for p in campaign.policies)
    verdicts = [*(board.verdict() for board in rankings), *same_sites(tables)]
    if winner is not None:
        decided = all(b.best == winner and not b.undecided_against for b in rankings)
        pairs = [v for b in rankings for v in b.pairs if winner in (v.policy, v.baseline)]
        known = [v.more_films for v in pairs if v.more_films is not None]
        enough = campaign.films + (max(known, default=0) if len(known) == len(pairs) else 0)
        verdicts.insert(0, f"{winner} has the best mean score over all goals.")
        verdicts.append(
            f"Next: grainscout run {path.parent / 'winner.toml'} flies it on a film; preflight the file before "
            "a sample of yours."
        )
        if not decided:
            verdicts.append(
                "The verdicts do not prove that it is the best. "
                + (f"--films {enough} would probably decide." if enough > campaign.films else "")
            )
    left_out = len(campaign.tasks) - PICTURED_TASKS
    write_page(
        path,
        kind="campaign report",
        title=campaign.name,
        question=f"{campaign.description and campaign.description + '. '}{len(campaign.policies)} policies ({policies}) raced on "
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
    text = (
        "Each statement is one number for each film, above zero where the statement holds. The table gives "
        "its mean over films with an interval; all are one family (Holm). If a control that ignores its curves gives the same, and "
        "the policy is not decidedly above it, the statement also holds for the control."
    )
    heads = ["statement", "case", "verdict", "effect", "controls"]
    table = Table(title="Verdicts by film", heads=heads, rows=rows)
    return Section(id="published", title="Published statements", text=[text], tables=[table])


def _result(rankings: list[GoalRanking], more: Sequence[Page]) -> Section:
    pictures = [
        picture(
            figures.policy_ranking(
                [(r.name, r.score) for r in board.ranked],
                label=f"{board.goal} score",
                marks={"random": 0.0, "ideal": 1.0},
                highlight=[board.best],
            ),
            f"{board.goal.capitalize()}. {_GOALS[board.goal]} Dot: interquartile mean over films. "
            "Bar: 95 % stratified bootstrap interval. Intervals of two policies may overlap although "
            "their paired difference is decided: see the verdicts of the table.",
            f"Ranking for {board.goal}: "
            + ", ".join(f"{r.name} {r.score.estimate:.2f}" for r in board.ranked),
        )
        for board in rankings
        if board.at is None
    ]
    pairs = [
        Details(
            title=f"Every pair of policies: {board_table(board).title}",
            pre="\n".join(str(v) for v in board.pairs),
        )
        for board in rankings
        if board.pairs
    ]
    text = [
        "Films are those that every policy finished. All comparisons of this section are one family: verdicts "
        "and the intervals beside them are adjusted together (Holm). Controls: a policy's shuffled twin is told "
        "the curves of other sites, its prior-only twin none, and structure-only looks at the image alone. A "
        "claim that does not hold against them is also true of the control.",
        *(f"{table.title}. {words}" for words, table in more),
    ]
    tables = [*map(board_table, rankings), *(table for _, table in more)]
    return Section(
        id="result", title="Result", text=text, tables=tables, pictures=pictures, details=pairs
    )


def _stopping(campaign: Campaign, progress: CampaignProgress) -> Section:
    rows: list[Row] = [
        [
            c.goal,
            f"{c.verdict.policy} against {c.verdict.baseline}",
            str(c.verdict.difference.films),
            against_cell(c.verdict),
        ]
        for c in progress.comparisons
    ]
    table = Table(
        title="Comparisons, with the films of each decision",
        heads=["goal", "policies", "films a task", "verdict"],
        rows=rows,
    )
    text = describe_progress(campaign, progress)
    return Section(id="stopping", title="Early stopping", text=[text], tables=[table])


def campaign_file(campaign: Campaign) -> str:
    """The campaign with all its tasks as TOML."""
    document = plain(campaign)
    document["task"], document["policy"] = document.pop("tasks"), document.pop("policies")
    return tomli_w.dumps(document)


def _failures(progress: CampaignProgress, store: CampaignStore, tables: Tables) -> Section:
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
    text += [
        f"{policy} altered the state of its process, which was put back after each cell: {', '.join(what)}."
        for policy, what in tables.altered.items()
    ]
    if waiting:
        text.append(f"{waiting} cells have not been run yet.")
    details = [
        Details(
            title=f"{k.policy} on {k.task}, film {k.film}: {error.strip().splitlines()[-1]}",
            pre=error,
        )
        for k, error in failed.items()
    ]
    return Section(id="failures", title="Failures", text=text, details=details)


def _repeat(campaign: Campaign) -> Section:
    versions = "\n".join(f"{k:14} {v}" for k, v in package_versions().items())
    text = (
        "The same command on a machine of the same kind gives the same table.parquet, with any "
        f"number of workers. The campaign seed is {campaign.seed}. Film k of a task is made from "
        "(seed, task, k). Film, instrument and policy have separate random streams. Save the campaign "
        f"below as {campaign.name}.toml, unless it comes with Grainscout: then its name is enough."
    )
    command = f"grainscout bench {campaign.name}.toml --out out/{campaign.name}"
    details = [
        Details(title="Command", pre=command),
        Details(title=f"The campaign, {campaign.name}.toml", pre=campaign_file(campaign)),
        Details(title="Versions", pre=versions),
    ]
    return Section(id="repeat", title="Reproduction", text=[text], details=details)
