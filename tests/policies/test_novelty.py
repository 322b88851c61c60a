"""Novelty of curves and patches against the definitions, written as loops."""

import numpy as np
import pytest

from grainscout.policies.novelty import PatchNovelty, embed, filled, spectral_novelty


def curves(n: int = 12, samples: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 1e-10 * (rng.normal(size=(n, 1)) + rng.normal(size=(n, samples)))


def test_embedding_has_the_distances_of_its_metric() -> None:
    c = curves()
    for i, j in ((0, 1), (3, 7)):
        rms = np.sqrt(np.mean((c[i] - c[j]) ** 2))
        x = embed(c, "l2")
        np.testing.assert_allclose(np.linalg.norm(x[i] - x[j]), rms)
        x = embed(c, "correlation")
        away = np.sqrt(1 - np.corrcoef(c[i], c[j])[0, 1])
        np.testing.assert_allclose(np.linalg.norm(x[i] - x[j]), away)
        amplitude = [np.sqrt(np.mean(v**2)) for v in (c[i], c[j])]
        shape = np.sqrt(np.mean((c[i] / amplitude[0] - c[j] / amplitude[1]) ** 2))
        x = embed(c, "split", 0.3)
        both = np.hypot(np.sqrt(0.3) * shape, np.sqrt(0.7) * np.log(amplitude[0] / amplitude[1]))
        np.testing.assert_allclose(np.linalg.norm(x[i] - x[j]), both)


def test_shape_metrics_ignore_amplitude_and_split_can_too() -> None:
    c = curves(2)
    c[1] = 7.0 * c[0]
    assert spectral_novelty(c, metric="correlation").max() < 1e-7
    assert spectral_novelty(c, metric="split", shape_weight=1.0).max() < 1e-7
    np.testing.assert_allclose(spectral_novelty(c, metric="split", shape_weight=0.0), np.log(7.0))


@pytest.mark.parametrize("metric", ["l2", "correlation", "split"])
def test_scores_are_their_definitions(metric: str) -> None:
    c = curves()
    x = embed(c, metric)
    d = np.linalg.norm(x[:, None] - x[None], axis=2)
    mean, near = spectral_novelty(c, metric=metric), None
    np.testing.assert_allclose(mean, d.sum(1) / 11, rtol=1e-6)
    near = spectral_novelty(c, kind="nearest", metric=metric, neighbours=3)
    np.testing.assert_allclose(near, np.sort(d, axis=1)[:, 1:4].mean(1), rtol=1e-6)
    centre = spectral_novelty(c, kind="mean-curve", metric=metric)
    np.testing.assert_allclose(centre, np.linalg.norm(x - x.mean(0), axis=1))
    # Everything that a low-rank model leaves: Eckart-Young.
    left = spectral_novelty(c, kind="reconstruction", metric=metric, neighbours=4)
    singular = np.linalg.svd(x - x.mean(0), compute_uv=False)
    np.testing.assert_allclose((left**2).sum(), (singular[4:] ** 2).sum(), rtol=1e-8)


def test_frozen_scores_never_change_and_refreshed_ones_do() -> None:
    c = curves(15)
    frozen = spectral_novelty(c, frozen_after=5)
    for n in (5, 9, 14):
        np.testing.assert_array_equal(spectral_novelty(c[:n], frozen_after=5), frozen[:n])
        change = spectral_novelty(c[:n]) / spectral_novelty(c)[:n] - 1.0
        assert np.abs(change).max() > 0.01
    x = embed(c, "l2")
    np.testing.assert_allclose(frozen[9], np.linalg.norm(x[:9] - x[9], axis=1).mean())


def test_lost_samples_are_interpolated_and_mostly_lost_curves_named() -> None:
    c = np.linspace(0, 1, 11) * np.ones((3, 1))
    c[0, 4] = np.nan
    c[1, :6] = np.nan
    whole, usable = filled(c)
    assert usable.tolist() == [True, False, True]
    np.testing.assert_allclose(whole[0], np.linspace(0, 1, 11))


def test_patch_novelty_is_the_distance_to_the_nearest_visited() -> None:
    table = np.random.default_rng(2).normal(size=(300, 6)).astype(np.float32)
    pool, rows = np.arange(50, 250), np.array([3, 120, 77, 251])
    d = np.linalg.norm(table[pool][:, None] - table[rows][None], axis=2)
    one = PatchNovelty(table, pool)
    one.visit(rows[:2])
    one.visit(rows)
    np.testing.assert_allclose(one.scores(), d.min(1), rtol=1e-5)
    assert one.scores()[120 - 50] == 0.0
    two = PatchNovelty(table, pool, neighbours=2)
    two.visit(rows)
    np.testing.assert_allclose(two.scores(), np.sort(d, axis=1)[:, :2].mean(1), rtol=1e-5)
    np.testing.assert_array_equal(PatchNovelty(table, pool).scores([3, 120, 77, 251]), one.scores())
    # Another history (a restored run) starts over.
    one.visit(rows[::-1].copy())
    np.testing.assert_allclose(one.scores(), d.min(1), rtol=1e-5)
