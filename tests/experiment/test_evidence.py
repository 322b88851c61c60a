"""Verdicts on curves in the loop: journalled, looked at again, and a tip that is gone ends the run."""

from dataclasses import replace

import numpy as np
import pytest
from flights import film_of, flown, scope_on

from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import Budget, ConfigError, IVCurve, Waveform, spawn_streams
from grainscout.simulator.instrument import ContactSpec, instrument_spec

SEED = 21
WAVE = Waveform.triangle(1.5, 101, 1.0)


@pytest.fixture(scope="module")
def film():
    return film_of(SEED)


def run(film, loss_per_s, *, curves=30, path=None, **settings):
    spec = replace(instrument_spec("quiet"), contact=ContactSpec(loss_per_s=loss_per_s))
    scope = scope_on(film, SEED, spec, light=0.1)
    return flown(scope, "sobol", SEED, path, curves=curves, wave=WAVE, **settings)


def test_every_curve_has_a_verdict_and_the_journal_keeps_it(film, tmp_path):
    result = run(film, 0.3, path=tmp_path / "run.gsj")
    assert all(o.quality is not None for o in result.outcomes)
    assert 0 < sum(o.usable for o in result.outcomes) < len(result.outcomes)
    with Journal.read(tmp_path / "run.gsj") as journal:
        again = journal.outcomes()
    assert [o.quality for o in again] == [o.quality for o in result.outcomes]
    assert np.allclose(
        [o.curve.signals["deflection"] for o in again if o.curve],
        [o.curve.signals["deflection"] for o in result.outcomes if o.curve],
        atol=1e-6,
    )


def test_an_unusable_site_is_measured_again_and_the_look_is_charged(film):
    once, twice = run(film, 0.3), run(film, 0.3, second_look=1)
    assert len(once.outcomes) == len(twice.outcomes) == 30
    looks = [o for o in twice.outcomes if o.proposal_id is None]
    sites = [o.site for o in twice.outcomes if o.proposal_id and not o.usable]
    assert [o.site for o in looks] == sites[: len(looks)]
    assert all(o.visit == 1 for o in looks)
    assert len(sites) - len(looks) <= 1  # the last one may have had no budget left
    good = [{o.site for o in r.outcomes if o.usable} for r in (once, twice)]
    share = [
        len(g) / len({o.site for o in r.outcomes}) for g, r in zip(good, (once, twice), strict=True)
    ]
    assert share[1] > share[0]


def test_two_looks_that_agree_are_both_real(film):
    class Stepped(SimulatedMicroscope):
        """A sample that really jumps at one voltage."""

        def measure(self, site, waveform):
            curve = super().measure(site, waveform)
            current = curve.current + 5e-9 * (np.arange(len(curve)) > 30)
            return IVCurve(voltage=curve.voltage, current=current, time=curve.time)

    scope = Stepped(film, "quiet", seed=spawn_streams(SEED).instrument)
    problem = make_problem(scope, WAVE, Budget(curves=8))
    result = Experiment(
        scope, make_policy("sobol"), problem=problem, seed=SEED, second_look=1
    ).run()
    assert [o.usable for o in result.outcomes] == [False, True] * 4
    assert "confirmed by a second look" in result.outcomes[1].quality.reasons


@pytest.mark.parametrize("after", [2, 6, 9])
def test_a_run_killed_before_its_second_look_looks_after_the_resume(film, tmp_path, after):
    class Killed(BaseException):
        """The process ends."""

    class Dying(Journal):
        """Ends with the first unusable curve after so many outcomes."""

        def record_outcome(self, batch, outcome, microscope=None):
            super().record_outcome(batch, outcome, microscope)
            if not outcome.usable and outcome.visit == 0 and self.count() > after:
                raise Killed

    def scope():
        spec = replace(instrument_spec("quiet"), contact=ContactSpec(loss_per_s=0.3))
        return Guard(
            SimulatedMicroscope(film, spec, seed=spawn_streams(SEED).instrument, light=0.1)
        )

    whole = run(film, 0.3, second_look=1).outcomes
    microscope, path = scope(), tmp_path / "run.gsj"
    problem = make_problem(microscope, WAVE, Budget(curves=30), light=0.1)
    settings = {"second_look": 1, "checkpoint_every": 4}
    with Dying.create(path, Header(problem=problem, config={}, seed=SEED)) as journal:
        experiment = Experiment(
            microscope,
            make_policy("sobol"),
            problem=problem,
            seed=SEED,
            journal=journal,
            **settings,
        )
        with pytest.raises(Killed):
            experiment.run()
    with Journal.open(path) as journal:
        again = Experiment.resume(journal, scope(), make_policy("sobol"), **settings).run()
    assert [(tuple(o.site), o.visit) for o in again.outcomes] == [
        (tuple(o.site), o.visit) for o in whole
    ]
    assert [o.curve.current.tobytes() for o in again.outcomes] == [
        o.curve.current.tobytes() for o in whole
    ]


def test_a_tip_that_is_gone_ends_the_run_with_a_reason(film, tmp_path):
    result = run(film, 1e4, curves=60, path=tmp_path / "run.gsj")
    assert len(result.outcomes) == 20
    assert "20 of the latest 20 are unusable" in result.reason
    assert "look at the tip" in result.reason
    with Journal.read(tmp_path / "run.gsj") as journal:
        kinds = [e.kind for e in journal.events()]
    assert kinds.count("warning") == 1


def test_settings_that_make_no_sense_are_refused(film):
    with pytest.raises(ConfigError, match="second_look must be at least 0"):
        run(film, 0.0, second_look=-1)
    with pytest.raises(ConfigError, match="max_spoilt"):
        run(film, 0.0, max_spoilt=0.0)
