"""The structured GP against the textbook: dense formulas, least squares, quadrature."""

import itertools

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm

from grainscout.policies.models import structured_gp
from grainscout.policies.models.kernels import Stationary
from grainscout.policies.models.structure_means import MeanModel
from grainscout.policies.models.structured_gp import BOUNDS, StructuredGP

RNG = np.random.default_rng(3)
X = RNG.uniform(-2, 2, (60, 2)).astype(np.float32)
Z = RNG.normal(size=(60, 3))
ROWS = RNG.permutation(60)[:14]
POOL = np.arange(60)
SCALE = np.array([1.0, 0.7, 1.5])
LINEAR = MeanModel(name="linear", basis=lambda z, _: z, scale=SCALE)
Y = Z[ROWS] @ [0.8, -0.5, 0.3] + np.sin(X[ROWS, 0]) + 0.05 * RNG.normal(size=14)
NOISE = RNG.uniform(0.0, 0.02, 14)


def fitted(mean: MeanModel = LINEAR, **options) -> StructuredGP:
    gp = StructuredGP(X, Z, POOL, Stationary(), mean, **options)
    gp.fit(ROWS, Y, NOISE)
    return gp


def dense(gp: StructuredGP):
    """Mean, covariance and log evidence by the formulas with all matrices written out."""
    t, s = gp._t, gp._scale
    kernel = Stationary()
    cov = kernel.cross(X.astype(float), X.astype(float), t[:-2])
    h = Z * SCALE * np.exp(t[-1])
    cov = s**2 * (cov + h @ h.T)
    data = cov[np.ix_(ROWS, ROWS)] + np.diag(s**2 * (np.exp(t[-2]) + 1e-8) + NOISE)
    evidence = multivariate_normal(np.full(14, gp._offset), data).logpdf(Y)
    gain = np.linalg.solve(data + np.diag(gp._spoilt), cov[ROWS]).T
    return gp._offset + gain @ (Y - gp._offset), cov - gain @ cov[ROWS], evidence


def test_a_linear_mean_is_the_gp_whose_kernel_contains_it():
    gp = fitted()
    mean, covariance, evidence = dense(gp)
    found, std = gp.predict()
    np.testing.assert_allclose(found, mean, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(std**2, np.diagonal(covariance), rtol=1e-6)
    rows = np.array([5, 1, 40])
    np.testing.assert_allclose(gp.covariance(rows), covariance[:, rows], atol=1e-8)
    joint_mean, joint = gp.joint(rows)
    np.testing.assert_allclose(joint_mean, mean[rows], rtol=1e-7)
    np.testing.assert_allclose(joint, covariance[np.ix_(rows, rows)], atol=1e-8)
    assert gp.log_evidence == pytest.approx(evidence, rel=1e-8)


def test_the_gradient_of_the_evidence_is_its_slope():
    gp = fitted()
    prepared = gp.kernel.prepare(X[ROWS].astype(float))
    h = Z[ROWS] * SCALE
    z = (Y - gp._offset) / gp._scale
    for t in (gp._t, np.array([0.3, -0.4, -1.0, 0.5])):
        args = (prepared, h @ h.T, z, NOISE)
        slope = approx_fprime(t, lambda v, a=args: gp.objective(v, *a)[0], 1e-6)
        np.testing.assert_allclose(gp.objective(t, *args)[1], slope, rtol=1e-3, atol=1e-4)


def test_a_shape_parameter_is_integrated_as_by_quadrature():
    def basis(z, shape):
        return np.exp(-np.abs(z[:, :1]) / np.exp(shape[0]))

    prior = np.array([[0.0, 0.8]])
    mean = MeanModel(name="decay", basis=basis, scale=np.array([2.0]), shape=prior)
    gp = fitted(mean, particles=800)
    nodes = np.linspace(-3.5, 3.5, 1401)
    gp._factorise(ROWS, Y, NOISE, np.zeros((14, 0)))  # normal noise, as the evidence has it
    log = gp._solve(nodes[:, None])[0] + norm(0.0, 0.8).logpdf(nodes)
    density = np.exp(log - log.max())
    total = np.log(np.trapezoid(density, nodes)) + log.max()
    assert gp._evidence == pytest.approx(total, abs=0.02)
    weight = density / density.sum()
    expected = weight @ nodes
    spread = np.sqrt(weight @ (nodes - expected) ** 2)
    found = gp._weights @ gp._shapes[:, 0]
    assert found == pytest.approx(expected, abs=0.1 * spread)
    deviation = np.sqrt(gp._weights @ (gp._shapes[:, 0] - found) ** 2)
    assert deviation == pytest.approx(spread, rel=0.1)


def test_mixtures_keep_the_law_of_total_variance():
    def basis(z, shape):
        return np.tanh(z[:, :1] * np.exp(shape[0]) + shape[1])

    mean = MeanModel(
        name="tanh", basis=basis, scale=np.array([1.0]), shape=np.array([[0.0, 0.5], [0.0, 1.0]])
    )
    gp = fitted(mean)
    assert len(gp._weights) > 20
    _, std = gp.predict()
    np.testing.assert_allclose(np.diagonal(gp.covariance(POOL)), std**2, rtol=1e-6)
    np.testing.assert_allclose(gp.joint(POOL)[0], gp.predict()[0], rtol=1e-9)


@pytest.mark.parametrize("at", [2, 5, 9])
def test_a_spoilt_target_bends_neither_map_nor_coefficients(at, monkeypatch):
    def bent(gp):
        spoilt = Y.copy()
        spoilt[at] += 40 * Y.std()
        clean = gp.predict()[0], gp.coefficients()[0]
        gp.fit(ROWS, spoilt, NOISE)
        return [
            abs(now - then).max()
            for now, then in zip((gp.predict()[0], gp.coefficients()[0]), clean, strict=True)
        ]

    robust = bent(fitted(growth=0.0))
    monkeypatch.setattr(structured_gp, "unlike_others", lambda inverse, z, limited: 0.0 * z)
    monkeypatch.setattr(structured_gp, "winsorise", lambda y: y)
    normal = bent(fitted(growth=0.0))
    assert robust[0] < 0.5 * normal[0]
    assert robust[1] < 0.6 * normal[1]


def test_evidence_is_in_the_unit_of_the_target():
    gp = fitted()
    other = StructuredGP(X, Z, POOL, Stationary(), LINEAR)
    other.fit(ROWS, 1e-9 * Y + 5e-9, 1e-18 * NOISE)
    assert other.log_evidence == pytest.approx(gp.log_evidence - 14 * np.log(1e-9), abs=1e-6)
    np.testing.assert_allclose(other.predict()[0], 1e-9 * gp.predict()[0] + 5e-9, rtol=1e-6)


@pytest.mark.parametrize("disturbed", [False, True])
def test_log_scores_of_one_curve_after_another_sum_to_the_evidence(disturbed, monkeypatch):
    # The chain rule: log p(y) = sum of log p(y_k | y_1 ... y_k-1), at fixed hyper-parameters.
    monkeypatch.setattr(structured_gp, "unlike_others", lambda inverse, z, limited: 0.0 * z)
    time = np.linspace(0, 1, 14)[:, None]
    count = [4]
    nuisance = (lambda: time[: count[0]]) if disturbed else None
    gp = StructuredGP(X, Z, POOL, Stationary(), LINEAR, growth=1e9, nuisance=nuisance)
    gp.fit(ROWS[:4], Y[:4], NOISE[:4])
    first, total = gp.log_evidence, 0.0
    for n in (5, 6, 9, 14):
        count[0] = n
        total += gp.log_score(ROWS[:n], Y[:n], NOISE[:n])
        gp.fit(ROWS[:n], Y[:n], NOISE[:n])
    assert total == pytest.approx(gp.log_evidence - first, abs=1e-4)


def test_every_hyper_parameter_within_the_bounds_gives_a_covariance_that_can_be_factored():
    rows = np.repeat(ROWS[:5], 4)  # the same sites again and again
    prior, edges = StructuredGP(X, Z, POOL, Stationary(), LINEAR)._prior, (-BOUNDS, BOUNDS)
    for corner in itertools.product(edges, repeat=len(prior)):
        gp = StructuredGP(X, Z, POOL, Stationary(), LINEAR, growth=1e9)
        gp._t = prior[:, 0] + np.array(corner) * prior[:, 1]
        h = Z[rows] * SCALE
        prepared = gp.kernel.prepare(X[rows].astype(float))
        value, slope = gp.objective(gp._t, prepared, h @ h.T, np.zeros(20), np.zeros(20))
        assert np.isfinite(value)
        assert np.isfinite(slope).all()
        gp._factorise(rows, np.zeros(20), np.zeros(20), np.zeros((20, 0)))
        gp._condition()
        assert np.isfinite(gp.predict()[1]).all()


@pytest.mark.parametrize("values", [np.zeros(12), np.full(12, 3e-9), np.r_[np.zeros(11), 1.0]])
def test_equal_targets_and_outliers_on_repeated_sites_are_learnt_from(values):
    rows = np.repeat(ROWS[:4], 3)
    gp = StructuredGP(X, Z, POOL, Stationary(), LINEAR)
    for n in (1, 2, 3, 12):
        gp.fit(rows[:n], values[:n])
        mean, std = gp.predict()
        assert np.isfinite(mean).all()
        assert (std > 0).all()
