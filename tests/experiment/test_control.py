"""A person's hand on a running experiment."""

import dataclasses
import threading
import time

import pytest
from flights import WAVE, film_of, problem_of, scope_on
from interrupts import Stateless

from grainscout.experiment import Experiment, attachable
from grainscout.hardware import Guard, Limits, SimulatedMicroscope
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import ConfigError, JournalError, LimitError, Waveform, spawn_streams

SEED = 5


@pytest.fixture(scope="module")
def film():
    return film_of(SEED)


class Setting:
    """An experiment with a journal, and another hand on that journal."""

    def __init__(self, film, path, policy="random", curves=12, batch=1):
        self.path, self.policy, self.batch = path, policy, batch
        self.film = film
        self.scope = scope_on(self.film, SEED)
        problem = problem_of(self.scope, curves)
        self.journal = Journal.create(path, Header(problem=problem, config={}, seed=SEED))
        self.experiment = Experiment(
            self.scope,
            make_policy(policy, {}),
            problem=problem,
            seed=SEED,
            journal=self.journal,
            batch=batch,
            observe=self.observe,
        )
        self.at = {}

    def observe(self, step):
        for kind, detail in self.at.get(step.number, ()):
            with Journal.open(self.path) as other:
                other.request(kind, **detail)

    def resumed(self):
        return Experiment.resume(
            self.journal, scope_on(self.film, SEED), make_policy(self.policy, {}), batch=self.batch
        )


@pytest.fixture
def make(film, tmp_path):
    made = []

    def making(**settings):
        made.append(Setting(film, tmp_path / "run.gsj", **settings))
        return made[-1]

    yield making
    for setting in made:
        setting.journal.close()


def test_a_point_by_hand_is_measured_next_and_told(make):
    setting = make(policy="dkl", curves=14)
    setting.at = {3: [("add", {"row": 20, "column": 30})]}
    outcomes = setting.experiment.run().outcomes
    assert tuple(outcomes[4].site) == (20, 30)
    assert outcomes[4].proposal_id is None
    assert outcomes[4].curve is not None
    # The policy knows: it does not ask for that site again.
    assert sum(tuple(o.site) == (20, 30) for o in outcomes) == 1


def test_an_aborted_run_with_hand_made_points_is_parked_and_resumes_exactly(make, tmp_path):
    hand = {2: [("add", {"row": 20, "column": 30}), ("add", {"row": 21, "column": 9})]}
    setting = make(policy="dkl", curves=16, batch=2)
    setting.at = hand
    whole = setting.experiment.run().outcomes
    (tmp_path / "run.gsj").rename(tmp_path / "whole.gsj")
    setting = make(policy="dkl", curves=16, batch=2)
    setting.at = {**hand, 4: [("abort", {})]}
    assert setting.experiment.run().reason == "aborted by hand"
    assert setting.scope.log[-1].name == "park"
    rest = setting.resumed().run().outcomes
    assert [(tuple(o.site), o.proposal_id) for o in rest] == [
        (tuple(o.site), o.proposal_id) for o in whole
    ]


def test_a_pause_parks_and_waits(make):
    setting = make()
    setting.at = {2: [("pause", {})]}
    seen = []

    def later():
        with Journal.open(setting.path) as other:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not any(
                e.kind == "request" for e in other.events()
            ):
                time.sleep(0.02)
            time.sleep(0.3)
            seen.append((len(other.outcomes()), setting.scope.log[-1].name))
            other.request("resume")

    helper = threading.Thread(target=later)
    helper.start()
    result = setting.experiment.run()
    helper.join()
    assert seen == [(3, "park")]
    assert len(result.outcomes) == 12


def test_a_request_that_makes_no_sense_is_noted_and_harmless(make):
    setting = make()
    setting.at = {1: [("add", {"row": 999, "column": 0}), ("dance", {})]}
    assert len(setting.experiment.run().outcomes) == 12
    refused = [e.detail for e in setting.journal.events() if "refused" in e.detail]
    assert [r["asked"] for r in refused] == ["add", "dance"]
    assert "48 x 48" in refused[0]["refused"]


def test_a_veto_outlives_a_kill(make):
    setting = make(batch=3)
    victim = setting.experiment.policy.ask(6)[4]
    setting.experiment.policy.reset(
        setting.experiment.problem, rng=spawn_streams(SEED).policy_rng()
    )
    # The veto is read before the next measurement; the abort after it ends this process's part.
    setting.at = {0: [("veto", {"id": victim.id}), ("abort", {})]}
    setting.experiment.run()
    outcomes = setting.resumed().run().outcomes
    (outcome,) = [o for o in outcomes if o.proposal_id == victim.id]
    assert (outcome.status, outcome.message) == ("aborted", "vetoed by hand")


def test_two_never_run_one_experiment(make):
    setting = make()
    refused = []

    def second(step):
        if step.number == 3:
            with (
                Journal.open(setting.path) as other,
                pytest.raises(JournalError) as caught,
                other.claimed(),
            ):
                pass
            refused.append(str(caught.value))

    setting.experiment.observe = second
    assert len(setting.experiment.run().outcomes) == 12
    assert "another is running it now" in refused[0]
    with Journal.open(setting.path) as after, after.claimed():  # and let go of at the end
        pass
    assert [p.name for p in setting.path.parent.iterdir() if "lock" in p.name] == []


def test_curves_of_an_earlier_run_are_told_and_cost_nothing(make, tmp_path):
    first = make(curves=10)
    earlier = first.experiment.run().outcomes
    first.journal.close()
    (tmp_path / "run.gsj").rename(tmp_path / "earlier.gsj")
    setting = make(policy="dkl", curves=12)
    with Journal.open(setting.path) as other:
        other.request("attach", file=str(tmp_path / "earlier.gsj"))
    outcomes = setting.experiment.run().outcomes
    told = [o for o in outcomes if o.message == "attached"]
    assert {tuple(o.site) for o in told} == {tuple(o.site) for o in earlier}
    assert sum(o.proposal_id is not None for o in outcomes) == 12
    own = {tuple(o.site) for o in outcomes[11:] if o.proposal_id is not None}
    assert not own & {tuple(o.site) for o in earlier}
    # The model speaks at once: ten curves are more than the ten seed points that it waits for.
    assert setting.journal.proposals()[1].prediction is not None


def test_curves_of_another_sweep_are_not_attached(make, film, tmp_path):
    first = make(curves=4)
    first.experiment.run()
    first.journal.close()
    (tmp_path / "run.gsj").rename(tmp_path / "earlier.gsj")
    setting = make()
    problem = dataclasses.replace(setting.experiment.problem, waveform=Waveform.triangle(1.2, 51))
    with pytest.raises(ConfigError, match="same sweep"):
        attachable(tmp_path / "earlier.gsj", problem)


def test_a_point_beyond_a_limit_is_refused_and_the_run_goes_on(make):
    setting = make()
    setting.scope.limits = dataclasses.replace(
        setting.scope.limits, frame_m=(0.0, 0.0, 8.9e-7, 8.9e-7)
    )
    setting.at = {1: [("add", {"row": 47, "column": 47})]}
    assert len(setting.experiment.run().outcomes) == 12
    (refused,) = [e.detail for e in setting.journal.events() if "refused" in e.detail]
    assert "frame_m" in refused["refused"]


def test_limits_count_on_after_a_resume_on_a_real_microscope(make, film):
    setting = make()
    setting.at = {6: [("abort", {})]}
    setting.experiment.run()
    inner = SimulatedMicroscope(film, "quiet", seed=spawn_streams(SEED).instrument)
    scope = Guard(Stateless(inner), Limits(curves=9), scan=setting.experiment.problem.scan)
    again = Experiment.resume(setting.journal, scope, make_policy("random", {}))
    scope.limits = dataclasses.replace(scope.limits, site_s=1.5 * WAVE.duration)
    done, *_ = setting.journal.outcomes()
    assert [v.limit for v in scope.check(done.site, WAVE)] == ["site_s"]  # it had its dose before
    with pytest.raises(LimitError, match="curves"):
        again.run()
    assert len(setting.journal.outcomes()) == 9
