"""A microscope with faults at any rate, watched from behind the guard, and one run of a policy on it.

Everything here happens in a child of the warm server, so that a hang costs the child alone.
"""

import json
from dataclasses import replace
from functools import partial

import numpy as np
from victim import SEED, tiny_task

from grainscout.benchmarks import make_environment
from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Guard, Limits, SimulatedMicroscope
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy
from grainscout.records import Budget, GrainscoutError, MicroscopeError, Waveform, spawn_streams
from grainscout.simulator.instrument import ApproachSpec, ContactSpec, CrashSpec, instrument_spec

WAVE = Waveform.triangle(1.5, 51, 1.0)
LIMITS = Limits(
    voltage_V=1.5,
    slew_V_per_s=10.0,
    dwell_s=1.5,
    frame_m=(0.0, 0.0, 8e-7, 7e-7),
    curves=200,
    total_s=4000.0,
    current_A=2e-9,
    light_suns=0.1,
)
#: What the wire between us and a real microscope does, beside the instrument's own faults.
WIRE = ("hangs up", "overflow", "short", "lost samples", "clock back", "clock forward")


class Recorder:
    """The microscope itself: notes what really reaches it, and how it is left.

    The limits are checked here anew, from the waveform's samples and the commanded place.
    """

    def __init__(self, inner, limits):
        self.inner, self.limits = inner, limits
        self.beyond, self.measured, self.failures, self.compliance = [], 0, 0, None

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def limit_current(self, amperes):
        self.compliance = amperes
        self.inner.limit_current(amperes)

    def light(self, suns):
        self.beyond += [f"{suns} suns"] * (not suns <= self.limits.light_suns)
        self.inner.light(suns)

    def measure(self, site, waveform):
        self.measured += 1
        volts, step = waveform.voltage, waveform.time[1] - waveform.time[0]
        slew = np.abs(np.diff(volts, prepend=0.0, append=0.0)).max() / step
        place = np.array(site[::-1]) * self.inner._pixel_size[::-1]
        low, high = np.reshape(self.limits.frame_m, (2, 2))
        within = {
            "the tip still in contact when the command came": not (
                self.inner.engaged or self.inner.bias
            ),
            "voltage": np.abs(volts).max() <= self.limits.voltage_V,
            "slew rate": slew <= self.limits.slew_V_per_s * (1 + 1e-9),
            "time under bias": np.ptp(waveform.time) <= self.limits.dwell_s,
            f"place {place}": (low <= place).all() and (place <= high + 1e-15).all(),
            "count": self.measured <= self.limits.curves,
            f"begun at {self.clock.now():g} s": self.clock.now() <= self.limits.total_s,
            "compliance": self.compliance == self.limits.current_A,
        }
        self.beyond += [what for what, fine in within.items() if not fine]
        try:
            return self.inner.measure(site, waveform)
        except MicroscopeError:
            self.failures += 1
            raise


class Wire:
    """Between guard and microscope: answers that are late, wrong, or none, at a rate.

    Its clock is that of the microscope's computer, which somebody sets while the run goes on.
    """

    def __init__(self, inner, rng, rate, kinds):
        self.inner, self.rng, self.rate, self.kinds = inner, rng, rate, kinds
        self.broken, self.offset, self.clock = [], 0.0, self
        self.spend = inner.clock.spend

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def now(self):
        return self.inner.clock.now() + self.offset

    def measure(self, site, waveform):
        curve = self.inner.measure(site, waveform)
        if not self.kinds or self.rng.random() >= self.rate:
            return curve
        kind = str(self.rng.choice(self.kinds))
        self.broken.append(kind)
        if kind == "hangs up":
            self.inner.engaged = True  # the answer did not come, and nobody knows where the tip is
            raise MicroscopeError("no answer within 10 s")
        if kind == "clock back":
            self.offset -= 100.0
        if kind == "clock forward":
            self.offset += float(self.rng.exponential(200.0))
        current = curve.current.copy()
        if kind == "overflow":
            current[3] = 9.9e37
        if kind == "lost samples":
            current[5:9] = np.nan
        axes = {"voltage": curve.voltage, "time": curve.time, "saturated": curve.saturated}
        keep = slice(0, -3 if kind == "short" else None)
        cut = {name: values[keep] for name, values in axes.items()}
        return replace(curve, current=current[keep], signals={}, **cut)


def instrument(name, rate):
    """A named instrument; "storm": every fault, and what fails by chance at this rate."""
    if name != "storm":
        return instrument_spec(name)
    return replace(
        instrument_spec("all-severe"),
        approach=ApproachSpec(probability=rate),
        crash=CrashSpec(probability=rate / 3),
        contact=ContactSpec(loss_per_s=3.0 * rate, return_per_s=3.0),
    )


def microscope(name, rate, seed, wire):
    """(guard, recorder, wire) around a film that is warm."""
    film = make_environment(tiny_task(1), SEED).film
    inner = SimulatedMicroscope(film, instrument(name, rate), seed=spawn_streams(seed).instrument)
    # Every other run asks for more than it may have, so that the guard has something to refuse.
    limits = replace(LIMITS, curves=15 if seed % 2 else 200)
    recorder = Recorder(inner, limits)
    line = Wire(recorder, np.random.default_rng(seed), rate, wire)
    return Guard(line, limits), recorder, line


def one_run(path, guard, recorder, policy, seed, budget, wrong, **settings):
    """Why a run of policy() ended; faults that no run may have are added to `wrong`."""
    problem = make_problem(guard, WAVE, budget, light=0.1, frame=LIMITS.frame_m)
    reason = ""
    settings |= {"problem": problem, "seed": seed}
    with Journal.create(path, Header(problem=problem, config={}, seed=seed)) as journal:
        try:
            chosen = policy()
            with guard:
                reason = Experiment(guard, chosen, journal=journal, **settings).run().reason
        except GrainscoutError as error:
            reason = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 -- an error without a name of ours is what we look for
            wrong.append(f"{type(error).__name__}: {error}")
    wrong += [f"beyond its limits: {what}" for what in recorder.beyond]
    if recorder.inner.bias or recorder.inner.engaged:
        wrong.append("the tip was not parked")
    return reason


def ride(folder, policy, name, rate, seed, wire, curves):
    """One run in the storm; `report.json` in `folder` says how it ended."""
    guard, recorder, line = microscope(name, rate, seed, wire)
    path, wrong, budget = folder / "run.gsj", [], Budget(curves=curves, seconds=3000.0)
    chosen = partial(make_policy, policy)
    reason = one_run(path, guard, recorder, chosen, seed, budget, wrong, checkpoint_every=3)
    with Journal.read(path) as journal:
        outcomes, events = journal.outcomes(), journal.events()
    if not events or events[-1].kind != "end" or events[-1].detail["reason"] != reason:
        wrong.append("the journal does not say why it ended")
    faults = [(e.detail["what"], e.detail["at_s"]) for e in events if e.kind == "fault"]
    if faults != [(f["kind"], f["time_s"]) for f in recorder.faults()]:
        wrong.append(f"the journal has {len(faults)} faults of {len(recorder.faults())}")
    bad = [k for k in line.broken if k not in ("lost samples", "clock forward")]
    failed = sum(o.status == "failed" for o in outcomes)
    if failed != recorder.failures + len(bad):
        wrong.append(f"{failed} failures are written down of {recorder.failures + len(bad)}")
    if len(outcomes) != recorder.measured:
        wrong.append(f"{len(outcomes)} outcomes of {recorder.measured} measurements")
    report = {"reason": reason, "wrong": wrong, "failed": failed}
    (folder / "report.json").write_text(json.dumps(report))
