"""What a stopping rule leaves undone: expected against true gains of ``dkl`` on fresh films.

python benchmarks/studies/stopping.py            four films a task, about three CPU minutes
python benchmarks/studies/stopping.py --smoke    one film, few curves
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pandas as pd

from grainscout.benchmarks import find_task, make_environment
from grainscout.benchmarks.tasks.score import score_map
from grainscout.experiment import Experiment, Step, one_thread
from grainscout.policies import make_policy

TASKS = ("film/s26/light/loop_area", "film/s26/dark/turn_on")
SHARES = (0.07, 0.05, 0.04, 0.03)
FIRST, FILMS, CURVES, NEXT = 74_000, 4, 140, 10


def course(task: str, seed: int, curves: int) -> pd.DataFrame:
    """After each fifth curve: what the model expects of the next ones, and the true error."""
    environment = make_environment(replace(find_task(task), curves=curves), seed)
    problem = environment.problem()
    truth = environment.truth(problem)
    policy = make_policy("dkl", {"acquisition": "integrated-variance"})
    rows = []

    def look(step: Step) -> None:
        n = step.number + 1
        if n >= 20 and n % 5 == 0:
            gain = policy.expected_gain(NEXT)  # type: ignore[attr-defined]
            error = score_map(truth, *policy.predict())["nrmse"]  # type: ignore[attr-defined]
            rows.append({"n": n, "gain": gain, "error": error})

    with one_thread():
        Experiment(environment.microscope, policy, problem=problem, seed=seed, observe=look).run()
    return pd.DataFrame(rows).assign(task=task, seed=seed)


def main(*, smoke: bool) -> None:
    """Print where the rule stops, and what the error did after that."""
    films, curves = (1, 45) if smoke else (FILMS, CURVES)
    seeds = range(FIRST, FIRST + films)
    table = pd.concat([course(t, s, curves) for t in TASKS[: 1 if smoke else None] for s in seeds])
    runs = [run.reset_index(drop=True) for _, run in table.groupby(["task", "seed"])]
    print("share   stops  curves  expected  true gain of the next 10  and of all to the budget")
    for share in SHARES:
        ends = []
        for run in runs:
            below = np.flatnonzero(run["gain"] < share)
            if len(below) and below[0] + 2 < len(run):
                at, after = run.loc[below[0]], run.loc[below[0] + 2]
                whole = 1.0 - run["error"].iloc[-1] / at["error"]
                ends.append((at["n"], at["gain"], 1.0 - after["error"] / at["error"], whole))
        if ends:
            n, gain, near, far = np.mean(ends, axis=0)
            spread = np.std(np.array(ends)[:, 2]) / np.sqrt(len(ends))
            print(
                f"{share:5.1%}  {len(ends):2} of {len(runs):2}  {n:5.0f}  {gain:8.2%}  "
                f"{near:10.2%} +- {spread:.2%}  {far:14.1%}"
            )
        else:
            print(f"{share:5.1%}   0 of {len(runs):2}")


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
