"""Boundary-only DKL against films whose boundaries are known."""

from dataclasses import replace

import numpy as np
import pytest
from samples import fresh, problem_on
from scipy.ndimage import distance_transform_edt

from grainscout.benchmarks.reader.score import boundary_f1
from grainscout.policies import make_policy
from grainscout.policies.conformance import ToySample
from grainscout.records import Waveform
from grainscout.simulator import PRESETS, Film

FILMS = {
    name: Film.generate(replace(PRESETS[name], rows=96, columns=96), 31)
    for name in ("reference", "hard-2")
}


def boundary_of(policy) -> np.ndarray:
    return policy.candidates.maps(policy.run)["boundary"] > 0


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


def test_caution_leaves_out_what_the_reader_is_unsure_of():
    film = FILMS["hard-2"]
    problem = problem_on(film.scan(), waveform=Waveform.triangle(), curves=5)
    kept = []
    for caution in (0.0, 2.0):
        policy = fresh(make_policy("boundary-dkl", {"caution": caution}), problem)
        kept.append(boundary_of(policy).reshape(film.shape))
    assert (kept[1] <= kept[0]).all()
    precision = [boundary_f1(k, film.structure.boundary)["precision"] for k in kept]
    assert precision[1] > precision[0]
