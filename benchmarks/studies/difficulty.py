"""How hard is each registered task?  What random sampling leaves undone on it, on a few films.

    python benchmarks/studies/difficulty.py            writes benchmarks/tasks/difficulty.json (minutes)
    python benchmarks/studies/difficulty.py --missing  only what is not in it
    python benchmarks/studies/difficulty.py --smoke    one small task, to see that it runs

For each built-in task that needs no file: the random policy's own run on `--films` films (campaign seed
4000; three times as many where the map's error is within 0.1 of 1), and at its end
    discovery       1 - expected share of the wanted examples found (exact, for that many curves)
    mapping         error of the referee's map of the usable curves over the spread of the truth, 1 if
                    there are none; at 1 or more no map can be made at that budget, and `unmappable` lists the task
    level-set       1 - balanced accuracy of that map, a half if there is none
    optimisation    1 - expected largest true value measured, over the range of the truth (exact)
    until_all       expected random measurements until one of every kind has been met (exact)
each the mean over the films.  Nothing is chosen here: a task is hard where chance does not solve it.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import grainscout
from grainscout.analysis import metrics
from grainscout.benchmarks import MicroscopeSpec, Task
from grainscout.benchmarks.campaign.cell import film_seed
from grainscout.benchmarks.tasks.ground import run_random
from grainscout.benchmarks.tasks.referee import evaluation_map
from grainscout.benchmarks.tasks.registry import builtin_tasks
from grainscout.benchmarks.tasks.score import EXAMPLES, score_map, site_worth

SEED = 4000
_NEAR = 0.1  # a map's error this near 1 is measured on three times as many films
FILE = Path(__file__).parents[1] / "tasks" / "difficulty.json"


def left_by_random(task: Task, film: int) -> dict[str, float]:
    """What random sampling leaves undone on one film of a task, as `run_cell` would score it."""
    problem, truth, outcomes = run_random(task, film_seed(SEED, task.id, film))
    steps, sites = len(outcomes), len(problem.candidates)
    counts = [int((truth.archetype == kind).sum()) for kind in truth.wanted]
    left = {}
    if "discovery" in task.goals:
        found = metrics.found_by_random(counts, steps, total=sites, examples=EXAMPLES)
        left["discovery"] = 1.0 - float(found[-1])
    if {"mapping", "level-set"} & {*task.goals}:
        usable = any(o.usable for o in outcomes)
        made = score_map(truth, *evaluation_map(problem, outcomes), problem) if usable else {}
        if "mapping" in task.goals:
            left["mapping"] = made.get("nrmse", 1.0)
        if "level-set" in task.goals:
            left["level-set"] = 1.0 - made.get("level_accuracy", 0.5)
    worth = site_worth(truth)
    if "optimisation" in task.goals and worth is not None:
        left["optimisation"] = 1.0 - float(metrics.best_by_random(worth, steps)[-1])
    return {**left, "until_all": metrics.draws_until_all(counts, sites)}


def mean_left(task: Task, films: int) -> dict[str, float]:
    """Mean over the films, to four significant digits."""
    rows = [left_by_random(task, film) for film in range(films)]
    left = {k: float(f"{np.mean([r[k] for r in rows]):.4g}") for k in rows[0]}
    print(task.id, left, flush=True)
    return left


def main() -> None:
    """Measure and write, or look (--smoke)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=4)
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    tasks = [t for t in builtin_tasks().values() if not t.microscope.needs_file]
    known = json.loads(FILE.read_text(encoding="utf-8"))["tasks"] if given.missing else {}
    table = {t.id: known.get(t.id) for t in tasks}
    about = {"grainscout": grainscout.__version__, "films": given.films, "seed": SEED}
    with threadpool_limits(1):
        if given.smoke:
            tiny = MicroscopeSpec(film="tiny")
            mean_left(dataclasses.replace(tasks[0], microscope=tiny, curves=10), 1)
            return
        for task in tasks:
            if table[task.id] is not None:
                continue
            table[task.id] = left = mean_left(task, given.films)
            if abs(left.get("mapping", 0.0) - 1.0) < _NEAR:
                table[task.id] = mean_left(task, 3 * given.films)
            done = {k: v for k, v in table.items() if v is not None}
            text = json.dumps({**about, "tasks": done}, indent=1)
            FILE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
