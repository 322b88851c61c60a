"""The Nanonis adapter through nanonis-spm, against a fake controller on TCP."""

import time

import fake_nanonis
import numpy as np
import pytest

pytest.importorskip("nanonis_spm")

from grainscout.hardware import Guard, Limits
from grainscout.hardware.adapters.nanonis.microscope import NanonisMicroscope
from grainscout.hardware.conformance import require_conforming
from grainscout.records import (
    ConfigError,
    DataError,
    LimitError,
    MicroscopeError,
    Scan,
    Site,
    Waveform,
)

SWEEP = Waveform.triangle(1.0, 21, 0.1)
RNG = np.random.default_rng(8)
#: Nothing maps these on themselves; float32, as they come through the wire.
HEIGHT = (np.cumsum(RNG.random((7, 9)), axis=0) * 1e-9).astype(np.float32).astype(float)
PEAK = ((np.arange(63).reshape(7, 9) + 1.0) * 1e-10).astype(np.float32).astype(float)


@pytest.fixture(params=[(0.0, False), (30.0, True)], ids=["down", "up, turned"])
def fake(request):
    angle, up = request.param
    controller = fake_nanonis.FakeNanonis(HEIGHT, PEAK, angle=angle, up=up)
    controller.clients = []
    yield controller
    for microscope in controller.clients:
        microscope.close()
    controller.close()


def connect(fake, **options) -> NanonisMicroscope:
    options = {"settle_s": 0.0, "timeout_s": 1.0, "speed_m_per_s": 1e-3, **options}
    fake.clients.append(NanonisMicroscope(port=fake.port, **options))
    return fake.clients[-1]


@pytest.fixture
def microscope(fake):
    """One that has taken its image."""
    made = connect(fake)
    made.scan()
    fake.log.clear()
    return made


def test_it_conforms(fake):
    scan = Scan(channels={"height": HEIGHT}, pixel_size=(1e-8, 1e-8))
    known = {"waveform": SWEEP, "scan": scan, "peak_current": PEAK}
    require_conforming(lambda: Guard(connect(fake), Limits()), **known)


def test_image_and_positions_are_the_controllers(fake):
    microscope = connect(fake)
    scan = microscope.scan(("height", "current"))
    np.testing.assert_array_equal(scan.height, HEIGHT)
    np.testing.assert_array_equal(scan.channels["current"], PEAK)
    assert scan.units == {"height": "m", "current": "A"}
    for site in (Site(0, 0), Site(6, 8), Site(0, 8), Site(2, 5)):
        curve = microscope.measure(site, SWEEP)
        assert fake.pixel() == site
        assert np.abs(curve.current).max() == pytest.approx(PEAK[site], rel=1e-6)


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
    # 0 V and withdrawn before the move, landed after it, and 0 V at the end.
    assert names[:4] == ["Bias.Set", "ZCtrl.Withdraw", "FolMe.XYPosSet", "ZCtrl.OnOffSet"]
    assert names[-2:] == ["BiasSpectr.Start", "Bias.Set"]
    assert fake.bias == 0.0


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


def test_a_scan_that_does_not_end_and_one_with_holes_are_errors(fake):
    microscope = connect(fake)
    fake.faults["scan"] = "late"
    with pytest.raises(MicroscopeError, match="scan must end"):
        microscope.scan()
    fake.faults.clear()
    fake.height = np.where(HEIGHT.mean() < HEIGHT, np.nan, HEIGHT)
    with pytest.raises(MicroscopeError, match="unusable"):
        microscope.scan()


def test_a_short_curve_is_an_error(fake, microscope):
    fake.samples_lost = 3
    with pytest.raises(MicroscopeError, match="11 samples"):
        microscope.measure(Site(1, 1), SWEEP)


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
        Waveform.bipolar(1.0, 21, 0.1),
        Waveform.forc(1.0, 3),
        Waveform.constant(1.0, 0.1, 5),
        Waveform(voltage=[0, 0.2, 1.0, 0.2, 0], time=[0, 1, 2, 3, 4]),
        Waveform(voltage=[0, 0.5, 1.0, 0.5, 0], time=[0, 1, 2, 3, 5]),
        Waveform.triangle(1e-247, 3, 0.004),
    ],
    ids=["bipolar", "forc", "constant", "uneven volts", "uneven time", "too slow to be sent"],
)
def test_what_the_module_cannot_sweep_is_refused_before_anything_moves(fake, microscope, waveform):
    with pytest.raises(MicroscopeError, match="triangle"):
        microscope.measure(Site(1, 1), waveform)
    assert fake.log == []


def test_limits_hold_in_front_of_it(fake):
    guard = Guard(connect(fake), Limits(voltage_V=0.5))
    guard.scan()
    fake.log.clear()
    with pytest.raises(LimitError):
        guard.measure(Site(1, 1), SWEEP)
    assert "BiasSpectr.Start" not in fake.commands()


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
    with pytest.raises(DataError, match="height, current"):
        microscope.scan(("phase",))
    microscope.light(0.0)
    with pytest.raises(MicroscopeError, match="no lamp"):
        microscope.light(1.0)
    microscope.scan()
    for site in (Site(7, 0), Site(-1, 0), Site(0.5, 0)):
        with pytest.raises(MicroscopeError, match="on the 7 x 9 scan"):
            microscope.measure(site, SWEEP)
