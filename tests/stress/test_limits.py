"""Commands and waveforms through every adapter: what arrives is what was allowed, and all of it."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rig import Rig
from rigs_limits import RIGS

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

    rig: Rig = field(repr=False)
    limits: Limits
    measured: int  # measurements before it
    site: tuple[int, int]
    waveform: Waveform


#: Factors of a limit: mostly within, at it on either side, and far away.
_FACTORS = (
    *(0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.0, 0.2, 0.4, 0.6, 0.8, 0.05),
    *(1 + s * e for s in (1, -1) for e in (1e-12, 1e-8, 1e-6, 1e-3, 5e-3)),
    *(0.0, 5e-324, 1e-310, 1e-12, 1.5, 1e3, 1e30, 1e308),
)
_FACTOR = st.sampled_from(_FACTORS) | st.floats(0.0, 1.0)
_SIGN = st.sampled_from((1.0, -1.0))
_LEVEL = st.tuples(st.sampled_from((1.0, -1.0, 0.0, -0.0, 1 / 3)) | st.floats(-1.0, 1.0), _SIGN)
_ONE_OF = {
    "volts": (0.5, 1.0, 2.0, 10.0),
    "dwell": (1e-3, 5e-3),
    "slew": (500.0, 1e4, 1e5),
    "frame": (None, None, 0.0, 0.3),
    "curves": (None, None, None, 1, 3),
    "total": (None, None, None, None, 1e12, 1e12, 1e-9),
    "current": (None, None, None, 1e-3, 1e-3, 1e-15),
    "off": ((0,) * 12 + (1, 2, 3, 4)),
    "at_slew": (None, None, None, 1.0, 0.5, 1 - 1e-7, 1 + 1e-7, 1.5),
    "count": (3, 5, 9),
}
#: All draws of a command at once: made here, they are checked once.
_GENES = st.fixed_dictionaries(
    {
        **{name: st.sampled_from(values) for name, values in _ONE_OF.items()},
        "bounded": st.tuples(st.integers(0, 3), st.integers(0, 3)),
        "measured": st.integers(0, 3),
        "site": st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
        "peak": st.tuples(st.sampled_from(_FACTORS), _SIGN),
        "duration": st.sampled_from((0.5, 0.5, 0.25)) | _FACTOR,
        "kind": st.integers(0, 9),
        "levels": st.lists(_LEVEL, min_size=9, max_size=9),
        "steps": st.lists(st.sampled_from((0.5, 1.0, 3.0)), min_size=9, max_size=9),
    }
)


def command(rig, genes):
    """A command whose numbers lie around its limits."""
    frame, (rows, columns) = None, rig.scan.shape
    if genes["frame"] is not None:
        places = rig.scan.positions(np.argwhere(np.ones(rig.scan.shape, bool)))
        low, high = places.min(axis=0), places.max(axis=0)
        frame = (*(low + (high - low) * genes["frame"]).tolist(), *high.tolist())
    limits = Limits(
        voltage_V=genes["volts"] if genes["bounded"][0] else None,
        slew_V_per_s=genes["slew"] if genes["bounded"][1] else None,
        dwell_s=genes["dwell"],
        frame_m=frame,
        curves=genes["curves"],
        total_s=genes["total"],
        current_A=genes["current"],
    )
    far = {1: (-1, 0), 2: (rows, 0), 3: (0, columns), 4: (2**40, -(2**40))}
    site = far.get(genes["off"], (genes["site"][0] % rows, genes["site"][1] % columns))
    wave, measured = _waveform(rig, genes), genes["measured"]
    return Command(rig=rig, limits=limits, measured=measured, site=site, waveform=wave)


def _waveform(rig, genes):
    """A sweep that the adapter can apply, mostly; a rest if the numbers make none."""
    if rig.waveforms == "recorded" and genes["kind"] < 8:
        return rig.microscope.capabilities.waveform
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
        return Waveform(voltage=[a * b * peak for a, b in genes["levels"][:count]], time=clock)
    except ConfigError:
        return Waveform.constant(0.0, 1e-3)


def expected(asked):
    """The limits that it breaks, from the samples themselves."""
    limits, able, rig = asked.limits, asked.rig.microscope.capabilities, asked.rig
    volts, clock = asked.waveform.voltage.tolist(), asked.waveform.time.tolist()
    if not rig.scan.contains(Site(*asked.site)):
        return {"site"}

    def above(value, limit):
        return limit is not None and not value <= limit * (1 + _SLACK / 2)

    # From rest to the first sample and from the last one to rest, each in one sample's time.
    rising, steps = pairwise([0.0, *volts, 0.0]), [b - a for a, b in pairwise(clock)]
    rates = [
        able.slew_factor * (abs(b - a) / min(s, able.rise_s or s))
        for (a, b), s in zip(rising, [steps[0], *steps, steps[-1]], strict=True)
    ]
    x, y = rig.scan.position(Site(*asked.site))
    x0, y0, x1, y1 = limits.frame_m or (x, y, x, y)
    wide = 1e-9 * max(x1 - x0, y1 - y0)
    within = x0 - wide <= x <= x1 + wide and y0 - wide <= y <= y1 + wide
    broken = {
        "voltage_V": above(max(map(abs, volts)), limits.voltage_V),
        "slew_V_per_s": any(above(rate, limits.slew_V_per_s) for rate in rates),
        "dwell_s": above(able.exposure(asked.waveform), limits.dwell_s),
        "curves": limits.curves is not None and asked.measured >= limits.curves,
        "total_s": limits.total_s == 1e-9,
        "frame_m": not within,
    }
    return {name for name, is_broken in broken.items() if is_broken}


def became_of(asked):
    """What became of the command, and what was lost ("" if nothing)."""
    rig, broken = asked.rig, expected(asked)
    rig.clear()
    guard = Guard(rig.microscope, asked.limits, scan=rig.scan)
    guard.continue_from(asked.measured, 0.0)
    compliance, limit = rig.arrived().compliance, asked.limits.current_A
    rig.clear()
    try:
        curve = guard.measure(rig.route(Site(*asked.site)), asked.waveform)
    except LimitError as error:
        if rig.arrived().voltage or rig.arrived().places:
            return "refused", "refused, and yet something arrived"
        unnamed = [n for n in broken - {"site"} if f"beyond the limit {n}" not in str(error)]
        return "refused", "" if broken and not unnamed else f"{unnamed} not named in: {error}"
    except MicroscopeError:
        if broken or not rig.parked():
            return "failed", f"{broken} broken and issued, or not parked"
        return "failed", _beyond(asked, rig.arrived())
    if broken:
        return "accepted", f"{broken} broken and not refused"
    if compliance is not None and limit is not None and not compliance <= limit * (1 + 1e-5):
        return "accepted", f"a compliance of {compliance} A for {limit} A"
    off = np.abs(curve.voltage - asked.waveform.voltage).max()
    if not off <= 0.05 * asked.waveform.peak:
        return "accepted", f"the curve is {off} V off"
    return "accepted", _beyond(asked, rig.arrived()) or _exact(asked, rig.arrived())


def _beyond(asked, got):
    """Whatever arrived, whole or in part, lies within the limits."""
    limits = asked.limits
    top = max((abs(v) for v in got.voltage), default=0.0)
    if limits.voltage_V and top > limits.voltage_V * (1 + _SLACK) + asked.rig.tolerance:
        return f"{top} V arrived for {limits.voltage_V} V"
    if got.slew and limits.slew_V_per_s and got.slew > limits.slew_V_per_s * (1 + 1e-6):
        return f"{got.slew} V/s were allowed for {limits.slew_V_per_s} V/s"
    x0, y0, x1, y1 = limits.frame_m or (-math.inf, -math.inf, math.inf, math.inf)
    for x, y in got.places:
        if not (x0 - 1e-12 <= x <= x1 + 1e-12 and y0 - 1e-12 <= y <= y1 + 1e-12):
            return f"the tip went to {x}, {y}"
    return ""


def _exact(asked, got):
    """What was accepted arrived unchanged, to the converter's resolution."""
    wanted, volts, allowed = asked.waveform.voltage, np.array(got.voltage), asked.rig.tolerance
    step = float(np.diff(asked.waveform.time).min())
    if asked.rig.name.startswith("source-meter"):
        # Off before, the first level set with the output, then each sample, then off twice.
        at = len(volts) - len(wanted) - 1
        if at < 1 or volts[at - 1] != volts[at] or volts[: at - 1].any() or volts[-1] != 0.0:
            return f"another order of voltages arrived: {volts.tolist()}"
        volts = volts[at:-1]
        # Six digits are written to a source-meter; its converter has five.
        allowed = allowed + 1e-5 * np.abs(wanted)
    if asked.rig.name == "asylum":  # the fake records the turning points
        wanted = np.interp([0, 0.25, 0.5, 0.75, 1], np.linspace(0, 1, len(wanted)), wanted)
        step = asked.waveform.duration
    if volts.shape != wanted.shape or (np.abs(volts - wanted) > allowed).any():
        return f"{volts.tolist()} arrived for {wanted.tolist()}"
    if got.step_s is not None and not math.isclose(got.step_s, step, rel_tol=1e-6):
        return f"a step of {got.step_s} s arrived for {step} s"
    place = asked.rig.scan.position(Site(*asked.site))
    # Igor's volts are written with six decimals: 3 pm.
    if [p for p in got.places if math.dist(p, place) > 1e-11] or len(got.places) != 1:
        return f"the tip went to {got.places} for {place}"
    return ""


@pytest.mark.parametrize("name", RIGS)
def test_commands_beyond_a_limit_never_arrive(tally, times, name):
    slow = name in ("asylum", "source-meter 2400", "source-meter 2600")

    @settings(
        max_examples=times(short=25 if slow else 120, long=11_200),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(genes=_GENES)
    def one(genes):
        asked = command(rig, genes)
        try:
            what, lost = became_of(asked)
        except Exception as error:  # noqa: BLE001 -- whatever else comes out is what is looked for
            what, lost = "broken", f"{type(error).__name__}: {error}"
        tally(f"commands to {name} that are {what}", lost and f"{lost} ({asked})")

    with RIGS[name]() as rig:
        one()


_BAD_SITES = (
    *((0.0, 0), (0, 1.5), (0,), (0, 0, 0), (), None, 3, "ab", ("0", "0"), (math.nan, 0)),
    *((True, 0), (None, None), np.array([0.0, 0.0]), (-1, 0), (0, 10**30), {0: 1, 1: 2}),
)
_LIGHT = (0.0, -0.0, 0.5, 1.0, 1.0 + 1e-6, 2.0, -1e-300, -1.0, 1e308, math.inf, -math.inf, math.nan)


@pytest.mark.parametrize("name", RIGS)
def test_sites_and_light_that_are_none_are_refused(name):
    with RIGS[name]() as rig:
        guard = Guard(rig.microscope, Limits(), scan=rig.scan)
        rig.clear()
        for site in _BAD_SITES:
            with pytest.raises(LimitError):
                guard.measure(site, Waveform.triangle(0.1, 5, 0.01))
        assert not (rig.arrived().voltage)
        assert not (rig.arrived().places)
        for suns in _LIGHT:
            rig.clear()
            try:
                guard.light(suns)
            except GrainscoutError:
                assert not (rig.light and 0.0 <= suns <= 1.0)
                continue
            assert 0.0 <= suns <= 1.0 + 1e-9
            assert rig.arrived().light == (suns if rig.light else None)
            guard.light(0.0)
