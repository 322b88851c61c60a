"""Real runs and real watches, in processes of their own, for the tests of the live page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from samples import package

from grainscout.journal import Journal
from grainscout.records import JournalError

#: A third party's policy, found by its entry point: the random one and dual novelty, in no hurry.
PLUGIN = """
import time
from dataclasses import dataclass

from grainscout.policies import ModelPolicy


@dataclass(kw_only=True)
class Unhurried(ModelPolicy):
    wait_s: float = 0.3

    def ask(self, n=1):
        time.sleep(self.wait_s)
        return super().ask(n)
"""
EXPERIMENT = """seed = 7
[task]
target = "loop_area"
light_suns = 0.1
curves = {curves}
batch = {batch}
waveform = {{ kind = "triangle", peak_V = 1.5, samples = 51, duration_s = 1.0 }}
microscope = {{ kind = "simulated", film = "tiny", instrument = "reference" }}
[policy]
name = "unhurried"
options = {{ wait_s = {wait}, seed_points = 3 }}
"""


class Rig:
    """A folder with the plug-in, and what was started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "night.gsj"
        self.watches = 0
        (plugin := folder / "plugin").mkdir()
        package(plugin, "unhurried", PLUGIN, policies="unhurried = unhurried:Unhurried")
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(plugin),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "300",
        }
        self.environment.pop("GRAINSCOUT_WATCH_TOKEN", None)

    def command(self, *words: object, **options):
        """A grainscout command, started."""
        return subprocess.Popen(
            [sys.executable, "-m", "grainscout.cli", *map(str, words)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    @contextmanager
    def run(self, *, curves: int = 500, batch: int = 1, wait: float = 0.3):
        """``grainscout run`` of an experiment that takes its time; killed at the end."""
        experiment = self.folder / "night.toml"
        experiment.write_text(EXPERIMENT.format(curves=curves, batch=batch, wait=wait))
        process = self.command("run", experiment, "--out", self.journal)
        try:
            until(lambda: self.count() >= 4, "the run measures", 120.0)
            yield process
        finally:
            end(process)

    @contextmanager
    def watch(self, *options: object):
        """``grainscout watch`` of it; gives the address with the token, and the process."""
        process = self.command("watch", self.journal, "--port", 0, *options)
        try:
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, line + process.stdout.read()
            yield found[0], process
        finally:
            end(process)

    def count(self) -> int:
        """How many outcomes the journal holds."""
        return len(self.told(lambda journal: journal.outcomes()) or [])

    def asked(self) -> list[str]:
        """What people asked of the run and it did."""
        events = self.told(lambda journal: journal.events()) or []
        return [str(e.detail["asked"]) for e in events if e.kind == "request"]

    def told(self, question):
        """What the journal says; None while it is being made."""
        try:
            with Journal.read(self.journal) as journal:
                return question(journal)
        except JournalError:
            if self.journal.exists() and self.journal.stat().st_size > 8192:
                raise
            return None


def until(true, what: str, seconds: float = 60.0) -> None:
    """Wait for something; AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def end(process) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
