"""Shared fixtures."""

import os
import sys
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


@pytest.fixture
def grainscout(monkeypatch, capsys):
    """Calls the command line: (exit status, output, errors)."""

    def call(*words):
        from grainscout.cli import main

        monkeypatch.setattr(sys, "argv", ["grainscout", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return status, printed.out, printed.err

    return call


def pytest_addoption(parser):
    parser.addoption("--size", choices=("short", "long"), default="short", help="of stress tests")
    parser.addoption("--scale", type=float, default=1.0, help="long sizes times this")
