"""Space filling: bounds that geometry gives."""

import numpy as np
import pytest
from samples import curve_of, fresh, problem_on

from grainscout.policies import make_policy
from grainscout.records import Outcome, Problem, Site, Waveform

WAVE = Waveform.triangle(samples=5)


def problem(rows: int, columns: int, *, step=(1e-8, 1e-8), keep: float = 1.0) -> Problem:
    sites = np.stack(np.indices((rows, columns)), -1).reshape(-1, 2)
    sites = sites[np.random.default_rng(0).random(len(sites)) < keep]
    return problem_on(np.zeros((rows, columns)), sites, waveform=WAVE, curves=20, step=step)


def chosen(name: str, of: Problem, n: int, seed: int = 0):
    policy = fresh(make_policy(name), of, seed)
    return np.array([p.site for p in policy.ask(n)]), policy


def covering_radius(points, centres) -> float:
    return float(np.linalg.norm(points[:, None] - centres, axis=2).min(1).max())


@pytest.mark.parametrize("seed", range(4))
def test_farthest_points_cover_within_twice_the_best_possible_radius(seed):
    of = problem(24, 31, keep=0.6)
    every = of.candidates.astype(float)
    for k in (2, 5, 12, 30):
        centres, _ = chosen("farthest-point", of, k, seed)
        radius = covering_radius(every, centres)
        # Gonzalez 1985: with the next farthest point there are k + 1 sites that are `radius` apart,
        # so any k balls of less than half that radius miss one of them.
        farthest = every[np.linalg.norm(every[:, None] - centres, axis=2).min(1).argmax()]
        apart = np.vstack([centres, farthest])
        distance = np.linalg.norm(apart[:, None] - apart, axis=2)[np.triu_indices(k + 1, 1)]
        assert distance.min() >= radius - 1e-9


def test_distances_are_in_metres_not_pixels():
    # Pixels ten times as tall as wide: the far end of a column beats that of a longer row.
    of = problem(5, 21, step=(1e-7, 1e-8))
    policy = fresh(make_policy("farthest-point"), of)
    zero = curve_of(WAVE, np.zeros(5))
    policy.tell([Outcome(site=Site(0, c), status="ok", curve=zero) for c in (0, 10, 20)])
    (proposal,) = policy.ask(1)
    assert proposal.site.row == 4
    assert proposal.scores["distance"] == pytest.approx(np.hypot(4e-7, 5e-8))


def test_sixteen_sobol_sites_hit_every_cell_of_a_four_by_four_mesh():
    # A (0, m, 2)-net in base 2: each elementary interval of area 1/16 holds one of 16 points.
    for seed in range(5):
        sites, _ = chosen("sobol", problem(64, 64), 16, seed)
        assert len({(r // 16, c // 16) for r, c in sites.tolist()}) == 16
        assert len(set((sites[:, 0] // 4).tolist())) == 16


def test_one_by_one_or_together_sobol_is_the_same_sequence():
    of = problem(40, 40)
    together, _ = chosen("sobol", of, 12)
    policy = fresh(make_policy("sobol"), of)
    singly = [tuple(policy.ask(1)[0].site) for _ in range(12)]
    assert singly == list(map(tuple, together.tolist()))
