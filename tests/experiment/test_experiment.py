"""The loop: what is promised about order, budgets, parking and resuming."""

import dataclasses
import gc
import weakref

import numpy as np
import pytest
from flights import film_of, scope_on
from interrupts import DiesAfter, Interrupted, trajectory

from grainscout.experiment import Experiment, StopRule, full_window_sites, make_problem
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import (
    Budget,
    ConfigError,
    JournalError,
    MicroscopeError,
    Outcome,
    PolicyError,
    Proposal,
    Site,
    Waveform,
)

SEED = 11
WAVE = Waveform.triangle(1.5, 101, 1.0)


@pytest.fixture(scope="module")
def film():
    return film_of(SEED)


def microscope(film, instrument="reference", limits=None):
    return scope_on(film, SEED, instrument, limits)


def problem_of(scope, **budget):
    return make_problem(scope, WAVE, Budget(**(budget or {"curves": 24})), light=0.1)


def experiment(film, policy, journal=None, scope=None, problem=None, **settings):
    scope = scope or microscope(film)
    return Experiment(
        scope,
        make_policy(policy, {}) if isinstance(policy, str) else policy,
        problem=problem or problem_of(scope),
        seed=SEED,
        journal=journal,
        **settings,
    )


def new_journal(path, film):
    header = Header(problem=problem_of(microscope(film)), config={}, seed=SEED)
    return Journal.create(path, header)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("policy", ["random", "dkl"])
def test_a_resumed_run_is_the_uninterrupted_one(film, tmp_path, policy, batch):
    whole = experiment(film, policy, batch=batch).run()
    deaths = [
        ("record_batch", 2, False),
        ("record_batch", 4, True),
        ("record_outcome", 9, False),
        ("record_outcome", 14, True),
        ("record_policy", 1, False),
        ("record_policy", 2, True),
    ]
    for number, (method, k, after) in enumerate(deaths):
        path = tmp_path / f"{number}.gsj"
        with new_journal(path, film) as journal:
            dying = DiesAfter(journal, method, k, after)
            doomed = experiment(film, policy, dying, batch=batch, checkpoint_every=3)
            with pytest.raises(Interrupted):
                doomed.run()
        with Journal.open(path) as journal:
            before = trajectory(journal.outcomes())
            scope = microscope(film)
            result = Experiment.resume(
                journal, scope, make_policy(policy, {}), batch=batch, checkpoint_every=3
            ).run()
            assert trajectory(result.outcomes) == trajectory(whole.outcomes)
            assert trajectory(journal.outcomes())[: len(before)] == before
            assert trajectory(journal.outcomes()) == trajectory(whole.outcomes)


def test_a_run_with_a_journal_keeps_no_curve_in_memory(film, tmp_path):
    curves, alive = [], []

    def watch(step):
        curves.extend(weakref.ref(o.curve) for o in step.outcomes)
        gc.collect()
        alive.append(sum(ref() is not None for ref in curves))

    with new_journal(tmp_path / "run.gsj", film) as journal:
        gc.freeze()  # what the other tests have left is not looked through at each step
        experiment(film, "random", journal, observe=watch).run()
        gc.unfreeze()
    assert len(curves) == 24
    assert max(alive) <= 2  # what is at hand


def test_a_run_that_died_before_it_began_is_resumed_with_the_microscope_after_its_scan(
    film, tmp_path
):
    whole = experiment(film, "random").run()
    scope = microscope(film)
    header = Header(problem=problem_of(scope), config={}, seed=SEED)
    Journal.create(tmp_path / "run.gsj", header, scope.state()).close()
    with Journal.open(tmp_path / "run.gsj") as journal:
        resumed = Experiment.resume(journal, microscope(film), make_policy("random", {})).run()
        (start,) = [e for e in journal.events() if e.kind == "start"]
    assert trajectory(resumed.outcomes) == trajectory(whole.outcomes)
    assert start.detail["wear"] == scope.wear() > 0


def test_without_that_state_it_is_refused(film, tmp_path):
    with (
        new_journal(tmp_path / "run.gsj", film) as journal,
        pytest.raises(JournalError, match="ended before it began"),
    ):
        Experiment.resume(journal, microscope(film), make_policy("random", {}))


def test_a_proposal_that_may_have_been_measured_twice_is_marked(film, tmp_path):
    path = tmp_path / "run.gsj"
    with new_journal(path, film) as journal, pytest.raises(Interrupted):
        experiment(film, "random", DiesAfter(journal, "record_outcome", 7, False)).run()
    with Journal.open(path) as journal:
        lost = journal.proposals()[-1].id
        Experiment.resume(journal, microscope(film), make_policy("random", {})).run()
        (event,) = [e for e in journal.events() if e.kind == "resume"]
        assert event.detail["perhaps_measured_twice"] == [lost]
        assert event.detail["outcomes"] == 6


def test_budgets_end_the_run(film):
    scope = microscope(film)
    assert len(experiment(film, "random", scope=scope).run().outcomes) == 24
    scope = microscope(film)
    problem = problem_of(scope, seconds=scope.clock.now() + 100.0)
    result = experiment(film, "random", scope=scope, problem=problem).run()
    assert result.reason.startswith("budget: ")
    # The last decision (0.5 s) was begun before the budget was used up, and its measurement finished.
    assert result.outcomes[-1].started - 0.5 < problem.budget.seconds <= scope.clock.now()
    scope = microscope(film)
    result = experiment(film, "random", scope=scope, problem=problem_of(scope, wear=1e-3)).run()
    assert "tip's life" in result.reason
    assert scope.wear() >= 1e-3


def test_the_last_batch_is_cut_to_the_budget(film):
    scope = microscope(film)
    result = experiment(
        film, "random", scope=scope, problem=problem_of(scope, curves=10), batch=4
    ).run()
    assert len(result.outcomes) == 10


def test_a_policy_with_nothing_left_ends_the_run(film):
    scope = microscope(film)
    problem = dataclasses.replace(problem_of(scope), candidates=np.array([[10, 10], [12, 20]]))
    result = experiment(film, "random", scope=scope, problem=problem).run()
    assert len(result.outcomes) == 2
    assert "nothing left" in result.reason


class Stubborn:
    """A policy of a third party that answers as it is told to."""

    def __init__(self, answer):
        self.answer = answer

    def reset(self, problem, *, rng):
        self.problem = problem

    def ask(self, n=1):
        return self.answer(n)

    def tell(self, outcomes):
        raise RuntimeError("tell broke")


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (lambda n: [Proposal(id="a", site=Site(0, 0))], PolicyError, "candidate site"),
        (
            lambda n: [Proposal(id=str(i), site=Site(20, 20)) for i in range(n + 1)],
            PolicyError,
            "most",
        ),
        (lambda n: [Proposal(id="a", site=Site(20, 20))], RuntimeError, "tell broke"),
        (lambda n: None, PolicyError, "a list of Proposal; got None"),
        (lambda n: [(20, 20)], PolicyError, "a list of Proposal"),
    ],
)
def test_whatever_a_policy_does_the_tip_is_parked_and_the_journal_says_why(
    film, tmp_path, answer, error, said
):
    scope = microscope(film)
    with new_journal(tmp_path / "run.gsj", film) as journal:
        with pytest.raises(error, match=said):
            experiment(film, Stubborn(answer), journal, scope=scope).run()
        assert said in journal.events()[-1].detail["reason"]
    assert scope.log[-1].name == "park"
    assert scope.microscope.bias == 0.0
    assert not scope.microscope.engaged


class AlwaysFails:
    """A microscope whose tip never reaches the surface."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def measure(self, site, waveform):
        raise MicroscopeError("no contact")


def test_a_tip_that_only_fails_stops_the_run_and_keeps_the_failures(film, tmp_path):
    scope = AlwaysFails(microscope(film))
    with new_journal(tmp_path / "run.gsj", film) as journal:
        with pytest.raises(MicroscopeError, match="5 measurements in a row failed"):
            experiment(film, "random", journal, scope=scope, max_failures=5).run()
        outcomes = journal.outcomes()
    assert [o.status for o in outcomes] == ["failed"] * 5
    assert outcomes[0].message == "no contact"


def test_decisions_are_charged_to_the_clock(film):
    ends = []
    for seconds in (0.0, 2.0):
        scope = microscope(film)
        outcomes = experiment(film, "random", scope=scope, decision_seconds=seconds).run().outcomes
        ends.append(outcomes[-1].finished)
    assert ends[1] - ends[0] == pytest.approx(24 * 2.0)


@pytest.mark.parametrize(("shape", "window"), [((128, 128), 16), ((20, 33), 7), ((5, 5), 5)])
def test_full_windows_stay_in_the_image(shape, window):
    sites = full_window_sites(shape, window)
    assert len(sites) == (shape[0] - window + 1) * (shape[1] - window + 1)
    first = sites - window // 2
    assert first.min() == 0
    assert ((first + window).max(0) == shape).all()


def test_a_run_ends_when_more_curves_would_bring_too_little(film, tmp_path):
    """The gain falls with the curves; who looks at it changes nothing; a resumed run ends there, too."""
    gains = []
    policy = make_policy("dkl", {})
    watched = experiment(
        film, policy, observe=lambda _: gains.append(policy.expected_gain(5))
    ).run()
    assert trajectory(watched.outcomes) == trajectory(experiment(film, "dkl").run().outcomes)
    begun = gains.count(1.0)  # nothing is known before the seed points
    assert begun >= 9
    assert gains[:begun] == [1.0] * begun
    assert gains[begun] > gains[-1] > 0.0
    first = next(k for k in range(begun, 24) if gains[k] < 0.95 * gains[begun])
    rule = StopRule(share=float(np.nextafter(gains[first], 1.0)), curves=5, at_least=first + 1)
    with new_journal(tmp_path / "run.gsj", film) as journal:
        dying = DiesAfter(journal, "record_outcome", first, True)
        with pytest.raises(Interrupted):
            experiment(film, "dkl", dying, stop=rule, checkpoint_every=3).run()
    with Journal.open(tmp_path / "run.gsj") as journal:
        again = make_policy("dkl", {})
        scope = microscope(film)
        result = Experiment.resume(journal, scope, again, stop=rule, checkpoint_every=3).run()
        ends = [e.detail["reason"] for e in journal.events() if e.kind == "end"]
    assert result.reason == ends[-1]
    assert result.reason.startswith("settled: by the policy's own model the next 5 curves")
    assert trajectory(result.outcomes) == trajectory(watched.outcomes[: first + 1])


@pytest.mark.parametrize("settings", [{"share": 1.0}, {"curves": 0}, {"at_least": 0}])
def test_impossible_rules_and_policies_without_a_model_are_refused(film, settings):
    with pytest.raises(ConfigError, match=f"stop {next(iter(settings))} must be"):
        StopRule(**settings)
    with pytest.raises(ConfigError, match="Random does not"):
        experiment(film, "random", stop=StopRule())


@pytest.mark.parametrize("settings", [{"batch": 0}, {"checkpoint_every": 0}, {"max_failures": 0}])
def test_impossible_loops_are_refused(film, settings):
    with pytest.raises(ConfigError, match="at least 1; got 0"):
        experiment(film, "random", **settings)


def test_outcomes_keep_their_word():
    with pytest.raises(ValueError, match="must have a curve"):
        Outcome(site=Site(0, 0), status="ok")
