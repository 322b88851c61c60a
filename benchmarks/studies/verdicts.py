"""The tables of docs/manual/verdicts.md, from the stores of the campaigns `policies` and `papers`.

    grainscout bench policies && grainscout bench papers
    python benchmarks/studies/verdicts.py out/policies out/papers > tables.md

Only films of a task that every policy finished are used; the tables say how many.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from grainscout.analysis.statistics import interval
from grainscout.benchmarks import Campaign, CampaignStore
from grainscout.benchmarks.campaign.leaderboard import GoalRanking, goal_rankings, goal_scores
from grainscout.benchmarks.campaign.tables import Tables, read_tables
from grainscout.benchmarks.reports.boards import (
    board_table,
    discovery_table,
    map_table,
    plain_table,
)
from grainscout.benchmarks.statements.catalogue import published
from grainscout.benchmarks.statements.statement import markdown
from grainscout.config import load_campaign

_SHOWN = (
    *("scout", "scout-no-prior", "scout-mapping", "dkl", "dkl-integrated-variance"),
    *("dual-novelty", "shuffled-dkl", "random", "structure-only"),
)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("policies", type=Path, help="folder of the campaign `policies`")
    parser.add_argument("papers", type=Path, help="folder of the campaign `papers`")
    given = parser.parse_args()
    campaign, tables = _of("policies", given.policies)
    scores = goal_scores(tables, {t.id: t for t in campaign.tasks})
    oracles = {p.title for p in campaign.policies if p.uses_truth}
    for board in goal_rankings(scores, oracles):
        print("\n".join(plain_table(board_table(board))), end="\n\n")
        print("\n".join(_by_case(board, scores)), end="\n\n")
    for table in (map_table(campaign, tables, scores), discovery_table(campaign, tables, scores)):
        print("\n".join(plain_table(table) if table else ()), end="\n\n")
    campaign, tables = _of("papers", given.papers)
    print(markdown(published(campaign.tasks, campaign.films, campaign.seed, tables)))


def _of(name: str, folder: Path) -> tuple[Campaign, Tables]:
    with CampaignStore(folder / "campaign.sqlite") as store:
        return load_campaign(name), read_tables(store)


def _wide(board: GoalRanking, scores: pd.DataFrame) -> pd.DataFrame:
    part = scores[scores["goal"] == board.goal]
    return part.pivot(index=["task", "film"], columns="policy", values="score").dropna()


def _by_case(board: GoalRanking, scores: pd.DataFrame) -> Iterator[str]:
    """Some of them, material by material, in the dark and in light."""
    wide = _wide(board, scores)
    kinds = wide.index.get_level_values("task").map(lambda t: " ".join(t.split("/")[1:3]))
    cases = sorted(set(kinds))
    yield f"| {board.goal}, by films | {' | '.join(cases)} |"
    yield "|---|" + "---|" * len(cases)
    for row in board.ranked:
        if row.name not in _SHOWN:
            continue
        cells = []
        for case in cases:
            part = wide[kinds == case]
            at = part.index.get_level_values
            found = interval(part[row.name].to_numpy(), film=at("film"), task=at("task"))
            cells.append(f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]")
        yield "| " + " | ".join([row.name, *cells]) + " |"


if __name__ == "__main__":
    main()
