"""Seed points, exhaustion, states of others: what all built-in policies have from their base."""

import numpy as np
import pytest
from samples import problem_on

from grainscout.policies import SeededPolicy, Selection, make_policy
from grainscout.policies.conformance import ToySample
from grainscout.records import ConfigError, PolicyError, Problem, Scan, Site, pack, unpack

TOY = ToySample()
PROBLEM = TOY.problem(60)


class First(SeededPolicy):
    """After the seed points, always the first open site."""

    def _select(self, n, available):
        return Selection(index=available[:n], scores={"first": np.ones(n)})


def fresh(policy=None, problem: Problem = PROBLEM, seed: int = 0):
    policy = policy or First()
    policy.reset(problem, rng=np.random.default_rng(seed))
    return policy


def test_the_model_speaks_after_the_seed_points():
    policy = fresh(First(seed_points=7))
    asked = []
    while len(asked) < 12:
        proposals = policy.ask(3)
        asked += ["first" in p.scores for p in proposals]
        policy.tell([TOY.measure(p) for p in proposals])
    assert asked[:7] == [False] * 7
    assert all(asked[7:])


def test_failed_seed_points_are_replaced():
    policy = fresh(First(seed_points=5))
    proposals = policy.ask(5)
    policy.tell([TOY.failed(p) for p in proposals[:3]] + [TOY.measure(p) for p in proposals[3:]])
    more = policy.ask(9)
    assert len(more) == 3
    assert not any("first" in p.scores for p in more)


def test_points_measured_by_hand_count_as_seed_points():
    policy = fresh(First(seed_points=5))
    policy.tell([TOY.measure(Site(*map(int, s))) for s in PROBLEM.candidates[-5:]])
    assert all("first" in p.scores for p in policy.ask(2))


def test_asked_again_before_any_answer_it_goes_on_with_seed_points():
    policy = fresh(First(seed_points=5))
    sites = [p.site for _ in range(4) for p in policy.ask(4)]
    assert len(set(sites)) == len(sites) == 13  # 4, then the 1 that is left of 5, then 4 and 4


def test_latin_seed_points_take_each_row_and_column_stratum_once():
    scan = Scan(channels={"height": np.zeros((50, 50))}, pixel_size=(1e-8, 1e-8))
    problem = problem_on(scan, curves=50)
    for seed in range(5):
        policy = fresh(First(seed_points=10, seed_design="latin"), problem, seed)
        sites = np.array([p.site for p in policy.ask(10)])
        for axis in (0, 1):
            assert sorted(sites[:, axis] // 5) == list(range(10))


def test_revisits_are_made_when_asked_for():
    policy = fresh(make_policy("random", {"revisits": 2}), TOY.problem(4))
    count: dict[Site, int] = {}
    while proposals := policy.ask(3):
        for p in proposals:
            policy.tell([TOY.measure(p, visit=count.get(p.site, 0))])
            count[p.site] = count.get(p.site, 0) + 1
    assert list(count.values()) == [3, 3, 3, 3]


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_a_senseless_number_is_refused(n):
    with pytest.raises(ConfigError, match=r"ask\(n\)"):
        fresh().ask(n)


def test_asking_before_a_reset_is_named():
    with pytest.raises(PolicyError, match="must be reset"):
        make_policy("random").ask(1)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda: fresh(make_policy("grid")), "policy 'Random'; got 'Grid'"),
        (lambda: fresh(make_policy("random", {"retries": 1})), "options"),
        (lambda: fresh(make_policy("random"), ToySample(seed=5).problem(60)), "problem"),
    ],
)
def test_the_state_of_another_policy_or_problem_is_refused(other, said):
    state = unpack(pack(other().state()))
    with pytest.raises(PolicyError, match=said):
        fresh(make_policy("random")).restore(state)


def test_the_state_of_another_version_or_generator_is_refused():
    state = fresh(make_policy("random")).state()
    with pytest.raises(PolicyError, match="format 1; got 2"):
        fresh(make_policy("random")).restore({**state, "format": 2})
    other = make_policy("random")
    other.reset(PROBLEM, rng=np.random.Generator(np.random.MT19937(0)))
    with pytest.raises(PolicyError, match="generator is PCG64; reset gave MT19937"):
        other.restore(state)
