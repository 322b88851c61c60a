"""SIGKILL at random moments of `grainscout run`: nothing acknowledged is lost, doubled or changed."""

import time

import numpy as np
from killed_runs import start, undisturbed, wait, wrong_in
from victim import CURVES, POLICIES, experiment_file

_KINDS = ("begin", "statement", "told", "measure", "measured", "wal", "time")
_BEGIN = 60  # statements of SQL until the first measurement, about


def _blow(rng, whole, folder):
    """How this victim dies: (kill_at, kill_when)."""
    kind = str(rng.choice(_KINDS))
    if kind == "begin":
        return {"statement": int(rng.integers(1, _BEGIN))}, lambda: False
    if kind in whole.acts:
        return {kind: int(rng.integers(1, whole.acts[kind] + 1))}, lambda: False
    if kind == "time":
        end = time.monotonic() + float(rng.uniform(0.0, 1.1 * whole.seconds))
        return {}, lambda: time.monotonic() >= end
    wal, left, last = folder / "killed.gsj-wal", [int(rng.integers(1, CURVES * 3))], [0]

    def grown():
        try:
            size = wal.stat().st_size
        except FileNotFoundError:  # not yet, or folded in
            size = 0
        left[0] -= size > last[0]
        last[0] = size
        return left[0] <= 0

    return {}, grown


def test_a_killed_run_goes_on_as_if_undisturbed(tally, times, size, scratch):
    rng = np.random.default_rng(8)
    wanted, what = times(short=25, long=500), "SIGKILL of a run, then --resume"
    policies = POLICIES[::3] if size == "short" else POLICIES
    runs, wholes = 0, {}
    while tally.tried[what] < wanted:
        policy, batch = policies[runs % len(policies)], 1 + 3 * (runs // len(policies) % 2)
        if (policy, batch) not in wholes:
            config = experiment_file(scratch / f"{policy}-{batch}", policy, batch=batch)
            wholes[policy, batch] = config, undisturbed(config.parent, config)
        config, whole = wholes[policy, batch]
        folder = scratch / str(runs)
        folder.mkdir()
        where = f"{policy}, batch {batch}, run {runs}"
        blows = int(rng.integers(1, 3 if size == "short" else 6))
        for n in range(blows + 1):
            last = n == blows
            kill_at, kill_when = ({}, lambda: False) if last else _blow(rng, whole, folder)
            killed = wait(start(folder, config, kill_at), kill_when)
            wrong = wrong_in(folder, whole, finished=last)
            tally(what, *(f"{where}: {w}" for w in wrong), tried=killed)
        runs += 1
