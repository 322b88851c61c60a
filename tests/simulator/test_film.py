"""The film object: reproducible, consistent with itself, the same whatever is asked first."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grainscout.microstructure.structure import MAPS
from grainscout.records import ConfigError, DataError, Waveform
from grainscout.simulator import PRESETS, Film, FilmSpec, GrainSpec, preset

TINY = PRESETS["tiny"]
TRIANGLE = Waveform.triangle(samples=101)


@pytest.fixture(scope="module")
def film() -> Film:
    return Film.generate(TINY, 11)


def random_sites(film: Film, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.integers(0, size, n) for size in film.shape])


def test_an_integer_and_its_sequence_are_one_seed_and_the_sequence_is_not_used_up():
    sequence = np.random.SeedSequence(11)
    a, b = Film.generate(TINY, sequence), Film.generate(TINY, sequence)
    assert np.array_equal(a.height, b.height)
    assert np.array_equal(a.height, Film.generate(TINY, 11).height)
    assert sequence.n_children_spawned == 0
    child = np.random.SeedSequence(11).spawn(1)[0]
    assert not np.array_equal(Film.generate(TINY, child).height, a.height)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"topography": {"roughness_nm": 0.0}}, ("labels", "asymmetry", "boundary_distance")),
        ({"topography": {"dome_sd_nm": 0.0}}, ("labels", "asymmetry", "boundary_distance")),
        (
            {"grains": {"asymmetric_share": 0.9}},
            ("labels", "boundary_distance", "junction_distance"),
        ),
        ({"scan": {"noise_nm": 0.0}}, MAPS),
        ({"transport": {"hidden": 0.0}}, MAPS),
    ],
)
def test_components_draw_from_streams_of_their_own(film, change, kept):
    values = {k: replace(getattr(TINY, k), **v) for k, v in change.items()}
    other = Film.generate(replace(TINY, **values), 11)
    for name in kept:
        assert np.array_equal(getattr(film.structure, name), getattr(other.structure, name))
    assert film.spec != other.spec


def test_roughness_off_changes_the_surface_by_the_roughness_alone(film):
    smooth = replace(TINY, topography=replace(TINY.topography, roughness_nm=0.0))
    rough = film.height - Film.generate(smooth, 11).height
    assert rough.std() == pytest.approx(TINY.topography.roughness_nm * 1e-9, rel=0.4)
    assert abs(rough.mean()) < rough.std()


def test_tiles_are_the_curves_of_their_pixels(film, monkeypatch):
    monkeypatch.setattr("grainscout.simulator.film.film._TILE", 48 * 101 * 7)
    seen = 0
    for rows, current in film.all_curves(TRIANGLE, light=0.1):
        assert current.shape == (rows.stop - rows.start, 48, 101)
        sites = np.array([[rows.start, 3], [rows.stop - 1, 40]])
        direct, _ = film.curves(sites, TRIANGLE, light=0.1)
        assert np.array_equal(direct, current[[0, -1], [3, 40]])
        seen += current.shape[0]
    assert seen == 48


def test_currents_are_in_amperes_and_the_state_is_the_end_of_the_trajectory(film):
    sites = random_sites(film, 30)
    current, state = film.curves(sites, TRIANGLE, light=0.1)
    result = film.trajectories(sites, TRIANGLE, light=0.1)
    assert np.array_equal(current, result.current)
    assert np.array_equal(current, result.current_nA * 1e-9)
    assert result.x is not None
    assert result.u is not None
    assert np.array_equal(np.column_stack([result.u[:, -1], result.x[:, -1]]), state)
    assert 1e-11 < np.abs(current).max() < 1e-7


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    rows=st.integers(16, 40),
    columns=st.integers(16, 40),
    pixel=st.tuples(st.floats(2.0, 40.0), st.floats(2.0, 40.0)),
    grain=st.floats(4.0, 40.0),
    ln_sd=st.floats(0.0, 0.6),
    warp=st.floats(0.0, 0.08),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**40),
)
def test_any_sensible_film_is_whole(rows, columns, pixel, grain, ln_sd, warp, share, seed):
    mean = grain * max(pixel)
    spec = FilmSpec(
        rows=rows,
        columns=columns,
        row_nm=pixel[0],
        column_nm=pixel[1],
        grains=GrainSpec(mean_nm=mean, ln_sd=ln_sd, warp_nm=warp * mean, asymmetric_share=share),
    )
    film = Film.generate(spec, seed)
    s = film.structure
    assert np.isfinite(film.scan().height).all()
    assert (film.dilated() >= film.height).all()
    assert np.isfinite(s.boundary_distance).all()
    assert s.labels.min() == 0
    assert set(np.unique(s.labels)) <= set(range(len(s.grains)))
    own = s.boundaries[s.boundary_id]
    assert ((own["first"] == s.labels) | (own["second"] == s.labels)).all()
    assert s.grains["area"].sum() == pytest.approx(rows * columns * pixel[0] * pixel[1] * 1e-18)
    current, state = film.curves(np.array([[rows - 1, columns - 1]]), TRIANGLE, light=0.1)
    assert np.isfinite(current).all()
    assert 0 <= state[0, 1] <= 1


def test_truth_is_read_only(film):
    with pytest.raises(ValueError, match="read-only"):
        film.height[0, 0] = 0.0
    before = film.curves(np.array([[1, 1]]), TRIANGLE)[0]
    film.parameters["g1"] = np.zeros(film.shape)
    assert np.array_equal(film.curves(np.array([[1, 1]]), TRIANGLE)[0], before)


@pytest.mark.parametrize(("former", "name"), [("s23", "Liu2023"), ("s26", "Gong2026")])
def test_a_former_name_is_the_film_of_its_present_one(former, name):
    assert preset(former) is preset(name) is PRESETS.get(former)
    assert former in PRESETS
    assert former not in list(PRESETS)


BAD_SPECS = [
    (lambda: FilmSpec(rows=15), r"rows must be 16 .. 8192 pixels"),
    (lambda: FilmSpec(columns=10**6), r"columns must be 16"),
    (lambda: FilmSpec(rows=64.0), "whole number of pixels"),
    (lambda: FilmSpec(row_nm=0.0), r"row_nm must be 0.01 .. 100000 nm; got 0.0"),
    (lambda: FilmSpec(row_nm=float("nan")), "row_nm must be"),
    (lambda: FilmSpec(row_nm=200.0), "at least 3 pixels"),
    (lambda: FilmSpec(grains=GrainSpec(mean_nm=30000.0)), "at most 10 times the frame, 25600 nm"),
    (lambda: GrainSpec(mean_nm=-1.0), r"mean_nm must be 1 .. 1e\+06 nm; got -1.0"),
    (lambda: GrainSpec(ln_sd=2.0), r"ln_sd must be 0 .. 0.6; got 2.0"),
    (lambda: GrainSpec(asymmetric_share=1.5), "asymmetric_share must be 0 .. 1"),
    (lambda: GrainSpec(warp_nm=200.0), "warp_nm must be 0"),
    (lambda: GrainSpec(diagram="hexagons"), "must be 'laguerre' or 'voronoi'"),
    (
        lambda: replace(TINY.topography, groove_depth_nm=-4.0),
        "groove_depth_nm must be 0 .. 10000 nm",
    ),
    (lambda: replace(TINY.topography, hurst=1.4), "hurst must be 0 .. 1"),
    (lambda: replace(TINY.scan, noise_nm=float("inf")), "noise_nm must be 0 .. 10000 nm"),
    (lambda: replace(TINY.scan, tip_angle_deg=0.0), "tip_angle_deg must be 5 .. 85 degrees"),
    (lambda: replace(TINY.segmentation, contrast=0.0), "contrast must be 0.001 .. 1000"),
    (lambda: FilmSpec.from_dict({"row": 3}), "film has no setting 'row'; it has rows, columns"),
    (lambda: FilmSpec.from_dict({"grains": {"mean": 3}}), "film.grains has no setting 'mean'"),
    (lambda: FilmSpec.from_dict({"grains": 3}), "film grains must be a table of settings; got 3"),
    (lambda: FilmSpec.from_dict({"transport": {"hidden": "no"}}), "hidden must be 0 .. 10; got no"),
    (lambda: FilmSpec.from_dict({"grains": {"mean_nm": "big"}}), "mean_nm must be"),
    (lambda: Film.generate(TINY, -1), "seed must be a whole number >= 0"),
    (lambda: Film.generate(TINY, 1.5), "seed must be a whole number"),
]


@pytest.mark.parametrize(("make", "message"), BAD_SPECS)
def test_bad_settings_name_parameter_unit_and_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        (np.array([[0, 48]]), r"must lie on the 48 x 48 film; 1 do not, the first is \(0, 48\)"),
        (np.array([[-1, 0]]), "must lie on"),
        (np.array([1, 2]), r"must be an \(n, 2\) array of integer"),
        (np.array([[0.5, 1.0]]), "array of integer"),
    ],
)
def test_bad_sites(film, sites, message):
    with pytest.raises(DataError, match=message):
        film.curves(sites, TRIANGLE)
