"""The conformance suite: every registered policy passes, and each kind of fault is found."""

import dataclasses
import random
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from grainscout.policies import (
    CandidatePolicy,
    Selection,
    check_policy,
    make_policy,
    policy_class,
    policy_names,
    require_conforming,
)
from grainscout.policies.strategies.random import Random
from grainscout.records import PolicyError, Proposal, Site

# Fewer models, so that the suite stays quick.
FEWER = {
    "hypothesis": {"hypotheses": "constant; boundary, grain"},
    "beacon": {"outcomes": "loop_area, turn_on"},
}


@pytest.mark.parametrize("name", policy_names())
def test_every_registered_policy_conforms(name):
    policy = policy_class(name)
    require_conforming(partial(policy, **FEWER[name]) if name in FEWER else policy)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hypothesis", {"hypotheses": "constant; junction", "reward": "published", "warm_up": 2}),
        ("hypothesis", {"hypotheses": "constant; junction", "reward": "prequential"}),
        ("structured-gp", {"residual": "features", "engine": "nngp", "nuisance": "both"}),
        ("grid", {"order": "raster", "points": 9}),
        ("dkl", {"seed_design": "latin", "cost_aware": True}),
        ("random", {"retries": 2}),
        ("dkl", {"acquisition": "log-ei", "goal": "min", "cost_aware": True, "robust": True}),
        ("dkl", {"acquisition": "thompson", "engine": "matern", "features": "both"}),
        ("dkl", {"acquisition": "integrated-variance", "engine": "rbf", "features": "pca"}),
        ("dkl", {"acquisition": "beacon", "refit_growth": 0.0}),
        ("dkl", {"engine": "mlp"}),
        ("dual-novelty", {"gate": "quantile", "novelty": "frozen", "image": "patch"}),
        ("dual-novelty", {"gate": "probability", "metric": "correlation"}),
        ("dual-novelty", {"gate": "none", "spectral": "nearest", "acquisition": "ei"}),
        ("dual-novelty", {"spectral": "reconstruction", "acquisition": "thompson"}),
        ("dual-novelty", {"spectral": "mean-curve", "metric": "split", "image_neighbours": 3}),
        ("boundary-dkl", {"detector": "classical", "seed_points": 3}),
        ("scout", {"aim": "discovery", "prior": "none"}),
    ],
)
def test_other_options_conform(name, options):
    require_conforming(partial(policy_class(name), **options))


class Forgetful(Random):
    def restore(self, state):
        stored = self.rng.bit_generator.state
        super().restore(state)
        self.rng.bit_generator.state = stored


class Global(Random):
    def _choose(self, n, available):
        random.random()
        return super()._choose(n, available)


class Repeating(Random):
    def ask(self, n=1):
        self.history.pending[:] = 0
        self.history.visits[:] = 0
        return super().ask(n)


class Ordered(CandidatePolicy):
    def _told(self, outcomes):
        self.last = outcomes[-1].site.row if outcomes else 0

    def _begin(self):
        self.last = 0

    def _choose(self, n, available):
        return Selection(index=np.roll(available, self.last)[:n])


class Leftover(Random):
    def _begin(self):
        self.total = getattr(self, "total", 0)

    def _choose(self, n, available):
        self.total += 1
        return Selection(index=np.roll(available, self.total)[:n])


class Greedy(Random):
    def ask(self, n=1):
        return super().ask(n + 1)


class Stubborn(Random):
    def _told(self, outcomes):
        self.history.failures[:] = 0


class Closed(Random):
    def tell(self, outcomes):
        if any(o.proposal_id is None for o in outcomes):
            raise KeyError("unknown proposal")
        super().tell(outcomes)


class Endless(Random):
    def ask(self, n=1):
        return super().ask(n) or [Proposal(id="again", site=Site(8, 8))]


class Opinionated(Random):
    def predict(self):
        self.rng.random()
        return np.zeros(60), np.ones(60)


class Fragile(Random):
    def _told(self, outcomes):
        for o in outcomes:
            if o.curve is not None and not o.curve.current.any():
                raise ZeroDivisionError("no current")


class Meddling(Random):
    def _begin(self):
        height = self.problem.scan.channels["height"]
        height.setflags(write=True)
        height[0, 0] += 1e-9


class Unseeded(Random):
    def _begin(self):
        self.rng = np.random.default_rng()


class Painter(Random):
    def explain(self):
        return {"mean": np.zeros(self.problem.scan.shape)}


@pytest.mark.parametrize(
    ("policy", "failing"),
    [
        (Forgetful, "continues_from_state"),
        (Global, "leaves_globals_alone"),
        (Repeating, "never_revisits"),
        (Ordered, "ignores_order"),
        (Leftover, "resets_cleanly"),
        (Greedy, "proposes_candidates"),
        (Stubborn, "survives_failures"),
        (Closed, "welcomes_foreign_points"),
        (Endless, "stops_when_exhausted"),
        (Endless, "works_with_one_candidate"),
        (Opinionated, "predicts"),
        (Fragile, "survives_odd_curves"),
        (Meddling, "leaves_problem_alone"),
        (Unseeded, "is_deterministic"),
        (Painter, "explains"),
    ],
)
def test_a_faulty_policy_fails_the_check_that_is_about_its_fault(policy, failing):
    results = {r.name: r for r in check_policy(policy)}
    assert not results[failing].passed
    assert results[failing].message


def test_a_policy_without_any_inheritance_conforms():
    @dataclasses.dataclass
    class Plain:
        def reset(self, problem, *, rng):
            self.left = [Site(*map(int, s)) for s in rng.permutation(problem.candidates)]
            self.made = 0

        def ask(self, n=1):
            sites, self.left = self.left[:n], self.left[n:]
            self.made += len(sites)
            return [Proposal(id=f"{self.made - k}", site=s) for k, s in enumerate(sites)]

        def tell(self, outcomes):
            done = {o.site for o in outcomes}
            self.left = [s for s in self.left if s not in done]

    require_conforming(Plain)


def test_a_policy_that_takes_the_truth_must_say_so():
    class Cheat(Random):
        def __init__(self, truth):
            super().__init__()

    factory: Callable[..., Random] = Cheat
    assert "keeps_protocol" in [r.name for r in check_policy(factory) if not r.passed]


def test_a_factory_with_any_keywords_gets_the_truth_only_if_it_needs_it():
    require_conforming(lambda **more: make_policy("oracle", more))
    require_conforming(lambda **more: make_policy("random", {"retries": 1, **more}))


def test_the_listing_names_what_failed():
    with pytest.raises(PolicyError, match=r"fails 1 of \d+ checks:\n  explains: "):
        require_conforming(Painter)
