"""Files on which reading would wait or work for ever are refused at once, wherever one is opened."""

import os
import time

import h5py
import pytest

from grainscout.analysis import formats
from grainscout.benchmarks import load
from grainscout.config import load_run
from grainscout.journal import Journal
from grainscout.records import ConfigError, DataError, GrainscoutError
from grainscout.simulator import Film

HOSTILE = {
    "deep": "a = " + "[" * 2000 + "]" * 2000,
    "long key": ".".join(["a"] * 40_000) + " = 1",
    "long header": "[" + ".".join(['"a"'] * 40_000) + "]",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_a_file_that_takes_for_ever_to_read_is_refused_at_once(tmp_path, text):
    (tmp_path / "x.toml").write_text(text)
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="toml must be"):
        load_run(tmp_path / "x.toml")
    assert time.monotonic() - begun < 1.0


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    (tmp_path / "x.toml").write_text('[task.microscope]\nkind = "replay"\nfile = "a\\u0000b"\n')
    with pytest.raises(ConfigError, match="no character NUL"):
        load_run(tmp_path / "x.toml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("opens", [load_run, formats.read, Film.load, Journal.read, load])
def test_a_pipe_is_no_file(tmp_path, opens):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GrainscoutError, match=r"regular file|there is none"):
        opens(tmp_path / "pipe")


def test_deep_groups_are_refused_at_once(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file
        for _ in range(2000):  # took 50 s
            group = group.create_group("g")
    begun = time.monotonic()
    with pytest.raises(DataError, match="64 levels"):
        formats.read(tmp_path / "x.h5")
    assert time.monotonic() - begun < 15.0
