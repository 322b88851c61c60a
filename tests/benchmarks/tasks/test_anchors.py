"""Both ends of the scale of maps: what chance gives on a film, and what nothing can beat."""

import dataclasses

import numpy as np
import pytest

from grainscout.analysis.map_scores import level_set_score
from grainscout.benchmarks import MicroscopeSpec, Task, WaveformSpec, make_environment
from grainscout.benchmarks.tasks.anchors import Anchors, find_anchors, noiseless
from grainscout.benchmarks.tasks.ground import run_random
from grainscout.benchmarks.tasks.ideal import HiddenParts
from grainscout.benchmarks.tasks.referee import evaluation_map
from grainscout.benchmarks.tasks.score import score_map
from grainscout.records import DataError

TASK = Task(
    id="film/tiny",
    microscope=MicroscopeSpec(film="tiny"),
    waveform=WaveformSpec(samples=51),
    light_suns=0.1,
    curves=14,
)


@pytest.fixture(scope="module")
def ground():
    environment = make_environment(TASK, 4)
    problem = environment.problem()
    return problem, environment.truth(problem)


def test_the_ideal_beats_the_mean_of_random_designs_and_both_fall_with_the_curves(ground):
    found = find_anchors(*ground, 14)
    assert found.counts.tolist() == [2, 6, 14, 28, 56]
    assert (found.ideal < found.random["nrmse"]).all()
    assert found.ideal[-1] < found.ideal[0]
    again = Anchors.of(found.plain())
    assert again.at(10) == found.at(10)
    assert found.random["nrmse"][2] == pytest.approx(found.at(14)["nrmse_random"])


def test_severe_contact_faults_cost_under_fifteen_percent_of_the_noiseless_map():
    spoilt = MicroscopeSpec(film="tiny", instrument="contact-severe")
    task = dataclasses.replace(TASK, microscope=spoilt, curves=60)
    problem, truth, outcomes = run_random(task, 8500)
    usable = [o for o in outcomes if o.usable]
    assert len(usable) < 0.5 * len(outcomes)
    clean = noiseless(problem, truth, problem.index_of([o.site for o in usable]))
    error = {
        name: score_map(truth, *evaluation_map(problem, told))["nrmse"]
        for name, told in {"measured": outcomes, "noiseless": clean}.items()
    }
    assert error["measured"] < 1.15 * error["noiseless"]


def test_times_as_many_random_curves_is_read_from_their_curve_and_censored_beyond_it():
    curve = {"nrmse": np.array([1.0, 0.5, 0.25])}
    of = Anchors(
        counts=np.array([5.0, 10, 20]), random=curve, ideal=np.zeros(3), optimal=np.zeros(3)
    )
    assert of.acceleration(10, 0.5) == pytest.approx(1.0)
    assert of.acceleration(10, 0.375) == pytest.approx(2**0.5)
    assert of.acceleration(10, 0.2) == np.inf
    assert of.acceleration(10, 1.2) == 0.0


def parts(rng, m=160):
    """Sites of a film that is linear in what is hidden."""
    grain, boundary = rng.integers(0, 12, m), rng.integers(0, 8, m)
    place, effect = rng.uniform(0, 6, (m, 2)), rng.uniform(0.2, 1.0, (3, m))
    made = HiddenParts(
        target=np.zeros(m), mean=np.zeros(m), effect=effect, grain=grain, boundary=boundary,
        place=place, rest=1e-3,
    )  # fmt: skip
    cover = made.covariance(np.arange(m), np.arange(m)) + 1e-3 * np.eye(m)
    return dataclasses.replace(made, target=rng.multivariate_normal(np.zeros(m), cover))


def variance(film, some, at):
    """Mean posterior variance of sites, by the textbook."""
    gram = film.covariance(some, some) + film.rest * np.eye(len(some))
    left = film.covariance(at, at) - film.covariance(at, some) @ np.linalg.solve(
        gram, film.covariance(some, at)
    )
    return np.trace(left) / len(at) + film.rest


def test_the_ideal_map_is_as_wrong_as_its_variance_says_and_its_own_sites_are_less_so():
    rng = np.random.default_rng(0)
    excess, gain = [], []
    for _ in range(60):
        film, at, pool = parts(rng), np.arange(60), np.arange(60, 160)
        some, best = rng.permutation(pool)[:20], film.optimal_sites(pool, 20)
        excess.append(film.error(some, at) ** 2 - variance(film, some, at))
        gain.append(1 - variance(film, best, pool) / variance(film, some, pool))
    assert abs(np.mean(excess)) < 3 * np.std(excess) / np.sqrt(60)
    assert min(gain) > 0.1


def test_a_shifted_level_line_is_wrong_by_its_shift():
    rows = np.indices((60, 80))[0].astype(float)
    accuracy, error = level_set_score(rows, rows - 3.0, 29.5, (2e-9, 5e-9))
    assert error == pytest.approx(
        3 * 2e-9 / (np.pi / 4)
    )  # straight lines are the worst case of pi/4
    assert accuracy == pytest.approx(0.5 * (27 / 30 + 1))
    with pytest.raises(DataError, match="level must lie within the truth"):
        level_set_score(rows, rows, 99.0, (1e-9, 1e-9))


def test_a_task_with_a_level_asks_where_the_target_is_above_it():
    task = dataclasses.replace(TASK, goals=("level-set",))
    environment = make_environment(task, 4)
    truth = environment.truth(environment.problem())
    assert np.mean(truth.target[truth.mapped] > truth.level) == pytest.approx(0.25, abs=0.01)
