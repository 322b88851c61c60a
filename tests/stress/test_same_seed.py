"""One seed, one result: whatever the order of imports, the hash seed, the threads, the process."""

import json
import os
import subprocess
import sys

import numpy as np
from killed_runs import outcomes_of, undisturbed
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


def test_one_seed_gives_one_result_in_any_process(tally, times, size, scratch):
    rng, wholes = np.random.default_rng(12), {}
    for policy in ("dkl", "scout", "sobol") if size == "short" else POLICIES:
        config = experiment_file(scratch / policy, policy)
        wholes[policy] = config, undisturbed(scratch / policy, config).outcomes
    for k in range(times(short=2, long=12)):
        packages = rng.permutation(_PACKAGES).tolist()
        threads, seed = str(2 - k % 2), str(int(rng.integers(1, 2**31)))
        jobs = [(str(c), str(scratch / p / f"{k}.gsj")) for p, (c, _) in wholes.items()]
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, json.dumps(packages), json.dumps(jobs)],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=False,
        )
        for policy, (_, outcomes) in wholes.items():
            lost = done.stderr[-300:] if done.returncode else ""
            if not lost and outcomes_of(scratch / policy / f"{k}.gsj") != outcomes:
                lost = f"{policy}, hash seed {seed}, {threads} threads, {packages[:3]}"
            tally("runs in new processes: order of imports, hash seed, threads", lost)
