"""The exact GP against dense formulas, a peer, and draws from its own prior."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime

from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.kernels import ArcCosine
from grainscout.records import ConfigError, PolicyError


def table_of(m: int = 700, d: int = 5, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(m, d)) / np.sqrt(d)
    return x.astype(np.float32)


def smooth(table: np.ndarray) -> np.ndarray:
    return np.tanh(2 * table[:, 0]).astype(float) + table[:, 1].astype(float) ** 2


def fitted(n: int = 60, growth: float = 10.0, **options: bool) -> tuple[GaussianProcess, ...]:
    table = table_of()
    rng = np.random.default_rng(3)
    rows = rng.permutation(len(table))[:n]
    y = 5e-10 * (smooth(table)[rows] + 0.1 * rng.normal(size=n)) + 2e-9
    gp = GaussianProcess(table, np.arange(500), ArcCosine(), growth=growth, **options)
    return gp, rows, y  # type: ignore[return-value]


def dense(gp: GaussianProcess, rows: np.ndarray, y: np.ndarray, known: np.ndarray):
    """Rasmussen & Williams eqs. 2.25 and 2.26, written out, in float64."""
    t = gp.parameters
    x = gp.table.astype(float)
    noise = np.exp(t[-2]) + 1e-6 + np.exp(t[-1]) * known / gp._scale**2
    k = gp.kernel.cross(x[rows], x[rows], t[:-2])
    np.fill_diagonal(k, gp.kernel.diagonal(x[rows], t[:-2]))
    k += np.diag(noise * np.ones(len(rows)) + gp.state()["extra"])
    star = gp.kernel.cross(x[rows], x[gp.candidate_rows], t[:-2])
    z = (y - gp._offset) / gp._scale
    mean = gp._offset + gp._scale * star.T @ np.linalg.solve(k, z)
    prior = gp.kernel.cross(x[gp.candidate_rows], x[gp.candidate_rows], t[:-2])
    np.fill_diagonal(prior, gp.kernel.diagonal(x[gp.candidate_rows], t[:-2]))
    return mean, gp._scale**2 * (prior - star.T @ np.linalg.solve(k, star))


def test_prediction_equals_the_dense_formula() -> None:
    gp, rows, y = fitted()
    known = np.random.default_rng(4).uniform(0, 1e-20, len(y))
    gp.fit(rows, y, known)
    mean, std = gp.predict()
    expected, covariance = dense(gp, rows, y, known)
    unit = y.std()
    assert_allclose(mean, expected, atol=1e-4 * unit)
    assert_allclose(std, np.sqrt(np.diagonal(covariance)), atol=1e-3 * unit)
    assert_allclose(gp.covariance(gp.candidate_rows[:7]), covariance[:, :7], atol=1e-3 * unit**2)
    at, joint = gp.joint(gp.candidate_rows[:7])
    assert_allclose(at, expected[:7], atol=1e-6 * unit)
    assert_allclose(joint, covariance[:7, :7], atol=1e-6 * unit**2)


def test_rank_one_updates_equal_a_full_computation() -> None:
    step, rows, y = fitted(growth=10.0)
    step.fit(rows[:20], y[:20])
    for n in range(21, 61):
        step.fit(rows[:n], y[:n])
    whole, _, _ = fitted(growth=10.0)
    whole.restore({**step.state(), "factored": 60}, rows, y, None)
    unit = y.std()
    assert_allclose(step.predict()[0], whole.predict()[0], atol=1e-4 * unit)
    assert_allclose(step.predict()[1], whole.predict()[1], atol=1e-4 * unit)


def test_updates_without_a_cache_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cached, rows, y = fitted()
    cached.fit(rows[:40], y[:40])
    cached.fit(rows, y)
    monkeypatch.setattr("grainscout.policies.models.gp._CACHE_BYTES", 0)
    bare, _, _ = fitted()
    bare.fit(rows[:40], y[:40])
    bare.fit(rows, y)
    unit = y.std()
    for a, b in zip(cached.predict(), bare.predict(), strict=True):
        assert_allclose(a, b, atol=1e-4 * unit)
    assert_allclose(cached.covariance(rows[:3]), bare.covariance(rows[:3]), atol=1e-4 * unit**2)


def test_objective_gradient_equals_finite_differences() -> None:
    gp, rows, y = fitted()
    prepared = gp.kernel.prepare(gp.table[rows].astype(float))
    z, known = (y - y.mean()) / y.std(), np.linspace(0, 0.3, len(y))
    t = np.array([0.2, 0.5, -0.7, -1.5, -0.4])
    gradient = gp.objective(t, prepared, z, known)[1]
    numeric = approx_fprime(t, lambda t: gp.objective(t, prepared, z, known)[0], 1e-6)
    assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4)


def test_intervals_cover_what_they_claim() -> None:
    """Functions drawn from the kernel with noise: 95 % intervals hold 0.90 to 0.97 of new targets."""
    kernel, rng = ArcCosine(), np.random.default_rng(6)
    table = table_of(400)
    x = table.astype(float)
    k = kernel.cross(x, x, np.array([0.0, 0.7, -1.0])) + 1e-8 * np.eye(400)
    root = np.linalg.cholesky(k)
    inside = []
    for _ in range(12):
        truth = root @ rng.normal(size=400)
        noisy = truth + 0.3 * rng.normal(size=400)
        gp = GaussianProcess(table, np.arange(200, 400), kernel)
        gp.fit(np.arange(100), noisy[:100])
        mean, std = gp.predict()
        width = 1.96 * np.sqrt(std**2 + gp.noise)
        inside.append(np.abs(noisy[200:] - mean) < width)
    assert 0.90 <= np.mean(inside) <= 0.97


def test_readings_of_one_site_average_out() -> None:
    table = table_of()
    gp = GaussianProcess(table, np.arange(500), ArcCosine())
    gp.fit(np.zeros(8, np.int64), np.linspace(1.0, 2.0, 8))
    assert abs(gp.predict()[0][0] - 1.5) < 0.01


def test_stated_noise_that_is_far_too_large_is_not_believed() -> None:
    """A descriptor's error bar may be an overestimate for all curves alike."""
    table = table_of()
    truth = smooth(table)
    rows = np.arange(120)
    y = truth[rows] + 0.1 * np.random.default_rng(2).normal(size=120)
    error = []
    for stated in (0.0, 10.0 * y.var()):
        gp = GaussianProcess(table, np.arange(200, 500), ArcCosine())
        gp.fit(rows, y, np.full(120, stated))
        error.append(np.sqrt(np.mean((gp.predict()[0] - truth[200:500]) ** 2)))
    assert error[1] < 1.3 * error[0]


def test_many_spoilt_curves_do_not_bend_the_hyper_parameters() -> None:
    plain, rows, y = fitted(robust=False)
    robust, _, _ = fitted()
    spoilt = y.copy()
    spoilt[::6] += 12 * y.std() * np.random.default_rng(1).choice([-1, 1], len(y[::6]))
    truth = 5e-10 * smooth(plain.table)[:500] + 2e-9
    error = []
    for gp, targets in ((robust, spoilt), (plain, spoilt), (plain, y)):
        gp.fit(rows, targets)
        error.append(np.sqrt(np.mean((gp.predict()[0] - truth) ** 2)))
        if gp is plain:
            plain, _, _ = fitted(robust=False)
    assert error[0] < 0.5 * error[1]
    assert error[0] < 1.4 * error[2]


def test_a_spoilt_curve_between_refits_does_not_bend_the_map() -> None:
    robust, rows, y = fitted(growth=10.0)
    clean, _, _ = fitted(growth=10.0)
    for gp in (robust, clean):
        gp.fit(rows[:40], y[:40])
    spoilt = y[:41].copy()
    spoilt[40] += 50 * y.std()
    robust.fit(rows[:41], spoilt)
    clean.fit(rows[:41], y[:41])
    assert np.abs(robust.predict()[0] - clean.predict()[0]).max() < 0.4 * y.std()


def test_a_state_without_a_likelihood_goes_on_by_the_rule_of_before() -> None:
    for options in ({"robust": False}, {"robust": True}):
        gp, rows, y = fitted(growth=0.0, **options)
        gp.fit(rows[:40], y[:40])
        state = gp.state()
        del state["likelihood"]
        gp.restore({**state, "extra": np.zeros(40)}, rows[:40], y[:40], None)
        assert gp.likelihood == ("outliers" if options["robust"] else "normal")


def test_a_line_search_stays_where_the_kernel_is_finite() -> None:
    gp, rows, y = fitted(robust=False)
    with np.errstate(all="raise", under="ignore"):
        gp.fit(rows, np.where(np.arange(60) % 9 == 0, 1e6, 1.0) * y)
    reach = 8.0 * np.array([0.7, 1.2, 1.0])
    assert (np.abs(gp.parameters[:3] - gp.kernel.prior[:, 0]) <= reach).all()


def test_a_fork_leaves_its_origin_alone() -> None:
    gp, rows, y = fitted()
    gp.fit(rows[:40], y[:40])
    twin, _, _ = fitted()
    twin.fit(rows[:40], y[:40])
    fork = gp.fork()
    fork.fit(np.append(rows[:40], rows[55]), np.append(y[:40], 9e-9))
    for a, b in zip(gp.predict(), twin.predict(), strict=True):
        assert_array_equal(a, b)
    gp.fit(rows[:41], y[:41])
    twin.fit(rows[:41], y[:41])
    for a, b in zip(gp.predict(), twin.predict(), strict=True):
        assert_array_equal(a, b)


def test_scale_and_unit_do_not_matter() -> None:
    gp, rows, y = fitted()
    gp.fit(rows, y)
    other, _, _ = fitted()
    other.fit(rows, 1e12 * y - 40.0)
    assert_allclose(other.predict()[0], 1e12 * gp.predict()[0] - 40.0, rtol=1e-4)
    assert_allclose(other.predict()[1], 1e12 * gp.predict()[1], rtol=1e-4)


def test_refusals() -> None:
    gp, rows, y = fitted()
    with pytest.raises(PolicyError, match="fitted before"):
        gp.predict()
    with pytest.raises(ConfigError, match="at least one"):
        gp.fit(rows[:0], y[:0])
    with pytest.raises(ConfigError, match="finite"):
        gp.fit(rows[:2], np.array([1.0, np.nan]))
