"""Commands and waveforms through every adapter: what arrives is what was allowed, and all of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rig import Rig
from rigs_limits import RIGS
from stress import Size, Tally, nothing_lost, tally, times

from grainscout.hardware import Guard, Limits
from grainscout.records import (
    ConfigError,
    GrainscoutError,
    LimitError,
    MicroscopeError,
    Site,
    Waveform,
)

#: Of the limits themselves: a rounding error is not a violation.
_SLACK = 2e-9


@dataclass(frozen=True, kw_only=True)
class Command:
    """One measurement asked for, under limits of its own."""

    limits: Limits
    measured: int  # measurements before it
    site: tuple[int, int]
    waveform: Waveform


#: Factors of a limit: mostly within, at it on either side, and far away.
_FACTORS = (
    *(0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.0, 0.2, 0.4, 0.6, 0.8, 0.05),
    *(1 + s * e for s in (1, -1) for e in (1e-12, 1e-8, 1e-6, 1e-3)),
    *(0.0, 5e-324, 1e-310, 1e-12, 1.5, 1e3, 1e30, 1e308),
)
_FACTOR = st.sampled_from(_FACTORS) | st.floats(0.0, 1.0)
_SIGN = st.sampled_from((1.0, -1.0))
_LEVEL = st.tuples(st.sampled_from((1.0, -1.0, 0.0, -0.0, 1 / 3)) | st.floats(-1.0, 1.0), _SIGN)
#: All draws of a command at once: made here, they are checked once.
_GENES = st.fixed_dictionaries(
    {
        "volts": st.sampled_from((0.5, 1.0, 2.0, 10.0)),
        "dwell": st.sampled_from((1e-3, 5e-3)),
        "slew": st.sampled_from((500.0, 1e4, 1e5)),
        "bounded": st.tuples(st.integers(0, 3), st.integers(0, 3)),
        "frame": st.sampled_from((None, None, 0.0, 0.3)),
        "curves": st.sampled_from((None, None, None, 1, 3)),
        "total": st.sampled_from((None, None, None, None, 1e12, 1e12, 1e-9)),
        "current": st.sampled_from((None, None, None, 1e-3, 1e-3, 1e-15)),
        "measured": st.integers(0, 3),
        "site": st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
        "off": st.sampled_from((0,) * 12 + (1, 2, 3, 4)),
        "peak": st.tuples(_FACTOR, _SIGN),
        "at_slew": st.sampled_from((None, None, None, 1.0, 0.5, 1 - 1e-7, 1 + 1e-7, 1.5)),
        "duration": st.sampled_from((0.5, 0.5, 0.25)) | _FACTOR,
        "count": st.sampled_from((3, 5, 9)),
        "kind": st.integers(0, 9),
        "levels": st.lists(_LEVEL, min_size=9, max_size=9),
        "steps": st.lists(st.sampled_from((0.5, 1.0, 3.0)), min_size=9, max_size=9),
    }
)


def command(rig: Rig, genes: dict[str, Any]) -> Command:
    """A command whose numbers lie around its limits."""
    volts, dwell, slew = genes["volts"], genes["dwell"], genes["slew"]
    frame = None
    if genes["frame"] is not None:
        places = rig.scan.positions(np.argwhere(np.ones(rig.scan.shape, bool)))
        low, high = places.min(axis=0), places.max(axis=0)
        x0, y0 = (low + (high - low) * genes["frame"]).tolist()
        frame = (x0, y0, *high.tolist())
    limits = Limits(
        voltage_V=volts if genes["bounded"][0] else None,
        slew_V_per_s=slew if genes["bounded"][1] else None,
        dwell_s=dwell,
        frame_m=frame,
        curves=genes["curves"],
        total_s=genes["total"],
        current_A=genes["current"],
    )
    rows, columns = rig.scan.shape
    site = (genes["site"][0] % rows, genes["site"][1] % columns)
    far = {1: (-1, 0), 2: (rows, 0), 3: (0, columns), 4: (2**40, -(2**40))}
    return Command(
        limits=limits,
        measured=genes["measured"],
        site=far.get(genes["off"], site),
        waveform=_waveform(rig, genes),
    )


def _waveform(rig: Rig, genes: dict[str, Any]) -> Waveform:
    """A sweep that the adapter can apply, mostly; a rest if the numbers make none."""
    if rig.waveforms == "recorded" and genes["kind"] < 8:
        found: Waveform = rig.microscope.capabilities.waveform
        return found
    count, duration = genes["count"], genes["duration"] * genes["dwell"]
    factor, sign = genes["peak"]
    peak = sign * factor * genes["volts"]
    if genes["at_slew"] is not None:
        peak = sign * genes["slew"] * duration / 2 * genes["at_slew"]
    try:
        if genes["kind"] < (9 if rig.waveforms == "triangle" else 4):
            start = {0: peak / 2, 1: -peak / 4}.get(genes["kind"], 0.0)
            return Waveform.triangle(peak, count, duration, start=start)
        clock = np.cumsum(genes["steps"][:count])
        clock = (clock - clock[0]) / (clock[-1] - clock[0]) * duration
        levels = [a * b * peak for a, b in genes["levels"][:count]]
        return Waveform(voltage=np.array(levels), time=clock)
    except ConfigError:
        return Waveform.constant(0.0, 1e-3)


def expected(rig: Rig, command: Command) -> set[str]:
    """The limits that it breaks, from the samples themselves."""
    limits, broken, able = command.limits, set(), rig.microscope.capabilities
    volts, clock = command.waveform.voltage.tolist(), command.waveform.time.tolist()

    def above(value: float, limit: float | None) -> bool:
        return limit is not None and not value <= limit * (1 + _SLACK / 2)

    if above(max(map(abs, volts)), limits.voltage_V):
        broken.add("voltage_V")
    # From rest to the first sample and from the last one to rest, each in one sample's time.
    rising, steps = [0.0, *volts, 0.0], [b - a for a, b in pairwise(clock)]
    for a, b, s in zip(rising, rising[1:], [steps[0], *steps, steps[-1]], strict=False):
        s = min(s, able.rise_s or s)
        if above(able.slew_factor * (abs(b - a) / s), limits.slew_V_per_s):
            broken.add("slew_V_per_s")
    if above(able.exposure(command.waveform), limits.dwell_s):
        broken.add("dwell_s")
    if limits.curves is not None and command.measured >= limits.curves:
        broken.add("curves")
    if limits.total_s == 1e-9:
        broken.add("total_s")
    if limits.frame_m is not None:
        x, y = rig.scan.position(Site(*command.site))
        x0, y0, x1, y1 = limits.frame_m
        wide = 1e-9 * max(x1 - x0, y1 - y0)
        if not (x0 - wide <= x <= x1 + wide and y0 - wide <= y <= y1 + wide):
            broken.add("frame_m")
    return broken


def became_of(rig: Rig, command: Command) -> tuple[str, str]:
    """What was lost ("" if nothing), and what became of the command."""
    rig.clear()
    guard = Guard(rig.microscope, command.limits, scan=rig.scan)
    guard.continue_from(command.measured, 0.0)
    before = rig.arrived().compliance
    rig.clear()
    on_scan = rig.scan.contains(Site(*command.site))
    broken = expected(rig, command) if on_scan else {"site"}
    try:
        curve = guard.measure(rig.route(Site(*command.site)), command.waveform)
    except LimitError as error:
        return _refused(rig, command, broken, str(error), on_scan=on_scan)
    except MicroscopeError:
        return _stopped(rig, command, broken), "failed"
    if broken:
        return f"{broken} broken and not refused", "accepted"
    got = rig.arrived()
    limit = command.limits.current_A
    if before is not None and limit is not None and not before <= limit * (1 + 1e-5):
        return f"a compliance of {before} A for {limit} A", "accepted"
    lost = _beyond(rig, command) or _exact(rig, command, got)
    if not lost and not np.array_equal(curve.voltage, command.waveform.voltage):
        off = float(np.abs(curve.voltage - command.waveform.voltage).max())
        lost = "" if off <= 0.05 * command.waveform.peak else f"the curve is {off} V off"
    return lost, "accepted"


def _refused(rig, command, broken: set[str], text: str, *, on_scan: bool) -> tuple[str, str]:
    if rig.arrived().voltage or rig.arrived().places:
        return "refused, and yet something arrived", "refused"
    if not broken:
        return f"refused without a reason: {text}", "refused"
    unnamed = [name for name in broken if on_scan and f"beyond the limit {name}" not in text]
    return (f"{unnamed} not named in: {text}" if unnamed else ""), "refused"


def _stopped(rig: Rig, command: Command, broken: set[str]) -> str:
    if broken:
        return f"{broken} broken, and it was issued"
    if not rig.parked():
        return "failed and not parked"
    return _beyond(rig, command)


def _beyond(rig: Rig, command: Command) -> str:
    """Whatever arrived, whole or in part, lies within the limits."""
    got, limits = rig.arrived(), command.limits
    top = max((abs(v) for v in got.voltage), default=0.0)
    if limits.voltage_V is not None and top > limits.voltage_V * (1 + _SLACK) + rig.tolerance:
        return f"{top} V arrived for {limits.voltage_V} V"
    slew = math.inf if limits.slew_V_per_s is None else limits.slew_V_per_s * (1 + 1e-6)
    if got.slew is not None and got.slew > slew:
        return f"{got.slew} V/s were allowed for {limits.slew_V_per_s} V/s"
    if limits.frame_m is not None:
        x0, y0, x1, y1 = limits.frame_m
        for x, y in got.places:
            if not (x0 - 1e-12 <= x <= x1 + 1e-12 and y0 - 1e-12 <= y <= y1 + 1e-12):
                return f"the tip went to {x}, {y}"
    return ""


def _exact(rig: Rig, command: Command, got: Any) -> str:
    """What was accepted arrived unchanged, to the converter's resolution."""
    wanted = command.waveform.voltage
    volts = np.array(got.voltage)
    if rig.name.startswith("source-meter"):
        # Off before, the first level set with the output, then each sample, then off twice.
        at = len(volts) - len(wanted) - 1
        if at < 1 or volts[at - 1] != volts[at] or volts[: at - 1].any() or volts[-1] != 0.0:
            return f"another order of voltages arrived: {volts.tolist()}"
        volts = volts[at:-1]
    if rig.name in ("asylum", "aespm"):  # the fake records the turning points
        wanted = np.interp([0, 0.25, 0.5, 0.75, 1], np.linspace(0, 1, len(wanted)), wanted)
    if volts.shape != wanted.shape:
        return f"{volts.shape} samples arrived for {wanted.shape}"
    # Six digits are written to a source-meter; its converter has five.
    allowed = rig.tolerance + 1e-5 * np.abs(wanted) * rig.name.startswith("source-meter")
    if (np.abs(volts - wanted) > allowed).any():
        return f"{volts.tolist()} arrived for {wanted.tolist()}"
    step = float(np.diff(command.waveform.time).min())
    if rig.name in ("asylum", "aespm"):
        step = command.waveform.duration
    if got.step_s is not None and not math.isclose(got.step_s, step, rel_tol=1e-6):
        return f"a step of {got.step_s} s arrived for {step} s"
    place = rig.scan.position(Site(*command.site))
    # Igor's volts are written with six decimals: 3 pm.
    if [p for p in got.places if math.dist(p, place) > 1e-11] or len(got.places) != 1:
        return f"the tip went to {got.places} for {place}"
    return ""


@nothing_lost
def test_commands_beyond_a_limit_never_arrive(size: Size) -> list[Tally]:
    """Commands around every limit, through every adapter."""
    tallies = []
    for name, make in RIGS.items():
        slow = name in ("asylum", "aespm", "source-meter 2400", "source-meter 2600")
        cases = times(size, short=25 if slow else 120, long=11_200)
        with make() as rig:
            lost, became = _generated(rig, cases)
        text = ", ".join(f"{n} {what}" for what, n in sorted(became.items()))
        tallies.append(tally(f"commands to {name}", cases, lost, text))
    return tallies


def _generated(rig: Rig, cases: int) -> tuple[list[str], dict[str, int]]:
    lost: list[str] = []
    became: dict[str, int] = {}

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(genes=_GENES)
    def one(genes: dict[str, Any]) -> None:
        asked = command(rig, genes)
        try:
            found, what = became_of(rig, asked)
        except Exception as error:  # noqa: BLE001 -- whatever else comes out is what is looked for
            found, what = f"{type(error).__name__}: {error}", "broken"
        became[what] = became.get(what, 0) + 1
        if found:
            lost.append(f"{found} ({asked}: {asked.waveform.voltage}, {asked.waveform.time})")

    one()
    return lost, became


_BAD: dict[str, Callable[[], object]] = {
    "NaN": lambda: Waveform(voltage=[0, math.nan], time=[0, 1]),
    "infinity": lambda: Waveform(voltage=[0, math.inf], time=[0, 1]),
    "infinite time": lambda: Waveform(voltage=[0, 1], time=[0, math.inf]),
    "empty": lambda: Waveform(voltage=[], time=[]),
    "one sample": lambda: Waveform(voltage=[0], time=[0]),
    "scalars": lambda: Waveform(voltage=1.0, time=1.0),
    "two rows": lambda: Waveform(voltage=np.zeros((2, 2)), time=np.zeros((2, 2))),
    "ragged": lambda: Waveform(voltage=[[0, 1], [2]], time=[0, 1]),
    "complex": lambda: Waveform(voltage=np.array([0, 1j]), time=[0, 1]),
    "text": lambda: Waveform(voltage=["0", "1"], time=[0, 1]),
    "objects": lambda: Waveform(voltage=np.array([0, None]), time=[0, 1]),
    "truth values": lambda: Waveform(voltage=[False, True], time=[0, 1]),
    "dates": lambda: Waveform(voltage=[0, 1], time=np.array(["2020", "2021"], "M8[Y]")),
    "other lengths": lambda: Waveform(voltage=[0, 1, 2], time=[0, 1]),
    "time back": lambda: Waveform(voltage=[0, 1], time=[1, 0]),
    "time still": lambda: Waveform(voltage=[0, 1], time=[0, 0]),
    "time of one number": lambda: Waveform(voltage=[0, 1], time=[1e308, 1e308]),
    "huge integers": lambda: Waveform(voltage=[0, 10**400], time=[0, 1]),
    "too many samples": lambda: Waveform.triangle(1.0, 10**12 + 1),
    "too many levels": lambda: Waveform.pulses([1.0] * 10, samples=10**9),
    "too small a step": lambda: Waveform.forc(1.0, step=1e-300),
    "an infinite peak": lambda: Waveform.triangle(math.inf),
    "an endless sweep": lambda: Waveform.triangle(1.0, 5, math.inf),
}
_BAD_SITES: tuple[object, ...] = (
    *((0.0, 0), (0, 1.5), (0,), (0, 0, 0), (), None, 3, "ab", ("0", "0"), (math.nan, 0)),
    *((True, 0), (None, None), np.array([0.0, 0.0]), (-1, 0), (0, 10**30), {0: 1, 1: 2}),
)


@nothing_lost
def test_waveforms_sites_and_light_that_are_none_are_refused(size: Size) -> list[Tally]:
    """Waveforms and sites that are none: each is an error of ours before anything is issued."""
    lost = []
    for name, make_bad in _BAD.items():
        try:
            make_bad()
            lost.append(f"{name} was taken")
        except ConfigError:
            continue
        except Exception as error:  # noqa: BLE001
            lost.append(f"{name}: {type(error).__name__}: {error}")
    tallies = [tally("waveforms that are none", len(_BAD), lost)]
    for name, make in RIGS.items():
        wrong = []
        with make() as rig:
            rig.clear()
            guard = Guard(rig.microscope, Limits(), scan=rig.scan)
            rig.clear()
            for site in _BAD_SITES:
                try:
                    guard.measure(site, Waveform.triangle(0.1, 5, 0.01))  # type: ignore[arg-type]
                    wrong.append(f"{site!r} was taken")
                except LimitError:
                    pass
                except GrainscoutError as error:
                    wrong.append(f"{site!r} was not refused by the guard: {error}")
                except Exception as error:  # noqa: BLE001
                    wrong.append(f"{site!r}: {type(error).__name__}: {error}")
            if rig.arrived().voltage or rig.arrived().places:
                wrong.append("something arrived")
            wrong += _odd_light(rig)
        tried = len(_BAD_SITES) + len(_LIGHT)
        tallies.append(tally(f"odd sites and light, {name}", tried, wrong))
    return tallies


_LIGHT = (0.0, -0.0, 0.5, 1.0, 1.0 + 1e-6, 2.0, -1e-300, -1.0, 1e308, math.inf, -math.inf, math.nan)


def _odd_light(rig: Rig) -> list[str]:
    """Light within its limit arrives as it is, or is refused by a microscope that has none."""
    wrong = []
    for suns in _LIGHT:
        rig.clear()
        guard = Guard(rig.microscope, Limits(), scan=rig.scan)
        try:
            guard.light(suns)
        except GrainscoutError:
            if rig.light and 0.0 <= suns <= 1.0:
                wrong.append(f"light {suns} was refused")
            continue
        arrived = rig.arrived().light
        if not 0.0 <= suns <= 1.0 + 1e-9 or (rig.light and arrived != suns):
            wrong.append(f"light {arrived} for {suns}")
        guard.light(0.0)
    return wrong
