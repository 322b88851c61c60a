"""Films on a measured image: known synthetic images, our own films, real files."""

import numpy as np
import pytest

from grainscout.microstructure import find_structure, groove_depth, grooves, structure_of
from grainscout.microstructure.segmentation import find_grains, level, noise_of
from grainscout.records import ConfigError, DataError, Waveform
from grainscout.simulator import PRESETS, Film, FilmSpec, SegmentationSpec

NM = 1e-9


def three_cells(n: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Three grains that meet at (40, 40): heights fall linearly towards the boundaries."""
    r, c = np.indices((n, n)).astype(float)
    labels = np.where(r < 40, 0, np.where(c < 40, 1, 2)).astype(np.int32)
    across = np.abs(r - 39.5)
    down = np.where(r >= 40, np.abs(c - 39.5), np.inf)
    depth = np.minimum(np.minimum(across, down), 12.0)
    return labels, depth * 3 * NM


def test_three_grains_are_found_where_they_are():
    labels, height = three_cells()
    # A boundary across the whole width would pass for a line offset.
    spec = FilmSpec(segmentation=SegmentationSpec(level_lines=False, level_plane=False))
    film = Film.from_topography(height, 20 * NM, spec=spec, seed=1)
    s = film.structure
    assert len(s.grains) == 3
    same = sum(np.bincount(labels[s.labels == k], minlength=3).max() for k in range(len(s.grains)))
    assert same > 0.95 * labels.size
    (corner,) = s.vertices
    assert np.abs(corner[:2] - 39.5).max() <= 3
    assert corner[2] == 3


def test_geometry_of_a_known_label_map():
    labels, height = three_cells()
    s = structure_of(labels, height, (20 * NM, 10 * NM))
    assert s.vertices.tolist() == [[39.5, 39.5, 3.0]]
    assert [tuple(p) for p in s.boundaries[["first", "second"]]] == [(0, 1), (0, 2), (1, 2)]
    assert s.boundaries["length"] == pytest.approx(np.array([400, 560, 1120]) * NM)
    r, c = np.indices(labels.shape)
    expected = np.abs(r - 39.5) * 20 * NM
    column = np.where(r >= 40, np.abs(c - 39.5) * 10 * NM, np.inf)
    # The crack's midpoints stand for it: half a pixel beside them is the most they can be off.
    assert np.abs(s.boundary_distance - np.minimum(expected, column)).max() < 5 * NM
    junction = np.hypot((r - 39.5) * 20 * NM, (c - 39.5) * 10 * NM)
    assert np.allclose(s.junction_distance, junction)
    assert s.grains["area"].tolist() == pytest.approx(
        [40 * 96 * 200e-18, 56 * 40 * 200e-18, 56 * 56 * 200e-18]
    )
    assert s.grains["interior"].tolist() == [False] * 3


def test_four_grains_meet_in_a_vertex_of_degree_four():
    r, c = np.indices((40, 40))
    labels = (2 * (r >= 20) + (c >= 20)).astype(np.int32)
    s = structure_of(labels, r * NM, (1 * NM, 1 * NM))
    assert s.vertices.tolist() == [[19.5, 19.5, 4.0]]


def test_a_boundary_has_the_mean_asymmetry_of_the_pixels_that_touch_it():
    labels = (np.indices((32, 32))[1] > 15).astype(np.int32)
    strength, signed = np.zeros((2, 32, 32))
    strength[:, 15], strength[:, 16] = 0.4, 0.8
    signed[:, 15], signed[:, 16] = -0.2, 0.3
    s = structure_of(labels, 0.0 * strength, (20 * NM, 20 * NM), (strength, signed))
    (boundary,) = s.boundaries
    assert boundary["strength"] == pytest.approx(0.6)
    assert boundary["smooth_side"] == 1
    assert s.asymmetry == pytest.approx(np.where(labels == 1, 0.6, -0.6))
    (even,) = structure_of(labels, 0.0 * strength, (20 * NM, 20 * NM)).boundaries
    assert (even["strength"], even["smooth_side"]) == (0.0, -1)


def test_levelling_removes_plane_and_line_offsets_only():
    rng = np.random.default_rng(0)
    film = Film.generate(FilmSpec(rows=96, columns=96), 2)
    true = film.height - film.height.mean()
    r, c = np.indices(true.shape)
    dirty = true + (0.7 * r - 0.4 * c) * NM + rng.standard_normal(96)[:, None] * 3 * NM
    flat = level(dirty)
    assert np.corrcoef(flat.ravel(), true.ravel())[0, 1] > 0.96
    assert np.corrcoef(dirty.ravel(), true.ravel())[0, 1] < 0.9
    # Without the plane, a tilt along the slow axis is not a line offset.
    tilted = level(true + 0.7 * r * NM, plane=False)
    assert np.polyfit(np.arange(96), tilted.mean(1), 1)[0] == pytest.approx(0.7 * NM, rel=0.2)
    untouched = level(dirty, lines=False, plane=False)
    assert np.allclose(untouched, dirty - dirty.mean())


def test_our_own_films_are_read_back():
    """Not perfectly: faint boundaries are faint.  But most pixel pairs are sorted rightly."""
    from sklearn.metrics import adjusted_rand_score

    scores = []
    for seed in range(3):
        film = Film.generate(FilmSpec(), seed)
        found = Film.from_topography(film.scan().height, film.pixel_size)
        labels = (s.structure.labels.ravel() for s in (film, found))
        scores.append(adjusted_rand_score(*labels))
        close = film.structure.boundary_distance < 40 * NM
        error = np.abs(found.structure.boundary_distance - film.structure.boundary_distance)[close]
        assert np.median(error) < 15 * NM
    assert np.mean(scores) > 0.82


def test_scan_returns_the_image_as_it_was_given():
    image = Film.generate(FilmSpec(rows=40, columns=50), 1).scan().height + 1e-6
    film = Film.from_topography(image, (20 * NM, 25 * NM))
    assert film.scan().pixel_size == film.pixel_size == (20 * NM, 25 * NM)
    assert np.array_equal(film.scan().height, image)
    image[0, 0] = 0.0  # the film keeps a copy
    assert film.scan().height[0, 0] != 0.0


def test_curves_live_on_a_measured_film():
    image = Film.generate(FilmSpec(rows=64, columns=64), 1).scan().height
    films = [Film.from_topography(image, 20 * NM, seed=s) for s in (1, 1, 2)]
    sites, waveform = np.array([[10, 10], [50, 30]]), Waveform.triangle(samples=51)
    one, same, other = (film.curves(sites, waveform)[0] for film in films)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.array_equal(films[0].structure.labels, films[2].structure.labels)
    assert len(np.unique(films[0].archetype)) >= 3


def test_an_image_without_boundaries_is_one_grain(tmp_path):
    """White noise and line offsets show none; a film of one grain is whole all the same."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((64, 64)) + 2 * rng.standard_normal((64, 1))
    film = Film.from_topography(noise * NM, 20 * NM, seed=1)
    assert len(film.structure.grains) == 1
    assert len(film.structure.boundaries) == len(film.structure.vertices) == 0
    assert np.isinf(film.structure.boundary_distance).all()
    assert np.isinf(film.structure.junction_distance).all()
    assert all(np.isfinite(values).all() for values in film.parameters.values())
    ranges = film.property_map(lambda i: np.ptp(i, axis=1), Waveform.triangle(samples=51))
    assert np.isfinite(ranges).all()
    assert (ranges > 0).all()
    assert (film.archetype != 1).all()
    assert np.array_equal(film.scan().height, noise * NM)
    film.save(tmp_path / "film.h5")
    assert np.array_equal(Film.load(tmp_path / "film.h5").parameters["nu"], film.parameters["nu"])


@pytest.mark.parametrize("size", [1e-11, 1e-9, 1e-7])
@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_noise_is_not_grains_whatever_its_size(size, slope):
    r, c = np.indices((96, 96))
    noise = np.random.default_rng(3).standard_normal((96, 96))
    height = size * (noise + slope * (r + 0.5 * c))
    spec = FilmSpec(segmentation=SegmentationSpec(contrast=0.01))
    assert len(Film.from_topography(height, 20 * NM, spec=spec).structure.grains) <= 3


@pytest.mark.parametrize("offset", [0.0, 1e-3])
def test_a_plane_has_no_relief(offset):
    r, c = np.indices((128, 128))
    with pytest.raises(DataError, match=r"relief left after levelling.*level_plane"):
        Film.from_topography((r + 0.5 * c) * NM + offset, 20 * NM)


def test_noise_and_line_offsets_are_estimated_separately():
    rng = np.random.default_rng(1)
    r, c = np.indices((256, 256))
    relief = 20 * np.sin(r / 20) * np.cos(c / 25)
    white, lines = rng.standard_normal((256, 256)), rng.standard_normal((256, 1))
    for size, allowed in ((0.0, 0.3), (2.0, 0.4)):
        along, offset = noise_of(relief + white + size * lines)
        assert along == pytest.approx(1.0, rel=0.05)
        assert offset == pytest.approx(size, abs=allowed)


def test_a_specification_with_settings_of_the_segmenter_of_before_is_read():
    old = FilmSpec().to_dict()
    old["segmentation"] |= {"valley": 1.0, "flank_nm": 140.0, "contrast": 0.7, "scale_nm": 35.0}
    found = FilmSpec.from_dict(old).segmentation
    assert (found.contrast, found.scale_nm) == (0.7, 35.0)
    old["segmentation"] |= {"valley": 1.0, "flank_nm": 90.0}
    with pytest.warns(UserWarning, match="segmentation flank_nm decides nothing any more"):
        assert FilmSpec.from_dict(old).segmentation == found
    with pytest.raises(ConfigError, match="no setting 'vally'"):
        FilmSpec.from_dict({"segmentation": {"vally": 1.0}})


def test_a_step_along_a_whole_line_is_no_line_offset():
    rng = np.random.default_rng(0)
    relief = np.zeros((80, 80))
    relief[40:] += 6.0 * NM  # a terrace over the whole width
    noise, offsets = rng.standard_normal((80, 80)), rng.standard_normal((80, 1))
    dirty = relief + 0.1 * NM * noise + 0.3 * NM * offsets
    steps = np.diff(level(dirty, plane=False).mean(1))
    assert steps[39] == pytest.approx(6.0 * NM, abs=NM)
    assert np.delete(steps, 39).std() < 0.15 * NM  # 0.42 nm before


def test_grains_are_what_lies_between_boundaries_of_which_the_reader_is_sure():
    columns = np.arange(60)
    near = np.exp(-0.5 * ((columns % 20 - 0.5) / 1.5) ** 2) * np.ones((40, 1))
    near[:, :5] = 0.0
    for sd, smallest, count in ((0.1, 75.0, 3), (3.0, 75.0, 1), (0.1, 700.0, 1)):
        spec = SegmentationSpec(smallest_nm=smallest)
        labels = find_grains(near, np.full(near.shape, sd), (20.0, 20.0), spec)
        assert np.unique(labels).tolist() == list(range(count))
    assert not find_grains(0 * near, np.full(near.shape, 0.3), (20.0, 20.0), spec).any()


def test_contrast_decides_how_many_grains():
    image = Film.generate(PRESETS["hard-3"], 4).scan().height
    specs = [SegmentationSpec(contrast=c) for c in (0.1, 0.7, 3.0)]
    few, some, many = (len(find_structure(image, (20 * NM,) * 2, s).grains) for s in specs[::-1])
    assert few < some < many


@pytest.mark.parametrize(
    ("height", "pixel", "error", "message"),
    [
        (np.zeros((15, 40)), 1e-8, DataError, "16 .. 8192 pixels on each side"),
        (np.zeros(40), 1e-8, DataError, "must be an image"),
        (np.zeros((40, 40)), 1e-8, DataError, "must vary"),
        (np.full((40, 40), np.nan), 1e-8, DataError, "1600 of 1600 pixels are NaN"),
        (np.eye(40) * 1e-8, 0.0, ConfigError, r"pixel_size must be positive \[m\]"),
        (np.eye(40) * 1e-8, (1e-8, -1e-8), ConfigError, "must be positive"),
        (np.eye(40) * 1e-8, 20.0, ConfigError, "Is it in metres"),
        (np.eye(40) * 25.0, 1e-8, DataError, "Is it in metres"),
        (np.full((40, 40), "1"), 1e-8, DataError, "must be numbers"),
        (np.full((40, 40), None), 1e-8, DataError, "must be numbers"),
        ([[1.0, 2.0], [3.0]], 1e-8, DataError, "must be an image of numbers"),
        (np.eye(40) * 1e-8 * 1j, 1e-8, DataError, "must be numbers"),
    ],
)
def test_bad_images(height, pixel, error, message):
    with pytest.raises(error, match=message):
        Film.from_topography(height, pixel)


@pytest.mark.parametrize(
    ("name", "segmentation", "grains", "size"),
    [
        ("PZT_final0001.h5", {"scale_nm": 35.0, "contrast": 0.35}, (15, 60), 2e-6),
        ("scan_0001.ibw", {}, (50, 120), 5e-6),
    ],
)
def test_real_images(shared_data, name, segmentation, grains, size):
    from grainscout.analysis import formats

    scan = formats.read(shared_data / "mit_dtmicroscope" / name)
    spec = FilmSpec(segmentation=SegmentationSpec(**segmentation))
    film = Film.from_topography(scan.height, scan.pixel_size, spec=spec, seed=1)
    assert film.shape == (256, 256)
    assert film.pixel_size[1] * 255 == pytest.approx(size, rel=0.01)
    assert grains[0] <= len(film.structure.grains) <= grains[1]
    assert np.array_equal(film.scan().height, scan.height)
    # Boundaries run through valleys: pixels on them lie lower than those beside them.
    s = film.structure
    parts = (s.boundary_distance < 15e-9, abs(s.boundary_distance - 90e-9) < 30e-9)
    pairs = [[s.height[p & (s.boundary_id == k)] for p in parts] for k in range(len(s.boundaries))]
    lower = [np.median(on) < np.median(by) for on, by in pairs if min(on.size, by.size) > 20]
    assert np.mean(lower) > 0.6
    assert (film.archetype_weights.mean((0, 1)) > 0.005).all()


def test_an_image_smaller_than_a_grain_is_refused_with_both_sizes():
    image = 1e-10 * np.random.default_rng(0).standard_normal((96, 96))
    with pytest.raises(DataError, match=r"smallest grain, 75 nm; got 9.6 x 9.6 nm"):
        Film.from_topography(image, 1e-10)


def test_grooves_are_the_valleys_of_an_image():
    """The Hessian of a valley of parabolic depth has its curvature across, and none along."""
    c = np.indices((40, 60))[1]
    relief = 0.5 * 0.02 * (c - 30.0) ** 2
    assert groove_depth(relief, (1.5, 1.5))[20, 20:40] == pytest.approx(0.02, rel=0.02)
    assert set(grooves(np.abs(c - 30.0)).nonzero()[1]) == {29, 30, 31}
