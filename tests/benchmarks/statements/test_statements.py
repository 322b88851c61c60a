"""Verdicts on published statements: right on runs whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from grainscout.benchmarks import MicroscopeSpec, Task
from grainscout.benchmarks.statements.runs import (
    Runs,
    boundary_only,
    concentration,
    earlier,
    latent_density,
    peaks_early,
    unevenness,
)
from grainscout.benchmarks.statements.statement import judge, markdown
from grainscout.benchmarks.tasks.score import JUNCTION_M
from grainscout.records import DataError

TASK = Task(id="film/s26/dark", microscope=MicroscopeSpec(film="s26"), curves=60)
RNG = np.random.default_rng(4)


def verdict(effect, controls=None, **more):
    task = ["t"] * len(effect)
    return judge("s", "S", "c", "m", effect, task=task, controls=controls, **more).outcome


def test_the_verdict_is_where_the_interval_lies():
    noise = RNG.normal(0.0, 0.1, 12)
    assert verdict(1.0 + noise) == "reproduced"
    assert verdict(-1.0 + noise) == "not reproduced"
    assert verdict(noise - noise.mean()) == "not decided"
    assert verdict(1.0 + noise, built_in=True) == "built in"
    assert verdict(-1.0 + noise, built_in=True) == "not reproduced"
    assert verdict([1.0]) == "not decided"  # one film tells nothing of the spread
    with pytest.raises(DataError, match="at least one film"):
        verdict([])


def test_a_control_that_does_it_too_takes_the_statement_away():
    noise = RNG.normal(0.0, 0.1, 12)
    same, less, not_at_all = 1.0 + noise[::-1], 0.5 + noise[::-1], noise - noise.mean()
    assert verdict(1.0 + noise, {"blind": same}) == "also true of the control"
    assert verdict(1.0 + noise, {"blind": less}) == "reproduced"
    assert verdict(1.0 + noise, {"blind": not_at_all}) == "reproduced"
    assert verdict(1.0 + noise, {"fair": not_at_all, "blind": same}) == "also true of the control"


def test_the_peak_of_diversity_is_where_it_is():
    steps = np.arange(1, 211.0)
    early = np.exp(-((np.log(steps / 20) / 1.5) ** 2))
    assert peaks_early(early) > 0
    assert peaks_early(np.exp(-((np.log(steps / 120) / 1.5) ** 2))) < 0  # too late
    assert peaks_early(1.0 + 0.02 * early) < 0  # hardly falls


def steps_of(scene, pick):
    """A campaign's steps of one policy whose sites are `pick`(problem, structure, film)."""
    frames = []
    for film in range(3):
        problem, structure = scene(TASK, film)
        sites = pick(problem, structure, np.random.default_rng(film))
        near = structure.junction_distance < JUNCTION_M
        base = near[tuple(problem.candidates.T)].mean()
        share = np.cumsum(near[tuple(sites.T)]) / np.arange(1, len(sites) + 1) / base
        frames.append(
            pd.DataFrame(
                {
                    "task": TASK.id,
                    "film": film,
                    "step": np.arange(1, len(sites) + 1),
                    "row": sites[:, 0],
                    "column": sites[:, 1],
                    "boundary": share,
                    "junction": share,
                }
            )
        )
    return pd.concat(frames)


def anywhere(problem, structure, rng):
    return problem.candidates[rng.choice(len(problem.candidates), 60, replace=False)]


def on_junctions(problem, structure, rng):
    near = structure.junction_distance[tuple(problem.candidates.T)] < JUNCTION_M
    return rng.permutation(problem.candidates[near])[:60]


def on_slopes(problem, structure, rng):
    slope = np.gradient(problem.scan.height, axis=0)[tuple(problem.candidates.T)]
    return rng.permutation(problem.candidates[slope > np.quantile(slope, 0.9)])[:60]


def runs(**pickers):
    scene = Runs(steps=pd.DataFrame(), tasks=[TASK], seed=1).scene
    frames = [steps_of(scene, pick).assign(policy=name) for name, pick in pickers.items()]
    return Runs(steps=pd.concat(frames), tasks=[TASK], seed=1)


@pytest.mark.parametrize(
    ("statement", "pick"), [(concentration, on_junctions), (latent_density, on_slopes)]
)
def test_a_policy_that_chooses_differs_from_one_that_does_not(statement, pick):
    chooser = runs(**{"dkl": pick, "structure-only": anywhere})
    found = list(statement(chooser, {"dkl", "structure-only"}))
    assert {f.outcome for f in found} == {"reproduced"}
    assert "reproduced" in markdown(found)
    both = runs(**{"dkl": pick, "structure-only": pick})
    found = statement(both, {"dkl", "structure-only"})
    assert {f.outcome for f in found} == {"also true of the control"}
    neither = runs(**{"dkl": anywhere, "structure-only": anywhere})
    outcomes = {f.outcome for f in statement(neither, {"dkl", "structure-only"})}
    assert outcomes <= {"not decided", "not reproduced"}


def test_a_twin_that_learns_shuffled_curves_takes_the_statement_of_its_policy_away():
    names = ("boundary-dkl", "boundary-dkl shuffled")
    (junctions, _) = boundary_only(runs(**dict.fromkeys(names, on_junctions)), set(names))
    assert junctions.outcome == "also true of the control"
    assert set(junctions.controls) == {names[1], "structure-only there"}
    assert junctions.margins[names[1]].estimate == 0.0
    (junctions, _) = boundary_only(runs(**{names[0]: on_junctions, names[1]: anywhere}), set(names))
    assert junctions.outcome == "reproduced"


def test_times_are_restricted_to_the_budget_that_all_had():
    def met(policy, times, length):
        step = np.arange(1, length + 1)
        frames = [
            pd.DataFrame({"film": f, "step": step, "met": step >= t}) for f, t in enumerate(times)
        ]
        return pd.concat(frames).assign(task=TASK.id, policy=policy)

    table = [met("dual-novelty", (5, 20, 31, 7), 60), met("random", (30, 28, 999, 45), 40)]
    (found,) = earlier(
        Runs(steps=pd.concat(table), tasks=[TASK], seed=1), {"dual-novelty", "random"}
    )
    # Of 40 curves, one random run never met all: it counts as 40, not as 999 or 60.
    assert found.effect.estimate == np.mean([30 - 5, 28 - 20, 40 - 31, 40 - 7])
    assert "first 40" in found.measure


def test_random_visits_are_even_over_boundaries_and_chosen_ones_are_not():
    problem, structure = Runs(steps=pd.DataFrame(), tasks=[TASK], seed=1).scene(TASK, 0)
    on = structure.boundary_distance[tuple(problem.candidates.T)] < 20e-9
    inside = problem.candidates[on]
    even = [unevenness(RNG.permutation(inside)[:60], inside, structure) for _ in range(20)]
    assert abs(np.mean(even)) < 3 * np.std(even) / np.sqrt(20) + 0.05
    busiest = np.bincount(structure.boundary_id[tuple(inside.T)]).argmax()
    chosen = inside[structure.boundary_id[tuple(inside.T)] == busiest]
    assert unevenness(chosen, inside, structure) > 1.0
