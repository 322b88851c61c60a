"""Rankings with intervals and verdicts, from a campaign's tables."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import pandas as pd

from grainscout.analysis import statistics
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.tasks.task import GOALS, Goal, Task

#: Policy whose score is 0.
BASELINE = "random"


def goal_scores(tables: Tables, tasks: dict[str, Task]) -> pd.DataFrame:
    """Make one row for each task, film, policy and goal: the raw value and the normalised score.

    Parameters
    ----------
    tables : Tables
        What the campaign measured.
    tasks : mapping of str to Task
        Tasks by id; goals that a task has not are left out.

    Notes
    -----
    - discovery: raw is the area under the discovery curve. Its score runs from the exact random
      expectation (0) to the ideal (1).
    - optimisation: raw is the regret: the distance of the largest true value measured so far from
      the candidates' largest, over their range, mean over the run. Its score runs from the exact
      random expectation (0) to the oracle (1), which begins with the largest.
    - mapping: raw is the error of the map, mean over checkpoints. Its score runs from the random
      policy on the same film (0) to no error (1); `Campaign` ensures that there is one.

    Where seconds or wear are limited, policies measure unequal numbers of curves. The mean is then
    over what is spent, 0 is the expectation of random sampling at the pace of the random policy's
    own run on that film, and 1 the ideal choice at that pace.
    """
    frames = []
    if len(tables.steps):
        paced = tables.steps["task"].isin([t.id for t in tasks.values() if not t.counts_curves])
        for part, means in ((~paced, _mean), (paced, _mean_over_spent)):
            if part.any():
                frames += _areas(tables.steps[part], means)
    if len(tables.maps):
        runs = tables.maps.groupby(["task", "film", "policy"], sort=True)
        error = runs["nrmse"].mean().rename("raw").reset_index()
        random = error[error["policy"] == BASELINE].rename(columns={"raw": "random"})
        error = error.merge(random[["task", "film", "random"]], on=["task", "film"], how="left")
        error["score"] = 1.0 - error["raw"] / error["random"]
        frames.append(error.assign(goal="mapping"))
    columns = ["task", "film", "policy", "goal", "raw", "score"]
    if not frames:
        return pd.DataFrame(columns=columns)
    scores = pd.concat(frames)[columns]
    wanted = {(t.id, goal) for t in tasks.values() for goal in t.goals}
    keep = [pair in wanted for pair in zip(scores["task"], scores["goal"], strict=True)]
    return scores[keep].sort_values(columns[:4]).reset_index(drop=True)


_Means = Callable[[pd.DataFrame, list[str]], pd.DataFrame]
_RUN = ["task", "film", "policy"]


def _areas(steps: pd.DataFrame, means: _Means) -> list[pd.DataFrame]:
    """Scores of discovery and, where a target varies, of optimisation."""
    area = means(steps, ["found", "found_random", "found_ideal"])
    area["raw"] = area["found"]
    area["score"] = (area["found"] - area["found_random"]) / (
        area["found_ideal"] - area["found_random"]
    )
    frames = [area.assign(goal="discovery")]
    if "best" in steps:
        steps = steps.dropna(subset=["best"])
        area = means(steps.assign(best_ideal=1.0), ["best", "best_random", "best_ideal"])
        area["raw"] = area["best_ideal"] - area["best"]
        area["score"] = (area["best"] - area["best_random"]) / (
            area["best_ideal"] - area["best_random"]
        )
        frames.append(area.assign(goal="optimisation"))
    return frames


def _mean(steps: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean of the columns over the measurements of each run."""
    return steps.groupby(_RUN, sort=True)[columns].mean().reset_index()


def _mean_over_spent(steps: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean over the budget of the first column, in each run, and of the others, in random's.

    A value holds from the end of its measurement to the end of the next. It is 0 before the first,
    and a measurement that ends beyond the budget does not count.
    """
    until = steps.groupby(_RUN, sort=True)["spent"].shift(-1).fillna(1.0).clip(upper=1.0)
    held = until - steps["spent"].clip(upper=1.0)
    area = steps[columns].mul(held, axis=0)
    area = area.groupby([steps[c] for c in _RUN], sort=True).sum().reset_index()
    random = area[area["policy"] == BASELINE].drop(columns=["policy", columns[0]])
    return area[[*_RUN, columns[0]]].merge(random, on=["task", "film"], how="left")


@dataclass(frozen=True, kw_only=True, eq=False)
class GoalRanking:
    """Ranking of the policies for one goal."""

    goal: Goal  #: The goal
    ranked: list[statistics.Ranked]  #: Policies, best first
    against_baseline: dict[str, statistics.Verdict]  #: Policy -> verdict against `BASELINE`
    #: Policies that are not significantly worse than the best one (Holm over all pairs).
    undecided_against: list[str]
    pairs: list[statistics.Verdict]  #: Every verdict behind that
    films: int  #: Films (task x seed) that all policies finished
    #: Controls that are given the truth. They are ranked to show the ideal, and have no part in the
    #: verdict.
    oracles: frozenset[str] = frozenset()
    rule: str = "95 %, Holm over all pairs"  #: Certainty of the verdicts, in words

    @property
    def best(self) -> str:
        """Policy with the highest score. A control that is given the truth only if alone."""
        return next(
            (r.name for r in self.ranked if r.name not in self.oracles), self.ranked[0].name
        )

    def verdict(self) -> str:
        """Return the verdict as a sentence."""
        head = f"{self.goal.capitalize()}: {self.best} scores highest"
        if len([r for r in self.ranked if r.name not in self.oracles]) < 2:
            return f"{head}; it ran alone."
        if not self.undecided_against:
            return f"{head}, and better than every other policy ({self.rule})."
        needed = [
            v.more_films
            for v in self.pairs
            if {v.policy, v.baseline} == {self.best, self.undecided_against[0]} and v.more_films
        ]
        more = (
            f" About {needed[0]} more films a task would decide the closest pair." if needed else ""
        )
        return f"{head}, but it is not decided against {'; '.join(self.undecided_against)}.{more}"


def goal_rankings(scores: pd.DataFrame, oracles: Collection[str] = ()) -> list[GoalRanking]:
    """Rank the policies for each goal on the films that all of them finished.

    `oracles` are policies that are given the truth.
    """
    rankings = []
    for goal in GOALS:
        part = scores[scores["goal"] == goal]
        table = part.pivot(index=["task", "film"], columns="policy", values="score").dropna()
        if not len(table):
            continue
        names = [str(n) for n in table.columns]
        values = table.to_numpy()
        film = table.index.get_level_values("film").to_numpy()
        task = table.index.get_level_values("task").to_numpy()
        ranked = statistics.ranking(values, names, film=film, task=task)
        pairs, base = [], []
        if len(names) > 1:
            pairs = statistics.verdicts(values, names, film=film, task=task)
        if len(names) > 1 and BASELINE in names:
            base = statistics.verdicts(values, names, baseline=BASELINE, film=film, task=task)
        order = [r.name for r in ranked]
        best = next((name for name in order if name not in oracles), order[0])
        undecided = {
            name
            for v in pairs
            if v.outcome == "not decided" and best in (v.policy, v.baseline)
            for name in (v.policy, v.baseline)
        } - {best, *oracles}
        rankings.append(
            GoalRanking(
                goal=goal,
                ranked=ranked,
                against_baseline={v.policy: v for v in base},
                undecided_against=sorted(undecided, key=order.index),
                pairs=pairs,
                films=len(table),
                oracles=frozenset(oracles),
            )
        )
    return rankings


def winner(rankings: list[GoalRanking], eligible: Collection[str]) -> str | None:
    """Return the policy with the best mean score over the goals. Ties go to the better mean rank.

    A score measures the gain on the way from random to ideal. A rank makes a step between two
    indistinguishable policies as large as one between two that are far apart. Only `eligible`
    policies can win: a control that is given the truth cannot run on a microscope.
    """
    names = [r.name for r in rankings[0].ranked if r.name in eligible] if rankings else []
    if not names:
        return None

    def merit(name: str) -> tuple[float, float]:
        rows = [r for ranking in rankings for r in ranking.ranked if r.name == name]
        ranks = [r.mean_rank.estimate for r in rows]
        return (-sum(r.score.estimate for r in rows) / len(rows), sum(ranks) / len(ranks))

    return min(names, key=merit)
