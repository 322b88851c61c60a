"""Scores by material and light for docs/manual/verdicts.md; `grainscout bench` writes its other tables.

    grainscout bench docs/manual/results/policies.toml --out out/policies
    python benchmarks/studies/verdicts.py docs/manual/results/policies.toml out/policies

Only films of a task that every policy finished are used.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from grainscout.analysis.statistics import interval
from grainscout.benchmarks import CampaignStore
from grainscout.benchmarks.campaign.leaderboard import GoalRanking, goal_rankings, goal_scores
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.config import load_campaign


def main(campaign: str, folder: Path) -> None:
    """Print a table for each goal."""
    plan = load_campaign(campaign)
    with CampaignStore(folder / "campaign.sqlite") as store:
        scores = goal_scores(read_tables(store), {t.id: t for t in plan.tasks})
    for board in goal_rankings(scores, {p.title for p in plan.policies if p.uses_truth}):
        print("\n".join(_by_case(board, scores)), end="\n\n")


def _by_case(board: GoalRanking, scores: pd.DataFrame) -> Iterator[str]:
    """Policies by rank, material by material, in the dark and in light."""
    part = scores[scores["goal"] == board.goal]
    wide = part.pivot(index=["task", "film"], columns="policy", values="score").dropna()
    kinds = wide.index.get_level_values("task").map(lambda t: " ".join(t.split("/")[1:3]))
    cases = sorted(set(kinds))
    yield f"| {board.goal}, by films | {' | '.join(cases)} |"
    yield "|---|" + "---|" * len(cases)
    for row in board.ranked:
        cells = []
        for case in cases:
            some = wide[kinds == case]
            at = some.index.get_level_values
            found = interval(some[row.name].to_numpy(), film=at("film"), task=at("task"))
            cells.append(f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]")
        yield "| " + " | ".join([row.name, *cells]) + " |"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
