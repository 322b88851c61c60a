"""The structure reader against films whose truth is known, on images of every shape, and on strangers."""

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest

from grainscout.benchmarks.reader.films import true_maps
from grainscout.benchmarks.reader.score import boundary_f1, strangers
from grainscout.microstructure import network
from grainscout.microstructure.reader import MAPS, read_height, read_structure
from grainscout.records import ConfigError, DataError, Scan
from grainscout.simulator import PRESETS, Film

REFERENCE = replace(PRESETS["reference"], rows=96, columns=96)
FILM = Film.generate(REFERENCE, 31)
IMAGE, PIXEL = FILM.scan().height, FILM.pixel_size
READING, TRUTH = read_structure(FILM.scan()), true_maps(FILM)


def r2(found, true):
    return 1.0 - ((found - true) ** 2).mean() / true.var()


@pytest.mark.parametrize(
    ("name", "least"), [("boundary", 0.88), ("junction", 0.78), ("club", 0.86)]
)
def test_its_maps_are_those_of_the_film(name, least):
    assert r2(READING.maps[name], TRUTH[name]) > least
    outside = np.abs(READING.maps[name] - TRUTH[name]) > 1.645 * READING.sd[name]
    assert outside.mean() < 0.2


def test_the_side_of_an_asymmetric_boundary_is_seen():
    at = (TRUTH["boundary"] > 0.3) & (TRUTH["strength"] > 0)
    right = np.sign(READING.maps["asymmetry"][at]) == np.sign(TRUTH["asymmetry"][at])
    assert right.mean() > 0.65


def test_shares_sum_to_one():
    assert READING.stack(("club", "heart", "diamond")).sum(-1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("turn", [lambda a: a[:, ::-1], lambda a: a[::-1], np.transpose])
def test_a_turned_image_has_the_turned_reading(turn):
    turned = read_height(turn(IMAGE), PIXEL)
    for name in ("boundary", "junction"):
        assert r2(turned.maps[name], turn(READING.maps[name])) > 0.85


def test_the_pixel_size_does_not_matter():
    """The same film on finer and on unequal pixels."""
    fine = replace(REFERENCE, rows=192, columns=192, row_nm=10.0, column_nm=10.0)
    film = Film.generate(fine, 31)
    image, truth = film.scan().height, film.structure.boundary_distance
    for skip in (1, 3):
        reading = read_height(image[:, ::skip], (10e-9, skip * 10e-9))
        assert "resampled" in reading.notes[0]
        proximity = np.exp(-0.5 * (truth[:, ::skip] / reading.boundary_length) ** 2)
        assert r2(reading.maps["boundary"], proximity) > 0.85


@pytest.mark.parametrize("pixel", [1e-10, 1e-6])
def test_an_image_of_another_scale_is_read_as_if_of_the_usual(pixel):
    reading = read_height(IMAGE * (pixel / 20e-9), pixel)
    assert "as though" in reading.notes[0]
    assert reading.boundary_length == pytest.approx(1.5 * pixel)
    np.testing.assert_allclose(reading.maps["boundary"], READING.maps["boundary"], atol=1e-3)


@pytest.mark.parametrize("shape", [(32, 32), (17, 75)])
def test_every_shape_is_read(shape):
    reading = read_height(IMAGE[: shape[0], : shape[1]], PIXEL)
    assert {m.shape for m in (*reading.maps.values(), *reading.sd.values())} == {shape}


def test_tiles_have_no_seams(monkeypatch):
    wide = np.tile(IMAGE, (1, 3))
    whole = read_height(wide, PIXEL).maps["boundary"]
    monkeypatch.setattr(network, "_TILE", 96)
    tiled = read_height(wide, PIXEL, replace(network.shipped())).maps["boundary"]
    assert 0 < np.abs(tiled - whole).max() < 0.15
    assert np.abs(tiled - whole).mean() < 0.005


def test_lines_that_are_missing_are_filled_and_unknown():
    holed = IMAGE.copy()
    holed[40:42] = np.nan
    reading = read_height(holed, PIXEL)
    assert "192 pixels" in reading.notes[-1]
    assert (reading.sd["boundary"][40:42] > 0.25).all()
    far = np.abs(np.arange(96) - 41) > 12
    difference = np.abs(reading.maps["boundary"] - READING.maps["boundary"])
    assert difference[far].mean() < 0.02


@pytest.mark.parametrize("name", [name for name in strangers() if name != "stripes"])
def test_a_stranger_is_known_as_one(name):
    reading = read_height(strangers()[name], PIXEL)
    assert reading.familiarity < 0.01 < READING.familiarity
    assert reading.sd["boundary"].mean() > 1.5 * READING.sd["boundary"].mean()


def test_nothing_is_read_in_a_flat_image():
    reading = read_height(np.full((40, 40), 5e-9), PIXEL)
    assert "flat" in reading.notes[-1]
    assert np.ptp(reading.maps["boundary"]) == 0
    assert reading.familiarity == 0


def test_grains_of_a_person_come_first():
    labels = FILM.structure.labels.astype(float)
    scan = Scan(channels={"height": IMAGE, "grains": labels}, pixel_size=PIXEL)
    reading = read_structure(scan)
    assert r2(reading.maps["boundary"], TRUTH["boundary"]) > 0.95
    assert r2(reading.maps["junction"], TRUTH["junction"]) > 0.9
    assert reading.stack(("club", "heart", "diamond")).sum(-1) == pytest.approx(1.0)
    assert "grains" in reading.notes[-1]


def test_an_image_that_is_no_height_is_read_with_a_note():
    reading = read_structure(Scan(channels={"phase": 1e9 * IMAGE}, pixel_size=PIXEL))
    assert "no height" in reading.notes[0]
    assert boundary_f1(reading.maps["boundary"] > 0.5, FILM.structure.boundary)["f1"] > 0.9


@pytest.mark.parametrize(
    ("image", "pixel", "error", "said"),
    [
        (IMAGE[0], 2e-8, DataError, "at least 4 x 4"),
        (np.where(np.eye(96) > 0, IMAGE, np.nan), 2e-8, DataError, "in at least half"),
        (IMAGE, -1.0, ConfigError, "must be positive"),
    ],
)
def test_bad_images_are_named(image, pixel, error, said):
    with pytest.raises(error, match=said):
        read_height(image, pixel)


def test_weights_are_checked(tmp_path):
    arrays = network.pack(network.shipped())
    record = {"version": network.VERSION, "sha256": network.digest(arrays)}

    def loaded(arrays, record):
        np.savez(tmp_path / "reader.npz", **arrays)
        (tmp_path / "reader.json").write_text(json.dumps(record))
        return network.load(tmp_path)

    again = read_height(IMAGE, PIXEL, loaded(arrays, record))
    np.testing.assert_array_equal(again.stack(), READING.stack())
    with pytest.raises(DataError, match="as their digest says"):
        loaded(arrays | {"out.b": arrays["out.b"] + 1}, record)
    with pytest.raises(DataError, match=f"got version {network.VERSION + 1}"):
        loaded(arrays, record | {"version": network.VERSION + 1})
    (tmp_path / "reader.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="must be readable"):
        network.load(tmp_path)


@pytest.mark.parametrize(
    "module", [f"grainscout.{m}" for m in ("microstructure.detector", "benchmarks.train_detector")]
)
def test_the_detector_of_before_names_its_successor(module):
    with pytest.raises(ModuleNotFoundError, match="reader"):
        importlib.import_module(module)


def test_its_evaluation_ships_with_it():
    films = network.evaluation()["films"]
    assert set(films["reference"]["r2"]) == set(MAPS)
