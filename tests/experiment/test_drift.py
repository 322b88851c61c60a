"""Sites follow the sample: by small images in a run, and by a new image when it is resumed."""

import numpy as np
import pytest
from interrupts import DiesAfter, Interrupted, Stateless, trajectory

from grainscout.experiment import DriftSettings, Experiment, make_problem
from grainscout.hardware import Guard, Limits, SimulatedMicroscope
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import (
    Budget,
    ConfigError,
    JournalError,
    MicroscopeError,
    NotSentError,
    Waveform,
    spawn_streams,
)
from grainscout.simulator import PRESETS, Film

WAVE = Waveform.triangle(1.5, 21, 1.0)
LOOKS = DriftSettings(every_curves=4, part_px=24)


def film(seed=7):
    return Film.generate(PRESETS["tiny"], spawn_streams(seed).film)


def simulated(seed=7):
    return SimulatedMicroscope(film(seed), "quiet+drift-severe", seed=spawn_streams(7).instrument)


def run(scope, path=None, *, drift=LOOKS, curves=18, wrap=lambda journal: journal):
    guard = Guard(scope, Limits())
    problem = make_problem(guard, WAVE, Budget(curves=curves))
    journal = path and Journal.create(path, Header(problem=problem, config={}, seed=7))
    policy = make_policy("random")
    Experiment(
        guard, policy, problem=problem, seed=7, drift=drift, journal=journal and wrap(journal)
    ).run()
    return journal


def site_error(scope):
    """Median distance [pixels] from where the image showed the sites."""
    instrument = scope.instrument
    met = np.array([v.offset for v in instrument.path])
    instrument.displaced = np.zeros(2)
    shown = np.array([instrument.offset(v.site[0] + 0.5) for v in instrument.path])
    return np.median(np.hypot(*((met - shown) / instrument.film.pixel_size).T))


def test_sites_follow_a_drifting_sample_and_the_looks_cost_time():
    follows, stays = simulated(), simulated()
    run(follows, curves=60)
    run(stays, drift=None, curves=60)
    assert site_error(follows) < 0.5 < site_error(stays)
    # 15 looks of 24 lines, each half an image's line long, and an approach each.
    assert follows.clock.now() - stays.clock.now() == pytest.approx(15 * (12 + 0.1))


@pytest.mark.parametrize(
    ("kind", "k"), [("record_outcome", 5), ("record_outcome", 9), ("record_batch", 7)]
)
def test_a_killed_run_with_drift_goes_on_exactly(tmp_path, kind, k):
    whole = run(simulated(), tmp_path / "whole.gsj")
    dies = lambda journal: DiesAfter(journal, kind, k, False)  # noqa: E731
    with pytest.raises(Interrupted):
        run(simulated(), tmp_path / "cut.gsj", wrap=dies)
    with Journal.open(tmp_path / "cut.gsj") as journal:
        scope = Guard(simulated(), Limits())
        Experiment.resume(journal, scope, make_policy("random"), drift=LOOKS).run()
        assert trajectory(journal.outcomes()) == trajectory(whole.outcomes())


def test_a_resumed_run_finds_its_sites_on_a_new_image(tmp_path):
    scope = Stateless(simulated())
    dies = lambda journal: DiesAfter(journal, "record_outcome", 5, True)  # noqa: E731
    with pytest.raises(Interrupted):
        run(scope, tmp_path / "run.gsj", drift=None, wrap=dies)
    scope.inner.clock.spend(1500.0)  # a night in which the sample drifts by pixels
    measured = len(scope.inner.instrument.path)
    with Journal.open(tmp_path / "run.gsj") as journal:
        Experiment.resume(journal, Guard(scope), make_policy("random")).run()
        assert [o.status for o in journal.outcomes()] == ["ok"] * 18
        (found,) = [e.detail for e in journal.events() if e.kind == "registered"]
    assert np.hypot(found["rows"], found["columns"]) > 2
    del scope.inner.instrument.path[:measured]
    assert site_error(scope.inner) < 1.0  # the new image is itself taken while the sample drifts


def test_a_run_is_not_resumed_on_another_place(tmp_path):
    dies = lambda journal: DiesAfter(journal, "record_outcome", 5, True)  # noqa: E731
    with pytest.raises(Interrupted):
        run(Stateless(simulated()), tmp_path / "run.gsj", drift=None, wrap=dies)
    with Journal.open(tmp_path / "run.gsj") as journal:
        before = journal.count()
        other = Guard(Stateless(simulated(8)))
        with pytest.raises(JournalError, match="must show the place of the first one"):
            Experiment.resume(journal, other, make_policy("random")).run()
        assert journal.count() == before


def test_a_place_that_is_lost_stops_the_run(tmp_path):
    scope = simulated()

    def swap(journal):
        scope.instrument.film = film(8)
        return journal

    with pytest.raises(MicroscopeError, match="the place is lost"):
        run(scope, tmp_path / "run.gsj", wrap=swap)
    assert not scope.engaged


def test_a_move_that_is_not_sent_is_no_outcome(tmp_path):
    scope = simulated()

    def refuse(*_):
        raise NotSentError("not connected")

    def break_it(journal):
        scope.measure = refuse
        return journal

    with pytest.raises(NotSentError):
        run(scope, tmp_path / "run.gsj", wrap=break_it, drift=None)
    with Journal.read(tmp_path / "run.gsj") as journal:
        assert journal.count() == 0


def test_a_microscope_that_cannot_look_is_refused():
    scope = Stateless(simulated())
    scope.unsupported = frozenset(("look",))
    with pytest.raises(ConfigError, match="Leave"):
        run(scope)
