"""The command line as a user calls it."""

import pytest


@pytest.fixture
def call(monkeypatch, grainscout, tmp_path):
    """Call the command line in an empty folder: (exit status, output, errors in one line)."""
    monkeypatch.chdir(tmp_path)

    def calling(*words):
        status, out, err = grainscout(*words)
        return status, out, " ".join(err.split())

    return calling
