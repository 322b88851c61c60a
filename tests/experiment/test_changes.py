"""What a person narrows during a run, and that it is the same run however often it was interrupted."""

import numpy as np
import pytest
from flights import film_of, problem_of, scope_on
from interrupts import trajectory

from grainscout.experiment import Experiment
from grainscout.experiment.changes import Changes, region_of
from grainscout.hardware import Limits
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import ConfigError

SEED = 5
ASKED = {
    4: ("exclude", "0,0,23,47"),
    6: ("constrain", "height > -1"),
    8: ("narrow", "curves=17,current_A=5e-9"),
}


class Killed(Exception):
    """The process dies."""


@pytest.fixture(scope="module")
def film():
    return film_of(SEED)


class Deaf:
    """A policy that learns nothing of what is excluded, as another package's may."""

    def __init__(self):
        self._policy = make_policy("grid")

    def reset(self, problem, *, rng):
        self._left = list(range(0, len(problem.candidates), 9))
        self._sites = problem.candidates

    def ask(self, n=1):
        from grainscout.records import Proposal, Site

        chosen, self._left = self._left[:n], self._left[n:]
        return [Proposal(id=f"d{k}", site=Site(*self._sites[k].tolist())) for k in chosen]

    def tell(self, outcomes):
        """Nothing."""


def policy_of(name):
    return Deaf() if name == "deaf" else make_policy(name)


def setting(path, kill):
    def observe(step):
        if step.number in ASKED:
            with Journal.open(path) as other:
                kind, change = ASKED[step.number]
                other.request(kind, change=change)
        if step.number == kill:
            raise Killed

    return {"checkpoint_every": 3, "batch": 2, "observe": observe}


def run(film, path, name, kills=()):
    """Run, die after each batch of `kills`, and resume."""
    scope = scope_on(film, SEED)
    problem = problem_of(scope, 24)
    kills = [*kills, None]
    with Journal.create(path, Header(problem=problem, config={}, seed=SEED)) as journal:
        experiment = Experiment(
            scope, policy_of(name), problem=problem, seed=SEED, journal=journal,
            **setting(path, kills[0]),
        )  # fmt: skip
        for kill, after in zip(kills, [*kills[1:], None], strict=True):
            if kill is None:
                return experiment.run(), scope, journal.events()
            with pytest.raises(Killed):
                experiment.run()
            scope = scope_on(film, SEED)
            experiment = Experiment.resume(journal, scope, policy_of(name), **setting(path, after))
    raise AssertionError


@pytest.mark.parametrize("name", ["dkl", "deaf"])
def test_a_narrowed_run_keeps_to_it_and_is_the_same_run_when_interrupted(film, tmp_path, name):
    whole, scope, events = run(film, tmp_path / "whole.gsj", name)
    asked = [e.detail for e in events if e.kind == "request"]
    assert [(d["asked"], d["change"]) for d in asked][::2] == [ASKED[4], ASKED[8]]
    assert "leaves all as they are" in asked[1]["refused"]  # the constraint
    assert whole.reason == "budget: 17 curves"
    assert scope.limits.current_A == 5e-9
    late = [o for o in whole.outcomes if o.started > whole.outcomes[11].started]
    assert all(o.site[0] > 23 for o in late if o.curve is not None)
    for kills in ((2, 5), (4, 6), (7, 8)):
        again, scope, _ = run(film, tmp_path / f"{kills}.gsj", name, kills)
        assert trajectory(again.outcomes) == trajectory(whole.outcomes)
        assert scope.limits.current_A == 5e-9


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("exclude", "0,0,47", "two corners"),
        ("exclude", "0,0,47,47", "must leave a site"),
        ("exclude", "0,0,20,48", "at most 47,47"),
        ("exclude", "0,0,0,0", "leaves all as they are"),
        ("constrain", "colour > 3", "needs an image"),
        ("constrain", "height > deep", "finite number"),
        ("constrain", "height > 1", "must leave a site"),
        ("narrow", "curves=99", "at most 24"),
        ("narrow", "curves=20.5", "whole number"),
        ("narrow", "curves=7", "above the 7 of now"),
        ("narrow", "voltage_V=9", "at most 2.0"),
        ("narrow", "voltage_V=1", "own curves would be refused"),
        ("narrow", "light_suns=0.01", "own curves would be refused"),
        ("narrow", "speed=1", "narrow needs name=value"),
    ],
)
def test_what_is_wider_or_leaves_nothing_is_refused(film, kind, change, says):
    scope = scope_on(film, SEED)
    problem = problem_of(scope, 24)
    with pytest.raises(ConfigError, match=says):
        Changes(problem, scope).apply(kind, change, 1, spent=7)
    assert scope.limits == Limits()


def test_a_constraint_takes_away_the_sites_where_the_image_is_otherwise(film):
    scope = scope_on(film, SEED)
    problem = problem_of(scope, 24)
    height = problem.scan.height[tuple(problem.candidates.T)]
    level = float(np.median(height))
    gone = region_of("constrain", f"height > {level!r}", problem)
    np.testing.assert_array_equal(gone, height <= level)
