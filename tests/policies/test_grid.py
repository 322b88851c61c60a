"""Random and grid: coverage, travel and chance."""

import numpy as np
import pytest
from samples import fresh, problem_on

from grainscout.policies import make_policy
from grainscout.records import Problem


def problem(rows: int, columns: int, curves: int) -> Problem:
    return problem_on(np.zeros((rows, columns)), curves=curves)


def sites(name: str, options: dict[str, object], of: Problem, n: int, seed: int = 0):
    policy = fresh(make_policy(name, options), of, seed)
    return np.array([p.site for p in policy.ask(n)])


def travel(path) -> float:
    return float(np.hypot(*np.diff(path, axis=0).T).sum())


def test_a_serpentine_of_every_pixel_travels_one_pixel_a_step():
    full = problem(7, 11, 77)
    assert travel(sites("grid", {}, full, 77)) == 76
    # A raster adds the fly-back of each line: the hypotenuse of the line and one row.
    raster = sites("grid", {"order": "raster"}, full, 77)
    assert travel(raster) == pytest.approx(7 * 10 + 6 * np.hypot(10, 1))
    assert (np.diff(raster @ [11, 1]) == 1).all()


def test_a_coarse_grid_is_regular_centred_and_of_the_wanted_number():
    path = sites("grid", {"order": "raster"}, problem(64, 64, 256), 256)
    assert path.shape == (256, 2)
    for axis in (0, 1):
        lines = np.unique(path[:, axis])
        assert lines.size == 16
        assert (np.diff(lines) == 4).all()
        assert abs(lines.mean() - 31.5) <= 0.5


def test_the_first_pass_of_a_grid_covers_as_well_as_its_step_allows():
    path = sites("grid", {}, problem(64, 64, 256), 256)
    every = np.stack(np.indices((64, 64)), -1).reshape(-1, 1, 2)
    assert np.linalg.norm(every - path, axis=2).min(1).max() <= np.hypot(2, 2) + 1e-12


def test_after_the_first_pass_the_sites_in_between_follow_until_none_is_left():
    of = problem(12, 9, 10)
    path = sites("grid", {"points": 12}, of, 108)
    assert len({tuple(p) for p in path}) == 108


def test_random_sites_are_uniform():
    of = problem(10, 10, 10)
    rows = np.concatenate([sites("random", {}, of, 20, seed=s)[:, 0] for s in range(80)])
    # 1600 draws over 10 rows: counts are within 4.5 standard deviations of 160.
    counts = np.bincount(rows, minlength=10)
    assert abs(counts - 160).max() < 4.5 * np.sqrt(160)
    assert counts.std() > 0
