"""A lifetime map as a further image: a policy learns from it, and the maps of patches take it in."""

import numpy as np
import pytest
from samples import problem_on

from grainscout.analysis.curves.characterisation import lifetime_map
from grainscout.analysis.latent import DualOptions, DualVAE, ImageOptions, Training, patches_at
from grainscout.policies import make_policy
from grainscout.records import IVCurve, Outcome, Problem, Scan, Waveform

SHAPE = (32, 32)


@pytest.fixture(scope="module")
def measured():
    """A flat height, photons whose lifetime has a hidden pattern, and currents that follow it."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    tau = 1e-9 * (20 + 12 * np.sin(row / 4) * np.cos(column / 5))
    time = 1e-9 * np.arange(0, 250, 5.0)
    counts = rng.poisson(400 * np.exp(-time / tau[..., None]))
    lifetime = lifetime_map(time, counts)
    height = 1e-9 * rng.normal(size=SHAPE)
    scan = Scan(
        channels={"height": height, "lifetime": lifetime},
        units={"height": "m", "lifetime": "s"},
        pixel_size=(2e-8, 2e-8),
    )
    return scan, tau, lifetime


def problem_of(scan: Scan) -> Problem:
    inside = np.argwhere(np.ones((SHAPE[0] - 8, SHAPE[1] - 8), bool)) + 4
    return problem_on(
        scan, inside, waveform=Waveform.triangle(samples=41), curves=60, target="max_current"
    )


def outcome_of(problem: Problem, tau: np.ndarray, proposal) -> Outcome:
    v = problem.waveform.voltage
    current = 1e17 * tau[tuple(proposal.site)] ** 2 * v * 1e-9
    curve = IVCurve(voltage=v, current=current, time=problem.waveform.time)
    return Outcome(
        site=proposal.site, status="ok", curve=curve, proposal_id=proposal.id, started=0.0, finished=1.0
    )  # fmt: skip


def test_a_policy_predicts_from_the_lifetime_what_it_cannot_from_the_height(measured):
    scan, tau, _ = measured
    problem = problem_of(scan)
    truth = tau[tuple(problem.candidates.T)] ** 2
    error = {}
    for channels in (["height"], ["height", "lifetime"]):
        policy = make_policy(
            "dkl", {"channels": channels, "features": "jets", "window": 8, "position": False}
        )
        policy.reset(problem, rng=np.random.default_rng(1))
        for _ in range(40):
            policy.tell([outcome_of(problem, tau, p) for p in policy.ask()])
        mean, _ = policy.predict()
        error[len(channels)] = 1 - abs(np.corrcoef(mean, truth)[0, 1])
    assert error[2] < 0.2
    assert error[2] < 0.4 * error[1]


def test_the_maps_of_patches_take_it_as_a_channel(measured):
    scan, tau, lifetime = measured
    sites = problem_of(scan).candidates[::9]
    images = np.stack([scan.height, lifetime])
    patches = patches_at(images, sites, 8)
    spectra = tau[tuple(sites.T)][:, None] * np.linspace(0, 1, 20)
    options = DualOptions(image=ImageOptions(own_mean=(True, False), hidden=24))
    model = DualVAE.fit(patches, spectra, options, training=Training(epochs=25, batch=12))
    test = model.split.test
    rebuilt = model.decode_image(model.encode_image(patches[test]).content)
    assert rebuilt.shape == (len(test), 2, 8, 8)
    guess = model.predict_spectrum(patches[test])[:, 0, -1]
    assert np.corrcoef(guess, spectra[test, -1])[0, 1] > 0.8
