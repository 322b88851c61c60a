"""Kernels against the networks, gradients and formulas that they stand for."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from grainscout.policies.models.kernels import (
    ArcCosine,
    FunctionKernel,
    Kernel,
    Placed,
    Stationary,
    arc_cosine,
    squared_distances,
)

KERNELS = [
    FunctionKernel(
        function=lambda a, b, t: np.exp(t[0]) / (1 + squared_distances(a, b) / np.exp(2 * t[1])),
        prior=np.array([[0.0, 0.7], [0.0, 1.0]]),
    ),
    ArcCosine(depth=1),
    ArcCosine(depth=2),
    ArcCosine(depth=3),
    Stationary(name="rbf"),
    Stationary(name="matern"),
    Placed(inner=ArcCosine(depth=2)),
]


def points(n: int = 12, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) / np.sqrt(d)


def test_arc_cosine_is_the_mean_of_two_rectified_gaussians() -> None:
    """E[relu(u) relu(v)] = J(c)/(2π) for standard normal u, v of correlation c (Cho & Saul)."""
    grid = np.linspace(-8, 8, 801)
    u, v = np.meshgrid(grid, grid)
    for c in (-0.9, -0.3, 0.0, 0.5, 0.95):
        density = multivariate_normal([0, 0], [[1, c], [c, 1]]).pdf(np.dstack([u, v]))
        mean = (np.maximum(u, 0) * np.maximum(v, 0) * density).sum() * (grid[1] - grid[0]) ** 2
        j = np.array([[c]])
        arc_cosine(j, np.empty_like(j))
        np.testing.assert_allclose(j[0, 0] / (2 * np.pi), mean, atol=2e-5)


def test_nngp_is_the_covariance_of_wide_random_networks() -> None:
    """Two hidden ReLU layers of 256 units with random weights, 2 000 networks."""
    rng = np.random.default_rng(1)
    x = points(5)
    t = np.array([0.3, 0.9, -0.4])
    variance, s, b = np.exp(t)
    width, total = 256, np.zeros((5, 5))
    networks = 2000
    for _ in range(networks):
        h = x @ rng.normal(size=(3, width)) * np.sqrt(s) + rng.normal(size=width)
        h = np.maximum(h, 0) @ rng.normal(size=(width, width)) * np.sqrt(2 / width)
        h = np.maximum(h + np.sqrt(b) * rng.normal(size=width), 0)
        f = h @ rng.normal(size=width) * np.sqrt(2 / width)
        total += np.outer(f, f)
    expected = variance / (1 + s + b) * total / networks
    kernel = ArcCosine(depth=2)
    k, _ = kernel.gram(kernel.prepare(x), t)
    np.testing.assert_allclose(k, expected, atol=0.1 * k.max())
    # The fluctuation of the mean of 2 000 squares: the trace is known to about 3 %.
    np.testing.assert_allclose(np.trace(k), np.trace(expected), rtol=0.08)


@pytest.mark.parametrize(
    "kernel", KERNELS, ids=lambda k: "of a user" if isinstance(k, FunctionKernel) else repr(k)
)
def test_gram_cross_and_diagonal_agree(kernel: Kernel) -> None:
    x = points()
    t = kernel.prior[:, 0] + 0.2
    k, _ = kernel.gram(kernel.prepare(x), t)
    np.testing.assert_allclose(kernel.cross(x, x, t), k, atol=1e-7)
    np.testing.assert_allclose(kernel.diagonal(x, t), np.diagonal(k), rtol=1e-12)
    low = kernel.cross(x.astype(np.float32), x.astype(np.float32), t)
    assert low.dtype == np.float32
    np.testing.assert_allclose(low, k, atol=2e-3 * k.max())
    assert np.linalg.eigvalsh(k).min() > -1e-10
    against = kernel.against(x, t)
    first = against(x[:4]).copy()
    against(x[4:8])
    np.testing.assert_array_equal(against(x[:4]), first)


@pytest.mark.parametrize(
    "kernel", KERNELS, ids=lambda k: "of a user" if isinstance(k, FunctionKernel) else repr(k)
)
def test_gradient_equals_finite_differences(kernel: Kernel) -> None:
    x = points()
    prepared = kernel.prepare(x)
    t = kernel.prior[:, 0] + 0.3
    weight = np.random.default_rng(2).normal(size=(12, 12))
    weight = weight + weight.T
    _, pull = kernel.gram(prepared, t)

    def value(t: np.ndarray) -> float:
        return float((weight * kernel.gram(prepared, t)[0]).sum())

    np.testing.assert_allclose(pull(weight), approx_fprime(t, value, 1e-6), rtol=1e-4, atol=1e-4)


def test_stationary_kernels_match_scikit_learn() -> None:
    from sklearn.gaussian_process.kernels import RBF, Matern

    x, t = points(), np.array([0.4, -0.3])
    for name, peer in (("rbf", RBF(np.exp(-0.3))), ("matern", Matern(np.exp(-0.3), nu=2.5))):
        k, _ = Stationary(name=name).gram(Stationary(name=name).prepare(x), t)
        np.testing.assert_allclose(k, np.exp(0.4) * peer(x), rtol=1e-10)
