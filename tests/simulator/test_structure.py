"""The generated structure: maps agree with one another, the surface is as specified."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from grainscout.records import DataError
from grainscout.simulator import Film, FilmSpec, GrainSpec, Structure, TopographySpec

FLAT = TopographySpec(
    dome_nm=0.0, dome_sd_nm=0.0, tilt=0.0, undulation_nm=0.0, groove_depth_nm=0.0, roughness_nm=0.0
)


@pytest.fixture(scope="module")
def structure() -> Structure:
    return Film.generate(FilmSpec(), 7).structure


def test_distances_are_zero_on_boundaries_and_grow_into_grains(structure):
    d = structure.boundary_distance
    assert d[structure.boundary].max() < np.sqrt(2) * 20e-9
    # The pixel-grid distance transform knows the line to a pixel; ours is finer, never far from it.
    grid = 20e-9 * distance_transform_edt(~structure.boundary)
    inner = grid > 0
    rim = np.zeros_like(inner)
    rim[20:-20, 20:-20] = True
    away = (d - grid)[inner & rim]
    assert np.abs(away).max() < 30e-9
    assert (structure.junction_distance >= d - 2e-9).all()


def test_junctions_lie_where_three_grains_meet(structure):
    shape = np.array(structure.shape)
    inside = structure.vertices[
        ((structure.vertices[:, :2] > 3) & (structure.vertices[:, :2] < shape - 4)).all(1)
    ]
    assert len(inside) > 40
    assert (inside[:, 2] == 3).mean() > 0.98
    met = 0
    for row, column, _ in inside:
        r, c = round(row), round(column)
        met += len(np.unique(structure.labels[r - 3 : r + 4, c - 3 : c + 4])) >= 3
    assert met / len(inside) > 0.95
    # ... and wherever three grains meet on the grid, a vertex is near.
    lab = structure.labels
    corner = np.sort(np.stack([lab[:-1, :-1], lab[:-1, 1:], lab[1:, :-1], lab[1:, 1:]]), axis=0)
    triple = (np.diff(corner, axis=0) != 0).sum(0) >= 2
    assert structure.junction_distance[:-1, :-1][triple].max() < 60e-9


def test_tables_agree_with_maps(structure):
    grains, boundaries = structure.grains, structure.boundaries
    count = np.bincount(structure.labels.ravel(), minlength=len(grains))
    assert np.allclose(grains["area"], count * (20e-9) ** 2)
    assert grains["area"].sum() == pytest.approx((128 * 20e-9) ** 2)
    for i in (0, 5, 11):
        rows, columns = np.nonzero(structure.labels == i)
        assert grains["row"][i] == pytest.approx(rows.mean())
        edges = (rows.min(), columns.min(), 127 - rows.max(), 127 - columns.max())
        touches = 0 in edges
        assert grains["interior"][i] == (not touches)
    assert (boundaries["first"] < boundaries["second"]).all()
    assert np.unique(structure.boundary_id).size == len(boundaries)
    own = boundaries[structure.boundary_id]
    assert ((own["first"] == structure.labels) | (own["second"] == structure.labels)).all()
    assert boundaries["length"].max() < 1.5e-6
    # Total length against the number of pixel edges between labels, which is 4/pi times as long.
    lab = structure.labels
    cracks = (np.diff(lab, axis=0) != 0).sum() + (np.diff(lab, axis=1) != 0).sum()
    assert boundaries["length"].sum() == pytest.approx(np.pi / 4 * cracks * 20e-9, rel=0.05)


def test_asymmetry_that_the_surface_does_not_show_is_still_the_truth():
    unseen = TopographySpec(asymmetry_shown=0.0)
    shown, hidden = (
        Film.generate(FilmSpec(topography=topography), 7).structure
        for topography in (TopographySpec(), unseen)
    )
    assert np.array_equal(shown.asymmetry, hidden.asymmetry)
    for s, differ in ((shown, True), (hidden, False)):
        sides = s.boundaries[s.boundaries["asymmetric"]]
        assert ((sides["width_first"] != sides["width_second"]) == differ).all()
    symmetric = replace(FilmSpec(topography=unseen), grains=GrainSpec(asymmetric_share=0.0))
    assert np.array_equal(hidden.height, Film.generate(symmetric, 7).height)


def test_asymmetry_changes_sign_across_a_boundary(structure):
    table = structure.boundaries
    seen = 0
    for k in np.flatnonzero(table["asymmetric"]):
        near = structure.boundary_id == k
        smooth = near & (structure.labels == table["smooth_side"][k])
        sharp = near & (structure.labels != table["smooth_side"][k])
        assert (structure.asymmetry[smooth] == table["strength"][k]).all()
        assert (structure.asymmetry[sharp] == -table["strength"][k]).all()
        seen += smooth.any() and sharp.any()
    assert seen > 5
    symmetric = ~table["asymmetric"][structure.boundary_id]
    assert (structure.asymmetry[symmetric] == 0).all()
    assert (table["smooth_side"][~table["asymmetric"]] == -1).all()
    # Both signs cover about the same area.
    assert 0.3 < (structure.asymmetry > 0).sum() / (structure.asymmetry != 0).sum() < 0.7


def test_asymmetric_share_is_as_specified():
    for share in (0.0, 0.25):
        spec = FilmSpec(rows=200, columns=200, grains=GrainSpec(asymmetric_share=share))
        table = Film.generate(spec, 2).structure.boundaries
        assert table["asymmetric"].mean() == pytest.approx(share, abs=0.1)


def test_grooves_are_recovered_from_noiseless_profiles():
    """Depth at the line and the hump's distance, side by side with the table."""
    topography = replace(FLAT, groove_depth_nm=10.0, groove_width_nm=40.0)
    spec = FilmSpec(
        rows=160,
        columns=160,
        row_nm=4.0,
        column_nm=4.0,
        grains=GrainSpec(mean_nm=500.0, warp_nm=10.0, asymmetric_share=0.5),
        topography=topography,
    )
    s = Film.generate(spec, 5).structure
    far = s.junction_distance > 110e-9
    checked = 0
    for k, row in enumerate(s.boundaries):
        for name, width in (("first", row["width_first"]), ("second", row["width_second"])):
            near = far & (s.boundary_id == k) & (s.labels == row[name])
            d, h = s.boundary_distance[near], s.height[near]
            if near.sum() < 400 or d.min() > 2e-9 or d.max() < 1.6 * width:
                continue
            bins = np.arange(0, 1.6 * width, 4e-9)
            profile = np.array([np.median(h[(d >= b) & (d < b + 4e-9)]) for b in bins])
            assert h[d.argmin()] == pytest.approx(-row["depth"], rel=0.15)
            # Mullins: the hump is 0.194/0.780 of the depth above the flat surface.
            assert np.nanmax(profile) == pytest.approx(0.2487 * row["depth"], rel=0.1)
            assert bins[np.nanargmax(profile)] + 2e-9 == pytest.approx(width, abs=8e-9)
            checked += 1
    assert checked > 6


def test_asymmetric_boundaries_are_wider_on_one_side_and_deeper():
    t = TopographySpec()
    table = Film.generate(FilmSpec(rows=320, columns=320), 1).structure.boundaries
    a, b = table[table["asymmetric"]], table[~table["asymmetric"]]
    wide = np.where(a["smooth_side"] == a["first"], a["width_first"], a["width_second"])
    narrow = np.where(a["smooth_side"] == a["first"], a["width_second"], a["width_first"])
    assert np.allclose(wide / narrow, (t.smooth / t.sharp) ** a["strength"])
    assert np.allclose(b["width_first"], b["width_second"])
    expected = np.exp(np.log(t.deeper) * a["strength"].mean())
    assert a["depth"].mean() / b["depth"].mean() == pytest.approx(expected, rel=0.1)


def test_surface_is_continuous_across_boundaries():
    """Tops of different heights, no groove, no roughness: every step is a slope, not a jump."""
    topography = replace(FLAT, dome_nm=50.0, dome_sd_nm=20.0, tilt=0.08)
    steps = []
    for pixel in (8.0, 4.0):
        n = round(1280 / pixel)
        spec = FilmSpec(rows=n, columns=n, row_nm=pixel, column_nm=pixel, topography=topography)
        steps.append(np.abs(np.diff(Film.generate(spec, 4).height, axis=0)).max())
    assert steps[1] == pytest.approx(0.5 * steps[0], rel=0.2)


def test_flat_film_is_flat():
    assert np.ptp(Film.generate(FilmSpec(topography=FLAT), 1).height) == 0.0


def test_roughness_is_self_affine():
    hurst = 0.7
    spec = FilmSpec(rows=320, columns=320, topography=replace(FLAT, roughness_nm=2.0, hurst=hurst))
    height = Film.generate(spec, 1).height
    assert height.std() == pytest.approx(2e-9, rel=0.15)
    window = np.hanning(320)[:, None] * np.hanning(320)
    power = np.abs(np.fft.fft2(height * window)) ** 2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(320), np.fft.fftfreq(320)))
    bins = np.geomspace(0.08, 0.4, 8)
    mean = [power[(k >= a) & (k < b)].mean() for a, b in itertools.pairwise(bins)]
    slope = np.polyfit(np.log(np.sqrt(bins[1:] * bins[:-1])), np.log(mean), 1)[0]
    assert slope == pytest.approx(-2 - 2 * hurst, abs=0.15)


def test_roughness_has_its_amplitude_on_any_frame():
    spec = FilmSpec(rows=64, columns=400, row_nm=10.0, topography=replace(FLAT, roughness_nm=2.0))
    stds = [Film.generate(spec, s).height.std() for s in range(4)]
    assert np.mean(stds) == pytest.approx(2e-9, rel=0.15)


def test_undulation_has_its_amplitude_and_its_length():
    spec = FilmSpec(rows=200, columns=300, topography=replace(FLAT, undulation_nm=20.0))
    fields = np.stack([Film.generate(spec, s).height for s in range(4)]) / 1e-9
    assert fields.std() == pytest.approx(20.0, rel=0.12)
    # Correlation exp(-r^2 / 2 l^2) with l half a grain: 220 nm are 11 pixels.
    for lag in (6, 11, 16):
        expected = 400.0 * np.exp(-0.5 * (lag / 11.0) ** 2)
        for a, b in ((fields[:, lag:], fields[:, :-lag]), (fields[..., lag:], fields[..., :-lag])):
            assert (a * b).mean() == pytest.approx(expected, abs=60.0)


@pytest.mark.parametrize("mean_nm", [60.0, 3000.0])
def test_grains_from_three_pixels_to_ten_frames(mean_nm):
    spec = FilmSpec(rows=32, columns=32, grains=GrainSpec(mean_nm=mean_nm, warp_nm=0.03 * mean_nm))
    film = Film.generate(spec, 1)
    assert np.isfinite(film.scan().height).all()
    assert np.isfinite(film.structure.boundary_distance).all()
    low, high = (1, 3) if mean_nm > 1000 else (80, 180)
    assert low <= len(np.unique(film.structure.labels)) <= high


def test_structure_refuses_maps_that_disagree(structure):
    with pytest.raises(DataError, match="asymmetry must be a map"):
        replace(structure, asymmetry=structure.asymmetry[:-1])
    with pytest.raises(ValueError, match="read-only"):
        structure.height[0, 0] = 1.0
