"""Park and Nanosurf as movers with a meter beside them, against fakes of their software."""

import fake_makers
import makers_rig
import numpy as np
import pytest

from grainscout.hardware import Guard, Limits
from grainscout.hardware.adapters.parts import MOVERS, MicroscopeOfParts
from grainscout.hardware.conformance import require_conforming
from grainscout.records import ConfigError, IVCurve, MicroscopeError, Site, Waveform

SWEEP = Waveform.triangle(0.5, 11, 0.02)
FAST = {"stable_s": 0.01, "land_timeout_s": 1.0, "withdraw_timeout_s": 1.0, "timeout_s": 1.5}
MAKERS = {"park": fake_makers.SmartScan, "nanosurf": fake_makers.Studio}


class Ohmic:
    """A meter on 1 Mohm; `instrument` tells if there was contact."""

    rise_s = 1e-3

    def __init__(self, instrument):
        self.instrument = instrument

    def sweep(self, waveform):
        contact = 1e-6 * (self.instrument.height() == 1)
        return IVCurve(
            voltage=waveform.voltage, current=contact * waveform.voltage, time=waveform.time
        )

    def off(self):
        pass

    close = off


@pytest.fixture(params=MAKERS)
def maker(request, tmp_path, monkeypatch):
    fake = MAKERS[request.param](tmp_path)
    fake.install(monkeypatch)
    fake.kind, fake.movers = request.param, []
    yield fake
    for mover in fake.movers:
        mover.close()
    fake.close()


def opened(maker, **options):
    given = {
        "folder": str(maker.folder),
        **FAST,
        "scan_timeout_s": 1.0,
        **maker.options(),
        **options,
    }
    maker.movers.append(MOVERS.make(maker.kind, given))
    return maker.movers[-1]


def test_with_a_meter_it_conforms(maker):
    require_conforming(
        lambda: Guard(MicroscopeOfParts(opened(maker), Ohmic(maker)), Limits()), waveform=SWEEP
    )


def test_rows_count_from_the_top_and_the_tip_moves_only_up(maker):
    maker.slow = 0.1
    mover = opened(maker)
    scan = mover.scan()
    np.testing.assert_allclose(scan.height, makers_rig.RAW * 1e-10, atol=1e-15)
    rows, columns = scan.shape
    step = (fake_makers.SIZE[0] / columns, fake_makers.SIZE[1] / rows)
    for site in (Site(0, 0), Site(rows - 1, columns - 1)):
        mover.go(site)
        x = maker.centre[0] + (site.column - (columns - 1) / 2) * step[0]
        y = maker.centre[1] - (site.row - (rows - 1) / 2) * step[1]  # up there
        assert maker.place == pytest.approx((x, y), abs=1e-12)
        assert maker.height() == 1
    assert (maker.images, maker.dragged, mover.landings()) == (1, 0, 3)
    assert mover.contact()
    mover.park()
    assert (mover.contact(), maker.height()) == (False, 0)
    if maker.kind == "park":
        assert maker.bias == 0.0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("stuck", "arrive within half a pixel"),
        ("in the air", "must touch the sample within 1 s"),
        ("holds on", "must be off the sample within 1 s"),
    ],
)
def test_what_is_not_confirmed_is_an_error(maker, fault, words):
    mover = opened(maker)
    mover.scan()
    mover.go(Site(0, 0))
    maker.faults = {fault}
    with pytest.raises(MicroscopeError, match=words):
        mover.go(Site(1, 2))
    assert maker.dragged == 0


def test_no_file_a_turned_frame_and_a_second_run_are_errors(maker):
    mover = opened(maker)
    with pytest.raises(MicroscopeError, match="one run at a time"):
        opened(maker)
    maker.faults = {"no file"}
    with pytest.raises(MicroscopeError, match="nothing new"):
        mover.scan()
    maker.faults, maker.angle = set(), 30.0
    with pytest.raises(MicroscopeError, match="rotation must be 0"):
        mover.scan()
    with pytest.raises(MicroscopeError, match="name a meter"):
        mover.measure(Site(0, 0), SWEEP)
    with pytest.raises(ConfigError, match="stable_s must be positive"):
        opened(maker, stable_s=0.0)


def test_software_that_is_not_there_is_an_error_in_time(maker):
    maker.silent = True
    with pytest.raises(MicroscopeError, match=r"must listen|must run with a measurement session"):
        opened(maker)
    maker.silent = False
    if maker.kind == "nanosurf":
        with pytest.raises(MicroscopeError, match="Scripting Plus"):
            opened(maker, level=1)
