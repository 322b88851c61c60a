"""Controls: each leaves out exactly what it says it leaves out."""

import numpy as np
import pytest
from samples import problem_on

from grainscout.microstructure import structure_features
from grainscout.policies import make_policy, policy_class
from grainscout.policies.conformance import ToySample, play
from grainscout.policies.strategies.dkl import growing_permutation
from grainscout.records import ConfigError, PolicyError, Problem, Scan

TOY = ToySample()
PROBLEM = TOY.problem(120)


def fresh(name: str, options=None, problem: Problem = PROBLEM, seed: int = 0):
    policy = make_policy(name, options)
    policy.reset(problem, rng=np.random.default_rng(seed))
    return policy


def test_a_growing_permutation_changes_one_place_at_a_time():
    for n in range(1, 30):
        old, new = growing_permutation(n, 5), growing_permutation(n + 1, 5)
        assert sorted(new) == list(range(n + 1))
        assert (old != new[:n]).sum() <= 1


def test_shuffled_dkl_keeps_sites_and_values_but_not_their_relation():
    shuffled, plain = fresh("shuffled-dkl"), fresh("dkl")
    outcomes = [TOY.measure(p) for p in fresh("random").ask(60)]
    for policy in (shuffled, plain):
        policy.tell(outcomes)
    rows, y, _ = shuffled.training_data()
    rows_, y_, _ = plain.training_data()
    assert (rows == rows_).all()
    assert (np.sort(y) == np.sort(y_)).all()
    assert abs(np.corrcoef(y, y_)[0, 1]) < 0.4
    # The map of the true DKL follows the true values; that of the shuffled one does not.
    truth = TOY.maps()[1][tuple(PROBLEM.candidates.T)]
    assert np.corrcoef(plain.predict()[0], truth)[0, 1] > 0.7
    assert abs(np.corrcoef(shuffled.predict()[0], truth)[0, 1]) < 0.5


@pytest.mark.parametrize("name", ["structure-only", "farthest-point", "sobol", "stratified-random"])
def test_what_is_measured_changes_nothing_for_a_policy_that_does_not_look(name):
    other = ToySample(seed=0).insulating
    one = play(fresh(name), TOY.measure, (4, 4, 1, 1, 1))
    two = play(fresh(name), other, (4, 4, 1, 1, 1))
    assert one == two


def test_structure_only_goes_where_the_image_differs_not_where_the_plane_is_empty():
    # A flat image with one bump: after the first site, the next ones are on and around the bump.
    y, x = np.indices((48, 48))
    height = 1e-8 * np.exp(-((y - 30) ** 2 + (x - 12) ** 2) / 18.0)
    problem = problem_on(height, np.stack([y, x], -1).reshape(-1, 2), step=(2e-8, 2e-8))
    sites = np.array([p.site for p in fresh("structure-only", {"window": 8}, problem).ask(6)])
    assert (np.hypot(*(sites[1:] - (30, 12)).T) < 12).sum() >= 4


def test_a_flat_image_has_no_boundary_and_the_policy_still_works():
    scan = Scan(channels={"height": np.full((20, 20), 3e-9)}, pixel_size=(1e-8, 1e-8))
    problem = problem_on(scan, np.array([[3, 3], [4, 4], [5, 9]]))
    policy = fresh("stratified-random", {"share": 1.0}, problem)
    assert np.nanmax(policy.explain()["boundary"]) == 0
    assert len(policy.ask(5)) == 3


def test_the_share_of_the_strata_is_the_one_asked_for():
    near = structure_features(PROBLEM.scan).boundary <= 1.5
    drawn = [
        near[p.site]
        for seed in range(120)
        for p in fresh("stratified-random", {"share": 0.9}, seed=seed).ask(1)
    ]
    assert abs(np.mean(drawn) - 0.9) < 4.5 * np.sqrt(0.09 / 120)
    assert np.mean(drawn) > near[tuple(PROBLEM.candidates.T)].mean() + 0.2


def test_an_oracle_declares_itself_and_refuses_a_truth_of_another_size():
    assert policy_class("oracle").uses_truth is True
    with pytest.raises(PolicyError, match="each of the 120 candidates; got none"):
        fresh("oracle")
    with pytest.raises(ConfigError, match="infinite"):
        make_policy("oracle", {"truth": [1.0, np.inf]})
    with pytest.raises(PolicyError, match="each of the 120 candidates; got 5"):
        fresh("oracle", {"truth": np.zeros(5)})


def test_the_largest_values_come_in_order_and_unknown_ones_last():
    truth = np.random.default_rng(0).normal(size=120)
    truth[[3, 50]] = np.nan
    policy = fresh("oracle", {"truth": truth, "aim": "largest"})
    index = policy.problem.index_of([p.site for p in policy.ask(120)])
    assert (np.diff(truth[index[:118]]) <= 0).all()
    assert set(index[118:]) == {3, 50}


def test_one_of_each_class_comes_first_and_the_rarest_before_all():
    truth = np.random.default_rng(0).choice([0.0, 1.0, 2.0, 3.0], 120, p=[0.7, 0.2, 0.08, 0.02])
    policy = fresh("oracle", {"truth": truth, "aim": "classes"})
    found = truth[policy.problem.index_of([p.site for p in policy.ask(8)])]
    sizes = [(truth == f).sum() for f in found[:4]]
    assert set(found[:4]) == set(found[4:]) == {0.0, 1.0, 2.0, 3.0}
    assert sizes == sorted(sizes)


def test_a_spread_of_values_covers_the_range_better_than_random_sites():
    truth = np.random.default_rng(0).normal(size=120)

    def radius(policy) -> float:
        found = truth[policy.problem.index_of([p.site for p in policy.ask(10)])]
        return float(abs(truth[:, None] - found).min(1).max())

    oracle = radius(fresh("oracle", {"truth": truth}))
    assert oracle <= np.ptp(truth) / 10
    assert all(radius(fresh("random", seed=s)) > oracle for s in range(20))
