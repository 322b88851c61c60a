"""How hard is each registered task?  What random sampling leaves undone on it, on a few films.

    python benchmarks/studies/difficulty.py            writes benchmarks/difficulty.json (minutes)
    python benchmarks/studies/difficulty.py --smoke    one small task, to see that it runs

For each built-in task that needs no file: the random policy's own run on `--films` films (campaign seed
4000), and at its end
    discovery       1 - expected share of the wanted examples in hand (exact, for that many curves)
    mapping         error of the referee's map over the spread of the truth
    optimisation    1 - expected largest true value in hand, over the range of the truth (exact)
    until_all       expected random measurements until one of every kind has been met (exact)
each the mean over the films.  Nothing is chosen here: a task is hard where chance does not solve it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import grainscout
from grainscout.analysis import metrics
from grainscout.benchmarks import CellKey, MicroscopeSpec, PolicySpec, Task, set_up
from grainscout.benchmarks._cell import film_seed, run_cell
from grainscout.benchmarks._registry import builtin_tasks
from grainscout.benchmarks._tasks import YOUR_FILE

SEED = 4000
FILE = Path(__file__).parents[1] / "difficulty.json"


def left_by_random(task: Task, film: int) -> dict[str, float]:
    """What random sampling leaves undone on one film of a task."""
    bench = set_up(task, film_seed(SEED, task.id, film))
    truth = bench.truth(bench.problem())
    counts = [int((truth.archetype == kind).sum()) for kind in truth.wanted]
    key = CellKey(task=task.id, film=film, policy="random")
    run = run_cell(key, task, PolicySpec(name="random"), SEED)
    found = {
        "discovery": 1.0 - run["steps"]["found_random"][-1],
        "mapping": run["checkpoints"]["nrmse"][-1],
        "optimisation": 1.0 - run["steps"]["best_random"][-1],
    }
    until = metrics.draws_until_all(counts, len(truth.archetype))
    return {**{goal: float(found[goal]) for goal in task.goals}, "until_all": until}


def measure(tasks: Sequence[Task], films: int) -> dict[str, dict[str, float]]:
    """Mean over the films of each task, to four significant digits."""
    table = {}
    for task in tasks:
        rows = [left_by_random(task, film) for film in range(films)]
        table[task.id] = {k: float(f"{np.mean([r[k] for r in rows]):.4g}") for k in rows[0]}
        print(task.id, table[task.id], flush=True)
    return table


def main() -> None:
    """Measure and write, or look (--smoke)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=4)
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    tasks = [t for t in builtin_tasks().values() if t.microscope.file != YOUR_FILE]
    with threadpool_limits(1):
        if given.smoke:
            tiny = dataclasses.replace(tasks[0], microscope=MicroscopeSpec(film="tiny"), curves=10)
            measure([tiny], 1)
            return
        table = measure(tasks, given.films)
    about = {"grainscout": grainscout.__version__, "films": given.films, "seed": SEED}
    FILE.write_text(json.dumps({**about, "tasks": table}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
