"""Acquisitions against integrals, closed forms and what they are for."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from grainscout.policies.acquisition import (
    ACQUISITIONS,
    Posterior,
    choose_batch,
    expected_improvement,
    log_expected_improvement,
    per_second,
)
from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.kernels import ArcCosine, Stationary


def line(n: int = 200) -> np.ndarray:
    """Features along a line: neighbours are alike."""
    return np.linspace(-1.7, 1.7, n, dtype=np.float32)[:, None]


def posterior(rows: list[int], y: list[float], *, kernel: object = None, n: int = 200) -> Posterior:
    gp = GaussianProcess(line(n), np.arange(n), kernel or Stationary(name="rbf"))  # type: ignore[arg-type]
    gp.fit(np.array(rows), np.array(y))
    mean, std = gp.predict()
    return Posterior(
        surrogate=gp,
        mean=mean,
        std=std,
        measured=np.array(y),
        available=np.setdiff1d(np.arange(n), rows),
        rng=np.random.default_rng(0),
    )


ROWS, Y = [20, 60, 61, 100, 180], [0.0, 1.0, 1.1, 0.2, -0.5]


@pytest.mark.parametrize("mean", [-3.0, 0.0, 0.7, 2.0])
def test_expected_improvement_is_the_integral(mean: float) -> None:
    std, best, xi = 0.8, 0.5, 0.1

    def improvement(f: float) -> float:
        return max(f - best - xi, 0.0) * norm.pdf(f, mean, std)

    integral = quad(improvement, best + xi, mean + 12 * std + 12, limit=200)[0]
    found = expected_improvement(np.array([mean]), np.array([std]), best, xi)[0]
    np.testing.assert_allclose(found, integral, rtol=1e-6, atol=1e-12)


def test_log_expected_improvement_is_its_logarithm_and_stays_finite() -> None:
    mean, std = np.linspace(-5, 3, 200), np.full(200, 0.9)
    near = expected_improvement(mean, std, 0.0)
    np.testing.assert_allclose(log_expected_improvement(mean, std, 0.0), np.log(near), rtol=1e-6)
    far = -np.logspace(1, 8, 60)
    values = log_expected_improvement(far, np.ones(60), 0.0)
    assert np.isfinite(values).all()
    assert (np.diff(values) < 0).all()
    # φ(z)/z² is the first term of the expansion for large negative z.
    z = far[20:40]
    first = norm.logpdf(z) - 2 * np.log(-z)
    np.testing.assert_allclose(values[20:40], first, rtol=1e-4)


def test_integrated_variance_is_the_fall_that_a_measurement_brings() -> None:
    b = posterior(ROWS, Y)
    gain = ACQUISITIONS["integrated-variance"](b)
    before = np.mean(b.std[b.available] ** 2)
    for member in (5, 140):
        after = posterior(ROWS, Y)
        after.imagine([member])
        fall = before - np.mean(after.std[b.available] ** 2)
        np.testing.assert_allclose(gain[member], fall, rtol=0.02)


def test_thompson_chooses_as_often_as_a_site_is_best() -> None:
    """Over many samples the frequency of a region is its posterior probability of the maximum."""
    b = posterior(ROWS, Y)
    picks = [int(ACQUISITIONS["thompson"](b).argmax()) for _ in range(400)]
    mean, covariance = b.surrogate.joint(b.surrogate.candidate_rows[b.available])
    values, vectors = np.linalg.eigh(covariance)
    draws = (
        mean
        + np.random.default_rng(9).normal(size=(4000, len(mean)))
        @ (vectors * np.sqrt(np.maximum(values, 0))).T
    )
    expected = b.available[draws.argmax(1)]
    for low, high in ((0, 50), (50, 90), (90, 150), (150, 200)):
        share = np.mean([low <= p < high for p in picks])
        truth = np.mean((expected >= low) & (expected < high))
        assert abs(share - truth) < 4 * np.sqrt(truth * (1 - truth) / 400) + 0.01


def test_beacon_prefers_targets_that_were_not_seen() -> None:
    """With a certain model the gain is the distance of the prediction to the known targets."""
    x = line()[:, 0].astype(float)
    rows = list(range(0, 120, 4))
    b = posterior(rows, list(x[rows]))
    gain = ACQUISITIONS["beacon"](b)
    assert int(gain.argmax()) > 150
    known = np.sort(np.abs(b.mean[:, None] - b.measured), axis=1)[:, :10].sum(1)
    away = np.corrcoef(gain[b.available], known[b.available])[0, 1]
    assert away > 0.9


def test_imagined_measurements_equal_a_refitted_posterior() -> None:
    b = posterior(ROWS, Y, kernel=ArcCosine())
    gp = b.surrogate
    b.imagine([140, 10])
    # The same GP with two more points; believed outcomes leave the mean alone.
    rows, y = np.array([*ROWS, 140, 10]), np.array([*Y, 0.0, 0.0])
    state = gp.state()
    more_noise = gp.noise / state["scale"] ** 2 - np.exp(state["t"][-2]) - 1e-6
    more = GaussianProcess(line(), np.arange(200), ArcCosine())
    more.restore(
        {**state, "factored": 7, "extra": np.append(state["extra"], [more_noise] * 2)},
        rows,
        y,
        None,
    )
    np.testing.assert_allclose(b.std, more.predict()[1], atol=2e-3)
    np.testing.assert_allclose(
        b.covariance(np.array([50])), more.covariance(np.array([50])), atol=2e-3
    )


def test_a_batch_keeps_its_members_apart() -> None:
    b = posterior([100], [0.5])
    std = b.std.copy()
    chosen, gains = choose_batch(
        b,
        lambda posterior, last: ACQUISITIONS["max-uncertainty"](posterior),
        4,
        np.zeros(0, np.int64),
    )
    assert len(set(chosen.tolist())) == 4
    assert len(gains) == 4
    greedy = np.argsort(-std)[:4]  # pairs of neighbours at both ends
    assert np.diff(np.sort(greedy)).min() == 1
    assert np.diff(np.sort(chosen)).min() > 20
    # A pending site counts as measured.
    again = posterior([100], [0.5])
    first = int(again.std[again.available].argmax())
    chosen, _ = choose_batch(
        again, lambda posterior, last: posterior.std, 1, np.array([again.available[first]])
    )
    assert abs(int(chosen[0]) - int(again.available[first])) > 20


def test_gain_per_second() -> None:
    seconds, available = np.array([1.0, 2.0, 4.0]), np.arange(3)
    np.testing.assert_allclose(
        per_second("ei", np.array([1.0, 2.0, 8.0]), seconds, available), [1.0, 1.0, 2.0]
    )
    log = per_second("log-ei", np.log([1.0, 2.0, 8.0]), seconds, available)
    np.testing.assert_allclose(np.exp(log), [1.0, 1.0, 2.0])
    # A constant added to the target must not change the order of ucb.
    a = per_second("ucb", np.array([1.0, 2.0, 8.0]), seconds, available)
    b = per_second("ucb", np.array([1.0, 2.0, 8.0]) - 100.0, seconds, available)
    np.testing.assert_allclose(a, b)
