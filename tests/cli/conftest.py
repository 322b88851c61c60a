"""The command line as a user calls it."""

import sys

import pytest

from grainscout.cli import main


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Call the command line in an empty folder: (exit status, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def calling(*words):
        monkeypatch.setattr(sys, "argv", ["grainscout", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return ended.value.code or 0, said.out, " ".join(said.err.split())

    return calling
