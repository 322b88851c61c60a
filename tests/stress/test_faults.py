"""Every fault of the simulator's ladder, and of the wire, alone and together, at rates up to 30 %.

Each run has a hard time-out in a process of its own.  It must use up its budget or stop with a reason, never
send a command beyond a limit (counted behind the guard), leave the tip parked, and have a journal that
holds every fault and every failure.
"""

import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from storm import WIRE, ride
from storm_link import BEARABLE, GARBLED, LINK, ride_link
from stress import Size, Tally, nothing_lost, tally, times
from victim import POLICIES
from warm import forked

from grainscout.simulator.instrument import FAULT_LADDERS

PATIENCE_S = 600.0  # of wall-clock time, for a run of a second: this is a hang


def outcome_of(target, folder, *arguments):
    """What a child reports; a hang or a death without a report is something wrong."""
    child = forked(target, folder, *arguments)
    child.join(PATIENCE_S)
    if child.is_alive():
        child.kill()
        child.join()
        return {"wrong": [f"hung for more than {PATIENCE_S:g} s"], "reason": "", "failed": 0}
    report = folder / "report.json"
    if not report.exists():
        return {"wrong": [f"died with {child.exitcode}"], "reason": "", "failed": 0}
    return json.loads(report.read_text())


@nothing_lost
def test_runs_under_every_fault_stay_within_limits_and_park(size: Size) -> list[Tally]:
    """Each named instrument by turns of the policies; each policy in the full storm at 30 %."""
    rng = np.random.default_rng(5)
    plans = [(POLICIES[k % len(POLICIES)], name, 0.0, ()) for k, name in enumerate(FAULT_LADDERS)]
    plans += [(POLICIES[k % len(POLICIES)], "none", 0.3, (wire,)) for k, wire in enumerate(WIRE)]
    plans += [(policy, "storm", 0.3, WIRE) for policy in POLICIES]
    if size == "short":
        plans = plans[:: max(1, len(plans) // 12)]
    else:
        for _ in range(times(size, short=0, long=360)):
            wires = tuple(w for w in WIRE if rng.random() < 0.5)
            name = str(rng.choice(["storm", *FAULT_LADDERS]))
            plans.append((str(rng.choice(POLICIES)), name, float(rng.uniform(0, 0.3)), wires))
    wrong, reasons, failed, began = [], Counter(), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        for k, plan in enumerate(plans):
            folder = Path(scratch) / str(k)
            folder.mkdir()
            policy, name, rate, wires = plan
            report = outcome_of(ride, folder, policy, name, rate, 100 + k, wires, 20)
            wrong += [f"{plan}: {w}" for w in report["wrong"]]
            reasons[report["reason"].split(":")[0]] += 1
            failed += report["failed"]
    ends = ", ".join(f"{n} {why}" for why, n in reasons.most_common())
    note = f"{failed} failures in {time.monotonic() - began:.0f} s; ended by {ends}"
    return [tally("runs with instrument faults and a faulty wire", len(plans), wrong, note)]


@nothing_lost
def test_a_run_through_a_faulty_link_is_the_local_run(size: Size) -> list[Tally]:
    """A server that dies and a wire that drops, delays, repeats, falls silent: the run is the local one.

    Above 10 % it may be the beginning of the local one, ended when the client's patience is.  A wire that also changes
    messages (which encryption makes impossible) may end it, with a reason.
    """
    rng = np.random.default_rng(6)
    policies = ("sobol", "random", "grid", "kriging", "dkl")
    plans = [(policies[k % 5], 0.3, (kind,)) for k, kind in enumerate(GARBLED)]
    plans += [("sobol", 0.3, LINK), ("grid", 0.5, ("twice",))]
    plans += [("kriging", BEARABLE, LINK), ("grid", BEARABLE, GARBLED)]
    plans = plans[-3:] if size == "short" else plans
    for _ in range(0 if size == "short" else times(size, short=0, long=40)):
        kind = tuple(k for k in LINK if rng.random() < 0.5) or LINK
        plans.append((str(rng.choice(policies)), float(rng.uniform(0.02, 0.3)), kind))
    wrong, faults, reasons = [], 0, Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for k, (policy, rate, kind) in enumerate(plans):
            folder = Path(scratch) / str(k)
            folder.mkdir()
            report = outcome_of(ride_link, folder, policy, rate, 200 + k, kind, 8)
            wrong += [f"{policy}, {rate:.2f}, {kind}: {w}" for w in report["wrong"]]
            faults += report["failed"]
            reasons[report["reason"].split(":")[0]] += 1
    ends = ", ".join(f"{n} {why}" for why, n in reasons.most_common())
    what = f"runs through a faulty link, {faults} faults"
    return [tally(what, len(plans), wrong, f"ended by {ends}")]
