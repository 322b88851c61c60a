"""Maps of ``dkl`` with the current image and without, on the same films and the same noise.

python benchmarks/studies/current_image.py            eight fresh films a task, about five CPU minutes
python benchmarks/studies/current_image.py --smoke    one film of one task, few curves
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product

import numpy as np

from grainscout.benchmarks import Task, find_task, make_environment
from grainscout.benchmarks.tasks.referee import evaluation_map
from grainscout.benchmarks.tasks.score import score_map
from grainscout.experiment import Experiment
from grainscout.policies import make_policy

TASKS = ("film/s26/light/loop_area", "film/s26/dark/turn_on", "film/s23/light/max_current")
#: Sites -> the policy that chooses them. Maps are those of ``dkl`` with its defaults from their curves.
DESIGNS = {
    "random": ("random", {}),
    "integrated-variance": ("dkl", {"acquisition": "integrated-variance"}),
    "max-uncertainty": ("dkl", {}),
}
FIRST, FILMS, CURVES = 73_000, 8, 60  # seeds below 10 000 chose the features


def scores(task: Task, seed: int, design: str) -> dict[str, float]:
    """Error and coverage of the map at the end of the budget."""
    environment = make_environment(task, seed)
    problem = environment.problem()
    name, options = DESIGNS[design]
    run = Experiment(
        environment.microscope,
        make_policy(name, options),
        problem=problem,
        seed=seed,
        second_look=task.second_look,
    ).run()
    return dict(score_map(environment.truth(problem), *evaluation_map(problem, run.outcomes)))


def main(*, smoke: bool) -> None:
    """Print the paired gains."""
    films, curves = (1, 12) if smoke else (FILMS, CURVES)
    rng = np.random.default_rng(0)
    print("sites, task: error with the height, + current, gain [95 %], better on, coverage of both")
    for design, name in product(list(DESIGNS)[: 1 if smoke else None], TASKS):
        plain = replace(find_task(name), curves=curves)
        tasks = (plain, replace(plain, channels=("height", "current")))
        made = [[scores(task, FIRST + k, design) for task in tasks] for k in range(films)]
        error = np.array([[s["nrmse"] for s in pair] for pair in made])
        within = np.mean([[s["coverage"] for s in pair] for pair in made], axis=0)
        drawn = error[rng.integers(films, size=(4000, films))].mean(axis=1)
        low, high = np.percentile(1.0 - drawn[:, 1] / drawn[:, 0], [2.5, 97.5])
        a, b = error.mean(axis=0)
        print(
            f"{design:20} {name:28} {a:6.3f} {b:6.3f} {1 - b / a:5.0%} [{low:4.0%}, {high:4.0%}] "
            f"{(error[:, 1] < error[:, 0]).sum():3} of {films}  {within[0]:.2f}, {within[1]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
