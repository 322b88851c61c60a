"""Policies put together from parts: their options, their states, and a run of one."""

import re
from pathlib import Path

import numpy as np
import pytest

from grainscout.policies import (
    CandidatePolicy,
    Choice,
    ModelPolicy,
    SeededPolicy,
    Selection,
    make_policy,
    policy_class,
    policy_options,
    require_conforming,
)
from grainscout.policies.conformance import ToySample, play
from grainscout.policies.parts import (
    DescriptorTarget,
    ImageFeatures,
    KernelModel,
    PlaneFeatures,
    StandardAcquisition,
)
from grainscout.policies.recipe import Recipe
from grainscout.policies.registry import BUILTIN
from grainscout.records import ConfigError, pack, unpack

MANUAL = (Path(__file__).parents[2] / "docs/manual/own-policy.md").read_text(encoding="utf-8")
TOY = ToySample()
PROBLEM = TOY.problem(60)


def fresh(policy, seed: int = 0):
    policy.reset(PROBLEM, rng=np.random.default_rng(seed))
    return policy


def manual(word: str) -> dict:
    """The names that the block with this word on the manual's page defines."""
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", MANUAL, re.S) if word in b)
    names: dict = {"__name__": __name__}
    exec(block, names)
    return names


LeftFirst = manual("LeftFirst")["LeftFirst"]


def test_the_manuals_recipe_keeps_the_protocol_and_to_its_parts():
    recipe = manual("Recipe")["bright_boundaries"]
    require_conforming(lambda **options: recipe(seed_points=3, **options))
    policy = fresh(recipe(window=12, seed_points=9))
    boundary = policy.candidates.maps(policy.run)["boundary"]
    inside = [p.site for p in policy.ask(9)]
    assert (boundary[PROBLEM.index_of(inside)] == 1).all()
    policy.tell([TOY.measure(site) for site in inside])
    assert "log-ei" in policy.ask(1)[0].scores


def test_parts_that_are_given_make_the_policy_that_has_their_options():
    ours = ModelPolicy(
        features=ImageFeatures(features="jets"),
        model=KernelModel(engine="rbf", position=False),
        target=DescriptorTarget(target="max_current"),
        acquisition=StandardAcquisition(acquisition="ucb"),
        seed_points=4,
    )
    options = {"features": "jets", "engine": "rbf", "position": False, "target": "max_current"}
    named = make_policy("dkl", {**options, "acquisition": "ucb", "seed_points": 4})
    assert play(fresh(ours), TOY.measure, (4, 2, 1)) == play(fresh(named), TOY.measure, (4, 2, 1))


def test_a_part_of_ones_own_joins_the_others():
    require_conforming(lambda: ModelPolicy(candidates=LeftFirst(), seed_points=3))
    sites = [p.site for p in fresh(ModelPolicy(candidates=LeftFirst(), seed_points=9)).ask(9)]
    assert all(site.column < 18 for site in sites)


def test_a_recipe_has_the_options_of_its_parts():
    left = Recipe("Left", "DKL on the left half.", candidates=LeftFirst(share=0.4), seed_points=2)
    policy = left(share=0.6, beta=1.0, retries=1)
    assert policy.candidates == LeftFirst(share=0.6)
    assert policy.acquisition == StandardAcquisition(beta=1.0)
    assert (policy.seed_points, policy.retries) == (2, 1)
    assert left().candidates == LeftFirst(share=0.4)
    with pytest.raises(ConfigError, match="no option 'shaer'"):
        left(shaer=1)


@pytest.mark.parametrize("name", BUILTIN)
def test_no_option_is_known_and_said_to_do_nothing_at_once(name):
    never = getattr(policy_class(name), "never", ())
    assert not set(never) & set(policy_options(name))
    for option in never:
        with pytest.raises(ConfigError, match=f"{option!r} any more, because it never did"):
            make_policy(name, {option: 1})


def test_an_option_that_acts_changes_the_run():
    """Every option of kriging that is no threshold does something, unlike those taken away."""
    before = play(fresh(make_policy("kriging")), TOY.measure, (10, 4, 1, 1))
    for option, value in {
        "engine": "rbf",
        "acquisition": "ucb",
        "target": "max_current",
        "cost_aware": True,
        "seed_points": 3,
    }.items():
        policy = fresh(make_policy("kriging", {option: value}))
        assert play(policy, TOY.measure, (10, 4, 1, 1)) != before, option


def test_a_state_that_has_options_taken_away_since_is_continued():
    first = fresh(make_policy("kriging", {"seed_points": 2}))
    play(first, TOY.measure, (2, 1, 1))
    state = unpack(pack(first.state()))
    state["options"] = state["options"].replace("{", "{'window': 16, 'features': 'structure', ")
    second = fresh(make_policy("kriging", {"seed_points": 2}), seed=1)
    second.restore(state)
    assert play(second, TOY.measure, (1, 2)) == play(first, TOY.measure, (1, 2))


def test_small_values_are_predicted_as_they_are_when_they_are_looked_for():
    """The acquisition turns the sign, the proposal does not."""
    policy = fresh(make_policy("dkl", {"goal": "min", "acquisition": "ei", "seed_points": 6}))
    play(policy, TOY.measure, (6,))
    mean = policy.predict()[0]
    (proposal,) = policy.ask(1)
    assert proposal.prediction == mean[PROBLEM.index_of([proposal.site])[0]]


def test_a_policy_blind_to_the_image_shows_no_image_novelty():
    policy = fresh(make_policy("kriging", {"seed_points": 4}))
    play(policy, TOY.measure, (4, 1))
    assert set(policy.explain()) == {"mean", "uncertainty", "acquisition"}


def test_the_published_loop_needs_patches():
    policy = ModelPolicy(features=PlaneFeatures(), model=KernelModel(engine="mlp-published"))
    with pytest.raises(ConfigError, match="needs patches"):
        fresh(policy)


def test_policies_written_with_the_former_names_still_run():
    class Candidate(CandidatePolicy):
        def _choose(self, n, open_):
            assert len(self.ledger) == len(self.archive)
            assert set(open_) == set(self.ledger.open())
            return Choice(index=open_[:n])

    class Seeded(SeededPolicy):
        def _select(self, n, open_):
            return Choice(index=open_[:n])

    assert Choice is Selection
    for make in (Candidate, lambda: Seeded(seed_points=3)):
        require_conforming(make)
