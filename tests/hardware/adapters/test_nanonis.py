"""The Nanonis adapter through nanonis-spm, against a fake controller on TCP."""

import time

import numpy as np
import pytest
from bare import beside

pytest.importorskip("nanonis_spm")

from nanonis_rig import HEIGHT, PEAK, SWEEP, connect
from nanonis_rig import fake as fake
from nanonis_rig import microscope as microscope

from grainscout.hardware import Guard, Limits
from grainscout.hardware.adapters.nanonis.microscope import NanonisMicroscope
from grainscout.hardware.conformance import require_conforming
from grainscout.records import ConfigError, MicroscopeError, Scan, Site, Waveform


@pytest.mark.parametrize("fake", [(0.0, False), (30.0, True)], indirect=True)
def test_it_conforms(fake):
    scan = Scan(channels={"height": HEIGHT}, pixel_size=(1e-8, 1e-8))
    known = {"waveform": SWEEP, "scan": scan, "peak_current": PEAK}
    require_conforming(lambda: Guard(connect(fake), Limits()), **known)


def test_the_curve_is_forward_and_back(fake, microscope):
    curve = microscope.measure(Site(1, 1), SWEEP)
    np.testing.assert_array_equal(curve.voltage, SWEEP.voltage)
    forward = PEAK[1, 1] * np.linspace(0, 1, 11)
    np.testing.assert_allclose(curve.current, [*forward, *(0.5 * forward[-2::-1])], rtol=1e-6)
    assert fake.step() == pytest.approx(0.005)
    assert fake.limits == (0.0, 1.0)


def test_samples_at_the_rail_are_flagged(fake):
    fake.rail = 2e-9
    microscope = connect(fake, rail_A=2e-9)
    microscope.scan()
    curve = microscope.measure(Site(6, 8), SWEEP)
    np.testing.assert_array_equal(curve.saturated, np.abs(curve.current) >= 0.999 * 2e-9)
    assert curve.saturated.any()


def test_order_of_a_measurement_keeps_the_tip_safe(fake, microscope):
    microscope.measure(Site(1, 1), SWEEP)
    names = fake.commands()
    # 0 V before the move, landed after it, 0 V after the sweep, and up while the policy thinks.
    assert names[:3] == ["Bias.Set", "FolMe.XYPosSet", "ZCtrl.OnOffSet"]
    assert names[-3:] == ["BiasSpectr.Start", "Bias.Set", "ZCtrl.Withdraw"]
    assert (fake.bias, fake.landed, fake.dragged, fake.in_air) == (0.0, False, 0, 0)
    fake.landed = True  # by a person
    fake.log.clear()
    microscope.measure(Site(1, 2), SWEEP)
    assert fake.commands()[:3] == ["Bias.Set", "ZCtrl.Withdraw", "FolMe.XYPosSet"]
    assert fake.dragged == 0


def test_park_is_zero_volts_and_withdrawn_even_after_a_broken_connection(fake, microscope):
    fake.faults["BiasSpectr.Start"] = "drop"
    with pytest.raises(MicroscopeError, match="closed the connection"):
        microscope.measure(Site(1, 1), SWEEP)
    fake.faults.clear()
    fake.bias = 1.0
    microscope.park()
    microscope.park()
    assert fake.bias == 0.0
    assert not fake.landed
    # And the next measurement works, on a fresh connection.
    peak = microscope.measure(Site(1, 1), SWEEP).current.max()
    assert peak == pytest.approx(PEAK[1, 1], rel=1e-6)


def test_the_tip_is_withdrawn_even_if_the_bias_cannot_be_set(fake, microscope):
    fake.landed, fake.faults["Bias.Set"] = True, "Bias module is closed"
    with pytest.raises(MicroscopeError, match="Bias module is closed"):
        microscope.park()
    assert not fake.landed


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("drop", "closed the connection"),
        ("silent", "in time"),
        ("wrong", "another command"),
        ("huge", "at most"),
        ("short", "malformed|says|closed"),
        ("long", "bytes, as is documented; got"),
        ("The module is busy", "The module is busy"),
    ],
)
@pytest.mark.parametrize("command", ["FolMe.XYPosGet", "Scan.FrameDataGrab", "BiasSpectr.Start"])
def test_every_fault_is_a_named_error_in_time(fake, command, fault, message):
    microscope = connect(fake, timeout_s=0.5)
    microscope.scan()
    fake.faults[command] = fault
    begun = time.monotonic()
    with pytest.raises(MicroscopeError, match=message):
        microscope.scan() if command.startswith("Scan") else microscope.measure(Site(1, 1), SWEEP)
    assert time.monotonic() - begun < 2.5


def test_a_move_that_does_not_arrive_is_an_error(fake, microscope):
    fake.faults["FolMe.XYPosSet"] = "stuck"
    with pytest.raises(MicroscopeError, match="half a pixel"):
        microscope.measure(Site(1, 1), SWEEP)
    assert "BiasSpectr.Start" not in fake.commands()


def test_a_short_curve_is_an_error(fake, microscope):
    fake.samples_lost = 3
    with pytest.raises(MicroscopeError, match="11 samples"):
        microscope.measure(Site(1, 1), SWEEP)


def test_curves_only_in_contact_however_long_the_landing_takes(fake):
    fake.land_s = fake.withdraw_s = 0.15
    microscope = connect(fake)
    microscope.scan()
    peak = microscope.measure(Site(1, 1), SWEEP).current.max()
    assert peak == pytest.approx(PEAK[1, 1], rel=1e-6)
    assert (fake.in_air, fake.dragged, microscope.landings()) == (0, 0, 2)
    assert not microscope.contact()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"land_s": 5.0}, "must land within"),
        ({"safe_tip": True}, "Safe Tip event"),
        ({"surface": -1e-6}, "in the air. Approach"),
        ({"surface": 1e-6}, "stayed at its upper end"),
        ({"deflection": lambda: 0.06}, "nearer to the free cantilever"),
    ],
)
def test_a_landing_that_is_not_confirmed_is_an_error_before_any_sweep(fake, wrong, words):
    microscope = connect(fake, deflection="Deflection (V)", land_timeout_s=0.2)
    microscope.scan()
    vars(fake).update(wrong)
    with pytest.raises(MicroscopeError, match=words):
        microscope.measure(Site(1, 1), SWEEP)
    assert "BiasSpectr.Start" not in fake.commands()


def test_a_tip_that_does_not_come_up_is_an_error_before_any_move(fake, microscope):
    fake.landed = fake.never_up = True
    with pytest.raises(MicroscopeError, match="must withdraw to the end"):
        microscope.measure(Site(1, 1), SWEEP)
    assert "FolMe.XYPosSet" not in fake.commands()
    with pytest.raises(MicroscopeError, match="must withdraw"):
        microscope.park()
    assert fake.bias == 0.0


LEFT = {
    "another controller": ({"active": 0}, "must be 'Deflection'.*it is 'log Current'"),
    "another setpoint": ({"setpoint": 5.0}, "setpoint must be 0.5.*it is 5"),
    "lock-in": ({"modulators": [False, True]}, "Lock-In must be off.*modulator 2"),
    "continuous": ({"continuous": True}, "Continuous in Scan Control must be off"),
    "gain": ({"gain": 0}, r"gain .* must stay '1E\+9 V/A'"),
}


@pytest.mark.parametrize(("state", "words"), LEFT.values(), ids=list(LEFT))
def test_a_state_left_by_somebody_is_refused_at_connect_and_in_the_night(fake, state, words):
    microscope = connect(fake)
    vars(fake).update(state)
    for step in (microscope.scan, lambda: connect(fake, emergency_port=0)):
        if "gain" in state and step != microscope.scan:
            continue  # any gain is one to begin with
        with pytest.raises(MicroscopeError, match=words):
            step()
        microscope.close()
    assert not {"ZCtrl.OnOffSet", "Scan.Action", "FolMe.XYPosSet"} & set(fake.commands())


def test_without_a_named_controller_the_error_names_what_is_there(fake):
    with pytest.raises(MicroscopeError, match=r"controller = 'Deflection' and setpoint = 0\.5"):
        connect(fake, controller="")
    fake.active = 0
    with pytest.raises(MicroscopeError, match="must not follow the current"):
        connect(fake, controller="log Current")  # the tip lands at 0 V


def test_options_of_the_sequence_at_a_site(fake):
    microscope = connect(fake, lift="partial", lift_m=2e-8, hold=False, averages=3, rest="landed")
    microscope.scan()
    curve = microscope.measure(Site(1, 1), SWEEP)
    assert fake.landed  # rests there
    assert ("BiasSpectr.AdvPropsSet", (1, 2, 2, 2)) in fake.log
    assert next(v for n, v in fake.log if n == "BiasSpectr.PropsSet")[1] == 3
    microscope.measure(Site(1, 2), SWEEP)
    assert (fake.dragged, fake.commands().count("ZCtrl.Withdraw")) == (0, 1)  # one after the image
    assert microscope.capabilities.exposure(SWEEP) == pytest.approx(3 * 0.1 * 22 / 20)
    microscope.park()
    microscope.close()
    dragging = connect(fake, lift="none", setpoints=(0.5, 1.0), bias_to="tip")
    dragging.scan()
    for site in (Site(1, 1), Site(1, 3)):
        curve = dragging.measure(site, SWEEP)
    assert fake.dragged == 1  # asked for
    assert min(fake.limits) == -1.0
    np.testing.assert_array_equal(curve.voltage, SWEEP.voltage)
    assert curve.current.max() == pytest.approx(PEAK[1, 3], rel=1e-6)
    second = curve.signals["current at setpoint 1"]
    np.testing.assert_allclose(second, 2 * curve.current, rtol=1e-5)


def test_one_run_at_a_time(fake):
    connect(fake)
    with pytest.raises(MicroscopeError, match="one run at a time"):
        connect(fake)
    fake.clients[0].close()
    connect(fake)


@pytest.mark.parametrize("what", ["scan", "sweep", "move"])
def test_parking_works_while_the_controller_works(fake, what):
    microscope = Guard(connect(fake), Limits())
    if what != "scan":
        microscope.scan()
    fake.busy_s[what] = 30.0
    act = microscope.scan if what == "scan" else lambda: microscope.measure(Site(5, 5), SWEEP)
    thread, failed = beside(act)
    assert fake.working.wait(5)
    begun = time.monotonic()
    microscope.park()
    assert time.monotonic() - begun < 3
    thread.join(5)
    assert failed
    assert (fake.bias, fake.landed) == (0.0, False)


def test_other_controllers_are_refused_at_connect(fake):
    fake.version = "Generic 3"
    with pytest.raises(MicroscopeError, match="Generic 3"):
        connect(fake)
    connect(fake, versions=("Generic 3",)).close()
    fake.product = "Nanonis Tramea Software"
    with pytest.raises(MicroscopeError, match="Tramea"):
        connect(fake)


def test_nobody_listening_is_an_error():
    with pytest.raises(MicroscopeError, match="must listen"):
        NanonisMicroscope(port=1, timeout_s=0.5)
    with pytest.raises(ConfigError, match="rail"):
        NanonisMicroscope(rail_A=-1.0)


@pytest.mark.parametrize(
    "waveform",
    [
        Waveform(voltage=np.sin(np.arange(40)), time=np.arange(40)),
        Waveform(voltage=[0, 0.2, 1.0, 0.2, 0], time=[0, 1, 2, 3, 4]),
        Waveform.pulses([0.5, -0.5], samples=8),
        Waveform(voltage=[0, 0.5, 1.0, 0.5, 0], time=[0, 1, 2, 3, 5]),
        Waveform.triangle(1e-247, 3, 0.004),
    ],
    ids=["no segments", "a lone sample", "held too long", "uneven", "too slow to be sent"],
)
def test_what_the_module_cannot_sweep_is_refused_before_anything_moves(fake, microscope, waveform):
    with pytest.raises(MicroscopeError, match="Bias Spectroscopy"):
        microscope.measure(Site(1, 1), waveform)
    assert fake.log == []


@pytest.mark.parametrize(
    "waveform",
    [
        Waveform.bipolar(1.0, 21, 0.1),
        Waveform.forc(1.0, 3),
        Waveform.pulses([0.5, -0.5], samples=40),
        Waveform.constant(0.5, 0.1, 5),
    ],
    ids=["bipolar", "forc", "pulses", "constant"],
)
def test_other_waveforms_are_segments_that_follow_it(fake, microscope, waveform):
    curve = microscope.measure(Site(1, 1), waveform)
    np.testing.assert_array_equal(curve.voltage, waveform.voltage)
    expected = PEAK[1, 1] * waveform.voltage / waveform.peak
    np.testing.assert_allclose(curve.current, expected, rtol=1e-5, atol=1e-16)
    spent = fake.segments[6 - 3] + fake.segments[6 - 2]  # settling and integration, a sample
    assert (spent <= np.diff(waveform.time).max() + 1e-9).all()


def test_a_sweep_takes_the_time_that_was_asked_and_its_ramps_keep_the_limit(fake, microscope):
    microscope.measure(Site(1, 1), SWEEP)
    assert fake.step() * (len(SWEEP.voltage) - 1) == pytest.approx(SWEEP.duration, rel=1e-6)
    steepest = fake.slew
    assert steepest > SWEEP.slew  # it steps and holds
    for limit, refused in ((1.001 * steepest, False), (0.999 * steepest, True)):
        guard = Guard(microscope, Limits(slew_V_per_s=limit))
        assert bool(guard.check(Site(1, 1), SWEEP)) is refused


def test_misuse_is_named(fake):
    microscope = connect(fake)
    with pytest.raises(MicroscopeError, match="scan before"):
        microscope.measure(Site(0, 0), SWEEP)
    microscope.light(0.0)
    microscope.scan()
    with pytest.raises(MicroscopeError, match="on the 7 x 9 scan"):
        microscope.measure(Site(0.5, 0), SWEEP)
