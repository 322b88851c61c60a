"""Images of the Nanonis adapter: whole ones, and looks that follow a drifting sample."""

import nanonis_wire
import numpy as np
import pytest

pytest.importorskip("nanonis_spm")

from nanonis_rig import HEIGHT, SWEEP, closing, connect, controller
from nanonis_rig import fake as fake

from grainscout.experiment import DriftSettings, Experiment, make_problem
from grainscout.hardware import Guard, Limits
from grainscout.hardware.protocol import Part
from grainscout.policies import make_policy
from grainscout.records import Budget, LimitError, MicroscopeError, Site
from grainscout.simulator import PRESETS, Film


def test_a_scan_that_does_not_end_and_one_with_holes_are_errors(fake):
    microscope = connect(fake)
    fake.faults["scan"] = "late"
    with pytest.raises(MicroscopeError, match="scan must end"):
        microscope.scan()
    fake.faults.clear()
    fake.height = np.where(HEIGHT.mean() < HEIGHT, np.nan, HEIGHT)
    with pytest.raises(MicroscopeError, match="unusable"):
        microscope.scan()


def test_an_image_has_its_own_bias_and_what_was_changed_is_given_back(fake):
    fake.bias = 5.0  # left by an operator
    before = dict(fake.state)
    microscope = connect(fake, scan_bias_V=0.2)
    scan = microscope.scan()
    biases = [v[0] for n, v in fake.log if n == "Bias.Set"]
    assert biases == pytest.approx([0.2, 0.0])
    assert scan.metadata["settings"]["gain"] == "1E+9 V/A"
    microscope.measure(Site(1, 1), SWEEP)
    assert fake.state["BiasSpectr.MLSMode"] == nanonis_wire.text("Linear")
    microscope.park()
    microscope.close()
    assert fake.state == before
    assert fake.points == 77
    assert fake.bias == 0.0


def test_a_stopped_image_is_refused(fake):
    fake.height = np.where(np.arange(7)[:, None] < 3, HEIGHT, 0.0)
    with pytest.raises(MicroscopeError, match="4 of 7 are constant"):
        connect(fake).scan()


def test_an_image_has_its_bias_and_further_signals_their_names(fake):
    with pytest.raises(MicroscopeError, match="Phase"):
        connect(fake, signals={"phase": "Phase (deg)"})
    microscope = Guard(connect(fake, signals={"photodiode": "Input 3 (V)"}), Limits(voltage_V=1.0))
    assert microscope.capabilities.channels == ("height", "current", "photodiode")
    with pytest.raises(LimitError, match=r"got 1\.5 V"):
        microscope.image_bias(-1.5)
    microscope.image_bias(-0.5)
    fake.log.clear()
    microscope.scan(("height", "current"))
    names = [name for name, _ in fake.log]
    assert names.index("Bias.Set") < names.index("Scan.Action")
    assert next(v[0] for n, v in fake.log if n == "Bias.Set") == -0.5


@pytest.fixture(params=[(0.0, False), (30.0, True)], ids=["down", "up, turned"])
def large(request):
    """A sample with features, whose lines have a multiple of 16 pixels."""
    height = Film.generate(PRESETS["tiny"], 3).scan().height[:40, :48]
    peak = 1e-9 + 0.01 * (height - height.min())
    yield from closing(controller(height, peak, angle=request.param[0], up=request.param[1]))


@pytest.mark.parametrize("part", [Part(9, 3, 12, 24), Part(20, 30, 20, 16), Part(0, 0, 8, 8)])
def test_a_look_is_a_part_of_the_image_where_its_sites_are_now(large, part):
    microscope = connect(large)
    scan = microscope.scan(("height", "current"))
    before = (large.frame, large.state["Scan.Buffer"])
    large.drift = lambda: (1.0, -2.0)
    microscope.displace(1.0, -2.0)
    large.log.clear()
    look = microscope.look(part)
    rows, columns = (
        slice(part.row, part.row + part.rows),
        slice(part.column, part.column + part.columns),
    )
    for name in ("height", "current"):
        expected = np.asarray(scan.channels[name])[rows, columns]
        np.testing.assert_allclose(look.channels[name], expected, rtol=1e-5, atol=1e-13)
    assert (large.frame, large.state["Scan.Buffer"]) == (pytest.approx(before[0]), before[1])
    assert (large.bias, large.landed, large.in_air) == (0.0, False, 0)
    microscope.measure(Site(5, 5), SWEEP)
    assert large.pixel() == (5, 5)  # sites are those of the image, and follow, too


def test_a_look_that_fails_gives_the_frame_back_with_the_tip_up(large):
    microscope = connect(large)
    microscope.scan()
    before = large.frame
    large.faults["Scan.FrameDataGrab"] = "the module is busy"
    with pytest.raises(MicroscopeError, match="module is busy"):
        microscope.look(Part(0, 0, 16, 16))
    assert large.frame == pytest.approx(before)
    assert (large.bias, large.landed) == (0.0, False)


@pytest.mark.parametrize("follow", [True, False])
def test_a_run_follows_a_drifting_sample(large, follow):
    guard = Guard(connect(large), Limits())
    problem = make_problem(guard, SWEEP, Budget(curves=14), window=8)
    large.drift = lambda: (0.08 * len(large.met), -0.1 * len(large.met))  # by curves, not by time
    drift = DriftSettings(every_curves=2, part_px=24) if follow else None
    policy = make_policy("sobol")
    result = Experiment(guard, policy, problem=problem, seed=1, drift=drift).run()
    sites = np.array([o.site for o in result.outcomes]) + 0.5
    off = np.hypot(*(np.array(large.met) - sites).T)
    assert (np.median(off[4:]) < 0.35) == follow, off
