"""The guard: nothing beyond a limit is issued, and the tip ends up safe."""

import contextlib
import math

import numpy as np
import pytest
from bare import SCAN, TRIANGLE, BareMicroscope
from hypothesis import given, settings
from hypothesis import strategies as st

from grainscout.hardware import (
    Command,
    Guard,
    Limits,
    SimulatedClock,
    SimulatedMicroscope,
    SupportsState,
    SupportsWear,
)
from grainscout.records import CostModel, IVCurve, LimitError, MicroscopeError, Site, Waveform
from grainscout.records.supports import supports
from grainscout.simulator import Film, FilmSpec


@pytest.mark.parametrize(
    ("limits", "broken", "excess"),
    [
        (Limits(voltage_V=1.2), "voltage_V", 0.3),
        (Limits(slew_V_per_s=2.0), "slew_V_per_s", 1.0),
        (Limits(dwell_s=0.4), "dwell_s", 0.6),
        (Limits(frame_m=(1.0e-6, 2.0e-6, 1.015e-6, 3e-6)), "frame_m", 5e-9),
        (Limits(frame_m=(1.0e-6, 2.05e-6, 2e-6, 3e-6)), "frame_m", 1e-8),
        (Limits(total_s=0.7), "total_s", None),
    ],
)
def test_a_measurement_beyond_a_limit_is_refused_before_anything_is_issued(limits, broken, excess):
    inner = BareMicroscope()
    guard = Guard(inner, limits, scan=SCAN)
    found = guard.check(Site(2, 2), TRIANGLE)
    assert [v.limit for v in found] == [broken]
    if excess is not None:
        assert found[0].excess == pytest.approx(excess, rel=1e-6, abs=0.0)
    with pytest.raises(LimitError, match=broken) as refusal:
        guard.measure(Site(2, 2), TRIANGLE)
    assert f"{found[0].excess:.3g}" in str(refusal.value)
    assert inner.steps == []
    assert inner.clock.now() == 0.0
    assert [(c.name, c.status) for c in guard.log] == [("measure", "refused")]


def test_the_number_of_measurements_is_limited_and_failed_ones_count():
    inner = BareMicroscope(fail_at=1, error=MicroscopeError("no surface"))
    guard = Guard(inner, Limits(curves=2), scan=SCAN)
    with pytest.raises(MicroscopeError):
        guard.measure(Site(0, 0), TRIANGLE)
    guard.measure(Site(0, 0), TRIANGLE)
    with pytest.raises(LimitError, match="curves"):
        guard.measure(Site(0, 0), TRIANGLE)


def test_expected_travel_counts_towards_the_time_limit():
    inner = BareMicroscope()
    inner.cost = CostModel(speed=1e-9, settle=0.0, overhead=0.0)
    guard = Guard(inner, Limits(total_s=30.0), scan=SCAN)
    guard.measure(Site(0, 0), TRIANGLE)
    assert guard.check(Site(0, 1), TRIANGLE) == []  # 10 nm: 10 s
    found = guard.check(Site(0, 4), TRIANGLE)  # 40 nm: 40 s
    assert found[0].limit == "total_s"
    assert found[0].value == pytest.approx(1.0 + 40.0 + 1.0)


def test_no_image_is_begun_once_the_time_is_up():
    guard = Guard(inner := BareMicroscope(), Limits(total_s=10.0))
    guard.scan()
    inner.clock.spend(11.0)
    with pytest.raises(LimitError, match="total_s"):
        guard.scan()
    assert inner.steps == ["engage for the scan", "scan"]


def test_a_guard_in_front_of_a_guard_keeps_both_limits():
    film = Film.generate(FilmSpec(rows=32, columns=32), 1)
    bare = SimulatedMicroscope(film, "quiet", seed=np.random.SeedSequence(5))
    inner = Guard(bare, Limits(voltage_V=1.0))
    outer = Guard(inner, Limits(dwell_s=0.5))
    assert supports(outer, SupportsState)
    assert supports(outer, SupportsWear)
    outer.measure(Site(0, 0), Waveform.triangle(0.9, 51, 0.4))
    for waveform, limit in (
        (Waveform.triangle(1.1, 51, 0.4), "voltage_V"),
        (Waveform.triangle(0.9, 51, 0.6), "dwell_s"),
    ):
        with pytest.raises(LimitError, match=limit):
            outer.measure(Site(0, 0), waveform)


def test_light_and_its_limit():
    guard = Guard(inner := BareMicroscope(), Limits(light_suns=0.2))
    guard.light(0.1)
    for suns in (0.3, math.nan):
        with pytest.raises(LimitError, match="light_suns"):
            guard.light(suns)
    assert inner.steps == ["light"]


def test_sites_off_the_scan_and_unknown_positions_are_refused():
    guard = Guard(BareMicroscope(), Limits(), scan=SCAN)
    for site in (Site(4, 0), Site(0, 5), Site(-1, 0)):
        with pytest.raises(LimitError, match="4 rows x 5 columns"):
            guard.measure(site, TRIANGLE)
    with pytest.raises(LimitError, match="take a scan first"):
        Guard(BareMicroscope(), Limits(frame_m=(0, 0, 1, 1))).measure(Site(0, 0), TRIANGLE)


def test_a_current_beyond_its_limit_flags_a_curve_and_ends_a_run_when_it_repeats():
    inner = BareMicroscope()
    inner.current = 3e-9
    guard = Guard(inner, Limits(current_A=2e-9), scan=SCAN)
    for current, flagged in ((3e-9, True), (3e-9, True), (1e-9, False), (3e-9, True), (3e-9, True)):
        inner.current = current
        curve = guard.measure(Site(0, 0), TRIANGLE)
        assert curve.saturated.all() == curve.saturated.any() == flagged
        assert not (flagged and inner.engaged)
    with pytest.raises(LimitError, match=r"3 curves in a row: .* 2e-09 A; got 3e-09 A"):
        guard.measure(Site(0, 0), TRIANGLE)
    assert (inner.bias, inner.engaged) == (0.0, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: (c.voltage[:-1], c.current[:-1], c.time[:-1]), "must have 51 samples; got 50"),
        (lambda c: (c.voltage * math.nan, c.current, c.time), "finite voltages"),
        (lambda c: (c.voltage, c.current + 9.91e37, c.time), r"got 9.91e\+37 A.*overflow code"),
        (lambda c: (c.voltage, c.current + math.inf, c.time), "got inf A"),
    ],
)
def test_an_answer_that_is_not_one_to_the_command_is_an_error(change, message):
    class Odd(BareMicroscope):
        def measure(self, site: Site, waveform: Waveform) -> IVCurve:
            curve = super().measure(site, waveform)
            voltage, current, seconds = change(curve)
            return IVCurve(voltage=voltage, current=current, time=seconds)

    inner = Odd()
    with pytest.raises(MicroscopeError, match=message):
        Guard(inner, scan=SCAN).measure(Site(0, 0), TRIANGLE)
    assert (inner.bias, inner.engaged) == (0.0, False)


def test_a_clock_that_runs_back_is_an_error():
    class Jumping(BareMicroscope):
        def measure(self, site: Site, waveform: Waveform) -> IVCurve:
            curve = super().measure(site, waveform)
            self.clock = SimulatedClock()
            return curve

    inner = Jumping()
    inner.clock.spend(10.0)
    with pytest.raises(MicroscopeError, match="ran back by 10 s"):
        Guard(inner, scan=SCAN).measure(Site(0, 0), TRIANGLE)


@given(
    commands=st.lists(
        st.sampled_from(["scan", "measure", "light", "park"]), min_size=1, max_size=6
    ),
    fail_at=st.integers(0, 25),
    error=st.sampled_from(
        [MicroscopeError("x"), ValueError("x"), KeyboardInterrupt(), SystemExit(3), OSError("x")]
    ),
)
@settings(max_examples=150, deadline=None)
def test_whatever_fails_the_tip_is_withdrawn_at_zero_volts(commands, fail_at, error):
    inner = BareMicroscope(fail_at, error)
    guard = Guard(inner, Limits(), scan=SCAN)
    act = {
        "scan": guard.scan,
        "measure": lambda: guard.measure(Site(1, 1), TRIANGLE),
        "light": lambda: guard.light(0.1),
        "park": guard.park,
    }
    for name in commands:
        failed = False
        try:
            act[name]()
        except type(error):
            failed = True
        if failed:
            assert (inner.bias, inner.engaged) == (0.0, False)
            assert [c.status for c in list(guard.log)[-3:]] == ["issued", "failed", "issued"]
            assert guard.log[-1].name == "park"


def test_a_failing_log_neither_hides_the_command_nor_prevents_parking():
    inner = BareMicroscope()
    inner.bias, inner.engaged = 1.0, True

    def full_disk(command: Command) -> None:
        raise OSError("disk full")

    guard = Guard(inner, Limits(), scan=SCAN, on_command=full_disk)
    with pytest.raises(OSError, match="disk full"):
        guard.measure(Site(0, 0), TRIANGLE)
    assert inner.steps == []
    assert (inner.bias, inner.engaged) == (0.0, False)


def test_parking_that_fails_says_what_to_do():
    class Stuck(BareMicroscope):
        def park(self) -> None:
            raise OSError("no answer")

    guard = Guard(Stuck(), Limits())
    with pytest.raises(MicroscopeError, match=r"PARKING FAILED \(no answer\).*by hand"):
        guard.park()
    assert [c.status for c in guard.log] == ["issued", "failed", "failed"]


@pytest.mark.parametrize("full", [False, True])
def test_parking_is_tried_twice(full):
    class Once(BareMicroscope):
        tries = 0

        def park(self) -> None:
            self.tries += 1
            if self.tries == 1:
                raise OSError("no answer")
            super().park()

    def disk(command: Command) -> None:
        if full and command.status == "failed":
            raise OSError("disk full")

    inner = Once()
    inner.bias, inner.engaged = 1.0, True
    with contextlib.suppress(OSError):
        Guard(inner, Limits(), on_command=disk).park()
    assert (inner.bias, inner.engaged, inner.tries) == (0.0, False, 2)
