"""Stop each comparison once it is decided, and spend further films on undecided ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from grainscout.analysis import statistics
from grainscout.analysis.statistics import Difference, Verdict
from grainscout.analysis.statistics.comparison import MOST_FILMS
from grainscout.benchmarks.campaign.campaign import BASELINE, Campaign, Stopping
from grainscout.benchmarks.campaign.leaderboard import GoalRanking
from grainscout.benchmarks.campaign.store import CellKey
from grainscout.benchmarks.tasks.task import GOALS, Goal


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two policies compared towards one goal."""

    goal: Goal
    verdict: Verdict

    @property
    def decided(self) -> bool:
        """True if the confidence sequence excludes 0."""
        return self.verdict.outcome != "not decided"


@dataclass(frozen=True, kw_only=True)
class CampaignProgress:
    """State of a campaign."""

    asked: list[CellKey]  #: Cells that were asked for so far, those of the next block among them
    waiting: list[CellKey]  #: Those that have not been tried; none when the campaign is over
    planned: int  #: Cells of the whole campaign
    comparisons: list[Comparison]  #: Comparisons, with a rule for stopping
    racing: list[str]  #: Policies that the next films are spent on

    @property
    def over(self) -> bool:
        """True if no cell is left to run."""
        return not self.waiting

    @property
    def saved(self) -> int:
        """Number of cells that stopping saved."""
        return self.planned - len(self.asked) if self.over else 0


def plan_next_block(
    campaign: Campaign, scores: pd.DataFrame | None, settled: Container[CellKey]
) -> CampaignProgress:
    """Decide the comparisons block by block from the first film, and plan the next block.

    `settled` cells have finished, or failed for good. The plan is a function of the cells alone:
    neither the number of workers, nor their speed, nor an interruption changes a decision.

    Each comparison is an e-process of `statistics.sequential_difference` over the films that both
    policies were asked to run; the mean over the goal's tasks is one step. Whether the next film is
    one of them depends on earlier films only, so it stays a test martingale, and exceeds 1/a at any
    time with chance a at most (Ville 1939). With m comparisons a = error/m, and none of them is
    wrong with chance 1 - error (Bonferroni). A film on which one of the two failed is left out of
    their comparison.
    """
    titles = [p.title for p in campaign.policies]
    if campaign.stopping is None or scores is None:
        asked = campaign.cells()
        return CampaignProgress(
            asked=asked,
            waiting=[key for key in asked if key not in settled],
            planned=len(asked),
            comparisons=[],
            racing=titles,
        )
    rule = campaign.stopping
    tests = _tests(campaign, rule, scores)
    films = dict.fromkeys(tests, 0)
    # Baseline and oracle must run on every film: scores are normalised by them per film.
    marks = {BASELINE} | {p.title for p in campaign.policies if p.uses_truth}
    racing: set[str] = set(titles)
    asked = []
    begin, end = 0, min(rule.first_films, campaign.films)
    while True:
        block = _block(campaign, range(begin, end), racing)
        asked += block
        waiting = [key for key in block if key not in settled]
        if waiting:
            break
        # A policy in an undecided pair runs on, so that its films are all those from the first.
        running = [pair for pair, test in tests.items() if not test.decided_by(films[pair])]
        films |= dict.fromkeys(running, end)
        undecided = [pair for pair in running if not tests[pair].decided_by(end)]
        racing = {name for _, *pair in undecided for name in pair} | marks
        if not undecided or end == campaign.films:
            racing = set()
            break
        begin, end = end, min(end + rule.block_films, campaign.films)
    return CampaignProgress(
        asked=asked,
        waiting=waiting,
        planned=len(campaign.cells()),
        comparisons=[
            Comparison(goal=pair[0], verdict=test.verdict(films[pair], len(tests)))
            for pair, test in tests.items()
        ],
        racing=[t for t in titles if t in racing],
    )


def _block(campaign: Campaign, films: range, racing: Container[str]) -> list[CellKey]:
    return [
        CellKey(task=task.id, film=film, policy=policy.title)
        for task in campaign.tasks
        for film in films
        for policy in campaign.policies
        if policy.title in racing
    ]


def _tests(
    campaign: Campaign, rule: Stopping, scores: pd.DataFrame
) -> dict[tuple[Goal, str, str], _SequentialTest]:
    """(goal, policy, baseline) -> their test over all films with scores."""
    means = _means(campaign, scores)
    goals = [g for g in GOALS if any(g in t.goals for t in campaign.tasks)]
    pairs = [(goal, *pair) for goal in goals for pair in _pairs(campaign, rule)]
    level = 1 - rule.error / max(1, len(pairs))
    return {
        (goal, policy, baseline): _SequentialTest.of(
            means[goal], policy, baseline, campaign.films, level
        )
        for goal, policy, baseline in pairs
    }


def with_sequential_verdicts(
    rankings: Sequence[GoalRanking], state: CampaignProgress, rule: Stopping
) -> list[GoalRanking]:
    """Verdicts of a campaign that could stop; those for a fixed number of films are not valid there."""
    certainty = f"{100 * (1 - rule.error):g} %, all comparisons and looks together"
    return [_with_verdicts(ranking, state, certainty) for ranking in rankings]


def describe_progress(campaign: Campaign, state: CampaignProgress) -> str:
    """Describe in words how many cells stopping saved, and how sure its decisions are."""
    rule = campaign.stopping or Stopping()
    decided = sum(c.decided for c in state.comparisons)
    cells = (
        f"{len(state.asked)} cells were run and {state.saved} saved"
        if state.over
        else f"{len(state.asked) - len(state.waiting)} cells are run so far"
    )
    return (
        f"Of {state.planned} planned cells {cells}. {decided} of {len(state.comparisons)} comparisons "
        f"are decided; each was stopped when it was, by a confidence sequence that may be looked at "
        f"after every film: the chance of any wrong decision is at most {rule.error:g}. The ranking "
        "uses the films that all policies ran, so that it stays paired; its intervals describe those "
        "films, the decisions are in the comparisons."
    )


def _with_verdicts(ranking: GoalRanking, state: CampaignProgress, rule: str) -> GoalRanking:
    pairs = [c.verdict for c in state.comparisons if c.goal == ranking.goal]
    beaten = {_loser(v) for v in pairs if _winner(v) == ranking.best}
    against = [_about_others(v) for v in pairs]
    out = {ranking.best, *ranking.oracles, *beaten}
    return dataclasses.replace(
        ranking,
        pairs=pairs,
        against_baseline={v.policy: v for v in against if v.baseline == BASELINE},
        undecided_against=[r.name for r in ranking.ranked if r.name not in out],
        rule=rule,
    )


def _winner(v: Verdict) -> str | None:
    return {"better": v.policy, "worse": v.baseline}.get(v.outcome)


def _loser(v: Verdict) -> str | None:
    return {"better": v.baseline, "worse": v.policy}.get(v.outcome)


def _about_others(v: Verdict) -> Verdict:
    """The same verdict about the other policy, where `BASELINE` is the first of the two."""
    if v.policy != BASELINE:
        return v
    d = v.difference
    turned: dict[str, Any] = {"better": "worse", "worse": "better"}
    return dataclasses.replace(
        v,
        policy=v.baseline,
        baseline=v.policy,
        outcome=turned.get(v.outcome, v.outcome),
        difference=dataclasses.replace(d, estimate=-d.estimate, low=-d.high, high=-d.low),
    )


def _pairs(campaign: Campaign, rule: Stopping) -> list[tuple[str, str]]:
    """Pairs to compare. Controls that are given the truth do not compete, twins with their own only."""
    names = [p.title for p in campaign.policies if not p.uses_truth and not p.twin]
    twins = [(p.title.removesuffix(f" {p.twin}"), p.title) for p in campaign.policies if p.twin]
    twins = [(owner, twin) for owner, twin in twins if owner in names]
    if rule.against:
        return [(name, rule.against) for name in names if name != rule.against] + twins
    return [(b, a) for a, b in combinations(names, 2)] + twins


def _means(campaign: Campaign, scores: pd.DataFrame) -> dict[Goal, pd.DataFrame]:
    """Score of each policy (columns) on each film (rows), mean over the goal's tasks. NaN if not all."""
    means: dict[Goal, pd.DataFrame] = {}
    for goal in GOALS:
        tasks = [t.id for t in campaign.tasks if goal in t.goals]
        part = scores[(scores["goal"] == goal) & scores["task"].isin(tasks)].dropna(
            subset=["score"]
        )
        wide = part.pivot(index=["film", "task"], columns="policy", values="score")
        grouped = wide.groupby("film")
        means[goal] = grouped.mean().where(grouped.count() == len(tasks))
    return means


@dataclass(frozen=True, kw_only=True, eq=False)
class _SequentialTest:
    """Differences of two policies over the films, NaN where one is missing, and the decision."""

    policy: str
    baseline: str
    difference: np.ndarray
    level: float
    decided_at: int | None

    @classmethod
    def of(
        cls, means: pd.DataFrame, policy: str, baseline: str, films: int, level: float
    ) -> _SequentialTest:
        table = means.reindex(index=range(films), columns=[policy, baseline])
        difference = table[policy].to_numpy(float) - table[baseline].to_numpy(float)
        seen = np.flatnonzero(np.isfinite(difference))
        at = None
        if len(seen):
            steps = statistics.sequential_difference(difference[seen], level=level).decided_at
            at = None if steps is None else int(seen[steps - 1])
        return cls(
            policy=policy, baseline=baseline, difference=difference, level=level, decided_at=at
        )

    def decided_by(self, films: int) -> bool:
        """True if one of the first films decided it."""
        return self.decided_at is not None and self.decided_at < films

    def verdict(self, films: int, comparisons: int) -> Verdict:
        """Verdict of the first films, or of the film that decided."""
        decided = self.decided_by(films)
        part = self.difference[
            : films if self.decided_at is None or not decided else self.decided_at + 1
        ]
        difference = part[np.isfinite(part)]
        seen = Difference(
            estimate=np.nan,
            low=-np.inf,
            high=np.inf,
            level=self.level,
            p_value=1.0,
            films=len(difference),
            failed=len(part) - len(difference),
        )
        more = None
        if len(difference):
            sequence = statistics.sequential_difference(difference, level=self.level)
            seen = dataclasses.replace(
                seen,
                estimate=float(sequence.estimate[-1]),
                low=float(sequence.low[-1]),
                high=float(sequence.high[-1]),
                p_value=float(sequence.p_value[-1]),
            )
            more = 0 if decided else _more_films(difference, self.level)
        outcome: Any = "better" if seen.estimate > 0 else "worse"
        return Verdict(
            policy=self.policy,
            baseline=self.baseline,
            outcome=outcome if decided else "not decided",
            difference=seen,
            p_adjusted=min(1.0, comparisons * seen.p_value),
            more_films=more,
        )


def _more_films(difference: np.ndarray, level: float) -> int | None:
    """Films to add until it is decided, if the rest are as those seen. None if that is out of reach."""
    like = np.resize(difference, MOST_FILMS)
    decided = statistics.sequential_difference(like, level=level).decided_at
    return None if decided is None else max(1, decided - len(difference))
