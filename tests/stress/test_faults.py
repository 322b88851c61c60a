"""Every fault of the simulator's ladder and of the wire, at rates up to 30 %, in processes with a time-out."""

import json
from collections import Counter

import numpy as np
from storm import WIRE, ride
from storm_link import BEARABLE, GARBLED, LINK, ride_link
from victim import POLICIES
from warm import ended

from grainscout.simulator.instrument import FAULT_LADDERS


def _ridden(tally, what, scratch, target, plans, curves):
    """Count what the children report; a hang or a death without a report is something wrong."""
    reasons, failed = Counter(), 0
    for k, plan in enumerate(plans):
        folder = scratch / str(k)
        folder.mkdir()
        *first, kinds = plan
        status = ended(target, folder, *first, 100 + k, kinds, curves)
        if not (folder / "report.json").exists():
            tally(what, f"{plan}: hung, or died with {status}")
            continue
        report = json.loads((folder / "report.json").read_text())
        reasons[report["reason"].split(":")[0]] += 1
        failed += report["failed"]
        ends = ", ".join(f"{n} {why}" for why, n in reasons.most_common())
        wrong = (f"{plan}: {w}" for w in report["wrong"])
        tally(what, *wrong, note=f"{failed} faults; ended by {ends}")


def test_runs_under_every_fault_stay_within_limits_and_park(tally, times, size, scratch):
    rng = np.random.default_rng(5)
    plans = [(POLICIES[k % len(POLICIES)], name, 0.0, ()) for k, name in enumerate(FAULT_LADDERS)]
    plans += [(POLICIES[k % len(POLICIES)], "none", 0.3, (wire,)) for k, wire in enumerate(WIRE)]
    plans += [(policy, "storm", 0.3, WIRE) for policy in POLICIES]
    if size == "short":
        plans = plans[:: max(1, len(plans) // 12)]
    for _ in range(times(short=0, long=360)):
        wires = tuple(w for w in WIRE if rng.random() < 0.5)
        name = str(rng.choice(["storm", *FAULT_LADDERS]))
        plans.append((str(rng.choice(POLICIES)), name, float(rng.uniform(0, 0.3)), wires))
    _ridden(tally, "runs with instrument faults and a faulty wire", scratch, ride, plans, 20)


def test_a_run_through_a_faulty_link_is_the_local_run(tally, times, size, scratch):
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
    for _ in range(times(short=0, long=40)):
        kind = tuple(k for k in LINK if rng.random() < 0.5) or LINK
        plans.append((str(rng.choice(policies)), float(rng.uniform(0.02, 0.3)), kind))
    _ridden(tally, "runs through a faulty link", scratch, ride_link, plans, 8)
