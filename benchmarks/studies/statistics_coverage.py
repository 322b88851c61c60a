"""Coverage of the leaderboard's intervals and verdicts for few films.

    python benchmarks/studies/statistics_coverage.py            the tables (about four minutes)
    python benchmarks/studies/statistics_coverage.py --smoke    seconds, to see that it runs

Scores with known answers: normal, skewed (gamma of shape 4, skewness 1; exponential, skewness 2), and *real*:
discovery scores of the random policy on films of the preset s26 (48 x 48 pixels, 60 curves), whose true
scores are known because sampling a film's archetypes again costs nothing.

    interval    how often the 95 % interval of the interquartile mean holds the population's value
    difference  how often Student's 95 % interval holds the true mean of a - b, where a - b is as skewed as that
    itself      how often any of the verdicts among k copies of one policy (same films, other seeds) is wrong:
                5 % at most is what Holm's correction promises
    stopping    how often four copies, two goals, up to 40 films and a look at every second are found to differ at
                any look: by `benchmarks.Stopping`, of which 5 % at most is asked; by the verdicts for a fixed
                number of films (one goal, 200 campaigns at most), which are not made for that

Each is a share of `--repeats` simulated campaigns; its standard error is stated.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from grainscout.analysis import metrics
from grainscout.analysis.statistics import interval, iqm, paired_difference, verdicts
from grainscout.benchmarks import Campaign, PolicySpec, find_task
from grainscout.benchmarks.campaign.campaign import Stopping
from grainscout.benchmarks.campaign.stopping import plan_next_block
from grainscout.benchmarks.campaign.store import CellKey
from grainscout.benchmarks.tasks.score import EXAMPLES
from grainscout.records.arrays import FloatArray
from grainscout.simulator import PRESETS, Film

Draw = Callable[[np.random.Generator, tuple[int, int]], FloatArray]

CURVES = 60
LEVEL = 0.95
FILMS = (3, 5, 8, 20)
#: Campaigns in which fixed verdicts are looked at again and again: slow, and clear at once.
FIXED = 200


def synthetic(name: str) -> Draw:
    """(films, policies) scores of spread 1 on films that differ more than policies do."""

    def draw(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        if name == "normal":
            return rng.normal(0.0, 1.0, size)
        shape = {"gamma": 4.0, "exponential": 1.0}[name]
        spread: FloatArray = (rng.gamma(shape, 1.0, size) - shape) / np.sqrt(shape)
        return spread

    return draw


def real_scores(films: int, runs: int, seed: int = 0) -> FloatArray:
    """(films, runs) discovery scores of random sampling on as many films.

    Each film has its own mixture of archetypes, so that films differ in spread as well.
    """
    rng = np.random.default_rng(seed)
    spec = dataclasses.replace(PRESETS["s26"], rows=48, columns=48)
    table = np.empty((films, runs))
    for film in range(films):
        kinds = Film.generate(spec, 9000 + film).archetype.ravel().astype(np.int64)
        wanted = [k for k in range(3) if (kinds == k).any()]
        counts = [int((kinds == k).sum()) for k in wanted]
        zero = metrics.found_by_random(counts, CURVES, total=kinds.size, examples=EXAMPLES).mean()
        one = np.minimum(np.arange(1, CURVES + 1) / (EXAMPLES * len(wanted)), 1.0).mean()
        for run in range(runs):
            drawn = rng.choice(kinds, CURVES, replace=False)
            found = metrics.found_trace(drawn, wanted, examples=EXAMPLES).mean()
            table[film, run] = (found - zero) / (one - zero)
    return table


def resampled(table: FloatArray) -> Draw:
    """Films drawn from the table's, and on each film different runs for each policy."""

    def draw(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        films = rng.integers(0, len(table), size[0])
        runs = np.array([rng.choice(table.shape[1], size[1], replace=False) for _ in films])
        drawn: FloatArray = table[films[:, None], runs]
        return drawn

    return draw


def interval_coverage(draw: Draw, films: int, repeats: int, truth: float) -> float:
    """Share of intervals of one policy's interquartile mean that hold `truth`."""
    rng = np.random.default_rng(films)
    hits = 0
    for repeat in range(repeats):
        found = interval(draw(rng, (films, 1))[:, 0], samples=500, seed=repeat)
        hits += found.low <= truth <= found.high
    return hits / repeats


def difference_coverage(draw: Draw, films: int, repeats: int) -> float:
    """Share of intervals of a - b that hold its true mean, 0, where a - b is distributed as `draw`."""
    rng = np.random.default_rng(100 + films)
    hits = 0
    for _ in range(repeats):
        found = paired_difference(draw(rng, (films, 1))[:, 0], np.zeros(films))
        hits += found.low <= 0.0 <= found.high
    return hits / repeats


def wrong_verdicts(draw: Draw, films: int, policies: int, tasks: int, repeats: int) -> float:
    """Share of campaigns in which any verdict among copies of one policy is not "not decided"."""
    rng = np.random.default_rng(1000 * policies + 10 * films + tasks)
    names = [f"copy {k}" for k in range(policies)]
    film = np.tile(np.arange(films), tasks)
    task = np.repeat(np.arange(tasks), films)
    wrong = 0
    for _ in range(repeats):
        table = draw(rng, (films * tasks, policies))
        found = verdicts(table, names, film=film, task=task, level=LEVEL)
        wrong += any(v.outcome != "not decided" for v in found)
    return wrong / repeats


def decided_shares(draw: Draw, repeats: int) -> tuple[float, float]:
    """Share of campaigns among four copies in which any look decides: by the rule, by fixed verdicts."""
    rng = np.random.default_rng(7)
    names = ["random", "copy 1", "copy 2", "copy 3"]
    task = find_task("film/s26/light/loop_area")
    plan = Campaign(
        name="copies",
        films=40,
        tasks=(task,),
        policies=tuple(PolicySpec(name="random", label=n if n != "random" else "") for n in names),
        stopping=Stopping(first_films=4, block_films=2),
    )
    everything = {CellKey(task=task.id, film=f, policy=n) for f in range(40) for n in names}
    by_rule = by_fixed = 0
    few = min(repeats, FIXED)
    for repeat in range(repeats):
        frames, tables = [], []
        for goal in task.goals:
            table = rng.normal(size=(40, 1)) + draw(rng, (40, 4))
            wide = pd.DataFrame(table, columns=names).rename_axis("film").reset_index()
            frames.append(
                wide.melt("film", var_name="policy", value_name="score").assign(goal=goal)
            )
            tables.append(table)
        scores = pd.concat(frames, ignore_index=True).assign(task=task.id)
        by_rule += any(c.decided for c in plan_next_block(plan, scores, everything).comparisons)
        by_fixed += repeat < few and any(
            v.outcome != "not decided"
            for end in range(4, 41, 2)
            for v in verdicts(tables[0][:end], names, level=LEVEL)
        )
    return by_rule / repeats, by_fixed / few


def rows(
    repeats: int, films_real: int, runs_real: int
) -> Iterator[tuple[str, str, int, float, int]]:
    """(what, distribution, films, share, campaigns) of everything that is measured."""
    real = real_scores(films_real, runs_real)
    draws = {name: synthetic(name) for name in ("normal", "gamma", "exponential")}
    draws["real"] = resampled(real)
    rng = np.random.default_rng(5)
    truths = {n: float(iqm(draws[n](rng, (200_000, 1))[:, 0])) for n in draws if n != "real"}
    truths["real"] = float(iqm(real.ravel()))
    for name, draw in draws.items():
        for films in FILMS:
            share = interval_coverage(draw, films, repeats, truths[name])
            yield "interval", name, films, share, repeats
            if name != "real":
                share = difference_coverage(draw, films, repeats)
                yield "difference", name, films, share, repeats
    for policies, tasks in ((2, 1), (5, 1), (5, 2)):
        for name in ("normal", "exponential", "real"):
            for films in (8, 20):
                share = wrong_verdicts(draws[name], films, policies, tasks, repeats)
                yield f"itself, {policies} copies, {tasks} task(s)", name, films, share, repeats
    for name in ("normal", "exponential"):
        by_rule, by_fixed = decided_shares(draws[name], repeats)
        yield "stopping, by the rule", name, 40, by_rule, repeats
        yield "stopping, by fixed verdicts", name, 40, by_fixed, min(repeats, FIXED)


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    repeats = 10 if given.smoke else given.repeats
    size = (3, 10) if given.smoke else (60, 200)
    with threadpool_limits(1):
        for what, name, films, share, campaigns in rows(repeats, *size):
            error = np.sqrt(max(share * (1 - share), 0.25 / campaigns) / campaigns)
            print(f"{what:28} {name:12} {films:3} films  {share:.3f} +- {error:.3f}", flush=True)


if __name__ == "__main__":
    main()
