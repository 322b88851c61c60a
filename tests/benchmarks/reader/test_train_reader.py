"""Training of the reader: resumable, its sets of films apart, its films drawn wide."""

import numpy as np
import pytest
import torch

from grainscout.benchmarks.checkpoint import kept
from grainscout.benchmarks.reader import films, train


def test_a_stopped_training_goes_on_where_it_was(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(3, 70, 90)).astype(np.float16)
    some = [films.Example(image=image, truth=rng.random((4, 70, 90)).astype(np.float16))]
    whole = train.train(some, 4, 7, tmp_path / "whole.state")
    monkeypatch.setattr(train, "SAVED", 2)
    path, left = tmp_path / "parts.state", iter(range(3))

    def stopped(*args, draw=train.batch):
        return draw(*args) if next(left, None) is not None else _stop()

    with monkeypatch.context() as patch:
        patch.setattr(train, "batch", stopped)
        with pytest.raises(KeyboardInterrupt):
            train.train(some, 4, 7, path)
    assert kept(path)["step"] == 2
    parts = train.train(some, 4, 7, path)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def _stop():
    raise KeyboardInterrupt


def test_sets_of_films_share_no_seed():
    sets = [set(films.TRAIN), set(films.TUNE), set(films.JUDGE)]
    assert len(set.union(*sets)) == sum(map(len, sets))


def test_films_are_drawn_over_the_ranges_that_are_promised():
    specs = [films.random_spec(np.random.default_rng(s)) for s in range(400)]
    pixel = [s.column_nm for s in specs]
    assert min(pixel) < 7
    assert max(pixel) > 35
    tips = [s.scan.tip_radius_nm for s in specs]
    assert min(tips) < 30 < 140 < max(tips)
    means = [s.grains.mean_nm for s in specs]
    assert min(means) < 170
    assert max(means) > 900


def test_truth_lies_where_the_image_shows_it():
    """Resampled maps and image have one place: the relief is lowest where boundaries are."""
    for seed in (films.TUNE[0], films.TUNE[3]):
        one = films.drawn(seed)
        low = one.image[0].astype(float)
        assert low.shape == one.truth.shape[1:]
        assert np.corrcoef(low.ravel(), one.truth[0].astype(float).ravel())[0, 1] < -0.2
