"""Films as files: what comes back is what was written, and damage is noticed."""

import json

import h5py
import numpy as np
import pytest

from grainscout.microstructure.structure import MAPS
from grainscout.records import DataError, Waveform
from grainscout.simulator import PRESETS, Film

TRIANGLE = Waveform.triangle(samples=51)


@pytest.fixture(scope="module")
def film() -> Film:
    return Film.generate(PRESETS["tiny"], np.random.SeedSequence(5).spawn(2)[1])


@pytest.fixture
def path(film, tmp_path):
    film.save(tmp_path / "film.h5")
    return tmp_path / "film.h5"


def test_a_film_comes_back_to_the_last_bit(film, path):
    again = Film.load(path)
    assert again.spec == film.spec
    assert again.seed.entropy == film.seed.entropy
    assert again.seed.spawn_key == film.seed.spawn_key
    for name in MAPS:
        stored, own = getattr(again.structure, name), getattr(film.structure, name)
        assert stored.dtype == own.dtype
        assert np.array_equal(stored, own)
    for name in ("grains", "boundaries", "vertices"):
        assert np.array_equal(getattr(again.structure, name), getattr(film.structure, name))
    assert list(again.parameters) == list(film.parameters) or set(again.parameters) == set(
        film.parameters
    )
    sites = np.array([[3, 4], [40, 20]])
    assert np.array_equal(again.curves(sites, TRIANGLE)[0], film.curves(sites, TRIANGLE)[0])
    assert np.array_equal(again.scan().height, film.scan().height)
    assert np.array_equal(again.archetype_weights, film.archetype_weights)
    assert again.measured is None


def test_what_was_stored_is_the_film_even_if_the_code_would_draw_another(film, path, monkeypatch):
    monkeypatch.setattr("grainscout.simulator.film.film.parameter_maps", None)
    monkeypatch.setattr("grainscout.simulator.film.film.generate_structure", None)
    sites = np.array([[3, 4]])
    again = Film.load(path)
    assert np.array_equal(again.curves(sites, TRIANGLE)[0], film.curves(sites, TRIANGLE)[0])


def test_a_measured_film_comes_back(tmp_path, film):
    own = Film.from_topography(film.scan().height, film.pixel_size, seed=3)
    own.save(tmp_path / "own.h5")
    again = Film.load(tmp_path / "own.h5")
    assert np.array_equal(again.scan().height, film.scan().height)
    assert again.spec == own.spec


def test_provenance_is_readable_without_us(path):
    with h5py.File(path) as file:
        assert file.attrs["format"] == "grainscout film"
        assert json.loads(file.attrs["spec"])["grains"]["mean_nm"] == 440.0
        assert json.loads(file.attrs["seed"])["spawn_key"] == [1]
        assert "numpy" in json.loads(file.attrs["made_with"])


def test_foreign_and_missing_files(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Film.load(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(DataError, match="cannot be read"):
        Film.load(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1, 2, 3]
    with pytest.raises(DataError, match="must be a film file"):
        Film.load(tmp_path / "other.h5")


def test_a_place_that_cannot_be_written(film, tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        film.save(tmp_path / "no" / "such" / "folder.h5")
    film.save(tmp_path / "film.h5")
    film.save(tmp_path / "film.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["film.h5"]
