"""Boundary-only DKL, and the detector that it ships, against films whose boundaries are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import fresh, problem_on
from scipy.ndimage import distance_transform_edt

from grainscout.benchmarks.detector.score import boundary_f1, calibration_error
from grainscout.microstructure import structure_features
from grainscout.microstructure.detector import (
    MEMBERS,
    THRESHOLD,
    detect,
    evaluation,
    initial_weights,
    logits,
    relief,
    shipped_ensemble,
)
from grainscout.policies import make_policy, require_conforming
from grainscout.policies.conformance import ToySample
from grainscout.records import ConfigError, Scan, Waveform
from grainscout.simulator import PRESETS, Film

FILMS = {
    name: Film.generate(replace(PRESETS[name], rows=96, columns=96), 31)
    for name in ("reference", "voronoi", "hard-2")
}


def scan(height) -> Scan:
    return Scan(channels={"height": height}, pixel_size=(2e-8, 2e-8))


@pytest.mark.parametrize(
    ("name", "least"), [("reference", 0.95), ("voronoi", 0.95), ("hard-2", 0.9)]
)
def test_the_learned_detector_finds_the_boundaries_better_than_the_classical_one(name, least):
    film = FILMS[name]
    image, true = film.scan(), film.structure.boundary
    learned = boundary_f1(detect(image).probability > THRESHOLD, true)["f1"]
    classical = boundary_f1(structure_features(image).boundary == 0, true)["f1"]
    assert learned > max(least, classical)


def test_its_probabilities_are_frequencies():
    film = FILMS["reference"]
    near = film.structure.boundary_distance <= 1.5 * film.pixel_size[0]
    found = detect(film.scan())
    assert calibration_error(found.probability, near) < 0.06
    wrong = (found.probability > 0.5) != near
    assert found.spread[wrong].mean() > 2 * found.spread[~wrong].mean()


def test_members_disagree_on_what_they_were_never_shown():
    noise = detect(scan(1e-9 * np.random.default_rng(0).standard_normal((96, 96))))
    assert noise.spread.mean() > 3 * detect(FILMS["reference"].scan()).spread.mean()


def test_a_flat_image_has_no_boundary_whatever_its_size():
    for shape in ((40, 40), (17, 31), (5, 6)):
        found = detect(scan(np.full(shape, 3e-9)))
        assert found.probability.shape == shape
        assert found.probability.max() < THRESHOLD


def test_a_line_offset_is_no_boundary():
    height = FILMS["reference"].scan().height
    offset = np.random.default_rng(0).normal(0, 20e-9, len(height))[:, None]
    np.testing.assert_allclose(relief(height + offset), relief(height), atol=1e-4)


def test_the_net_is_the_documented_one():
    weights = initial_weights(0)
    modules = [name for name in weights if name.endswith(".a.w")]
    assert [sum(m.startswith(level) for m in modules) for level in "012"] == [3, 4, 5]
    assert len(shipped_ensemble()) == MEMBERS
    x = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert logits(weights, x).shape == x.shape
    # Each module starts all but as the identity, so depth alone does not blow the input up.
    assert 0.01 < float(logits(weights, x).std()) < 10


def test_members_are_independent():
    first, second = shipped_ensemble()[:2]
    assert not torch.allclose(first["0.0.a.w"], second["0.0.a.w"], atol=1e-2)


def test_its_evaluation_ships_with_it():
    films = evaluation()["films"]
    assert films["reference"]["f1"] > films["reference"]["classical_f1"]


def test_f1_counts_what_is_within_the_tolerance():
    true = np.zeros((20, 20), bool)
    true[:, 10] = True
    assert boundary_f1(np.roll(true, 2, 1), true)["f1"] == 1.0
    assert boundary_f1(np.roll(true, 3, 1), true)["f1"] == 0.0
    half = true & (np.arange(20) < 9)[:, None]
    assert boundary_f1(half, true)["recall"] == pytest.approx(11 / 20)


# ---- the policy -------------------------------------------------------------------------------
def boundary_of(policy) -> np.ndarray:
    return policy.candidates.maps(policy.run)["boundary"] > 0


@pytest.mark.parametrize("detector", ["learned", "classical"])
def test_it_keeps_the_protocol(detector):
    options = {"detector": detector, "seed_points": 3}
    require_conforming(lambda: make_policy("boundary-dkl", options))


@pytest.mark.parametrize("detector", ["learned", "classical"])
def test_sites_are_on_true_boundaries(detector):
    film = FILMS["reference"]
    sites = np.argwhere(np.ones(film.shape, bool))
    problem = problem_on(film.scan(), sites, waveform=Waveform.triangle(), curves=60)
    policy = fresh(make_policy("boundary-dkl", {"detector": detector, "seed_points": 60}), problem)
    away = distance_transform_edt(~film.structure.boundary)
    chosen = np.array([away[p.site] for p in policy.ask(60)])
    # At random 45 % of the film is as near.
    assert (chosen <= 2).mean() > 0.9
    assert 0.2 < (away <= 2).mean() < 0.6


def test_when_boundaries_are_exhausted_it_goes_on_elsewhere():
    toy = ToySample()
    problem = toy.problem(60)
    options = {"seed_points": 60, "detector": "classical"}
    policy = fresh(make_policy("boundary-dkl", options), problem)
    boundary = boundary_of(policy)
    inside = int(boundary.sum())
    assert 0 < inside < 60
    index = {tuple(s): k for k, s in enumerate(problem.candidates.tolist())}
    seen = []
    while proposals := policy.ask(7):
        seen += [boundary[index[tuple(p.site)]] for p in proposals]
        policy.tell([toy.measure(p) for p in proposals])
    assert all(seen[:inside])
    assert not any(seen[inside:])
    assert len(seen) == 60


def test_caution_leaves_out_what_the_members_disagree_on():
    film = FILMS["hard-2"]
    problem = problem_on(film.scan(), waveform=Waveform.triangle(), curves=5)
    kept = []
    for caution in (0.0, 2.0):
        policy = fresh(make_policy("boundary-dkl", {"caution": caution}), problem)
        kept.append(boundary_of(policy).reshape(film.shape))
    assert (kept[1] <= kept[0]).all()
    precision = [boundary_f1(k, film.structure.boundary)["precision"] for k in kept]
    assert precision[1] > precision[0]


@pytest.mark.parametrize(
    ("options", "said"), [({"detector": "lerned"}, "learned"), ({"threshold": 1.5}, "threshold")]
)
def test_bad_options_are_named(options, said):
    with pytest.raises(ConfigError, match=said):
        make_policy("boundary-dkl", options)
