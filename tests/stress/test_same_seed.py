"""One seed, one result: whatever the order of imports, the hash seed, the threads, the process."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from killed_runs import outcomes_of, undisturbed
from stress import Size, Tally, nothing_lost, tally, times
from victim import POLICIES, experiment_file

_PACKAGES = (
    *("records", "simulator", "analysis", "analysis.formats", "policies", "hardware"),
    *("journal", "experiment", "benchmarks", "config", "cli"),
)
_SCRIPT = """
import importlib, json, sys
for package in json.loads(sys.argv[1]):
    importlib.import_module("grainscout." + package)
import grainscout.cli
for config, out in json.loads(sys.argv[2]):
    sys.argv = ["grainscout", "run", config, "--out", out]
    try:
        grainscout.cli.main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


@nothing_lost
def test_one_seed_gives_one_result_in_any_process(size: Size) -> list[Tally]:
    """Each policy in a forked process, and in new ones that differ in all that must not matter."""
    rng = np.random.default_rng(12)
    policies = ("dkl", "scout", "sobol") if size == "short" else POLICIES
    wrong, tried = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        wholes = {}
        for policy in policies:
            (home / policy).mkdir()
            config = experiment_file(home / policy / "run.toml", policy)
            wholes[policy] = config, undisturbed(home / policy, config).outcomes
        for k in range(times(size, short=2, long=12)):
            packages = [str(r) for r in rng.permutation(_PACKAGES)]
            threads, seed = str(1 + k % 2), str(int(rng.integers(1, 2**31)))
            jobs = [(str(c), str(home / p / f"{k}.gsj")) for p, (c, _) in wholes.items()]
            done = subprocess.run(
                [sys.executable, "-c", _SCRIPT, json.dumps(packages), json.dumps(jobs)],
                env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                wrong.append(done.stderr[-300:])
                continue
            for policy, (_, outcomes) in wholes.items():
                tried += 1
                if outcomes_of(home / policy / f"{k}.gsj") != outcomes:
                    wrong.append(f"{policy}, hash seed {seed}, {threads} threads, {packages[:3]}")
    return [tally("runs in new processes: order of imports, hash seed, threads", tried, wrong)]
