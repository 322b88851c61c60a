"""Tables of a leaderboard: the same words on the page, in Markdown and on a terminal."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from grainscout.analysis.statistics import Verdict, restricted_mean
from grainscout.benchmarks.campaign.campaign import BASELINE, Campaign
from grainscout.benchmarks.campaign.leaderboard import GoalRanking
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.campaign.twins import TWINS
from grainscout.benchmarks.reports.page import Row, Table, styled

_RUN = ["task", "film", "policy"]


def board_table(board: GoalRanking) -> Table:
    """The ranking of one goal."""
    rows: list[Row] = [
        [
            r.name + (" (given the truth)" if r.name in board.oracles else ""),
            f"{r.score.estimate:.2f}",
            _span(r.score.low, r.score.high, ".2f") or "-",
            f"{r.mean_rank.estimate:.1f}",
            against_cell(board.against_baseline.get(r.name)),
            styled(controls(board, r.name)),
        ]
        for r in board.ranked
    ]
    after = f" after {board.at} curves" if board.at else ""
    heads = [
        "policy",
        "score",
        "95 % interval",
        "mean rank",
        f"against {BASELINE}",
        "against its controls",
    ]
    return Table(
        title=f"{board.goal.capitalize()}{after}, {board.films} films", heads=heads, rows=rows
    )


def against_cell(verdict: Verdict | None) -> dict[str, str]:
    """A verdict with its adjusted interval, which leaves out 0 exactly where it is decided."""
    if verdict is None:
        return styled("-", "")
    d = verdict.difference
    spread = f", {span}" if (span := _span(d.low, d.high, "+.2f")) else ""
    text = f"{verdict.outcome} ({d.estimate:+.2f}{spread})"
    return styled(text, verdict.outcome.split()[0])


def _span(low: float, high: float, form: str) -> str:
    """An interval, or nothing where one film a task gives none."""
    return f"{low:{form}} to {high:{form}}" if np.isfinite(low) else ""


def controls(board: GoalRanking, name: str) -> str:
    """How a policy that is better than random stands to its twins and to the image alone."""
    verdict = board.against_baseline.get(name)
    if verdict is None or verdict.outcome != "better":
        return "-"
    names = {r.name for r in board.ranked}
    raced = [c for c in (*(f"{name} {t}" for t in TWINS), "structure-only") if c in names - {name}]
    beaten = {v.baseline for v in board.pairs if (v.policy, v.outcome) == (name, "better")}
    beaten |= {v.policy for v in board.pairs if (v.baseline, v.outcome) == (name, "worse")}
    words = [
        f"{'above' if c in beaten else 'not above'} {c.removeprefix(name).strip()}" for c in raced
    ]
    return "; ".join(words) or "none raced"


def map_table(campaign: Campaign, tables: Tables, scores: pd.DataFrame) -> Table | None:
    """Quality of the last maps: the policy's own, and the referee's from its sites."""
    if not len(tables.maps) or "own_nrmse" not in tables.maps:
        return None
    last = tables.maps.groupby(_RUN).last().reset_index()
    shown = scores[scores["goal"] == "mapping"].groupby("policy")[["score", "sites"]].mean()
    rows: list[Row] = []
    for name in _in_order(campaign, last):
        part = last[last["policy"] == name]
        means = part.mean(numeric_only=True)
        read = [means.get(k, np.nan) for k in _MAP_COLUMNS.values()]
        scored = shown.loc[name] if name in shown.index else {"score": np.nan, "sites": np.nan}
        times = part["own_acceleration"].median() if "own_acceleration" in part else np.nan
        cells = [scored["score"], scored["sites"], *read]
        rows.append([name, *(_number(v) for v in cells), _times(times)])
    heads = ["policy", "score, own map", "score, sites", *_MAP_COLUMNS, "acceleration"]
    return Table(title="Maps at the end of the budget, means over films", heads=heads, rows=rows)


#: Head -> column of the checkpoints.
_MAP_COLUMNS = {
    "error, own map": "own_nrmse",
    "error, sites": "nrmse",
    "own model, random sites": "own_nrmse_random_sites",
    "random designs": "nrmse_random",
    "ideal": "nrmse_ideal",
    "ideal, I-optimal sites": "nrmse_optimal",
    "Spearman": "own_spearman",
    "CRPS": "own_crps",
    "in 95 %": "own_coverage",
}
MAP_WORDS = (
    "Errors are over the spread of the truth. Own map: what a user of the policy gets; a policy without "
    "a model takes the referee. Sites: the referee's map from the policy's sites. Own and random sites "
    "with own and the referee's model are a two by two. Random designs: the referee's maps of many. "
    "Acceleration: times as many random curves for the error of the own map, median; < and > where it is "
    "beyond what was computed."
)


def discovery_table(campaign: Campaign, tables: Tables, scores: pd.DataFrame) -> Table | None:
    """Discovery by place, by the curve's class and in log time, and the curves until every kind."""
    part = scores[scores["goal"] == "discovery"]
    if not len(part) or part["log_time"].isna().all():
        return None
    steps = tables.steps[tables.steps["task"].isin(set(part["task"]))]
    rows: list[Row] = []
    for name in _in_order(campaign, part):
        means = part[part["policy"] == name][["score", "by_curve", "log_time"]].mean()
        runs = steps[steps["policy"] == name].groupby(["task", "film"])
        length = runs["step"].max()
        first = (
            steps[(steps["policy"] == name) & (steps["met"] >= 1)]
            .groupby(["task", "film"])["step"]
            .min()
        )
        when = first.reindex(length.index)
        until = restricted_mean(when.fillna(length), when.isna(), float(length.min()))
        never = f"{when.isna().mean():.0%}"
        rows.append([name, *(_number(v) for v in means), f"{until:.1f}", never])
    heads = ["policy", "by place", "by curve", "log time", "curves until every kind", "never"]
    return Table(title="Discovery", heads=heads, rows=rows)


DISCOVERY_WORDS = (
    "By place: the kind of the place counts. By curve: the class of its noiseless curve, which in the "
    "dark is another for half of the hearts. Log time: kinds met, each doubling of the curves alike. Curves "
    "until every kind: mean restricted to the shortest run (Kaplan and Meier), in which a run that never "
    "met one counts as that long at least."
)


def same_sites(tables: Tables) -> list[str]:
    """Sentences on policies that measured the same sites in the same order on every film."""
    if not len(tables.steps):
        return []
    sites = tables.steps.groupby(_RUN)[["row", "column"]].apply(lambda g: g.to_numpy().tobytes())
    wide = sites.unstack("policy").dropna()
    return [
        f"{a} and {b} measured the same sites on every film: one of them does not do what it is meant to."
        for a, b in combinations(wide.columns, 2)
        if len(wide) and (wide[a] == wide[b]).all()
    ]


def plain_table(table: Table) -> list[str]:
    """The table in Markdown."""
    lines = ["| " + " | ".join(table.heads) + " |", "|" + "---|" * len(table.heads)]
    texts = ([c if isinstance(c, str) else c["text"] for c in row] for row in table.rows)
    return [*lines, *("| " + " | ".join(row) + " |" for row in texts)]


def _in_order(campaign: Campaign, table: pd.DataFrame) -> Sequence[str]:
    there = set(table["policy"])
    return [p.title for p in campaign.policies if p.title in there]


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "-"


def _times(value: float) -> str:
    if np.isnan(value):
        return "-"
    return "<" if value == 0 else ">" if np.isinf(value) else f"{value:.1f}"
