"""The guard's log, dry runs, and what passes through it."""

import json
import math

import numpy as np
import pytest
from bare import SCAN, TRIANGLE, BareMicroscope

from grainscout.hardware import (
    Command,
    Guard,
    Limits,
    SimulatedMicroscope,
    SupportsFaults,
    SupportsState,
    SupportsWear,
    command_file,
)
from grainscout.hardware.guard import LOG_LINES
from grainscout.records import (
    ConfigError,
    IVCurve,
    LimitError,
    MicroscopeError,
    Site,
    Waveform,
    pack,
    unpack,
)
from grainscout.records.supports import supports
from grainscout.simulator import Film, FilmSpec


def test_the_log_has_every_command_in_order_with_its_time():
    inner = BareMicroscope()
    seen: list[Command] = []
    with Guard(inner, Limits(voltage_V=1.5), on_command=seen.append) as guard:
        guard.scan()
        guard.measure(Site(1, 2), TRIANGLE)
        with pytest.raises(LimitError):
            guard.measure(Site(1, 2), Waveform.triangle(1.6, 51))
        guard.light(0.1)
    assert [(c.name, c.status) for c in guard.log] == [
        ("scan", "issued"),
        ("measure", "issued"),
        ("measure", "refused"),
        ("light", "issued"),
        ("park", "issued"),
    ]
    assert seen == list(guard.log)
    assert [c.time_s for c in guard.log] == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert guard.log[1].arguments["row"] == 1
    assert "peak_V=1.5" in str(guard.log[1])


def test_the_log_in_memory_does_not_grow_without_end_and_the_listener_misses_nothing():
    seen: list[Command] = []
    guard = Guard(BareMicroscope(), Limits(), on_command=seen.append)
    for k in range(LOG_LINES + 7):
        guard.light(0.1 * (k % 2))
    assert len(seen) == LOG_LINES + 7
    assert list(guard.log) == seen[7:]


def test_the_log_is_on_file_before_its_command_is_issued(tmp_path):
    path = tmp_path / "commands.jsonl"

    class Curious(BareMicroscope):
        seen = ""

        def measure(self, site: Site, waveform: Waveform) -> IVCurve:
            self.seen = path.read_text()
            return super().measure(site, waveform)

    inner = Curious(fail_at=0, error=MicroscopeError("no surface"))
    guard = Guard(inner, Limits(voltage_V=1.5), scan=SCAN, on_command=command_file(path))
    with pytest.raises(MicroscopeError):
        guard.measure(Site(1, 2), TRIANGLE)
    with pytest.raises(LimitError):
        guard.measure(Site(1, 2), Waveform.triangle(1.6, 51))
    assert '"status": "issued"' in inner.seen
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(x["name"], x["status"]) for x in lines] == [
        ("measure", "issued"),
        ("measure", "failed"),
        ("park", "issued"),
        ("measure", "refused"),
    ]
    assert lines[0]["arguments"]["column"] == 2
    assert [Command(**x) for x in lines] == list(guard.log)
    with pytest.raises(ConfigError, match="command log must be a file"):
        command_file(tmp_path / "nowhere" / "commands.jsonl")


def test_a_dry_run_issues_nothing_and_checks_everything():
    inner = BareMicroscope()
    with Guard(inner, Limits(total_s=3.0, curves=5), dry_run=True, scan=SCAN) as guard:
        assert guard.scan() is SCAN
        curve = guard.measure(Site(0, 0), TRIANGLE)
        assert np.isnan(curve.current).all()
        assert np.array_equal(curve.voltage, TRIANGLE.voltage)
        assert guard.clock.now() == pytest.approx(inner.cost.seconds(0.0) + 0.5)
        guard.light(0.1)
        with pytest.raises(LimitError, match="voltage_V"):
            guard.measure(Site(0, 0), Waveform.triangle(50.0, 51, 10.0))
        guard.measure(Site(0, 0), TRIANGLE)
        with pytest.raises(LimitError, match="total_s"):
            guard.measure(Site(0, 0), TRIANGLE)
    assert inner.steps == []
    assert inner.clock.now() == 0.0
    assert {c.status for c in guard.log} == {"planned", "refused"}
    with pytest.raises(MicroscopeError, match="dry run takes no image"):
        Guard(inner, Limits(), dry_run=True).scan()


def test_capabilities_pass_through_and_only_where_they_exist():
    bare = Guard(BareMicroscope())
    assert not supports(bare, SupportsState)
    assert not supports(bare, SupportsWear)
    assert not supports(bare, SupportsFaults)
    with pytest.raises(MicroscopeError, match="needs a microscope that SupportsWear; Bare"):
        bare.wear()
    film = Film.generate(FilmSpec(rows=32, columns=32), 1)
    seed = np.random.SeedSequence(5)
    guard = Guard(SimulatedMicroscope(film, "reference", seed=seed))
    assert supports(guard, SupportsState)
    assert supports(guard, SupportsWear)
    assert guard.wear() == 0.0


def test_a_guarded_microscope_resumes_with_its_count_its_frame_and_its_clock():
    film = Film.generate(FilmSpec(rows=32, columns=32), 1)

    def guarded() -> Guard:
        inner = SimulatedMicroscope(film, "reference", seed=np.random.SeedSequence(5))
        return Guard(inner, Limits(curves=3, frame_m=(0.0, 0.0, 1e-6, 1e-6)))

    first = guarded()
    first.scan()
    first.measure(Site(3, 4), TRIANGLE)
    second = guarded()
    second.restore(unpack(pack(first.state())))
    for guard in (first, second):
        guard.measure(Site(3, 4), TRIANGLE)
    one, two = (g.measure(Site(9, 4), TRIANGLE) for g in (first, second))
    assert np.array_equal(one.current, two.current)
    assert first.clock.now() == second.clock.now()
    with pytest.raises(LimitError, match="curves"):
        second.measure(Site(0, 0), TRIANGLE)
    assert pack(second.state()) == pack(first.state())


@pytest.mark.parametrize(
    "bad",
    [
        {"voltage_V": 0.0},
        {"slew_V_per_s": -1.0},
        {"dwell_s": math.nan},
        {"curves": True},
        {"frame_m": (0.0, 0.0, 0.0, 1.0)},
        {"frame_m": (0.0, 0.0, 1.0)},
        {"frame_m": (0.0, 0.0, math.inf, 1.0)},
    ],
)
def test_limits_that_make_no_sense_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Limits(**bad)
