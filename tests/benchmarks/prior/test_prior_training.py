"""Training of the pretrained surrogate: what learns and what runs are one model, and it goes on where it was."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from grainscout.benchmarks.prior.films import make_film
from grainscout.benchmarks.prior.train import (
    Film,
    Learner,
    claim,
    covariance,
    episode,
    prepared,
    ties_of,
    train,
)
from grainscout.policies.models.pretrained.kernel import HierarchicalKernel
from grainscout.policies.models.pretrained.kinds import KIND
from grainscout.records import ConfigError


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return prepared(901, tmp_path_factory.mktemp("prior"), current=False)


def learner(film: Film) -> Learner:
    torch.manual_seed(0)
    made = Learner(film.x.mean(0), film.x.std(0) + 1e-3)
    with torch.no_grad():
        made.by_kind.normal_(0.0, 0.1)
    return made


def test_learner_and_network_are_one_model(film: Film) -> None:
    made, kind = learner(film), film.kinds[0]
    network, inputs, some = made.network(), film.x.numpy()[:50], film.ties[:50]
    columns = network.columns(inputs, kind.numpy())
    assert_allclose(columns, made(film.x[:50], kind).detach().numpy(), atol=2e-5)
    prior = network.prior(kind.numpy())
    assert_allclose(prior[:, 0], made.prior(kind).detach().numpy(), atol=1e-5)
    table, t = np.hstack([columns, some]), prior[:-1, 0]
    a = torch.as_tensor(columns.astype(np.float64))
    theirs = covariance(a[:20], a[20:], ties_of(some[:20], some[20:]), torch.as_tensor(prior[:, 0]))
    ours = HierarchicalKernel(prior[:-1]).cross(table[:20], table[20:], t)
    assert_allclose(theirs.numpy(), ours, rtol=1e-4, atol=1e-4)


def test_an_episode_moves_every_weight_and_knows_whether_it_was_told_the_target(film: Film) -> None:
    assert film.kinds.shape[1] == KIND
    assert len(film.usual)
    made, target = learner(film), int(film.usual[0])
    errors = {}
    for told in (True, False):
        found = episode(made, film, target, 40, np.random.default_rng(1), told=told)
        assert found is not None
        errors[told] = found[0]
        made.zero_grad()
        (found[0].mean() + found[1].mean()).backward()
        moved = {k for k, w in made.named_parameters() if w.grad is not None and w.grad.any()}
        assert {"one.weight", "two.weight", "out.weight", "middle"} <= moved
        assert ("by_kind" in moved) == told
    assert not torch.equal(errors[True], errors[False])


def test_a_stopped_training_goes_on_to_the_same_weights(film: Film, tmp_path: Path) -> None:
    through, parts = learner(film), learner(film)
    train([film], through, episodes=12, seed=3, state=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(_Stops([film], after=9), parts, episodes=12, seed=3, state=tmp_path / "part")
    again = learner(film)
    train([film], again, episodes=12, seed=3, state=tmp_path / "part")
    for a, b in zip(through.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


class _Stops(list[Film]):
    """Films of which so many can be drawn."""

    def __init__(self, films: list[Film], after: int) -> None:
        super().__init__(films)
        self.left = after

    def __getitem__(self, k: object) -> Film:  # type: ignore[override]
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().__getitem__(int(k))  # type: ignore[call-overload]


def test_the_film_of_a_seed_is_always_the_same() -> None:
    assert np.array_equal(make_film(901).scan().height, make_film(901).scan().height)


def test_a_folder_of_other_code_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "films")
    claim(tmp_path / "films")
    (tmp_path / "films" / "made_by.txt").write_text("another digest", "utf-8")
    (tmp_path / "unmarked").mkdir()
    (tmp_path / "unmarked" / "film_1.npz").touch()
    for folder in ("films", "unmarked"):
        with pytest.raises(ConfigError, match="other code made"):
            claim(tmp_path / folder)
