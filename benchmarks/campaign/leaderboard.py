"""Rankings with intervals and verdicts, from a campaign's tables."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, islice

import numpy as np
import pandas as pd

from grainscout.analysis import statistics
from grainscout.analysis.statistics.comparison import MOST_FILMS
from grainscout.benchmarks.campaign.campaign import BASELINE, Campaign
from grainscout.benchmarks.campaign.store import CampaignStore, CellKey
from grainscout.benchmarks.campaign.tables import Tables, read_tables
from grainscout.benchmarks.campaign.twins import TWINS
from grainscout.benchmarks.tasks.task import GOALS, Goal, Task
from grainscout.records import DataError


def goal_scores(
    tables: Tables, tasks: dict[str, Task], *, until: int | None = None
) -> pd.DataFrame:
    """One row for each task, film, policy and goal: raw value and score, as the manual defines them.

    raw : area under the discovery curve; regret; error of the own map; 1 less its balanced accuracy.
    Columns `by_curve` and `log_time` are the discovery by the class of the noiseless curve and with
    each doubling of the curves alike, `sites` the score of the referee's map. In stores of before, the
    0 of mapping is the random policy's own run, and its 1 no error. Where policies measure unequal
    numbers of curves, the mean is over what is spent, and 0 and 1 are at the random policy's pace.
    DataError for a value beyond the ideal: whatever gave it did not measure.
    """
    steps, maps = tables.steps, tables.maps
    if until is not None:
        steps, maps = steps[steps["step"] <= until], maps[maps["n"] <= until]
    frames = []
    if len(steps):
        paced = steps["task"].isin([t.id for t in tasks.values() if not t.counts_curves])
        for part, means in ((~paced, _mean), (paced, _mean_over_spent)):
            if part.any():
                frames += _areas(steps[part], means)
    if len(maps):
        frames += _map_scores(maps)
    columns = ["task", "film", "policy", "goal", "raw", "score", "sites", "by_curve", "log_time"]
    if not frames:
        return pd.DataFrame(columns=columns)
    scores = pd.concat(frames).reindex(columns=columns)
    wanted = {(t.id, goal) for t in tasks.values() for goal in t.goals}
    keep = [pair in wanted for pair in zip(scores["task"], scores["goal"], strict=True)]
    return scores[keep].sort_values(columns[:4]).reset_index(drop=True)


def earlier_scores(tables: Tables, campaign: Campaign) -> dict[int, pd.DataFrame]:
    """Scores after each checkpoint before the end, of policies that do not look at their budget."""
    tasks = {t.id: t for t in campaign.tasks if t.checkpoints}
    blind = [p.title for p in campaign.policies if not p.uses_budget]
    steps, maps = (
        f[f["task"].isin(tasks) & f["policy"].isin(blind)] if len(f) else f
        for f in (tables.steps, tables.maps)
    )
    part = Tables(steps=steps, maps=maps, timings=tables.timings)
    counts = {n for t in tasks.values() for n in t.checkpoints if n < (t.curves or 0)}
    return {n: goal_scores(part, tasks, until=n) for n in sorted(counts)}


def _map_scores(maps: pd.DataFrame) -> list[pd.DataFrame]:
    """Scores of mapping and, where a task has a level, of level sets."""
    table = maps.groupby(_RUN, sort=True).mean().reset_index()
    lacking = [c for c in ("own_nrmse", "nrmse_random", "nrmse_ideal") if c not in table]
    table[lacking] = np.nan  # in cells of an older store
    own = table["own_nrmse"].fillna(table["nrmse"])
    # All cells of a film are held against the same: its anchors, or else the random policy's own run.
    film = table.groupby(["task", "film"])
    chance = (
        table["nrmse"].where(table["policy"] == BASELINE).groupby([table["task"], table["film"]])
    )
    zero = table["nrmse_random"].fillna(film["nrmse_random"].transform("first"))
    zero = zero.fillna(chance.transform("first"))
    one = table["nrmse_ideal"].fillna(film["nrmse_ideal"].transform("first")).fillna(0.0)
    error = table.assign(
        goal="mapping",
        raw=own,
        score=(zero - own) / (zero - one),
        sites=(zero - table["nrmse"]) / (zero - one),
    )
    if "own_level_accuracy" not in table:
        return [error]
    zero = table["level_accuracy_random"]
    level = table.assign(
        goal="level-set",
        raw=1.0 - table["own_level_accuracy"],
        score=(table["own_level_accuracy"] - zero) / (1.0 - zero),
        sites=(table["level_accuracy"] - zero) / (1.0 - zero),
    )
    return [error, level.dropna(subset=["raw"])]


_Means = Callable[[pd.DataFrame, list[str]], pd.DataFrame]
_RUN = ["task", "film", "policy"]


def _areas(steps: pd.DataFrame, means: _Means) -> list[pd.DataFrame]:
    """Scores of discovery and, where a target varies, of optimisation."""
    area = _anchored(steps, means, "found")
    area["raw"], area["score"] = area["found"], area["score"].clip(lower=-1.0)
    for column, name, how in (("by_curve", "curve_found", means), ("log_time", "met", _log_mean)):
        if name in steps:
            area[column] = _anchored(steps, how, name)["score"].clip(lower=-1.0)
    frames = [area.assign(goal="discovery")]
    if "best" in steps:
        steps = steps.dropna(subset=["best"])
        area = _anchored(steps.assign(best_ideal=1.0), means, "best")
        area["raw"] = area["best_ideal"] - area["best"]
        frames.append(area.assign(goal="optimisation"))
    return frames


def _anchored(steps: pd.DataFrame, means: _Means, name: str) -> pd.DataFrame:
    """Score of an area: 0 for that of chance, 1 for the ideal."""
    beyond = steps[name] > steps[f"{name}_ideal"] + 1e-9
    if beyond.any():
        who = ", ".join(map(str, steps.loc[beyond, _RUN].iloc[0]))
        raise DataError(
            f"{name} must not exceed the ideal; it does for {who}: an impossible score, which something "
            "in that cell's process has made up"
        )
    area = means(steps, [name, f"{name}_random", f"{name}_ideal"])
    random, ideal = area[f"{name}_random"], area[f"{name}_ideal"]
    area["score"] = (area[name] - random) / (ideal - random)
    return area


def _log_mean(steps: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean of the columns over the logarithm of the number of measurements."""
    weight = np.log1p(1.0 / steps["step"])
    sums = steps[columns].mul(weight, axis=0).assign(weight=weight)
    sums = sums.groupby([steps[c] for c in _RUN], sort=True).sum()
    return sums[columns].div(sums["weight"], axis=0).reset_index()


def _mean(steps: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean of the columns over the measurements of each run."""
    return steps.groupby(_RUN, sort=True)[columns].mean().reset_index()


def _mean_over_spent(steps: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean of what is reached over the budget spent, of each run and of random's; 0 before a curve."""
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
    films: int  #: Films (task x seed) that all policies finished
    #: Policy -> verdict against `BASELINE`, out of `pairs`
    against_baseline: dict[str, statistics.Verdict] = field(default_factory=dict)
    #: Policies that are not significantly worse than the best one.
    undecided_against: list[str] = field(default_factory=list)
    pairs: list[statistics.Verdict] = field(default_factory=list)  #: Every verdict behind that
    at: int | None = None  #: Measurements that are scored, None for all
    #: Controls that are given the truth. They are ranked to show the ideal, and have no part in the
    #: verdict.
    oracles: frozenset[str] = frozenset()
    rule: str = (
        "95 %, Holm over all comparisons of the page"  #: Certainty of the verdicts, in words
    )

    @property
    def best(self) -> str:
        """Policy with the highest score. A twin, or a control that is given the truth, only if alone."""
        names = [r.name for r in self.ranked]
        fair = [n for n in names if n not in self.oracles and owner_of(n, names) is None]
        return (fair or names)[0]

    def verdict(self) -> str:
        """Return the verdict as a sentence."""
        after = f" after {self.at} curves" if self.at else ""
        head = f"{self.goal.capitalize()}{after}: {self.best} scores highest"
        names = [r.name for r in self.ranked]
        if sum(n not in self.oracles and owner_of(n, names) is None for n in names) < 2:
            return f"{head}; it ran alone."
        if not self.undecided_against:
            return f"{head}, and better than every other policy ({self.rule})."
        both = {self.best, self.undecided_against[0]}
        pair = next((v for v in self.pairs if {v.policy, v.baseline} == both), None)
        more = ""
        if pair is not None and pair.more_films:
            more = f" About {pair.more_films} more films a task would decide the closest pair."
        elif pair is not None and np.isfinite(pair.difference.low):
            more = f" The closest pair needs over {MOST_FILMS} films a task: take the cheaper one."
        return f"{head}, but it is not decided against {'; '.join(self.undecided_against)}.{more}"


def goal_rankings(
    scores: pd.DataFrame,
    oracles: Collection[str] = (),
    *,
    earlier: Mapping[int, pd.DataFrame] | None = None,
) -> list[GoalRanking]:
    """Rank the policies for each goal on the films that all finished; one family with one correction.

    `oracles` are given the truth, ranked and not compared. `earlier` are scores after fewer measurements.
    """
    boards: list[tuple[GoalRanking, int]] = []
    compared: list[tuple[str, str, statistics.Difference]] = []
    strata = 1
    for at, table in ((None, scores), *(earlier or {}).items()):
        for goal in GOALS:
            part = table[table["goal"] == goal]
            wide = part.pivot(index=["task", "film"], columns="policy", values="score").dropna()
            if not len(wide):
                continue
            film, task = (wide.index.get_level_values(k).to_numpy() for k in ("film", "task"))
            names = [str(n) for n in wide.columns]
            ranked = statistics.ranking(wide.to_numpy(), names, film=film, task=task)
            board = GoalRanking(
                goal=goal, at=at, ranked=ranked, films=len(wide), oracles=frozenset(oracles)
            )
            # Beside the baseline the other is named first, and so its gain or loss.
            fair = [n for n in names if n not in oracles and owner_of(n, names) is None]
            pairs = [(b, a) if a == BASELINE else (a, b) for a, b in combinations(fair, 2)]
            # A twin stands against its own policy alone.
            pairs += [(o, n) for n in names if (o := owner_of(n, names)) is not None]
            compared += [
                (a, b, statistics.paired_difference(wide[a], wide[b], film=film, task=task))
                for a, b in pairs
            ]
            boards.append((board, len(pairs)))
            strata = max(strata, len(set(task)))
    judged = iter(statistics.judge_family(compared, tasks=strata))
    return [_with_pairs(board, list(islice(judged, pairs))) for board, pairs in boards]


def owner_of(name: str, names: Collection[str]) -> str | None:
    """The policy whose twin this is, if it is one of that table."""
    owners = (name.removesuffix(f" {twin}") for twin in TWINS)
    return next((owner for owner in owners if owner != name and owner in names), None)


def _with_pairs(board: GoalRanking, pairs: list[statistics.Verdict]) -> GoalRanking:
    names = [r.name for r in board.ranked]
    open_ = {
        name
        for v in pairs
        if v.outcome == "not decided" and board.best in (v.policy, v.baseline)
        for name in (v.policy, v.baseline)
    }
    return replace(
        board,
        pairs=pairs,
        against_baseline={v.policy: v for v in pairs if v.baseline == BASELINE},
        undecided_against=sorted(open_ - {board.best}, key=names.index),
    )


def winner(rankings: list[GoalRanking], eligible: Collection[str]) -> str | None:
    """The policy with the best mean score over the goals, then mean rank; only `eligible` ones can win.

    A rank makes a step between two indistinguishable policies as large as one between two far apart.
    """
    names = [r.name for r in rankings[0].ranked if r.name in eligible] if rankings else []
    if not names:
        return None

    def merit(name: str) -> tuple[float, float]:
        rows = [r for ranking in rankings for r in ranking.ranked if r.name == name]
        ranks = [r.mean_rank.estimate for r in rows]
        return (-sum(r.score.estimate for r in rows) / len(rows), sum(ranks) / len(ranks))

    return min(names, key=merit)


class IncrementalScores:
    """`table`, as of `goal_scores`, of the cells `finished`, without reading all of the store again."""

    def __init__(self, campaign: Campaign, store: CampaignStore) -> None:
        self._tasks = {t.id: t for t in campaign.tasks}
        self._policies = [p.title for p in campaign.policies]
        self._store = store
        self.finished: set[CellKey] = set()
        self.table = goal_scores(read_tables(store, []), self._tasks)
        self.add(store.finished())

    def add(self, keys: Iterable[CellKey]) -> None:
        """Add finished cells. All scores of their films change, as their baseline may be new."""
        new = {key for key in keys if key.task in self._tasks and key.policy in self._policies}
        self.finished |= new
        changed = {(key.task, key.film) for key in new}
        if not changed:
            return
        again = sorted(
            CellKey(task=task, film=film, policy=policy)
            for task, film in changed
            for policy in self._policies
        )
        tables = read_tables(self._store, [k for k in again if k in self.finished])
        made = goal_scores(tables, self._tasks)
        place = pd.MultiIndex.from_frame(self.table[["task", "film"]])
        kept = self.table[~place.isin(list(changed))]
        self.table = pd.concat([f for f in (kept, made) if len(f)] or [made], ignore_index=True)

    def rows(self, racing: Sequence[str]) -> list[tuple[str, str, float, int]]:
        """List (goal, policy, mean score, films), best first, on films that all `racing` finished."""
        rows: list[tuple[str, str, float, int]] = []
        for goal in GOALS:
            part = self.table[self.table["goal"] == goal]
            wide = part.pivot(index=["task", "film"], columns="policy", values="score")
            wide = wide.reindex(columns=[p for p in self._policies if p in racing]).dropna()
            if len(wide):
                means = wide.mean().sort_values(ascending=False, kind="stable")
                rows += [(goal, str(p), float(m), len(wide)) for p, m in means.items()]
        return rows
