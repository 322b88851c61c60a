"""Dual novelty as a policy: protocol, gates, maps, and what S26 says of them."""

from dataclasses import replace

import numpy as np
import pytest
from samples import fresh

from grainscout.analysis.curves.descriptors import describe
from grainscout.policies import ModelPolicy, make_policy
from grainscout.policies.conformance import ToySample, play
from grainscout.policies.strategies.dual_novelty import dual_novelty
from grainscout.records import PolicyError, Proposal

TOY = ToySample(seed=2)


def started(steps: int = 25, candidates: int = 300, **options: object) -> ModelPolicy:
    policy = fresh(dual_novelty(**options), TOY.problem(candidates))
    play(policy, TOY.measure, (1,) * steps)
    return policy


def test_image_novelty_is_lower_around_measured_points() -> None:
    """S26: visibly lower there, since neighbouring patches overlap."""
    policy = started(image="patch")
    image = policy.explain()["image_novelty"]
    rows, columns = policy.observations.sites.T
    near = [
        image[r + dr, c + dc]
        for r, c in zip(rows, columns, strict=True)
        for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0))
        if np.isfinite(image[r + dr, c + dc]) and image[r + dr, c + dc] > 0
    ]
    assert np.mean(near) < 0.8 * np.nanmean(image)


def test_product_gate_is_the_product_of_the_scaled_maps() -> None:
    policy = started(acquisition="max-uncertainty")
    available = policy.history.available()
    (proposal,) = policy.ask()
    maps = policy.explain()
    sites = policy.problem.candidates[available]
    std, image, combined = (
        maps[name][sites[:, 0], sites[:, 1]]
        for name in ("spectral_novelty_std", "image_novelty", "combined")
    )

    def unit(a: np.ndarray) -> np.ndarray:
        return (a - a.min()) / (a.max() - a.min())

    np.testing.assert_allclose(combined, unit(std) * unit(image), atol=1e-9)
    assert tuple(sites[combined.argmax()]) == tuple(proposal.site)


def test_quantile_gate_admits_new_patches_only() -> None:
    policy = started(gate="quantile", quantile=0.8)
    available = policy.history.available()
    image = policy.run.image_novelty()
    (proposal,) = policy.ask()
    at = image[policy.problem.index_of([proposal.site])[0]]
    assert at >= np.quantile(image[available], 0.8)
    combined = policy.explain()["combined"]
    assert abs(np.isfinite(combined).sum() - 0.2 * len(available)) <= 1


def test_probability_gate_lets_newer_patches_pass_more_often() -> None:
    policy = started(gate="probability")
    novelty = policy.run.image_novelty()
    available = policy.history.available()
    passed = np.zeros(len(novelty))
    for _ in range(60):
        _, gain = policy.acquisition.plan(policy.run)
        passed += np.isfinite(gain(policy.posterior(available)))
    rank = np.argsort(np.argsort(novelty[available])) / (len(available) - 1)
    np.testing.assert_allclose(np.corrcoef(passed[available] / 60, rank)[0, 1], 1.0, atol=0.05)
    low, high = passed[available][rank < 0.2].mean() / 60, passed[available][rank > 0.8].mean() / 60
    assert abs(low - 0.1) < 0.05
    assert abs(high - 0.9) < 0.05


def test_a_batch_does_not_take_two_like_patches() -> None:
    policy = started()
    proposals = policy.ask(4)
    sites = np.array([p.site for p in proposals])
    apart = np.linalg.norm(sites[:, None] - sites[None], axis=2) + 99 * np.eye(4)
    assert apart.min() > 2


def test_measures_more_diverse_curves_than_chance() -> None:
    def diversity(policy: object) -> float:
        current = policy.observations.current[10:]  # type: ignore[attr-defined]
        return float(np.mean(np.linalg.norm(current[:, None] - current[None], axis=2)))

    ratios = []
    for seed in range(3):
        found = []
        for name in ("dual-novelty", "random"):
            policy = fresh(make_policy(name, {}), TOY.problem(300), seed)
            play(policy, TOY.measure, (1,) * 40)
            found.append(diversity(policy))
        ratios.append(found[0] / found[1])
    assert min(ratios) > 1.0
    assert np.mean(ratios) > 1.15


def test_predicts_the_target_although_it_learns_novelty() -> None:
    policy = started(50, seed_points=25)
    current = TOY.current(policy.problem.candidates)
    expected = describe("loop_area", TOY.waveform.voltage, current).value
    mean, std = policy.predict()
    assert np.corrcoef(mean, expected)[0, 1] > 0.9
    assert (std > 0).all()
    (proposal,) = policy.ask()
    assert isinstance(proposal, Proposal)
    assert proposal.prediction is None  # what it learns is not in the target's unit
    assert {"novelty", "novelty_std", "image_novelty"} <= set(proposal.scores)


def test_explains_its_novelty_even_where_the_target_has_no_value() -> None:
    problem = replace(TOY.problem(60), target="rectification")  # undefined for one-sided sweeps
    policy = fresh(dual_novelty(seed_points=4), problem)
    play(policy, TOY.measure, (1,) * 6)
    with pytest.raises(PolicyError, match="usable value"):
        policy.predict()
    policy.ask()
    assert set(policy.explain()) == {
        "spectral_novelty",
        "spectral_novelty_std",
        "image_novelty",
        "combined",
    }
