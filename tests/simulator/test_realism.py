"""Simulated patches against real ones, and the limits of the comparison."""

import numpy as np
import pytest

from grainscout.records import DataError, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film, FilmSpec
from grainscout.simulator.verification.population import verify_population
from grainscout.simulator.verification.realism import patch_features, patches_of, separation


@pytest.fixture(scope="module")
def simulated() -> np.ndarray:
    return np.concatenate(
        [
            patches_of(Film.generate(FilmSpec(), s).scan().height, 60, np.random.default_rng(s))
            for s in range(2)
        ]
    )


def test_features_depend_on_shape_alone(simulated):
    some = simulated[:20]
    assert np.allclose(patch_features(some), patch_features(3e9 * some - 7.0))
    assert patch_features(some).shape == (20, 17)


def test_slow_and_fast_axis_change_places_on_transposition(simulated):
    a, b = (patch_features(p)[:, 0] for p in (simulated, simulated.transpose(0, 2, 1)))
    assert np.allclose(a, -b)
    # Line offsets roughen the slow axis: real patches have a ratio of 2.0.
    assert np.exp(np.median(a)) == pytest.approx(2.0, abs=0.4)


def test_the_rule_separates_different_sets_and_not_equal_ones():
    rng = np.random.default_rng(0)
    many, same = rng.standard_normal((300, 5)), rng.standard_normal((13, 5))
    assert separation(many, same + 2.0) > 0.95
    values = [separation(many, rng.standard_normal((13, 5))) for _ in range(60)]
    # Left-out judging leans below one half for equal sets, never above it.
    assert 0.4 < np.mean(values) < 0.54


def made(path, film, seed, curves=40, **changed):
    """A file as of measured curves and patches, of a film that is not among those compared with."""
    other = Film.generate(PRESETS[film], spawn_streams(seed).film)
    rng, sweep = np.random.default_rng(seed), Waveform.triangle()
    current, _ = other.curves(rng.integers(0, other.shape, (curves, 2)), sweep, light=0.1)
    current = 1e9 * current
    parts = {
        "voltage": sweep.voltage,
        "current_nA": np.where((current > 0.5) | (current < -0.1), np.nan, current),
        "status": 1 * (current > 0.5) - (current < -0.1),
        "patches": patches_of(other.scan().height, 20, rng),
    }
    np.savez(path, **(parts | changed))
    return path


def test_a_population_is_told_from_another_and_not_from_its_like(tmp_path):
    like = list(verify_population(made(tmp_path / "like.npz", "gong2026-fitted", 77)))
    assert all(check.passed for check in like), like
    other = list(verify_population(made(tmp_path / "other.npz", "reference", 77)))
    assert other[0].value > 0.9, other
    assert other[1].value > like[1].value + 0.1, other
    with pytest.raises(DataError, match=r"must be an \.npz file with voltage"):
        list(verify_population(tmp_path / "none.npz"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"status": np.zeros((40, 251), int)},
            "finite currents wherever status is 0",
        ),  # or left out unseen
        ({"voltage": np.linspace(0, 1.5, 251)}, r"triangle 0, 1\.5, 0 V"),
        ({"current_nA": np.zeros((40, 251)), "status": np.zeros((40, 251))}, "3 or more.*got 0"),
    ],
)
def test_curves_that_cannot_be_compared_are_refused(tmp_path, changed, words):
    with pytest.raises(DataError, match=words):
        list(verify_population(made(tmp_path / "bad.npz", "reference", 77, **changed)))


def test_films_fitted_to_real_curves_are_hard_to_tell_from_them(shared_data):
    # That they are is among the checks of test_verification.
    native = list(verify_population(shared_data / "real_iv" / "real_iv_13.npz", "Gong2026"))
    assert native[0].value > 0.95


def test_bad_patches(simulated):
    with pytest.raises(DataError, match="must vary"):
        patch_features(np.zeros((2, 16, 16)))
    with pytest.raises(DataError, match="finite"):
        patch_features(np.full((2, 16, 16), np.nan))
    with pytest.raises(DataError, match="at least 16 pixels"):
        patches_of(np.zeros((8, 40)), 3, np.random.default_rng(0))
