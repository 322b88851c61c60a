"""The microstructure that the image shows, against images whose geometry is known."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from grainscout.microstructure import structure_features
from grainscout.policies.models.kernels import Stationary
from grainscout.policies.models.structure_means import HYPOTHESES, GrainEffect, film_model
from grainscout.records import Scan

CENTRES = np.array([[14.0, 15.0], [16.0, 49.0], [48.0, 30.0]])
Y, X = np.indices((64, 64)).astype(float)
DISTANCE = np.stack([np.hypot(Y - c[0], X - c[1]) for c in CENTRES])
LABEL = DISTANCE.argmin(0)


def scan(height) -> Scan:
    return Scan(channels={"height": height}, pixel_size=(2e-8, 2e-8))


APART = np.linalg.norm(CENTRES[:, None] - CENTRES[LABEL.ravel()], axis=-1).reshape(DISTANCE.shape)
APART[APART == 0] = 1e-300  # a grain's own centre, which has no bisector
#: Distance of each pixel to the nearest bisector of the three centres.
BISECTOR = ((DISTANCE**2 - DISTANCE.min(0) ** 2) / (2 * APART)).min(
    0, where=APART > 1, initial=np.inf
)
CIRCUMCENTRE = np.linalg.solve(
    2 * (CENTRES[1:] - CENTRES[0]), (CENTRES[1:] ** 2).sum(1) - (CENTRES[0] ** 2).sum()
)
LEVEL = np.array([0.0, 4.0, 8.0])[LABEL]
HEIGHT = 1e-9 * (LEVEL - 20.0 * np.exp(-(BISECTOR**2) / 6.0))
FOUND = structure_features(scan(HEIGHT))


def test_distances_are_those_of_the_geometry():
    assert abs(FOUND.boundary - BISECTOR).mean() < 1.0
    to_junction = np.hypot(Y - CIRCUMCENTRE[0], X - CIRCUMCENTRE[1])
    assert abs(FOUND.junction - to_junction).mean() < 2.0


def test_grains_have_their_height_and_area():
    order = FOUND.grain_height[tuple(CENTRES.astype(int).T)]
    assert (np.diff(order) > 0).all()
    assert FOUND.label.max() == 2
    area = 10.0 ** FOUND.grain_size[tuple(CENTRES.astype(int).T)]
    np.testing.assert_allclose(area, np.bincount(LABEL.ravel()), rtol=0.06)


@pytest.mark.parametrize("step", [-6.0, 0.0, 6.0])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_the_wide_flank_is_positive_whatever_the_step_and_the_direction(step, turn):
    side = X - 31.5
    width = np.where(side < 0, 1.8, 5.0)
    profile = np.where(side < 0, 0.0, step) - 20.0 * np.exp(-abs(side) / width)
    found = structure_features(scan(1e-9 * np.rot90(profile, turn)))
    asymmetry = np.rot90(found.asymmetry, -turn)
    assert found.label.max() == 1
    assert (asymmetry[:, :30] < -0.1).all()
    assert (asymmetry[:, 34:] > 0.1).all()


def test_a_symmetric_groove_has_no_asymmetry():
    found = structure_features(scan(-2e-8 * np.exp(-((X - 31.5) ** 2) / 6.0)))
    assert abs(found.asymmetry).max() < 0.05


def test_a_flat_image_is_one_grain_without_boundary():
    found = structure_features(scan(np.full((20, 30), 5e-9)))
    assert found.label.max() == 0
    assert (found.boundary == found.boundary[0, 0]).all()
    for hypothesis in HYPOTHESES:
        _, columns = film_model((hypothesis,), found)
        assert np.isfinite(columns).all()


def test_rotating_the_image_rotates_what_is_found():
    turned = structure_features(scan(np.rot90(HEIGHT)))
    for name in ("boundary", "junction", "curvature", "slope", "thickness", "grain_height"):
        apart = abs(np.rot90(getattr(FOUND, name)) - getattr(turned, name))
        assert apart.mean() < 0.1 * getattr(FOUND, name).std(), name


def test_causes_are_standardised_and_named():
    model, columns = film_model(("all",), FOUND)
    assert columns.shape == (64 * 64, len(model.names)) == (4096, len(model.scale))
    np.testing.assert_allclose(columns[:, 1:].mean(0), 0.0, atol=1e-9)
    np.testing.assert_allclose(columns[:, 1:].std(0), 1.0, rtol=1e-9)
    names = ("boundary, 1.5 px", "boundary, 4 px", "grain height", "grain size")
    assert film_model(("boundary", "grain"), FOUND)[0].names[1:] == names


def test_the_grain_kernel_is_a_random_level_of_each_grain():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(40, 2)), rng.integers(0, 3, 40)])
    kernel, t = GrainEffect(inner=Stationary()), np.array([0.1, -0.2, 0.4])
    k, pull = kernel.gram(kernel.prepare(x), t)
    one_hot = np.eye(3)[x[:, 2].astype(int)]
    inner = Stationary().cross(x[:, :2], x[:, :2], t[:2])
    np.testing.assert_allclose(k, inner + np.exp(0.4) * one_hot @ one_hot.T, atol=1e-12)
    np.testing.assert_allclose(kernel.cross(x, x[:7], t), k[:, :7], atol=1e-12)
    np.testing.assert_allclose(kernel.diagonal(x, t), np.diagonal(k))
    grad = rng.normal(size=k.shape)
    grad = grad + grad.T
    slope = approx_fprime(t, lambda v: np.vdot(grad, kernel.gram(kernel.prepare(x), v)[0]), 1e-7)
    np.testing.assert_allclose(pull(grad), slope, rtol=1e-4)
