"""A guarded microscope in plans of a real RunEngine: what it measures, and what it refuses."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("ophyd_async")

import bluesky.plan_stubs as bps
import bluesky.plans as bp
from bluesky import RunEngine
from bluesky.utils import FailedStatus, RunEngineInterrupted
from bluesky_adaptive.plans import optimize
from bluesky_adaptive.protocols import OptimizationProblem

from grainscout.experiment import make_problem
from grainscout.hardware import Guard, Limits, SimulatedMicroscope
from grainscout.hardware.bluesky import MicroscopeDevice, PolicyOptimizer, RunCurves
from grainscout.policies import make_policy
from grainscout.records import (
    Budget,
    ConfigError,
    DataError,
    LimitError,
    MicroscopeError,
    Site,
    Waveform,
)
from grainscout.simulator import Film, FilmSpec
from grainscout.simulator.instrument import instrument_spec

SEED = np.random.SeedSequence(31)
SWEEP = Waveform.triangle(1.0, 31, 0.3)
FILM = Film.generate(FilmSpec(rows=24, columns=20), 4)


def guarded(**limits) -> Guard:
    return Guard(SimulatedMicroscope(FILM, "quiet", seed=SEED), Limits(**limits))


@pytest.fixture
def guard():
    return guarded()


@pytest.fixture
def afm(guard):
    return MicroscopeDevice(guard, waveform=SWEEP, name="afm")


@pytest.fixture
def engine():
    made = RunEngine({}, context_managers=[])
    made.documents = []
    made.subscribe(lambda name, document: made.documents.append((name, document)))
    yield made
    made.loop.call_soon_threadsafe(made.loop.stop)
    made._th.join()
    made.loop.close()


def events(engine) -> list[dict]:
    return [d["data"] for name, d in engine.documents if name == "event"]


def commands(guard: Guard, status: str = "issued") -> list[str]:
    return [c.name for c in guard.log if c.status == status]


def test_a_count_measures_where_it_stands_and_parks(engine, guard, afm):
    twin = guarded()
    engine(bps.mv(afm.row, 5, afm.column, 7))
    engine(bp.count([afm], num=2))
    twin.scan()
    for event in events(engine):
        expected = twin.measure(Site(5, 7), SWEEP)
        for key in ("voltage", "current", "time", "saturated"):
            np.testing.assert_array_equal(event[f"afm-{key}"], getattr(expected, key))
        assert (event["afm-x"], event["afm-y"]) == twin.scan().position(Site(5, 7))
    assert commands(guard) == ["scan", "measure", "measure", "park"]


def test_documents_carry_units_shapes_and_settings(engine, afm):
    engine(bp.count([afm]))
    (descriptor,) = [d for name, d in engine.documents if name == "descriptor"]
    keys = descriptor["data_keys"]
    units = {"voltage": "V", "current": "A", "time": "s", "x": "m"}
    assert {k: keys[f"afm-{k}"]["units"] for k in units} == units
    assert keys["afm-current"]["shape"] == [31]
    settings = descriptor["configuration"]["afm"]["data"]
    assert settings["afm-peak"] == 1.0
    assert settings["afm-duration"] == pytest.approx(0.3)
    assert settings["afm-waveform"] == "triangle"


def test_the_waveform_is_scaled_by_its_signals(engine, afm):
    engine(bps.mv(afm.duration, 0.6))
    engine(bp.scan([afm], afm.peak, 0.2, 1.0, 3))
    assert [e["afm-voltage"].max() for e in events(engine)] == pytest.approx([0.2, 0.6, 1.0])
    assert [np.ptp(e["afm-time"]) for e in events(engine)] == pytest.approx([0.6] * 3)


def test_the_image_is_a_device_of_its_own(engine, guard, afm):
    engine(bp.count([afm.image]))
    np.testing.assert_array_equal(events(engine)[0]["afm-image-height"], guarded().scan().height)
    assert commands(guard) == ["scan", "park"]


@pytest.mark.parametrize(
    ("settings", "limits", "message"),
    [
        ({"peak": 1.5}, {"voltage_V": 1.2}, "voltage_V"),
        ({"duration": 0.01}, {"slew_V_per_s": 50.0}, "slew_V_per_s"),
        ({"duration": 90.0}, {}, "dwell_s"),
        ({"row": 23}, {"frame_m": (-1e-9, -1e-9, 1e-6, 2e-7)}, "frame_m"),
    ],
)
def test_limits_hold_in_plans_and_the_tip_is_parked(engine, settings, limits, message):
    guard = guarded(**limits)
    afm = MicroscopeDevice(guard, waveform=SWEEP, name="afm")
    for name, value in settings.items():
        engine(bps.mv(getattr(afm, name), value))
    with pytest.raises(FailedStatus) as raised:
        engine(bp.count([afm]))
    assert isinstance(raised.value.__cause__, LimitError)
    assert message in str(raised.value.__cause__)
    assert commands(guard) == ["scan", "park"]
    assert commands(guard, "refused") == ["measure"]
    assert events(engine) == []


def test_a_count_limit_ends_a_plan_in_its_middle(engine):
    guard = guarded(curves=3)
    afm = MicroscopeDevice(guard, waveform=SWEEP, name="afm")
    with pytest.raises(FailedStatus):
        engine(bp.count([afm], num=10))
    assert len(events(engine)) == 3
    assert commands(guard)[-1] == "park"
    assert engine.documents[-1][1]["exit_status"] == "fail"


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("row", 2.5, LimitError),
        ("row", 24, LimitError),
        ("column", -1, LimitError),
        ("row", float("nan"), LimitError),
        ("light", 50.0, LimitError),
        ("peak", 0.0, ConfigError),
        ("duration", float("inf"), ConfigError),
    ],
)
def test_settings_that_mean_nothing_are_refused_and_change_nothing(
    engine, guard, afm, name, value, kind
):
    engine(bp.count([afm]))
    signal = getattr(afm, name)
    with pytest.raises(FailedStatus) as raised:
        engine(bps.mv(signal, value))
    assert isinstance(raised.value.__cause__, kind)
    engine(bp.count([afm]))
    found = [d["configuration"]["afm"] for n, d in engine.documents if n == "descriptor"]
    first, second = (c["data"] for c in found)
    assert first == second
    assert [e["afm-row"] for e in events(engine)] == [0, 0]
    assert "light" not in commands(guard)


def test_light_reaches_the_microscope(engine, guard, afm):
    twin = guarded()
    engine(bps.mv(afm.light, 0.5))
    engine(bp.count([afm]))
    twin.light(0.5)
    twin.scan()
    expected = twin.measure(Site(0, 0), SWEEP).current
    np.testing.assert_array_equal(events(engine)[0]["afm-current"], expected)


def test_a_failing_microscope_fails_the_plan_parked(engine):
    class Crashing(SimulatedMicroscope):
        def measure(self, site, waveform):
            self.engaged = True
            raise MicroscopeError("the tip has crashed")

    bare = Crashing(FILM, "quiet", seed=SEED)
    afm = MicroscopeDevice(Guard(bare, Limits()), waveform=SWEEP, name="afm")
    with pytest.raises(FailedStatus, match="crashed"):
        engine(bp.count([afm]))
    assert not bare.engaged


def test_without_a_guard_there_is_no_device():
    with pytest.raises(ConfigError, match="of a Guard"):
        MicroscopeDevice(SimulatedMicroscope(FILM, "quiet", seed=SEED))


def test_an_abort_lets_the_sweep_end_and_parks_before_the_engine_is_idle(engine):
    begun, order = threading.Event(), []

    class Slow(SimulatedMicroscope):
        def measure(self, site, waveform):
            order.clear()
            begun.set()
            time.sleep(0.4)
            order.append("swept")
            return super().measure(site, waveform)

        def park(self):
            order.append("parked")
            super().park()

    afm = MicroscopeDevice(Guard(Slow(FILM, "quiet", seed=SEED)), waveform=SWEEP, name="afm")

    def interrupt():
        begun.wait(5)
        engine.request_pause()

    threading.Thread(target=interrupt).start()
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([afm], num=5))
    engine.abort()
    assert order[0] == "swept"
    assert set(order[1:]) == {"parked"}


def test_a_policy_drives_the_microscope_through_bluesky_as_through_our_loop(engine, guard, afm):
    ours = guarded()
    problem = make_problem(ours, SWEEP, Budget(curves=8), target="max_current", window=1)
    engine(bp.count([afm.image]))
    curves = RunCurves(afm)
    engine.subscribe(curves.receive)

    def policy():
        return make_policy("kriging", {"seed_points": 4, "seed_design": "random"})

    optimizer = PolicyOptimizer(
        policy(), problem, rng=np.random.default_rng(2), axes=(afm.row.name, afm.column.name)
    )
    parts = {"optimizer": optimizer, "actuators": [afm.row, afm.column], "sensors": [afm]}
    question = OptimizationProblem(evaluation_function=curves, **parts)
    engine(optimize(question, iterations=8))
    taken = [c.arguments for c in guard.log if c.name == "measure"]
    measured = [(a["row"], a["column"]) for a in taken]
    assert len(set(measured)) == 8

    alone = policy()
    alone.reset(problem, rng=np.random.default_rng(2))
    expected = []
    other = PolicyOptimizer(alone, problem, rng=np.random.default_rng(2))
    for _ in range(8):
        (point,) = other.suggest()
        expected.append((point["row"], point["column"]))
        curve = ours.measure(Site(*expected[-1]), SWEEP)
        other.ingest([{**point, **{k: getattr(curve, k) for k in ("voltage", "current", "time")}}])
    assert measured == expected


def test_a_curve_at_the_amplifiers_rail_says_so(engine):
    low = instrument_spec("quiet")
    low = replace(low, amplifier=replace(low.amplifier, rail_A=1e-11))
    guard = Guard(SimulatedMicroscope(FILM, low, seed=SEED), Limits())
    afm = MicroscopeDevice(guard, waveform=SWEEP, name="afm")
    engine(bp.count([afm]))
    (event,) = events(engine)
    flagged = np.abs(event["afm-current"]) >= 0.999e-11
    assert 0 < flagged.sum() < len(SWEEP)
    np.testing.assert_array_equal(event["afm-saturated"], flagged)


def test_each_suggestion_gets_the_curve_of_its_own_site_in_whatever_order(engine, afm):
    curves = RunCurves(afm)
    engine.subscribe(curves.receive)
    (uid,) = engine(bp.scan([afm], afm.row, 0, 20, 3))
    measured = events(engine)
    asked = [{"afm-row": row, "afm-column": 0} for row in (20, 0, 10)]
    points = curves(uid, asked)
    for k, point in zip((2, 0, 1), points, strict=True):
        np.testing.assert_array_equal(point["current"], measured[k]["afm-current"])
    with pytest.raises(DataError, match="must have measured"):
        curves(uid, asked)
