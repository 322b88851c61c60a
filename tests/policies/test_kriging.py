"""Kriging is blind to the image and knows lengths in metres."""

import numpy as np
from samples import curve_of, fresh, problem_on
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import pdist

from grainscout.policies import make_policy
from grainscout.policies.models.features import coordinates
from grainscout.records import Outcome, Problem, Scan, Waveform

WAVE = Waveform.triangle(1.5, 41)
SITES = np.column_stack([np.repeat(np.arange(8, 56, 2), 24), np.tile(np.arange(8, 56, 2), 24)])
FIELD = gaussian_filter(np.random.default_rng(0).normal(size=(64, 64)), 6, mode="wrap")
CURRENT = 1e-9 * (3.0 + FIELD / FIELD.std())[SITES[:, 0], SITES[:, 1]]  # [A] at 1.5 V


def problem(seed: int) -> Problem:
    height = 1e-9 * np.random.default_rng(seed).normal(size=(64, 64))
    return problem_on(
        height, SITES, waveform=WAVE, curves=60, step=(2e-8, 2e-8), target="max_current"
    )


def run(name: str, seed: int, options: dict | None = None, steps: int = 40):
    policy = fresh(make_policy(name, options), problem(seed))
    index = {tuple(s): i for i, s in enumerate(SITES.tolist())}
    path = []
    for _ in range(steps):
        for p in policy.ask(1):
            path.append(index[tuple(p.site)])
            noise = np.random.default_rng(path[-1]).normal(0.0, 2e-12, len(WAVE))
            current = CURRENT[path[-1]] * WAVE.voltage / 1.5 + noise
            curve = curve_of(WAVE, current)
            policy.tell([Outcome(site=p.site, status="ok", curve=curve, proposal_id=p.id)])
    return path, policy


def test_the_image_changes_nothing():
    one, two = run("kriging", 1), run("kriging", 2)
    assert one[0] == two[0]
    assert (one[1].predict()[0] == two[1].predict()[0]).all()
    assert run("dkl", 1)[0] != run("dkl", 2)[0]


def test_a_field_that_the_image_does_not_show_is_mapped_from_positions():
    error = {
        name: np.sqrt(np.mean((run(*case)[1].predict()[0] - CURRENT) ** 2)) / CURRENT.std()
        for name, case in {
            "kriging": ("kriging", 1),
            "image": ("dkl", 1, {"position": False}),
            "both": ("dkl", 1),
        }.items()
    }
    assert error["kriging"] < 0.45
    assert error["image"] > 0.8
    assert error["both"] < 0.45


def test_coordinates_are_distances_in_units_of_the_image():
    for shape, step in (((30, 50), (2e-8, 2e-8)), ((20, 90), (5e-8, 1e-8))):
        scan = Scan(channels={"height": np.zeros(shape)}, pixel_size=step)
        sites = np.random.default_rng(0).integers(0, 20, (30, 2))
        metres = pdist(scan.positions(sites))
        table = coordinates(scan)[sites[:, 0] * shape[1] + sites[:, 1]].astype(float)
        ratio = pdist(table)[metres > 0] / metres[metres > 0]
        side = np.sqrt(shape[0] * step[0] * shape[1] * step[1])
        np.testing.assert_allclose(ratio, 8.0 / side, rtol=1e-4)
