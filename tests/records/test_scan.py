"""Pixels and metres."""

import math

import numpy as np
import pytest

from grainscout.records import ConfigError, DataError, Scan, Site


def scan(**changes):
    settings = {"channels": {"height": np.zeros((4, 6))}, "pixel_size": (2e-9, 1e-9)}
    return Scan(**{**settings, **changes})


def test_x_grows_with_the_column_and_y_with_the_row():
    s = scan(origin=(1e-6, 2e-6))
    assert s.position(Site(0, 0)) == pytest.approx((1e-6, 2e-6))
    assert s.position(Site(0, 5)) == pytest.approx((1e-6 + 5e-9, 2e-6))
    assert s.position(Site(3, 0)) == pytest.approx((1e-6, 2e-6 + 6e-9))


def test_rotation_keeps_lengths_and_turns_x_towards_y():
    s = scan(angle=math.pi / 2)
    assert s.position(Site(0, 5)) == pytest.approx((0.0, 5e-9), abs=1e-20)
    turned = scan(angle=math.pi / 4, pixel_size=(1e-9, 1e-9))
    points = turned.positions(np.array([[0, 0], [3, 4]]))
    assert np.hypot(*(points[1] - points[0])) == pytest.approx(5e-9)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"channels": {}}, DataError, "at least one channel"),
        ({"channels": {"a": np.zeros(3)}}, DataError, "two-dimensional"),
        ({"channels": {"a": np.zeros((2, 2)), "b": np.zeros((2, 3))}}, DataError, "shape"),
        ({"channels": {"a": np.full((2, 2), np.nan)}}, DataError, "4 of 4 pixels"),
        ({"pixel_size": (1e-9, 0.0)}, ConfigError, "positive lengths"),
    ],
)
def test_unusable_scans_are_refused(changes, error, said):
    with pytest.raises(error, match=said):
        scan(**changes)


def test_a_missing_channel_is_named_with_those_that_exist():
    with pytest.raises(DataError, match=r"current.*height"):
        scan().channel("current")
