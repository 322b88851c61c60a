"""Policies that misbehave, as a plug-in that can be put on the path, and the processes behind cells."""

import os
from pathlib import Path

from samples import package

from grainscout.benchmarks import (
    Campaign,
    CampaignStore,
    MicroscopeSpec,
    PolicySpec,
    Task,
    WaveformSpec,
    run_campaign,
)

TASK = Task(
    id="film/tiny",
    microscope=MicroscopeSpec(film="tiny"),
    waveform=WaveformSpec(samples=51),
    light_suns=0.1,
    curves=14,
    goals=("discovery",),  # the scale of maps takes longer than the cells
)

CODE = """
import ctypes, os, pathlib, signal, subprocess, time
import numpy as np
from grainscout.policies import make_policy

class Rogue:
    def reset(self, problem, *, rng): pass
    def tell(self, outcomes): pass

class Killer(Rogue):
    "Kills the process that it runs in."
    def ask(self, n=1): os.kill(os.getpid(), signal.SIGKILL)

class Raiser(Rogue):
    def ask(self, n=1): raise RuntimeError("the policy of a friend")

class Hanger(Rogue):
    "Hangs in C, where nothing in the process can end it, beside a process that it has started."
    def __init__(self, *, note):
        self.note = note
    def ask(self, n=1):
        other = subprocess.Popen(["sleep", "600"])
        with open(self.note, "w") as file:
            file.write(f"{os.getpid()} {other.pid}")
        ctypes.PyDLL(None).sleep(90)  # longer than the time-out of any test

class Greedy(Rogue):
    def ask(self, n=1): self.kept = np.ones(2**30)

class Spinner(Rogue):
    def ask(self, n=1):
        while True: pass

class Gated:
    "The random policy, once it has found a permit: a file, which it takes away."
    def __init__(self, *, permits):
        self.permits, self.inner = pathlib.Path(permits), make_policy("random", {})
        self.ask, self.tell = self.inner.ask, self.inner.tell
    def reset(self, problem, *, rng):
        while not self.permitted(): time.sleep(0.01)
        self.inner.reset(problem, rng=rng)
    def permitted(self):
        for permit in self.permits.iterdir():
            try: permit.unlink()
            except FileNotFoundError: continue
            return True
        return False
"""


def install(folder: Path) -> Path:
    """A folder that, on the path, registers killer, raiser, hanger, greedy, spinner and gated."""
    names = ("Killer", "Raiser", "Hanger", "Greedy", "Spinner", "Gated")
    lines = [f"{name.lower()} = rogues_plugin:{name}" for name in names]
    return package(folder, "rogues_plugin", CODE, policies="\n".join(lines))


def campaign(*policies: PolicySpec, **changes: object) -> Campaign:
    """A small campaign of these policies; without any, of random and dkl on two films."""
    policies = policies or (PolicySpec(name="random"), PolicySpec(name="dkl"))
    settings = {"name": "test", "seed": 3, "films": 2, "tasks": (TASK,), "policies": policies}
    return Campaign(**{**settings, **changes})


def run(plan: Campaign, folder: Path, **settings: object) -> None:
    """Run or go on with a campaign whose store is in a folder."""
    with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
        run_campaign(plan, store, **settings)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def cell_processes(above: set[int]) -> list[tuple[int, int]]:
    """(its parent, itself) of every process that runs cells under one of `above`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"grainscout.benchmarks.campaign.worker_process" in (entry / "cmdline").read_bytes():
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent in above:
                    found.append((parent, int(entry.name)))
        except OSError:  # it ended meanwhile
            continue
    return found


def own_cell_processes() -> list[int]:
    """Those of this process."""
    return [pid for _, pid in cell_processes({os.getpid()})]
