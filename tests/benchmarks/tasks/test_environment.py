"""What stands behind a task: boundary-only sites, spin lattices, budgets, and who is given the truth."""

import dataclasses

import numpy as np
import pytest
from rogues import TASK
from samples import problem_on

from grainscout.benchmarks import CellKey, MicroscopeSpec, PolicySpec, find_task, make_environment
from grainscout.benchmarks.campaign.cell import run_cell
from grainscout.benchmarks.tasks.environment import on_boundaries
from grainscout.benchmarks.tasks.ising import PHASES, ising_plane
from grainscout.records import ConfigError, Waveform
from grainscout.simulator.ising import CRITICAL_TEMPERATURE

TINY = dataclasses.replace(TASK, curves=8)


def cell(task, policy="random"):
    key = CellKey(task=task.id, film=0, policy=policy)
    return run_cell(key, task, PolicySpec(name=policy), 5)


def test_boundary_only_sites_are_on_true_boundaries_though_the_truth_is_not_asked():
    task = find_task("boundaries/s26/light/max_current")
    environment = make_environment(task, 3)
    only, every = (
        environment.problem(),
        make_environment(dataclasses.replace(task, sites=None), 3).problem(),
    )
    distance = environment.film.structure.boundary_distance
    near = [(distance[tuple(p.candidates.T)] < 60e-9).mean() for p in (only, every)]
    assert near[0] > 0.95
    assert near[1] < 0.6
    assert 0.05 < len(only.candidates) / len(every.candidates) < 0.3
    assert {tuple(s) for s in only.candidates} < {tuple(s) for s in every.candidates}


def test_an_image_without_boundaries_has_no_boundary_only_sites():
    flat = problem_on(
        np.zeros((24, 24)), waveform=Waveform.triangle(samples=21), curves=3, step=(2e-8, 2e-8)
    )
    with pytest.raises(ConfigError, match="needs an image that shows grain boundaries"):
        on_boundaries(flat)


def test_the_lattices_order_where_onsager_says():
    """Without the second coupling, lattices order below the critical temperature 2.269 J1."""
    environment = make_environment(find_task("ising/magnetisation"), 7)
    problem = environment.problem()
    truth = environment.truth(problem)
    assert truth.classes == PHASES
    phase = truth.archetype.reshape(24, 24)
    row = int(np.argmin(np.abs(np.linspace(-0.9, 0.3, 24))))  # J2 nearest to 0
    j1 = np.linspace(0.0, 0.9, 24)
    temperature = np.random.default_rng(7).uniform(0.8, 1.25)  # what that seed draws
    border = j1[np.flatnonzero(phase[row] == 1)[0]]
    assert border == pytest.approx(temperature / CRITICAL_TEMPERATURE, abs=0.06)
    assert (phase[:4] == 2).all()  # frustrated: lines
    assert truth.target[truth.archetype == 1].min() > 0.5e-9
    image = problem.scan.height.ravel()
    assert 0.6 < np.corrcoef(image, ising_plane(7)["magnetisation"].ravel())[0, 1] < 0.99


def test_a_property_that_lattices_do_not_have_is_refused():
    spec = MicroscopeSpec(kind="ising", options={"property": "colour"})
    task = dataclasses.replace(find_task("ising/magnetisation"), microscope=spec)
    with pytest.raises(ConfigError, match="property, one of magnetisation"):
        make_environment(task, 0)


def test_a_budget_of_seconds_begins_after_the_image_and_ends_the_run():
    timed = dataclasses.replace(TINY, curves=None, seconds=70.0)
    run = cell(timed)
    spent, clock = run["steps"]["spent"], run["steps"]["finished_s"]
    np.testing.assert_allclose(spent, (clock - 48.0) / (70.0 - 48.0))  # 48 lines of 1 s
    assert spent[-2] < 1.0 <= spent[-1]
    # Maps are scored at shares of the budget, not at numbers of curves that only some policies reach.
    at = run["checkpoints"]["n"].astype(int)
    assert len(at) == 6
    assert (spent[at[:-1] - 2] < [0.15, 0.3, 0.45, 0.6, 0.8]).all() or at[0] == 2
    assert (spent[at - 1] >= [0.15, 0.3, 0.45, 0.6, 0.8, 1.0]).all()
    with pytest.raises(ConfigError, match=r"after the image, which takes 48 s; got 30 s"):
        cell(dataclasses.replace(timed, seconds=30.0))


def test_a_budget_of_wear_is_spent_by_what_is_done():
    spec = MicroscopeSpec(film="tiny", instrument="quiet+wear-severe")
    run = cell(dataclasses.replace(TINY, microscope=spec, curves=None, wear=0.01))
    spent = run["steps"]["spent"]
    assert (np.diff(spent) > 0).all()
    assert spent[-2] < 1.0 <= spent[-1]


def test_the_oracle_gets_what_the_goal_asks_for():
    once = dataclasses.replace(TINY, second_look=0)  # a second look is a curve that finds nothing
    best = cell(dataclasses.replace(once, goals=("optimisation",)), "oracle")["steps"]
    assert best["best"][0] == 1.0
    archetypes = cell(once, "oracle")["steps"]
    np.testing.assert_allclose(archetypes["found"], archetypes["found_ideal"])
