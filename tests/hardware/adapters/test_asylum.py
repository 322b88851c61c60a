"""The Asylum adapters through aecroscopywave and aespm, against one fake Igor behind both."""

import importlib
import importlib.util
import os
import sys
import time

import fake_igor
import numpy as np
import pytest
from bare import beside

from grainscout.hardware import Guard, Limits, make_microscope
from grainscout.hardware.adapters.saved import SaveFolder
from grainscout.hardware.conformance import require_conforming
from grainscout.records import ConfigError, MicroscopeError, Scan, Site, Waveform

SWEEP = Waveform.triangle(0.8, 21, 0.1)
RNG = np.random.default_rng(8)
#: Nothing maps these on themselves; float32, as they are saved.
HEIGHT = (np.cumsum(RNG.random((5, 6)), axis=0) * 1e-9).astype(np.float32).astype(float)
PEAK = ((np.arange(30).reshape(5, 6) + 1.0) * 1e-10).astype(np.float32).astype(float)
FAST = {
    "settle_s": 0.0,
    "stable_s": 0.005,
    "approach_s": 1.0,
    "speed_m_per_s": 1e-3,
    "arrival_s": 0.3,
}
FAST |= {"timeout_s": 1.0, "scan_timeout_s": 1.0}
#: Registered name -> package and why it may be missing.
PACKAGES = {
    "aecroscopy": ("aecroscopywave", "it needs Python 3.12 or newer"),
    "aespm": ("aespm", "it needs numpy < 2"),
}
HERE = [name for name, (package, _) in PACKAGES.items() if importlib.util.find_spec(package)]


@pytest.mark.parametrize("name", PACKAGES)
def test_the_package_takes_part(name):
    """Where a package is absent its tests are left out, and this says so once."""
    package, why = PACKAGES[name]
    if name not in HERE:
        pytest.skip(f"{package} is not installed ({why}): its contract tests do not run")
    importlib.import_module(package)


@pytest.fixture
def igor(tmp_path):
    saved = tmp_path / "saved"
    saved.mkdir()
    fake = fake_igor.FakeIgor(saved, HEIGHT, PEAK, angle=25.0)
    yield fake
    fake.hang.set()


@pytest.fixture(params=["direct", *HERE])
def connect(request, igor, tmp_path, monkeypatch):
    """Opens the adapter of a package, or one without, with the fake behind it."""
    fake_igor.install(request.param, igor, tmp_path, monkeypatch)

    def open_it(**options):
        given = {"folder": str(igor.folder), "shape": "triangle", **FAST, **options}
        name = "aecroscopy" if request.param == "direct" else request.param
        return make_microscope(name, given)

    open_it.package = request.param
    return open_it


@pytest.fixture
def microscope(connect, igor):
    """One that has taken its image."""
    made = connect()
    made.scan()
    igor.log.clear()
    return made


def test_it_conforms(connect):
    scan = Scan(channels={"height": HEIGHT}, pixel_size=(1e-8, 1e-8))
    known = {"waveform": SWEEP, "scan": scan, "peak_current": PEAK}
    require_conforming(lambda: Guard(connect(), Limits()), **known)


@pytest.mark.parametrize("angle", [0.0, 25.0, -110.0])
def test_rows_count_from_the_top_here_and_from_the_bottom_there(connect, igor, angle):
    igor.variables["ScanAngle"] = angle
    microscope = connect()
    scan = microscope.scan(("height", "current"))
    np.testing.assert_array_equal(scan.height, HEIGHT)
    np.testing.assert_array_equal(scan.channels["current"], PEAK)
    # Edge to edge: N pixels, N - 1 steps.
    assert scan.pixel_size == pytest.approx((1e-6 / 5, 1e-6 / 5))
    for site in (Site(0, 0), Site(4, 5), Site(0, 5), Site(4, 0), Site(1, 3)):
        curve = microscope.measure(site, SWEEP)
        assert igor.pixel() == site
        assert np.abs(curve.current).max() == pytest.approx(PEAK[site] * 0.8, rel=1e-6)


@pytest.mark.skipif("aecroscopy" not in HERE, reason="aecroscopywave is not installed")
@pytest.mark.parametrize("connect", ["aecroscopy"], indirect=True)
def test_positions_are_those_of_the_package(connect, igor):
    """Our metres and volts against PyCypher.pixel_to_voltage, which counts rows from the bottom."""
    microscope = connect()
    scan = microscope.scan()
    cypher = microscope._igor._cypher
    for row, column in np.ndindex(*scan.shape):
        theirs = cypher.pixel_to_voltage((column, scan.shape[0] - 1 - row))
        ours = microscope._volts(*scan.position(Site(row, column)))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_order_of_a_measurement_keeps_the_tip_safe(microscope, igor):
    microscope.measure(Site(1, 1), SWEEP)
    log = "\n".join(igor.log)
    moves = ("td_SetRamp", "td_WriteValue")
    first = min(log.index(m) for m in moves if m in log)
    last = max(log.rindex(m) for m in moves if m in log)
    assert log.index("TipVoltageSetVar_0") < log.index("StopEngageButton") < first
    assert last < log.index("SimpleEngageMe") < log.lower().index("ardoivdoitbutton_1")
    assert log.lower().index("ardoivdoitbutton_1") < log.rindex("TipVoltageSetVar_0")
    assert igor.bias == 0.0


def test_curves_only_in_contact_and_moves_only_off_it(connect, igor):
    igor.land_s = igor.withdraw_s = 0.3
    microscope = connect(scan_bias_V=0.2, bias_to="tip")
    microscope.scan()
    curve = microscope.measure(Site(1, 3), SWEEP)
    assert np.abs(curve.current).max() == pytest.approx(PEAK[1, 3] * 0.8, rel=1e-6)
    assert curve.current[10] > 0  # a resistor, whichever way it is wired
    assert (curve.voltage[10], igor.amplitude) == (pytest.approx(0.8), -0.8)
    assert (igor.in_air, igor.dragged, microscope.landings()) == (0, 0, 1)
    microscope.image_bias(-0.3)
    microscope.scan()
    assert igor.scan_biases == [0.2, -0.3]  # not what was left there


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"land_s": 60.0}, "must land within"),
        ({"withdraw_s": 60.0}, "must withdraw within"),
        ({"deflection": lambda: 0.1}, "in the air"),
        ({"faults": {"holds on"}}, "still 0.5 V, as in contact"),
    ],
)
def test_what_is_not_confirmed_is_an_error_before_anything_else(microscope, igor, change, words):
    microscope.measure(Site(1, 1), SWEEP)
    vars(igor).update(change)
    igor.log.clear()
    with pytest.raises(MicroscopeError, match=words):
        microscope.measure(Site(1, 2), SWEEP)
    assert "doitbutton" not in "\n".join(igor.log).lower()
    assert igor.dragged == 0


def test_one_run_at_a_time(connect):
    first = connect()
    with pytest.raises(MicroscopeError, match="one run at a time"):
        connect()
    first.close()
    connect().close()


def test_moves_are_ramps(connect, igor):
    """One ramp of the controller, or small jumps of equal size: never one large jump."""
    microscope = connect(**({"step_V": 0.02} if connect.package == "aespm" else {}))
    microscope.scan()
    start = np.array(igor.setpoint)
    igor.log.clear()
    microscope.go(Site(0, 0))
    if connect.package != "aespm":
        assert sum("td_SetRamp" in line for line in igor.log) == 1
        return
    x = [float(ln.split(",")[1][:-1]) for ln in igor.log if "WriteValue" in ln and ".0." in ln]
    y = [float(ln.split(",")[1][:-1]) for ln in igor.log if "WriteValue" in ln and ".1." in ln]
    jumps = np.hypot(*np.diff(np.column_stack([start[:, None], [x, y]]), axis=1))
    assert jumps.size > 5
    assert jumps.max() <= 0.02 * (1 + 1e-9)
    np.testing.assert_allclose(jumps, jumps[0], rtol=1e-6)


def test_the_curve_is_what_was_saved(connect, igor):
    microscope = connect(rail_A=2e-9)
    igor.rail = 2e-9
    microscope.scan()
    curve = microscope.measure(Site(4, 5), SWEEP)
    np.testing.assert_allclose(curve.voltage, SWEEP.voltage, atol=1e-6)
    np.testing.assert_allclose(curve.time, SWEEP.time, atol=1e-3)
    ideal = np.clip(PEAK[4, 5] * SWEEP.voltage, -2e-9, 2e-9)
    np.testing.assert_allclose(curve.current, ideal, rtol=1e-5, atol=1e-18)
    np.testing.assert_array_equal(curve.saturated, ideal >= 0.999 * 2e-9)
    assert curve.saturated.any()
    assert igor.frequency == pytest.approx(0.5 / 0.1)


def test_a_bipolar_sweep_is_one_cycle(connect, igor):
    igor.shape = "bipolar"
    microscope = connect(shape="bipolar")
    microscope.scan()
    bipolar = Waveform.bipolar(-0.5, 41, 0.2)
    curve = microscope.measure(Site(2, 2), bipolar)
    np.testing.assert_allclose(curve.voltage, bipolar.voltage, atol=1e-6)
    assert (igor.amplitude, igor.frequency) == (-0.5, pytest.approx(5.0))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no file", "within 1.2 s; got nothing new among 1 older files"),
        ("partial", "truncated or damaged"),
        ("two files", "one curve must be saved"),
        ("half sweep", "samples in one piece|it took"),
        ("offset", "0.1 V off"),
        ("stuck", r"within half a pixel of site \(0, 0\) in 0.3 s; its sensors are"),
    ],
)
def test_every_fault_is_a_named_error_in_time(microscope, igor, fault, message):
    igor.faults.add(fault)
    begun = time.monotonic()
    with pytest.raises(MicroscopeError, match=message):
        microscope.measure(Site(0, 0), SWEEP)
    assert time.monotonic() - begun < 4
    igor.faults.clear()
    microscope.park()
    assert not igor.landed
    assert igor.bias == 0.0
    assert microscope.measure(Site(1, 1), SWEEP).current.max() > 0


def test_a_slow_scanner_is_waited_for_and_landed_when_it_is_there(connect, igor):
    """The loops take the setpoint at once; the sensors say when the sample has come."""
    microscope = connect(arrival_s=10.0)
    microscope.scan()
    igor.faults.add("slow")
    igor.log.clear()
    curve = microscope.measure(Site(4, 5), SWEEP)
    assert sum("XSensor" in line for line in igor.log) > 2
    assert np.abs(curve.current).max() == pytest.approx(PEAK[4, 5] * 0.8, rel=1e-6)


def test_an_igor_that_refuses_or_hangs_is_an_error_in_time(microscope, igor):
    igor.faults.add("error")
    with pytest.raises(MicroscopeError, match=r"RPC server|two numbers"):
        microscope.go(Site(1, 1))
    igor.faults = {"no reply"}
    begun = time.monotonic()
    with pytest.raises(MicroscopeError, match="must answer within 1 s"):
        microscope.go(Site(1, 1))
    # What hangs is not asked again, and the guard says that the tip needs a hand.
    with pytest.raises(MicroscopeError, match="earlier call hangs"):
        microscope.park()
    with pytest.raises(MicroscopeError, match="press Withdraw, and raise the head"):
        Guard(microscope).park()
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("what", ["image", "curve"])
def test_parking_works_while_an_image_or_a_curve_is_awaited(connect, igor, what):
    microscope = Guard(connect(scan_timeout_s=20.0, timeout_s=20.0))
    if what == "curve":
        microscope.scan()
    igor.faults.add("no file")
    act = microscope.scan if what == "image" else lambda: microscope.measure(Site(1, 1), SWEEP)
    button = "downscan_0" if what == "image" else "ardoivdoitbutton_1"
    thread, _ = beside(act)
    until = time.monotonic() + 10
    while button not in "".join(igor.log).lower() and time.monotonic() < until:
        time.sleep(0.02)
    begun = time.monotonic()
    microscope.park()
    assert time.monotonic() - begun < 3
    assert (igor.bias, igor.landed) == (0.0, False)
    igor.faults.clear()
    igor.save_image() if what == "image" else igor.save_curve()  # so that the thread ends
    thread.join(10)


def test_parking_while_the_first_landing_settles_sees_the_tip_up(connect, igor):
    microscope = Guard(connect(settle_s=0.5, timeout_s=20.0))
    microscope.scan()
    thread, failed = beside(lambda: microscope.measure(Site(1, 1), SWEEP))
    until = time.monotonic() + 10
    while not igor.landed and time.monotonic() < until:
        time.sleep(0.01)
    assert igor.landed
    microscope.park()
    assert not igor.landed
    thread.join(10)
    assert failed  # the landing, which never ended


@pytest.mark.parametrize("option", ["watchdog", "watchdog_port", "emergency_port"])
def test_a_second_connection_is_an_error_and_no_silence(connect, option):
    with pytest.raises(ConfigError, match=f"has no option '{option}'"):
        connect(**{option: 6503})


def test_a_file_that_grows_is_read_when_it_is_whole(microscope, igor, monkeypatch):
    whole = igor.save

    def slowly(name, data):
        import threading

        igor.faults.add("partial")
        whole(name, data)
        igor.faults.clear()
        igor.count -= 1
        threading.Timer(0.3, whole, (name, data)).start()

    monkeypatch.setattr(igor, "save", slowly)
    curve = microscope.measure(Site(2, 3), SWEEP)
    assert np.abs(curve.current).max() == pytest.approx(PEAK[2, 3] * 0.8, rel=1e-6)


def test_a_file_that_still_changes_is_not_read(igor, monkeypatch):
    """Whole from the start by its length, but its values come later (a preallocated file)."""
    folder = SaveFolder(igor.folder)
    listed, looks = folder._stamps, []

    def look():
        if len(looks) < 3:
            looks.append(None)
            columns = np.full((4, 2), float(len(looks)))
            path = igor.folder / "grows.ibw"
            path.write_bytes(fake_igor.ibw(columns, ["Current", "Bias"], (0.1,), {}))
            os.utime(path, (len(looks), len(looks)))
        return listed()

    monkeypatch.setattr(folder, "_stamps", look)
    assert folder.curve(5.0).channels["Current"].tolist() == [3.0] * 4


def test_an_image_without_current_or_geometry_is_refused(connect, igor):
    microscope = connect()
    igor.faults.add("no current")
    microscope.scan()
    with pytest.raises(MicroscopeError, match="must have current"):
        microscope.scan(("current",))
    del igor.variables["XLVDTSens"]
    with pytest.raises(MicroscopeError, match="must have XLVDTSens"):
        microscope.scan()


def test_what_the_panel_cannot_apply_is_refused_before_anything_moves(microscope, igor):
    for waveform in (
        Waveform.bipolar(1.0, 21, 0.1),
        Waveform.forc(1.0, 3),
        Waveform.constant(1.0, 0.1, 5),
        Waveform.triangle(1.0, 21, 0.1, start=0.2),
    ):
        with pytest.raises(MicroscopeError, match="DoIV panel applies triangle"):
            microscope.measure(Site(1, 1), waveform)
    assert igor.log == []


def test_misuse_is_named(connect, tmp_path):
    with pytest.raises(ConfigError, match="folder must be"):
        connect(folder=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="shape must be"):
        connect(shape="square")
    with pytest.raises(ConfigError, match="rail_A must be"):
        connect(rail_A=-1.0)


@pytest.mark.skipif("aecroscopy" not in HERE, reason="aecroscopywave is not installed")
@pytest.mark.parametrize("connect", ["aecroscopy"], indirect=True)
def test_without_igor_it_says_so(connect, igor):
    igor.faults.add("absent")
    with pytest.raises(MicroscopeError, match="Igor must be running"):
        connect()


@pytest.mark.parametrize("name", ["aecroscopy", "aespm"])
def test_without_its_package_it_says_what_to_install(name, tmp_path, monkeypatch):
    for module in ("aecroscopywave", "aespm", "pythoncom"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"\.\[{name}\]"):
        make_microscope(name, {"folder": str(tmp_path)})
