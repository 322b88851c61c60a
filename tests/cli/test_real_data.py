"""Experiments and races on real data, through the command line."""

import numpy as np
import pandas as pd
import pytest

from grainscout.analysis.formats import read
from grainscout.journal import Journal


@pytest.fixture
def run(call):
    def running(*words):
        status, out, err = call(*words)
        assert not status, err
        return out

    return running


@pytest.fixture
def grid(shared_data):
    return shared_data / "mit_scifidatasets" / "NanonisReader_STS_grid_lockin.3ds"


def test_a_real_grid_is_replayed_curve_for_curve(run, grid, tmp_path):
    (tmp_path / "run.toml").write_text(
        f'[task]\ntarget = "max_current"\ncurves = 40\nwindow_px = 1\n'
        f'microscope = {{ kind = "replay", file = "{grid}" }}\n'
        'waveform = { kind = "recorded" }\n[policy]\nname = "dkl"\n'
    )
    run("run", "run.toml")
    run("report", "run.gsj")
    recording = read(grid)
    with Journal.read(tmp_path / "run.gsj") as journal:
        problem, outcomes = journal.header().problem, journal.outcomes()
    assert len(outcomes) == 40
    assert len(problem.candidates) == 900
    for outcome in outcomes:
        recorded = recording.curve(outcome.site)
        np.testing.assert_array_equal(outcome.curve.current, recorded.current)
        np.testing.assert_array_equal(outcome.curve.voltage, recorded.voltage)
    # A 5 nm frame at 45 degrees: its diagonal spans 29 steps of 5 nm / 30 in each direction.
    far = problem.scan.positions(np.array([[0, 0], [29, 29]]))
    assert np.hypot(*(far[1] - far[0])) == pytest.approx(29 / 30 * 5e-9 * np.sqrt(2), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "pixel_nm"), [("PZT_final0001.h5", 7.84), ("scan_0001.ibw", 19.6)]
)
def test_policies_are_run_on_a_users_own_topography(run, shared_data, tmp_path, name, pixel_nm):
    image = shared_data / "mit_dtmicroscope" / name
    (tmp_path / "run.toml").write_text(
        "[task]\nlight_suns = 0.1\ncurves = 15\nwaveform = { samples = 51 }\n"
        f'microscope = {{ kind = "topography", film = "s26", file = "{image}", '
        "crop_px = [20, 40, 96, 80] }\n[policy]\n"
        'name = "dual-novelty"\n'
    )
    run("run", "run.toml")
    with Journal.read(tmp_path / "run.gsj") as journal:
        problem, outcomes = journal.header().problem, journal.outcomes()
    assert problem.scan.shape == (96, 80)
    assert problem.scan.pixel_size[0] * 1e9 == pytest.approx(pixel_nm, rel=0.01)
    assert all(o.curve is not None for o in outcomes)
    assert len({o.curve.current.tobytes() for o in outcomes}) == 15
    # What the policy saw is the user's own image, right way up: the same picture but for a plane.
    own = read(image).height[20:116, 40:120]
    rows, columns = np.mgrid[: own.shape[0], : own.shape[1]]
    terms = np.column_stack([np.ones(own.size), rows.ravel(), columns.ravel()])

    def flat(picture):
        return picture.ravel() - terms @ np.linalg.lstsq(terms, picture.ravel(), rcond=None)[0]

    assert np.corrcoef(flat(own), flat(problem.scan.height))[0, 1] > 0.8
    assert np.corrcoef(flat(own), flat(problem.scan.height[::-1]))[0, 1] < 0.5


def test_a_race_takes_the_users_own_grid(run, grid, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nfilms = 2\n[defaults]\ncurves = 12\nlight_suns = 0.1\n'
        'waveform = { samples = 51 }\nmicroscope = { film = "tiny" }\n'
        '[[task]]\nid = "film"\n[[policy]]\nname = "random"\n[[policy]]\nname = "grid"\n'
    )
    out = run("bench", "mine.toml", "--out", "race", "--jobs", 0, "--replay", grid)
    assert "race/report.html" in out
    table = pd.read_parquet(tmp_path / "race" / "table.parquet")
    assert set(table["task"]) == {"film", f"replay/{grid.stem}/max_current"}
    assert (table.groupby(["task", "film", "policy"]).size() == 12).all()
