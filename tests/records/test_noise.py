"""White noise on a smooth signal is estimated from its differences."""

import numpy as np
import pytest

from grainscout.records.noise import robust_noise


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_noise_on_a_smooth_curve_is_found_whatever_the_order(order):
    x = np.linspace(0, 1, 40_001)
    curves = np.sin(3 * x) + 0.1 * np.random.default_rng(order).standard_normal((2, x.size))
    curves[0, ::50] = np.nan
    assert robust_noise(curves, order) == pytest.approx([0.1, 0.1], rel=0.03)


def test_line_offsets_are_seen_across_lines_only():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((300, 300)) + 3 * rng.standard_normal((300, 1))
    along, across = (robust_noise(image, 4, axis, together=True) for axis in (1, 0))
    assert along == pytest.approx(1.0, rel=0.05)
    assert across == pytest.approx(np.sqrt(10.0), rel=0.1)


def test_too_few_values_show_no_noise():
    assert robust_noise(np.ones((5, 3)), 3).tolist() == [0.0] * 5
    assert robust_noise(np.ones((3, 5)), 3, 0, together=True) == 0.0
