"""Sizes of the stress tests, from the command line."""

import os

import pytest
from stress import SCALE, Size


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    os.environ[SCALE] = str(request.config.getoption("--scale"))
    return request.config.getoption("--size")
