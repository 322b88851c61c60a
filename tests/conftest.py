"""Shared fixtures."""

import os
from pathlib import Path

import pytest

for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_pool, "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it skip where it is absent."""
    root = Path(os.environ.get("GRAINSCOUT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"real data not found at {root} (set GRAINSCOUT_DATA)")
    return root


def pytest_addoption(parser):
    parser.addoption("--size", choices=("short", "long"), default="short", help="of stress tests")
    parser.addoption("--scale", type=float, default=1.0, help="long sizes times this")
