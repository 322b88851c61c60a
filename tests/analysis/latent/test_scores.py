"""Scores of latent maps against their definitions, written out another way."""

import numpy as np
import pytest

from grainscout.analysis.latent.maps import support
from grainscout.analysis.latent.patches import Scaling, patches_at, split
from grainscout.analysis.latent.scores import (
    canonical_correlations,
    explained,
    retrieval,
    separation,
)
from grainscout.records import DataError


def test_retrieval_of_identical_random_and_constant_latents():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 2))
    same = retrieval(z, z, permutations=499)
    assert (same.rank, same.first, same.p_value) == (0.0, 1.0, 1 / 500)
    # A collapsed latent finds everything at the same distance: chance, not the first place.
    assert retrieval(z, np.zeros((40, 2)), permutations=99).rank == 0.5
    assert retrieval(z, np.zeros((40, 2)), permutations=99).p_value == 1.0


def test_retrieval_p_values_are_uniform_without_a_relation():
    rng = np.random.default_rng(1)
    p = [
        retrieval(*rng.normal(size=(2, 25, 2)), permutations=199, seed=k).p_value
        for k in range(120)
    ]
    assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=0.08)
    assert np.mean(p) == pytest.approx(0.5, abs=0.1)


def test_canonical_correlations_of_known_strength():
    rng = np.random.default_rng(2)
    n, strength = 4000, np.array([0.9, 0.5])
    x = rng.normal(size=(n, 2))
    y = strength * x + np.sqrt(1 - strength**2) * rng.normal(size=(n, 2))
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    a, b = x @ turn * [1e-3, 5.0], y @ turn.T + 7
    fit, test = slice(0, n // 2), slice(n // 2, n)
    found = canonical_correlations(a[test], b[test], (a[fit], b[fit]))
    assert found == pytest.approx(strength, abs=0.03)
    flat = canonical_correlations(a[test], 0 * b[test], (a[fit], 0 * b[fit]))
    assert flat == pytest.approx([0, 0])


def test_explained_variance_is_one_for_the_truth_and_zero_for_the_reference():
    truth = np.random.default_rng(3).normal(size=(9, 4))
    mean = np.broadcast_to(truth.mean(axis=0), truth.shape)
    assert explained(truth, truth, mean) == 1.0
    assert explained(truth, mean, mean) == 0.0
    assert explained(truth, 2 * mean - truth, mean) == pytest.approx(-3.0)


def test_separation_of_known_blobs_of_unequal_size():
    """Two normals d apart: the best rule is right with probability Phi(d/2), rare class or not."""
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], [900, 100])
    z = rng.normal(size=(1000, 2)) + 2.5 * labels[:, None] * [1, 0]
    order = rng.permutation(1000)
    found = separation(z, labels, train=order[:600], test=order[600:], permutations=499)
    assert found.balanced_accuracy == pytest.approx(0.894, abs=0.06)
    assert found.chance == pytest.approx(0.5, abs=0.02)
    assert found.p_value == 1 / 500
    nothing = separation(z * 0 + rng.normal(size=z.shape), labels, train=order[:600], test=order[600:], permutations=499)  # fmt: skip
    assert nothing.balanced_accuracy == pytest.approx(0.5, abs=0.12)
    assert nothing.p_value > 0.01


def test_silhouette_is_rousseeuws():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 30)
    labels[:2] = (7, 7)
    z = rng.normal(size=(30, 2)) + labels[:, None]
    every = np.concatenate([z, z])
    both = np.concatenate([labels, labels])
    found = separation(every, both, train=np.arange(30), test=np.arange(30, 60), permutations=9)
    values = []
    for i in range(30):
        gap = np.linalg.norm(z - z[i], axis=1)
        own = [gap[j] for j in range(30) if labels[j] == labels[i] and j != i]
        other = min(gap[labels == c].mean() for c in set(labels) - {labels[i]})
        values.append((other - np.mean(own)) / max(other, np.mean(own)))
    assert found.silhouette == pytest.approx(np.mean(values))


def test_support_holds_the_data_but_not_the_gap_between_them():
    rng = np.random.default_rng(6)
    data = np.concatenate([rng.normal(0, 0.1, (100, 2)), rng.normal(0, 0.1, (100, 2)) + 3])
    assert support(data, data).mean() > 0.9
    assert not support(np.array([[1.5, 1.5], [9.0, 9.0]]), data).any()


def test_support_keeps_its_share_of_new_data():
    rng = np.random.default_rng(7)
    data, fresh = rng.normal(size=(2, 400, 2))
    assert 1 - support(fresh, data).mean() == pytest.approx(0.05, abs=0.05)


def test_scaling_is_undone_and_splits_are_whole():
    data = 1e-9 * np.random.default_rng(8).normal(3, 1, (20, 2, 6))
    scaling = Scaling.of(data, own_mean=False, flat_mean=False, name="spectra")
    scaled = scaling.apply(data)
    assert scaled.mean(axis=0) == pytest.approx(np.zeros((2, 6)), abs=1e-6)
    assert np.square(scaled).mean(axis=(0, 2)) == pytest.approx([1, 1], rel=1e-5)
    assert scaling.undo(scaled) == pytest.approx(data, rel=1e-5)
    sized = Scaling.of(data, own_mean=False, own_size=True, flat_mean=False, name="spectra")
    assert sized.apply(5 * data) == pytest.approx(sized.apply(data), abs=1e-5)
    parts = split(50, stop=0.1, test=0.2, rng=np.random.default_rng(0))
    assert sorted(np.concatenate([parts.train, parts.stop, parts.test])) == list(range(50))
    assert (parts.stop.size, parts.test.size) == (5, 10)


def test_patches_are_the_windows_of_every_channel():
    rng = np.random.default_rng(9)
    images = rng.normal(size=(2, 20, 30))
    found = patches_at(images, np.array([[4, 5], [12, 22]]), 8)
    assert np.array_equal(found[1], images[:, 8:16, 18:26])
    assert np.array_equal(patches_at(images[0], np.array([[4, 5]]), 8)[0, 0], images[0, :8, 1:9])


def test_bad_latents_are_named():
    z = np.zeros((4, 2))
    with pytest.raises(DataError, match="at least 3 rows"):
        retrieval(z[:2], z[:2])
    with pytest.raises(DataError, match="finite"):
        retrieval(z, z * np.nan)
    with pytest.raises(DataError, match="at least two classes"):
        separation(z, [0, 1, 0, 1], train=[0, 2], test=[1, 3])
    with pytest.raises(DataError, match="at least 5 latents"):
        support(z, z)
