"""Learned deep kernels: against gpytorch, dense formulas, and their known fault."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from grainscout.policies.models.mlp_dkl import MEMBERS, Ensemble, marginal_likelihood
from grainscout.policies.peers.mlp_published import PublishedLoop, gpytorch
from grainscout.records import PolicyError, Scan


def table_of(m: int = 400, d: int = 6) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(m, d)) / np.sqrt(d)
    return x.astype(np.float32)


def smooth(table: np.ndarray) -> np.ndarray:
    return 3e-9 + 5e-10 * np.tanh(3 * table[:, 0]).astype(float)


def fitted(n: int = 40) -> tuple[Ensemble, np.ndarray, np.ndarray]:
    table = table_of()
    rows = np.arange(n)
    y = smooth(table)[rows] + 5e-11 * np.random.default_rng(1).normal(size=n)
    model = Ensemble(table, np.arange(400), seed=3)
    model.fit(rows, y)
    return model, rows, y


def test_marginal_likelihood_is_gpytorchs() -> None:
    model, rows, y = fitted()
    members = model._need_fit()
    z = torch.as_tensor((y - y.mean()) / y.std())
    latent = members.embed(model._inputs(rows))
    gram = model._gram(members, latent, torch.zeros(len(y), dtype=torch.float64))
    ours = marginal_likelihood(gram, z)
    for k in range(MEMBERS):
        kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel()).double()
        kernel.base_kernel.lengthscale = 1.0
        kernel.outputscale = float(torch.exp(members.kernel[k, 0]))
        likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
        likelihood.noise = float(members.noise()[k])
        prior = gpytorch.distributions.MultivariateNormal(
            torch.zeros(len(y), dtype=torch.float64), kernel(latent[k])
        )
        peer = likelihood(prior).log_prob(z)
        np.testing.assert_allclose(float(ours[k]), float(peer.detach()), rtol=1e-6)


def test_prediction_is_the_mixture_of_exact_gps() -> None:
    model, _, y = fitted()
    members = model._need_fit()
    z = (y - y.mean()) / y.std()
    means, covariances = [], []
    for k in range(MEMBERS):
        latent = members.embed(model._inputs(model.candidate_rows))[k].numpy()
        amplitude = float(torch.exp(members.kernel[k, 0]))
        d = ((latent[:, None] - latent[None]) ** 2).sum(2)
        prior = amplitude * np.exp(-0.5 * d)
        noisy = prior[:40, :40] + float(members.noise()[k]) * np.eye(40)
        means.append(prior[:, :40] @ np.linalg.solve(noisy, z))
        covariances.append(prior - prior[:, :40] @ np.linalg.solve(noisy, prior[:40]))
    mixed = np.mean(covariances, 0) + np.cov(np.array(means).T, bias=True)
    mean, std = model.predict()
    np.testing.assert_allclose(mean, y.mean() + y.std() * np.mean(means, 0), rtol=1e-4)
    np.testing.assert_allclose(std, y.std() * np.sqrt(np.diagonal(mixed)), rtol=1e-3)
    some = np.array([50, 90, 200])
    np.testing.assert_allclose(
        model.joint(some)[1], y.var() * mixed[np.ix_(some, some)], rtol=1e-6, atol=1e-26
    )
    np.testing.assert_allclose(
        model.covariance(some), y.var() * mixed[:, some], rtol=1e-6, atol=1e-26
    )


def test_learns_and_stays_calibrated() -> None:
    table = table_of(800)
    rng = np.random.default_rng(5)
    y = smooth(table) + 3e-10 * rng.normal(size=800)
    model = Ensemble(table, np.arange(200, 800), seed=0)
    model.fit(np.arange(200), y[:200])
    mean, std = model.predict()
    truth = smooth(table)[200:]
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.5 * truth.std()
    inside = np.abs(y[200:] - mean) < 1.96 * np.sqrt(std**2 + model.noise)
    assert 0.90 <= inside.mean() <= 0.98


def test_nothing_is_clamped() -> None:
    """A patch far from all others is more uncertain than any measured one (the published fault)."""
    table = table_of()
    table[399] *= 8.0
    model = Ensemble(table, np.arange(400), seed=0)
    model.fit(np.arange(60), smooth(table)[:60])
    std = model.predict()[1]
    assert std[399] > 1.5 * np.median(std[:60])


def test_a_spoilt_curve_bends_no_map() -> None:
    clean, rows, y = fitted()
    spoilt = y.copy()
    spoilt[5] += 60 * y.std()
    moved = []
    for robust in (True, False):
        model = Ensemble(table_of(), np.arange(400), seed=3, robust=robust)
        model.fit(rows, spoilt)
        moved.append(abs(model.predict()[0] - clean.predict()[0]).mean())
    assert moved[0] < 0.2 * moved[1]


def test_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    fitted()
    image = gaussian_filter(np.random.default_rng(0).normal(size=(20, 20)), 1)
    scan = Scan(channels={"height": image}, pixel_size=(1e-8, 1e-8))
    loop = PublishedLoop(scan, np.arange(400), window=5, cycles=2)
    loop.fit(np.arange(5), np.arange(5.0))
    assert torch.equal(torch.get_rng_state(), before)


def test_published_loop_repeats_itself_and_predicts() -> None:
    image = gaussian_filter(np.random.default_rng(0).normal(size=(24, 24)), 2)
    scan = Scan(channels={"height": image}, pixel_size=(1e-8, 1e-8))
    y = image.ravel()[::37] * 1e-9
    rows = np.arange(0, 576, 37)
    answers = []
    for _ in range(2):
        loop = PublishedLoop(scan, np.arange(576), window=8, cycles=20)
        with pytest.raises(PolicyError, match="fitted before"):
            loop.predict()
        loop.fit(rows, y)
        answers.append(loop.predict())
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    mean, std = answers[0]
    assert mean.shape == std.shape == (576,)
    assert (std > 0).all()
    some = np.array([10, 300])
    at, covariance = loop.joint(some)
    assert np.linalg.eigvalsh(covariance).min() > 0
    # A fault of the published model: its grid follows the inputs, so that a site's prediction
    # depends on which other sites are asked about in the same call.
    assert np.abs(at - mean[some]).max() > 1e-3 * y.std()
    assert loop.covariance(some).shape == (576, 2)
