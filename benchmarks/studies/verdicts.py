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

from grainscout.analysis.statistics import interval, paired_difference, verdicts
from grainscout.benchmarks import Campaign, CampaignStore
from grainscout.benchmarks.campaign.leaderboard import GoalRanking, goal_rankings, goal_scores
from grainscout.benchmarks.campaign.tables import Tables, read_tables
from grainscout.benchmarks.statements.catalogue import published
from grainscout.benchmarks.statements.statement import markdown
from grainscout.benchmarks.tasks.score import EXAMPLES
from grainscout.config import load_campaign

#: Against these stands every policy: chance, and looking at the image only.
_CONTROLS = ("random", "structure-only")
_SHOWN = (
    *("scout", "scout-no-prior", "scout-mapping", "dkl", "dkl-integrated-variance"),
    *("dual-novelty", "shuffled-dkl", *_CONTROLS),
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
        print("\n".join(_board(board, scores)), end="\n\n")
        print("\n".join(_by_case(board, scores)), end="\n\n")
    print("\n".join(_all_kinds(tables)), end="\n\n")
    campaign, tables = _of("papers", given.papers)
    print(markdown(published(campaign.tasks, campaign.films, campaign.seed, tables)))


def _of(name: str, folder: Path) -> tuple[Campaign, Tables]:
    with CampaignStore(folder / "campaign.sqlite") as store:
        return load_campaign(name), read_tables(store)


def _wide(board: GoalRanking, scores: pd.DataFrame) -> pd.DataFrame:
    part = scores[scores["goal"] == board.goal]
    return part.pivot(index=["task", "film"], columns="policy", values="score").dropna()


def _board(board: GoalRanking, scores: pd.DataFrame) -> Iterator[str]:
    """Every policy with its score, and its paired difference to the controls (Holm over policies)."""
    wide = _wide(board, scores)
    names = [str(n) for n in wide.columns]
    film, task = (wide.index.get_level_values(k).to_numpy() for k in ("film", "task"))
    films = wide.groupby(level="task").size()
    yield f"**{board.goal.capitalize()}**, {len(wide)} films ({films.min()} to {films.max()} of each task)."
    yield ""
    yield f"| policy | score | {' | '.join(f'less {c}' for c in _CONTROLS)} |"
    yield "|---|---|" + "---|" * len(_CONTROLS)
    against = {
        c: {v.policy: v for v in verdicts(wide.to_numpy(), names, baseline=c, film=film, task=task)}
        for c in _CONTROLS
    }
    for row in board.ranked:
        cells = [f"{row.score.estimate:.2f} [{row.score.low:.2f}, {row.score.high:.2f}]"]
        for control in _CONTROLS:
            found = against[control].get(row.name)
            if found is None:
                cells.append("-")
                continue
            d = found.difference
            text = f"{d.estimate:+.2f} [{d.low:+.2f}, {d.high:+.2f}]"
            cells.append(text if found.outcome == "not decided" else f"**{text}**")
        label = row.name + (" (given the truth)" if row.name in board.oracles else "")
        yield "| " + " | ".join([label, *cells]) + " |"


def _all_kinds(tables: Tables) -> Iterator[str]:
    """Curves until every kind of the film was met once (one more than the budget if never)."""
    runs = tables.steps.groupby(["task", "film", "policy"])
    wide = runs.apply(_met).unstack("policy").dropna()
    film, task = (wide.index.get_level_values(k).to_numpy() for k in ("film", "task"))
    others = ("random", "dkl", "structure-only")
    yield f"**Curves until every kind was met once**, {len(wide)} films."
    yield ""
    yield f"| policy | mean | never | {' | '.join(f'less {c}' for c in others)} |"
    yield "|---|---|---|" + "---|" * len(others)
    never = tables.steps["step"].max() + 1
    for name in wide.mean().sort_values().index:
        cells = [f"{wide[name].mean():.1f}", f"{(wide[name] == never).mean():.0%}"]
        for other in others:
            if other == name:
                cells.append("-")
                continue
            d = paired_difference(wide[name], wide[other], film=film, task=task)
            text = f"{d.estimate:+.1f} [{d.low:+.1f}, {d.high:+.1f}]"
            cells.append(f"**{text}**" if d.low > 0 or d.high < 0 else text)
        yield "| " + " | ".join([str(name), *cells]) + " |"


def _met(steps: pd.DataFrame) -> int:
    steps = steps.sort_values("step")
    wanted = round(1.0 / (EXAMPLES * steps["found_ideal"].iloc[0]))
    kinds = steps["class_index"].where(steps["class_index"].between(0, 2))
    met = kinds.dropna().drop_duplicates()
    return int(steps["step"].loc[met.index[wanted - 1]]) if len(met) >= wanted else len(steps) + 1


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
