"""A recording as the instrument."""

import numpy as np
import pytest
from samples import curve_of

from grainscout.analysis.formats import Recording, read_3ds, record_outcomes, write_nsid
from grainscout.hardware import make_microscope
from grainscout.hardware.conformance import require_conforming
from grainscout.hardware.replay import ReplayMicroscope
from grainscout.records import CostModel, DataError, MicroscopeError, Outcome, Scan, Site, Waveform


@pytest.fixture
def recording() -> Recording:
    rng = np.random.default_rng(3)
    sites = np.array([[0, 0], [0, 3], [4, 0], [2, 2]])
    waveform = Waveform.triangle(1.0, 11, 0.5)
    current = rng.normal(0, 1e-9, (4, 11))
    current[1, 4] = np.nan
    saturated = np.zeros((4, 11), bool)
    saturated[2, 5] = True
    return Recording(
        scan=Scan(
            channels={"height": rng.normal(size=(5, 4)), "current": rng.normal(size=(5, 4))},
            units={"height": "m"},
            pixel_size=(2e-8, 1e-8),
        ),
        sites=sites,
        waveform=waveform,
        current=current,
        saturated=saturated,
    )


def test_curves_come_back_exactly_and_at_every_visit(recording):
    microscope = ReplayMicroscope(recording)
    for _ in range(2):
        for i, (row, column) in enumerate(recording.sites):
            curve = microscope.measure(Site(row, column), recording.waveform)
            np.testing.assert_array_equal(curve.current, recording.current[i])
            np.testing.assert_array_equal(curve.saturated, recording.saturated[i])
            np.testing.assert_array_equal(curve.voltage, recording.waveform.voltage)


def test_time_is_travel_settling_and_sweep(recording):
    cost = CostModel(speed=1e-7, settle=0.3, overhead=0.2)
    microscope = ReplayMicroscope(recording, cost=cost)
    microscope.measure(Site(0, 0), recording.waveform)
    assert microscope.clock.now() == pytest.approx(0.2 + 0.3 + 0.5)
    microscope.measure(Site(4, 0), recording.waveform)  # 4 rows of 20 nm at 100 nm/s
    assert microscope.clock.now() == pytest.approx(2 * 1.0 + 0.8)
    microscope.measure(Site(0, 3), recording.waveform)  # back, and 3 columns of 10 nm
    assert microscope.clock.now() == pytest.approx(3 * 1.0 + 0.8 + np.hypot(0.8, 0.3))
    assert microscope.cost.seconds(0.0) == pytest.approx(1.0)


@pytest.mark.parametrize("site", [(1, 1), (5, 0), (-1, 0), (0, 1)])
def test_other_sites_are_refused_and_cost_nothing(recording, site):
    microscope = ReplayMicroscope(recording)
    with pytest.raises(MicroscopeError, match="4 recorded sites"):
        microscope.measure(Site(*site), recording.waveform)
    assert microscope.clock.now() == 0


def test_other_waveforms_are_refused(recording):
    microscope = ReplayMicroscope(recording)
    with pytest.raises(MicroscopeError, match="its own waveform"):
        microscope.measure(Site(0, 0), Waveform.triangle(1.0, 11, 0.6))
    # An equal one under another name is the same waveform.
    same = Waveform(voltage=recording.waveform.voltage, time=recording.waveform.time, kind="mine")
    microscope.measure(Site(0, 0), same)


def test_it_conforms(shared_data):
    grid = read_3ds(shared_data / "mit_scifidatasets/NanonisReader_STS_grid_lockin.3ds")
    require_conforming(
        lambda: ReplayMicroscope(grid),
        scan=grid.scan,
        peak_current=np.abs(grid.current).max(axis=1).reshape(30, 30),
    )


def test_a_run_can_be_recorded_and_replayed(recording, tmp_path):
    waveform = recording.waveform
    outcomes = []
    for visit in (0, 1):
        for i, (row, column) in enumerate(recording.sites[:3]):
            curve = curve_of(
                waveform, recording.current[i] * (1 + visit), saturated=recording.saturated[i]
            )
            site = Site(int(row), int(column))
            outcomes.append(
                Outcome(site=site, status="ok", curve=curve, visit=visit, finished=i + 1.0)
            )
    outcomes.append(Outcome(site=Site(2, 2), status="failed"))
    run = record_outcomes(recording.scan, outcomes)
    write_nsid(run, tmp_path / "run.h5")
    replay = make_microscope("replay", {"path": str(tmp_path / "run.h5")})
    for i in range(3):
        site = Site(*recording.sites[i])
        curve = replay.measure(site, replay.capabilities.waveform)
        np.testing.assert_array_equal(curve.current, recording.current[i])
        np.testing.assert_array_equal(curve.saturated, recording.saturated[i])
    assert run.metadata["failed"].tolist() == [[2, 2]]
    assert len(run.metadata["later_visits"]) == 3
    with pytest.raises(MicroscopeError, match="3 recorded sites"):
        replay.measure(Site(2, 2), replay.capabilities.waveform)
    with pytest.raises(DataError, match="at least one curve"):
        record_outcomes(recording.scan, outcomes[-1:])
    other = Waveform.triangle(0.5, 11, 0.5)
    odd = curve_of(other, other.voltage)
    with pytest.raises(DataError, match="one sweep"):
        record_outcomes(
            recording.scan, [outcomes[0], Outcome(site=Site(4, 3), status="ok", curve=odd)]
        )
