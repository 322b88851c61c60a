"""Tip dilation: the algebra of grey morphology, and SciPy's implementation of it."""

import math

import numpy as np
import pytest
from scipy.ndimage import grey_dilation

from grainscout.simulator.film.tip import dilate, dilate_by, tip_shape

ANGLE = math.radians(20)


@pytest.fixture(scope="module")
def surface() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.cumsum(np.cumsum(rng.standard_normal((40, 50)), 0), 1) * 0.3


def test_against_scipy(surface):
    shape = tip_shape(float(np.ptp(surface)), (20.0, 20.0), 76.0, ANGLE)
    theirs = grey_dilation(surface, structure=-shape[::-1, ::-1], mode="constant", cval=-1e9)
    assert np.allclose(dilate_by(surface, shape), theirs, atol=1e-9)


def test_a_spike_images_the_tip():
    height = np.zeros((61, 61))
    height[30, 30] = 400.0
    image = dilate(height, (20.0, 20.0), 76.0, ANGLE)
    r = 20.0 * np.hypot(*(np.indices((61, 61)) - 30))
    joint = 76.0 / math.tan(ANGLE)
    tip = np.where(r < joint, r**2 / 152, joint**2 / 152 + (r - joint) / math.tan(ANGLE))
    assert np.allclose(image, np.maximum(400.0 - tip, 0.0))
    # The cone matters here: a pure paraboloid would be blunter than the real shank.
    assert (tip[image > 0] < r[image > 0] ** 2 / 152 - 1).any()
