"""A person takes a curve out again: policies forget it, and a resumed run is the same."""

import numpy as np
import pytest
from flights import film_of, problem_of, scope_on

from grainscout.experiment import Experiment
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import Proposal, Site

SEED = 5
WHY = "tip touched a particle"


@pytest.fixture(scope="module")
def film():
    return film_of(SEED)


class Killed(BaseException):
    """The process ends."""


class Plain:
    """A policy with no part of ours: largest mean current among the neighbours it knows."""

    def reset(self, problem, *, rng):
        self.sites, self.rng = [tuple(map(int, s)) for s in problem.candidates], rng
        self.known, self.asked = {}, 0

    def ask(self, n=1):
        left = [s for s in self.sites if s not in self.known]
        aim = np.mean([v * np.array(s) for s, v in self.known.items()] or [(0, 0)], axis=0)
        near = np.abs(np.array(left) - aim * 1e9).sum(axis=1) + self.rng.random(len(left))
        self.asked += 1
        return [Proposal(id=f"q{self.asked}", site=Site(*left[int(np.argmin(near))]))]

    def tell(self, outcomes):
        for outcome in outcomes:
            self.known[tuple(map(int, outcome.site))] = float(np.abs(outcome.curve.current).mean())


class Storing(Plain):
    """The same with a state."""

    def state(self):
        known = [[*map(int, s), v] for s, v in self.known.items()]
        return {"known": known, "asked": self.asked, "rng": dict(self.rng.bit_generator.state)}

    def restore(self, state):
        self.known = {(int(r), int(c)): v for r, c, v in state["known"]}
        self.asked = state["asked"]
        self.rng.bit_generator.state = state["rng"]


class Seen:
    """A policy, and what the loop did with it."""

    def __init__(self, policy):
        self.policy, self.retracted, self.resets, self.told = policy, [], 0, []

    def __getattr__(self, name):
        return getattr(self.policy, name)

    def retract(self, outcomes):
        self.retracted += outcomes
        self.policy.retract(outcomes)


def run(film, path, policy, *, at=None, kill=None, curves=16, row=3):
    """Run with a request to take curve `row` out after batch `at`; die after batch `kill`."""
    scope = scope_on(film, SEED)
    problem = problem_of(scope, curves)

    def observe(step):
        if step.number == at:
            with Journal.open(path) as other:
                other.request("retract", outcome=row, reason=WHY)
        if step.number == kill:
            raise Killed

    with Journal.create(path, Header(problem=problem, config={}, seed=SEED)) as journal:
        experiment = Experiment(
            scope, policy, problem=problem, seed=SEED, journal=journal, checkpoint_every=4,
            observe=observe,
        )  # fmt: skip
        if kill is None:
            experiment.run()
        else:
            with pytest.raises(Killed):
                experiment.run()
        return journal.outcomes()


def resumed(film, path, policy):
    with Journal.open(path) as journal:
        Experiment.resume(journal, scope_on(film, SEED), policy, checkpoint_every=4).run()
        return journal.outcomes()


def course(outcomes):
    return [
        (tuple(map(int, o.site)), o.proposal_id, o.curve.current.tobytes(), o.quality)
        for o in outcomes
    ]


def test_the_journal_says_who_took_what_out_and_why(film, tmp_path):
    outcomes = run(film, tmp_path / "run.gsj", make_policy("dkl"), at=6)
    assert [k for k, o in enumerate(outcomes) if not o.usable] == [3]
    assert outcomes[3].quality.reasons == (f"taken out by hand: {WHY}",)
    with Journal.read(tmp_path / "run.gsj") as journal:
        (event,) = [e for e in journal.events() if e.kind == "request"]
        assert journal.as_told(3).usable
        assert journal.outcomes(2, 3)[1].quality == outcomes[3].quality
    assert event.detail == {"asked": "retract", "outcome": 3, "reason": WHY, "before": 8}


def test_a_policy_forgets_the_curve_and_its_site_stays_measured(film, tmp_path):
    policy = Seen(make_policy("dkl"))
    outcomes = run(film, tmp_path / "run.gsj", policy, at=6)
    (forgotten,) = policy.retracted
    assert forgotten.curve.current.tobytes() == outcomes[3].curve.current.tobytes()
    assert len(policy.observations) == len(outcomes) - 1
    assert tuple(outcomes[3].site) not in map(tuple, policy.observations.sites)
    assert policy.history.visits.sum() == len(outcomes)
    assert len({tuple(o.site) for o in outcomes}) == len(outcomes)


def test_the_policy_decides_as_one_that_never_had_the_curve_in_its_model(film, tmp_path):
    without = run(film, tmp_path / "with.gsj", make_policy("dkl", {"seed_points": 5}))
    taken = run(film, tmp_path / "without.gsj", make_policy("dkl", {"seed_points": 5}), at=6)
    assert course(without)[:3] == course(taken)[:3]
    sites = [[tuple(o.site) for o in run] for run in (without, taken)]
    assert sites[0][:8] == sites[1][:8]
    assert sites[0] != sites[1]


@pytest.mark.parametrize(
    ("name", "kill"),
    [
        *(("dkl", k) for k in (6, 7, 8, 10, 12)),
        *(("stored", k) for k in (6, 10)),
        *((name, 8) for name in ("dual-novelty", "scout", "map")),
    ],
)
def test_a_resumed_run_is_the_uninterrupted_one(film, tmp_path, name, kill):
    def policy():
        return Storing() if name == "stored" else make_policy(name)

    whole = run(film, tmp_path / "whole.gsj", policy(), at=6)
    run(film, tmp_path / "part.gsj", policy(), at=6, kill=kill)
    assert course(resumed(film, tmp_path / "part.gsj", policy())) == course(whole)
    assert len({o.proposal_id for o in whole}) == len(whole)


def test_a_policy_without_the_capability_begins_anew_with_everything_else(film, tmp_path):
    policy = Storing()
    outcomes = run(film, tmp_path / "run.gsj", policy, at=6)
    site = tuple(map(int, outcomes[3].site))
    others = [tuple(map(int, o.site)) for k, o in enumerate(outcomes) if k != 3]
    assert set(others) == set(policy.known)
    assert site in policy.known or site not in others
    assert outcomes[8].proposal_id == "q1+8"


def test_a_policy_that_can_do_neither_goes_on_and_the_request_is_refused(film, tmp_path):
    outcomes = run(film, tmp_path / "run.gsj", Plain(), at=6)
    assert all(o.usable for o in outcomes)
    with Journal.read(tmp_path / "run.gsj") as journal:
        (event,) = [e for e in journal.events() if e.kind == "request"]
    assert "Plain can do neither" in event.detail["refused"]


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({"outcome": 99, "reason": WHY}, "number 99 has none"),
        ({"outcome": -1, "reason": WHY}, "number -1 has none"),
        ({"outcome": 2, "reason": " "}, "a reason"),
        ({"reason": WHY}, "a reason"),
    ],
)
def test_a_request_that_names_no_curve_or_reason_is_refused(film, tmp_path, detail, words):
    path, scope = tmp_path / "run.gsj", scope_on(film, SEED)
    problem = problem_of(scope, 4)
    with Journal.create(path, Header(problem=problem, config={}, seed=SEED)) as journal:
        journal.request("retract", **detail)
        policy = make_policy("random")
        Experiment(scope, policy, problem=problem, seed=SEED, journal=journal).run()
        (event,) = [e for e in journal.events() if e.kind == "request"]
        assert words in event.detail["refused"]
        assert journal.retractions() == []


def test_a_person_takes_out_a_curve_of_an_ended_run_by_id_or_place(film, tmp_path, grainscout):
    def control(*words):
        status, _, err = grainscout("control", *words)
        return status, " ".join(err.split())

    path = tmp_path / "run.gsj"
    outcomes = run(film, path, make_policy("random"), curves=6)
    site = ",".join(str(int(v)) for v in outcomes[4].site)
    assert control(path, "retract", outcomes[1].proposal_id, "--reason", WHY)[0] == 0
    assert control(path, "retract", site, "--reason", "drift")[0] == 0
    with Journal.read(path) as journal:
        assert [k for k, o in enumerate(journal.outcomes()) if not o.usable] == [1, 4]
    status, err = control(path, "retract", site, "--reason", "again")
    assert status == 2
    assert "id or ROW,COLUMN of a measured curve" in err
    status, err = control(path, "retract", "p9999", "--reason", WHY)
    assert status == 2
    status, err = control(path, "retract", site)
    assert "needs a curve and --reason" in err
