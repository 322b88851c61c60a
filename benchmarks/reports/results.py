"""Output files of a campaign."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from grainscout.benchmarks.campaign.campaign import BASELINE, Campaign
from grainscout.benchmarks.campaign.leaderboard import (
    GoalRanking,
    earlier_scores,
    goal_rankings,
    goal_scores,
    winner,
)
from grainscout.benchmarks.campaign.stopping import (
    CampaignProgress,
    describe_progress,
    plan_next_block,
    with_sequential_verdicts,
)
from grainscout.benchmarks.campaign.store import CampaignStore
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.benchmarks.reports.boards import (
    DISCOVERY_WORDS,
    MAP_WORDS,
    board_table,
    discovery_table,
    map_table,
    plain_table,
    same_sites,
)
from grainscout.benchmarks.reports.campaign_report import Page, write_report
from grainscout.benchmarks.statements.catalogue import published
from grainscout.benchmarks.statements.statement import markdown as statements_page
from grainscout.benchmarks.tasks.task import PolicySpec, Task, plain, with_paths
from grainscout.hardware import Limits
from grainscout.records.drawn import Axes, Drawn, new_axes


@dataclass(frozen=True, kw_only=True, eq=False)
class Results(Drawn):
    """Files and ranking of a campaign."""

    files: dict[str, Path]  #: Path of each file by its label
    rankings: list[GoalRanking]  #: Ranking for each goal
    winner: str | None  #: Policy with the best mean score
    missing: int  #: Number of cells that are neither finished nor saved by stopping
    progress: CampaignProgress  #: Progress of the campaign

    def __repr__(self) -> str:
        open_ = f", {self.missing} cells open" if self.missing else ""
        return f"Results of a campaign: {self.winner or 'no winner'} first{open_}; {self.files.get('report', '')}"

    def draw(self, axes: Axes | None = None) -> Axes:
        """Draw the scores of the first goal with their intervals, and return the axes."""
        axes = new_axes(axes)
        board = self.rankings[0]
        names = [r.name for r in board.ranked][::-1]
        scores = [r.score for r in board.ranked][::-1]
        axes.barh(names, [s.estimate for s in scores], color="0.7")
        for k, s in enumerate(scores):
            axes.plot([s.low, s.high], [k, k], color="k", lw=1)
        axes.set(xlabel=f"{board.goal} score (0 random, 1 ideal)")
        return axes

    def leaderboard_table(self) -> Table:
        """Ranking as a table for the terminal, which may be narrow: no name is cut."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for head in ("goal", "policy"):
            table.add_column(head, no_wrap=True)
        for head in ("score, 95 %", f"against {BASELINE}", "against its controls"):
            table.add_column(head, overflow="fold")
        for board in self.rankings:
            goal = board.goal + (f", {board.at} curves" if board.at else "")
            for row in board_table(board).rows:
                cells = [escape(c if isinstance(c, str) else c["text"]) for c in row]
                policy, score, span, _, *against = cells
                table.add_row(goal, policy, f"{score} ({span})", *against)
            table.add_section()
        return table


def write_results(
    campaign: Campaign,
    store: CampaignStore,
    folder: Path,
    *,
    report: Path | None = None,
    task: str | None = None,
) -> Results:
    """Write the results of all finished cells into `folder`.

    table.parquet has a row a measurement and maps.parquet a row a checkpoint. Both are the same for
    any number of workers, timings.parquet is not. leaderboard.md, report.html and winner.toml are made
    from them. ``grainscout run`` takes winner.toml as it is. `task` is the id of the task in
    winner.toml, by default the first.
    """
    tables = read_tables(store)
    files = {
        "table": folder / "table.parquet",
        "maps": folder / "maps.parquet",
        "timings": folder / "timings.parquet",
    }
    for frame, path in zip(
        (tables.steps, tables.maps, tables.timings), files.values(), strict=True
    ):
        frame.to_parquet(path, index=False)
    tasks = {t.id: t for t in campaign.tasks}
    scores = goal_scores(tables, tasks)
    oracles = {p.title for p in campaign.policies if p.uses_truth}
    # A campaign that stops has decided at its own films, and not after fewer curves.
    earlier = {} if campaign.stopping is not None else earlier_scores(tables, campaign)
    found = goal_rankings(scores, oracles, earlier=earlier)
    finished = store.finished()
    state = plan_next_block(campaign, scores, finished | store.failures().keys())
    if campaign.stopping is not None:
        found = with_sequential_verdicts(found, state, campaign.stopping)
    best = winner(
        [b for b in found if b.at is None],
        {p.title for p in campaign.policies if not p.twin} - oracles,
    )
    missing = state.planned - state.saved - len(finished & set(state.asked))
    files["leaderboard"] = folder / "leaderboard.md"
    made = (
        (MAP_WORDS, map_table(campaign, tables, scores)),
        (DISCOVERY_WORDS, discovery_table(campaign, tables, scores)),
    )
    more = [(words, table) for words, table in made if table is not None]
    text = _markdown(campaign, found, missing, state, more)
    text += "".join(f"\n**{line}**\n" for line in same_sites(tables))
    files["leaderboard"].write_text(text, encoding="utf-8")
    findings = published(campaign.tasks, campaign.films, campaign.seed, tables)
    if findings:
        files["statements"] = folder / "statements.md"
        files["statements"].write_text(statements_page(findings), encoding="utf-8")
    if best is not None:
        files["winner"] = folder / "winner.toml"
        files["winner"].write_text(_winner(campaign, best, task, folder), encoding="utf-8")
    files["report"] = report or folder / "report.html"
    write_report(
        files["report"], campaign, store, tables, scores, found, best, state, findings, more
    )
    return Results(files=files, rankings=found, winner=best, missing=missing, progress=state)


def _markdown(
    campaign: Campaign,
    found: list[GoalRanking],
    missing: int,
    state: CampaignProgress,
    more: Sequence[Page],
) -> str:
    lines = [f"# {campaign.name}: leaderboard", "", campaign.description, ""]
    if missing:
        lines += [f"**{missing} cells are missing or failed and count for nothing here.**", ""]
    if campaign.stopping is not None:
        lines += [describe_progress(campaign, state), ""]
    for board in found:
        table = board_table(board)
        lines += [board.verdict(), "", f"{table.title}. Score: 0 = random sampling, 1 = ideal.", ""]
        lines += [*plain_table(table), "", "Every pair:", "", *(f"- {v}" for v in board.pairs), ""]
    for words, table in more:
        lines += [f"{table.title}. {words}", "", *plain_table(table), ""]
    return "\n".join(lines)


def _winner(campaign: Campaign, best: str, task: str | None, folder: Path) -> str:
    """Experiment file with one task and the winning policy."""
    chosen = campaign.tasks[0] if task is None else campaign.task(task)
    policy = next(p for p in campaign.policies if p.title == best)
    return experiment_file(chosen, policy, campaign.seed, folder)


def experiment_file(task: Task, policy: PolicySpec, seed: int, folder: Path) -> str:
    """TOML that ``grainscout run`` takes as it is, in that folder."""
    run = {"seed": seed, "task": plain(task), "policy": plain(policy)}
    table = with_paths(run, lambda name: os.path.relpath(name, folder))
    return (
        f"{tomli_w.dumps(table)}\n# The guard refuses whatever would exceed these. Further ones: frame_m, "
        f"curves, total_s, current_A.\n{tomli_w.dumps({'limits': plain(Limits())})}"
    )
