"""Stopping a campaign's comparisons when they are decided; films then go where nothing is."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grainscout.analysis import statistics
from grainscout.analysis.statistics import Difference, Verdict
from grainscout.benchmarks.campaign.leaderboard import BASELINE, Board
from grainscout.benchmarks.campaign.store import CellKey
from grainscout.benchmarks.tasks.task import GOALS, Goal
from grainscout.records import ConfigError

if TYPE_CHECKING:
    from grainscout.benchmarks.campaign.campaign import Campaign

_MOST_FILMS = 2_000


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """When the comparisons of a campaign are decided.

    first_films : films of every task before the first look;  block_films : films from look to look.
        A block is run to its end before the next begins: on a cluster take blocks of at least as many
        cells as there are workers.
    error : chance of any wrong decision in the whole campaign, however often it is looked at.
    against : the policy that all others are compared with; without one every pair is compared.
    """

    first_films: int = 4
    block_films: int = 2
    error: float = 0.05
    against: str = ""

    def __post_init__(self) -> None:
        if self.first_films < 2:
            raise ConfigError(
                f"stopping first_films must be at least 2, one film decides nothing; "
                f"got {self.first_films}"
            )
        if self.block_films < 1:
            raise ConfigError(f"stopping block_films must be at least 1; got {self.block_films}")
        if not 0 < self.error < 0.5:
            raise ConfigError(f"stopping error must lie within 0 to 0.5; got {self.error}")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two policies towards one goal: decided or not, after so many films."""

    goal: Goal
    verdict: Verdict

    @property
    def decided(self) -> bool:
        """Whether 0 left the confidence sequence."""
        return self.verdict.outcome != "not decided"


@dataclass(frozen=True, kw_only=True)
class Course:
    """Where a campaign stands.

    asked : the cells that were asked for so far, the next block's among them;  waiting : those of them
    that have not been tried, none when the campaign is over;  planned : the cells of the whole;
    comparisons : what is decided (only with a rule for stopping);  racing : policies that the next
    films are spent on.
    """

    asked: list[CellKey]
    waiting: list[CellKey]
    planned: int
    comparisons: list[Comparison]
    racing: list[str]

    @property
    def over(self) -> bool:
        """Whether nothing is left to run."""
        return not self.waiting

    @property
    def saved(self) -> int:
        """Cells that need not be run."""
        return self.planned - len(self.asked) if self.over else 0


def course(campaign: Campaign, scores: pd.DataFrame | None, settled: Container[CellKey]) -> Course:
    """What the finished cells say, block by block from the first film.

    scores : see `goal_scores`, needed with a rule for stopping;  settled : the cells that have finished, or failed for good.

    It is a function of the cells alone: neither the number of workers, nor their speed, nor an
    interruption changes a decision.  Each comparison is an e-process of
    `statistics.sequential_difference` over the films that both policies were asked to run, the mean
    over the goal's tasks being one step; whether the next film is one of them depends on earlier films
    only, so that it stays a test martingale, and is above 1/a at any time with chance a at most
    (Ville 1939).  With m comparisons a = error/m, and none of them is wrong with chance 1 - error
    (Bonferroni).  A film on which one of the two failed is left out of their comparison.
    """
    rule = campaign.stopping
    titles = [p.title for p in campaign.policies]
    if rule is None or scores is None:
        asked = campaign.cells()
        waiting = [key for key in asked if key not in settled]
        return Course(
            asked=asked, waiting=waiting, planned=len(asked), comparisons=[], racing=titles
        )
    means = _means(campaign, scores)
    goals = [g for g in GOALS if any(g in t.goals for t in campaign.tasks)]
    pairs = [(goal, *pair) for goal in goals for pair in _pairs(campaign, rule)]
    level = 1 - rule.error / max(1, len(pairs))
    runs = {
        pair: _Run.of(means[pair[0]], pair[1], pair[2], campaign.films, level) for pair in pairs
    }
    films = dict.fromkeys(pairs, 0)
    racing, asked = set(titles), []
    marks = {BASELINE} | {p.title for p in campaign.policies if p.uses_truth}
    begin, end = 0, min(rule.first_films, campaign.films)
    while True:
        block = [
            CellKey(task=task.id, film=film, policy=title)
            for task in campaign.tasks
            for film in range(begin, end)
            for title in titles
            if title in racing
        ]
        asked += block
        waiting = [key for key in block if key not in settled]
        if waiting:
            break
        # Who is in an undecided pair runs on, so that its films are all those from the first.
        open_ = [pair for pair in pairs if not runs[pair].decided_by(films[pair])]
        films |= dict.fromkeys(open_, end)
        undecided = [pair for pair in open_ if not runs[pair].decided_by(end)]
        # What marks 0 and 1 goes on with the others: scores are made from runs on the same film.
        racing = {name for _, *pair in undecided for name in pair} | marks
        if not undecided or end == campaign.films:
            racing = set()
            break
        begin, end = end, min(end + rule.block_films, campaign.films)
    return Course(
        asked=asked,
        waiting=waiting,
        planned=len(campaign.cells()),
        comparisons=[
            Comparison(goal=pair[0], verdict=runs[pair].verdict(films[pair], len(pairs)))
            for pair in pairs
        ],
        racing=[t for t in titles if t in racing],
    )


def judged(boards: Sequence[Board], found: Course, rule: Stopping) -> list[Board]:
    """The boards with the verdicts of a campaign that could stop.

    A test for a fixed number of films would not be valid: that number was chosen by looking.
    """
    sure = f"{100 * (1 - rule.error):g} %, all comparisons and looks together"
    return [_judged(board, found, sure) for board in boards]


def said(campaign: Campaign, found: Course) -> str:
    """What stopping saved, in words."""
    rule = campaign.stopping or Stopping()
    decided = sum(c.decided for c in found.comparisons)
    state = (
        f"{len(found.asked)} cells were run and {found.saved} saved"
        if found.over
        else f"{len(found.asked) - len(found.waiting)} cells are run so far"
    )
    return (
        f"Of {found.planned} planned cells {state}. {decided} of {len(found.comparisons)} comparisons "
        f"are decided; each was stopped when it was, by a confidence sequence that may be looked at "
        f"after every film: the chance of any wrong decision is at most {rule.error:g}. The ranking "
        "uses the films that all policies ran, so that it stays paired; its intervals describe those "
        "films, the decisions are in the comparisons."
    )


def _judged(board: Board, found: Course, rule: str) -> Board:
    pairs = [c.verdict for c in found.comparisons if c.goal == board.goal]
    beaten = {_loser(v) for v in pairs if _winner(v) == board.best}
    order = [r.name for r in board.ranked]
    return dataclasses.replace(
        board,
        pairs=pairs,
        against_baseline={v.policy: v for v in map(_about_others, pairs) if v.baseline == BASELINE},
        rivals=[n for n in order if n != board.best and n not in {*board.told, *beaten}],
        rule=rule,
    )


def _winner(v: Verdict) -> str | None:
    return {"better": v.policy, "worse": v.baseline}.get(v.outcome)


def _loser(v: Verdict) -> str | None:
    return {"better": v.baseline, "worse": v.policy}.get(v.outcome)


def _about_others(v: Verdict) -> Verdict:
    """The same verdict, told of the other policy where `BASELINE` is the first of the two."""
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
    """Who is compared; controls that are told the truth are no competitors."""
    names = [p.title for p in campaign.policies if not p.uses_truth]
    if rule.against:
        return [(name, rule.against) for name in names if name != rule.against]
    return [(b, a) for a, b in combinations(names, 2)]


def _means(campaign: Campaign, scores: pd.DataFrame) -> dict[Goal, pd.DataFrame]:
    """Score of each policy (columns) on each film (rows), mean over the goal's tasks; NaN if not all."""
    found: dict[Goal, pd.DataFrame] = {}
    for goal in GOALS:
        tasks = [t.id for t in campaign.tasks if goal in t.goals]
        part = scores[(scores["goal"] == goal) & scores["task"].isin(tasks)].dropna()
        wide = part.pivot(index=["film", "task"], columns="policy", values="score")
        grouped = wide.groupby("film")
        found[goal] = grouped.mean().where(grouped.count() == len(tasks))
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """Two policies over the films: their differences, NaN where one is missing, and the decision.

    What is known after n films is in the first n values alone: later ones change nothing of it.
    """

    policy: str
    baseline: str
    difference: np.ndarray
    level: float
    decided_at: int | None

    @classmethod
    def of(cls, means: pd.DataFrame, policy: str, baseline: str, films: int, level: float) -> _Run:
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
        """Whether it was decided on one of the first films."""
        return self.decided_at is not None and self.decided_at < films

    def verdict(self, films: int, comparisons: int) -> Verdict:
        """What the first films say; where they decide, what was said at that moment."""
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
    """Films to add until it is decided, if the rest are as those seen; None if that is out of reach."""
    like = np.resize(difference, _MOST_FILMS)
    decided = statistics.sequential_difference(like, level=level).decided_at
    return None if decided is None else max(1, decided - len(difference))
