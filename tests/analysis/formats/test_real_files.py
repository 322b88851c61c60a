"""Readers on real files of real instruments (skipped where the data is absent)."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from grainscout.analysis.formats import Recording, read, read_3ds, read_ibw, read_traces
from grainscout.records import DataError, Scan, Site

GRID = "mit_scifidatasets/NanonisReader_STS_grid_lockin.3ds"
SPECTRUM = "mit_scifidatasets/NanonisReader_BiasSpectroscopy.dat"
FORCE = "mit_scifidatasets/IgorIBWReader_ForceCurve.ibw"


def raw_grid(path: Path) -> np.ndarray:
    """The file's numbers, without the reader: 900 points of 10 parameters and 4 x 200 samples."""
    data = path.read_bytes()
    body = data[data.index(b":HEADER_END:\r\n") + 14 :]
    return np.frombuffer(body, ">f4").reshape(900, 810)


def test_grid_positions_are_the_instruments_own(shared_data):
    grid = read_3ds(shared_data / GRID)
    recorded = grid.metadata["parameters"]
    place = grid.positions
    # Every site within a hundredth of a step of the X and Y recorded there; y is -Y.
    step = 5e-9 / 30
    assert np.abs(place[:, 0] - recorded["X (m)"]).max() < 0.01 * step
    assert np.abs(place[:, 1] + recorded["Y (m)"]).max() < 0.01 * step
    assert grid.scan.angle == pytest.approx(math.radians(45), abs=1e-5)
    assert grid.scan.pixel_size == pytest.approx((step, step), rel=1e-5)


def test_grid_rows_run_down_the_picture_and_curves_stay_with_their_place(shared_data):
    grid, raw = read_3ds(shared_data / GRID), raw_grid(shared_data / GRID)
    # The file's first point is the bottom left of the frame, its last the top right.
    for site, point in (
        (Site(29, 0), 0),
        (Site(29, 29), 29),
        (Site(0, 0), 870),
        (Site(0, 29), 899),
    ):
        np.testing.assert_array_equal(grid.curve(site).current, raw[point, 10:210])
        assert grid.scan.height[site] == raw[point, 4]
        assert grid.scan.position(site)[0] == pytest.approx(raw[point, 2], abs=1e-12)
    # In the unrotated frame the instrument's Y falls from row to row.
    angle = grid.scan.angle
    x, y = grid.positions.T
    local = -np.sin(angle) * x + np.cos(angle) * y
    assert (np.diff(local.reshape(30, 30), axis=0) > 0).all()


def test_grid_sweep_and_extras(shared_data):
    grid = read_3ds(shared_data / GRID)
    assert len(grid) == 900
    assert grid.complete
    np.testing.assert_allclose(grid.waveform.voltage, np.linspace(-0.22, 0.22, 200), atol=1e-7)
    # 15 ms to settle and 1 ms to integrate, as the header's parameters say.
    assert grid.waveform.duration == pytest.approx(199 * 0.016)
    # Physics that a swapped axis would break: the current passes zero near zero bias everywhere.
    middle = np.abs(grid.current[:, 95:105]).max(axis=1)
    assert (middle < 0.1 * np.abs(grid.current).max(axis=1)).all()
    assert set(grid.metadata["channels"]) == {"LockinX (V)", "LockinY (V)", "Bias_m (V)"}
    assert grid.metadata["channels"]["LockinX (V)"].shape == (900, 200)
    assert grid.metadata["header"]["Date"] == "04.06.2016 20:13:23"
    assert not grid.saturated.any()
    assert grid.metadata["unrecorded"].size == 0


def test_dat_finds_both_rails_and_joins_the_branches(shared_data):
    spectrum = read(shared_data / SPECTRUM)
    assert isinstance(spectrum, Recording)
    curve = spectrum.curve(Site(0, 0))
    half = len(curve) // 2
    np.testing.assert_array_equal(curve.voltage[:half], curve.voltage[half:][::-1])
    # +-10 nA is the amplifier's range: flagged exactly where the current stands still there.
    np.testing.assert_array_equal(curve.saturated, np.abs(curve.current) > 9.99e-9)
    assert 0 < curve.saturated.sum() < len(curve)
    assert spectrum.scan.position(Site(0, 0)) == pytest.approx((1.10123e-6, -1.89724e-6))
    assert spectrum.scan.height[0, 0] == pytest.approx(99.2194e-9)
    assert spectrum.metadata["header"]["Filter type"] == "Gaussian"


def test_ibw_image_has_metres_units_labels_and_note(shared_data):
    scan = read(shared_data / "mit_dtmicroscope/scan_0001.ibw")
    assert isinstance(scan, Scan)
    assert scan.shape == (256, 256)
    # Labels end at their terminating zero ("Phase1Retracece" is what a naive reader finds).
    assert list(scan.channels) == [
        "height",
        "Amplitude1Retrace",
        "Amplitude2Retrace",
        "Phase1Retrace",
        "Phase2Retrace",
        "FrequencyRetrace",
    ]
    assert scan.units["height"] == "m"
    assert scan.units["Phase1Retrace"] == "deg"
    assert scan.units["FrequencyRetrace"] == "Hz"
    # 5 um in 256 pixels; the wave counts the ends as pixel centres.
    assert scan.pixel_size == pytest.approx((5e-6 / 255, 5e-6 / 255))
    assert scan.metadata["note"]["ScanSize"] == "5e-06"
    assert 50e-9 < np.ptp(scan.height) < 150e-9
    assert scan.channels["FrequencyRetrace"].mean() == pytest.approx(3.7e5, rel=0.05)


def streaks(image: np.ndarray) -> tuple[float, float]:
    """How much whole lines jump against their neighbours, along the rows and along the columns."""
    return tuple(float(np.std(np.median(np.diff(image, axis=a), axis=1 - a))) for a in (0, 1))


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("mit_dtmicroscope/scan_0001.ibw", "Amplitude1Retrace"),
        ("mit_dtmicroscope/PZT_final0001.h5", "NapAmplitudeRetrace"),
        ("mit_scifidatasets/PTO_110_Virgin0001.gwy", "height"),
    ],
)
def test_fast_axis_runs_along_the_rows(shared_data, name, channel):
    # All were scanned at 0 degrees, line by line: the jumps are between lines, so between *rows*.
    image = read(shared_data / name).channels[channel]
    between_rows, between_columns = streaks(image)
    assert between_rows > 1.5 * between_columns


def test_ibw_picture_is_the_wave_with_y_upwards(shared_data):
    from igor2 import binarywave

    path = shared_data / "mit_dtmicroscope/scan_0001.ibw"
    wave = binarywave.load(str(path))["wave"]["wData"]
    height = read_ibw(path).height
    # Igor shows wave[x, y] with x to the right and y up.
    for x, y in ((0, 0), (10, 200), (255, 3)):
        assert height[255 - y, x] == wave[x, y, 0]


def test_force_curve_is_for_traces(shared_data):
    with pytest.raises(DataError, match="read_traces"):
        read(shared_data / FORCE)
    traces = read_traces(shared_data / FORCE)
    assert list(traces.channels) == ["Raw", "Defl", "ZSnsr"]
    assert traces.time[-1] == pytest.approx(1260 * 5e-4)
    assert traces.metadata["note"]["SpringConstant"] == "0.018189"
    with pytest.raises(DataError, match="must be in V"):
        traces.curve("Raw", "Defl")


def test_nsid_axes_are_not_swapped(shared_data):
    path = shared_data / "mit_dtmicroscope/BEPS_PTO_50x50.h5"
    grid = read(path)
    with h5py.File(path) as file:
        raw = file["Channel_000/generic/generic"][()]
        x, y = file["Channel_000/generic/X"][()], file["Channel_000/generic/Y"][()]
        volts = file["Channel_000/generic/Voltage"][()]
    for i, j in ((0, 0), (3, 41), (49, 7)):
        site = Site(j, i)  # x is the column, y the row
        np.testing.assert_array_equal(grid.curve(site).current, raw[i, j])
        assert grid.scan.position(site) == pytest.approx((x[i], y[j]), rel=1e-9, abs=1e-15)
    np.testing.assert_array_equal(grid.waveform.voltage, volts)
    assert grid.unit == "a.u."
    assert "assumed" in grid.metadata["time"]


def test_nsid_images_keep_units_and_original_metadata(shared_data):
    scan = read(shared_data / "mit_dtmicroscope/PZT_final0001.h5")
    assert scan.pixel_size == pytest.approx((2e-6 / 255, 2e-6 / 255))
    assert scan.units["height"] == "m"
    assert scan.units["PhaseRetrace"] == "deg"
    assert scan.metadata["original"]["AmpInvOLS"] == 1.09e-7
    with h5py.File(shared_data / "mit_dtmicroscope/PZT_final0001.h5") as file:
        raw = file["Measurement_000/Channel_0/Channel_0/Channel_0"][()]
    assert scan.height[20, 200] == raw[200, 20]


def test_gwy_image_units_and_size(shared_data):
    scan = read(shared_data / "mit_scifidatasets/PTO_110_Virgin0001.gwy")
    assert scan.shape == (256, 256)
    assert scan.pixel_size[1] * 255 == pytest.approx(10e-6, rel=1e-6)
    assert scan.units["height"] == "m"
    assert scan.units["PhaseRetrace"] == "deg"


FILES = [
    GRID,
    SPECTRUM,
    "mit_dtmicroscope/scan_0001.ibw",
    "mit_dtmicroscope/PZT_final0001.h5",
    "mit_dtmicroscope/BEPS_PTO_50x50.h5",
    "mit_scifidatasets/PTO_110_Virgin0001.gwy",
]


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_real_file_is_refused(shared_data, tmp_path, name):
    source = shared_data / name
    data = source.read_bytes()
    rng = np.random.default_rng(5)
    for cut in [1, 7, 63, 64, 400, len(data) // 2, len(data) - 1, *rng.integers(1, len(data), 6)]:
        path = tmp_path / f"cut{source.suffix}"
        path.write_bytes(data[:cut])
        # An Asylum wave may lose its tail (a thumbnail after the wave) without harm; an aborted grid
        # ends between two points.  Anything else must be refused with the file's name.
        whole, refusal = None, ""
        try:
            whole = read(path)
        except DataError as error:
            refusal = str(error)
        if whole is None:
            assert str(path) in refusal
            if source.suffix in (".h5", ".gwy") and cut > 100:
                assert "It is truncated" in refusal
        else:
            assert source.suffix in (".ibw", ".3ds")
            kept = whole.scan if isinstance(whole, Recording) else whole
            full = read(source)
            full_scan = full.scan if isinstance(full, Recording) else full
            np.testing.assert_array_equal(kept.height, full_scan.height[-kept.shape[0] :])
