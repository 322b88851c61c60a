"""The simulated microscope: clock, visits, failures, resume; all through the public protocol."""

import math

import numpy as np
import pytest

from grainscout.hardware import (
    Guard,
    RealClock,
    SimulatedClock,
    SimulatedMicroscope,
    SupportsFaults,
    make_microscope,
)
from grainscout.records import ConfigError, DataError, MicroscopeError, Site, Waveform, pack, unpack
from grainscout.records.supports import supports
from grainscout.simulator import Film, FilmSpec
from grainscout.simulator.instrument import FAULT_LADDERS, INSTRUMENTS

SEED = np.random.SeedSequence(31)
TRIANGLE = Waveform.triangle(1.5, 51, 0.7)


@pytest.fixture(scope="module")
def film() -> Film:
    return Film.generate(FilmSpec(rows=32, columns=40), 4)


def opened(film: Film, spec: str = "reference", **settings: object) -> SimulatedMicroscope:
    return SimulatedMicroscope(film, spec, seed=SEED, **settings)


def walk(microscope: SimulatedMicroscope, count: int, start: int = 0) -> list[bytes]:
    """What a run of measurements gave, failures and lamp switches included, as bytes."""
    found = []
    for i in range(start, start + count):
        if i % 7 == 3:
            microscope.light(0.05 * (i % 3))
        try:
            curve = microscope.measure(Site(5 * i % 32, 3 * (i // 2) % 40), TRIANGLE)
            found.append(curve.current.tobytes() + curve.saturated.tobytes())
        except MicroscopeError as error:
            found.append(str(error).encode())
            microscope.park()
        if i % 11 == 10:
            found.append(microscope.scan().height.tobytes())
        found.append(f"{microscope.clock.now()!r} {microscope.wear()!r}".encode())
    return found


def test_the_clock_is_charged_for_travel_settling_sweep_and_images(film):
    microscope = opened(film, "quiet")
    motion = INSTRUMENTS["quiet"].motion
    fixed = motion.overhead_s + motion.settle_s + TRIANGLE.duration
    microscope.measure(Site(0, 0), TRIANGLE)
    assert microscope.clock.now() == pytest.approx(fixed)
    microscope.measure(Site(3, 4), TRIANGLE)  # 5 pixels of 20 nm
    assert microscope.clock.now() == pytest.approx(2 * fixed + 100e-9 / motion.speed_m_per_s)
    microscope.clock.spend(2.5)
    before = microscope.clock.now()
    microscope.scan()
    assert microscope.clock.now() - before == pytest.approx(32 * motion.line_s)


def test_the_cost_model_predicts_the_clock(film):
    microscope = opened(film, "quiet")
    sweep = Waveform.triangle(1.5, 51, 1.0)  # the cost model is for a 1 s sweep
    microscope.measure(Site(2, 2), sweep)
    for site, pixels in ((Site(2, 12), 10), (Site(14, 12), 12)):
        before = microscope.clock.now()
        microscope.measure(site, sweep)
        expected = microscope.cost.seconds(pixels * 20e-9)
        assert microscope.clock.now() - before == pytest.approx(expected)


@pytest.mark.parametrize("spec", ["quiet", "reference", "all-severe"])
@pytest.mark.parametrize("cut", [1, 9, 20])
def test_a_restored_microscope_continues_bit_for_bit(film, spec, cut):
    whole = walk(opened(film, spec, light=0.1), 30)
    first = opened(film, spec, light=0.1)
    begun = walk(first, cut)
    second = opened(film, spec, light=0.1)
    walk(second, 4)  # whatever it did before, the state decides
    second.restore(unpack(pack(first.state())))
    assert begun + walk(second, 30 - cut, cut) == whole
    walk(first, 30 - cut, cut)
    assert pack(second.state()) == pack(first.state())
    assert second.instrument.events == first.instrument.events
    assert second.instrument.path == first.instrument.path


@pytest.mark.parametrize(
    "waveform",
    [
        Waveform.forc(1.5, branches=4),
        Waveform.pulses([0.5, 1.2, -0.8], width=0.05, rest=0.05),
        Waveform.bipolar(1.2, 101, 1.0),
        Waveform.constant(-1.5, 0.01),
    ],
    ids=lambda w: w.kind,
)
def test_every_kind_of_waveform_can_be_applied(film, waveform):
    true = film.curves(np.array([[9, 9]]), waveform, light=0.1)[0][0]
    ideal = opened(film, "ideal", light=0.1).measure(Site(9, 9), waveform)
    assert np.array_equal(ideal.current, true)
    microscope = opened(film, "quiet", light=0.1)
    real = microscope.measure(Site(9, 9), waveform)
    slow = np.abs(np.gradient(true, waveform.time)) < 1e-9  # A/s; steps meet the bandwidth
    assert np.abs(real.current - true)[slow].max() < 5e-12
    travel = np.hypot(9, 9) * 20e-9 / 1e-6
    assert microscope.clock.now() == pytest.approx(0.15 + waveform.duration + travel)


def test_two_policies_meet_the_same_noise_in_whatever_order_they_come(film):
    # Without memory, wear or drift nothing depends on history: curves are equal bit for bit.
    sites = [Site(r, c) for r in (3, 17, 30) for c in (2, 21)]
    plan = [*sites, *sites]
    ahead, back = opened(film, "noise-severe"), opened(film, "noise-severe")
    relaxed = 1e4
    found: dict[tuple[int, Site, int], np.ndarray] = {}
    for who, (microscope, order) in enumerate(((ahead, plan), (back, plan[::-1]))):
        visits: dict[Site, int] = {}
        for site in order:
            microscope.clock.spend(relaxed)
            visit = visits[site] = visits.get(site, -1) + 1
            found[who, site, visit] = microscope.measure(site, TRIANGLE).current
    for site in sites:
        for visit in (0, 1):
            assert np.allclose(found[0, site, visit], found[1, site, visit], rtol=0, atol=1e-16)
        assert not np.allclose(found[0, site, 0], found[0, site, 1], rtol=0, atol=1e-13)


def test_a_failed_landing_is_an_error_that_leaves_the_tip_where_it_is(film):
    microscope = opened(film, "approach-severe")
    approach = FAULT_LADDERS["approach-severe"].approach
    assert approach is not None
    visit = 0
    while not opened(film, "approach-severe").instrument.land(Site(8, 8), visit, 0.0).failure:
        visit += 1
    for _ in range(visit):
        microscope.measure(Site(8, 8), TRIANGLE)
    before = microscope.clock.now()
    with pytest.raises(MicroscopeError, match="row 8, column 8 found no surface in 10 s"):
        microscope.measure(Site(8, 8), TRIANGLE)
    assert microscope.engaged
    assert microscope.clock.now() - before >= approach.timeout_s
    microscope.park()
    assert not microscope.engaged
    # The next attempt is another visit and has its own luck.
    outcomes = []
    for _ in range(10):
        try:
            microscope.measure(Site(8, 8), TRIANGLE)
            outcomes.append(True)
        except MicroscopeError:
            outcomes.append(False)
    assert any(outcomes)


def test_channels_are_those_it_was_given(film):
    microscope = opened(film, channels=("height",))
    assert microscope.capabilities.channels == ("height",)
    with pytest.raises(DataError, match="some of height"):
        microscope.scan(("current",))
    both = opened(film, channels=("height", "current")).scan(("current",))
    assert list(both.channels) == ["current"]
    with pytest.raises(ConfigError, match="phase"):
        opened(film, channels=("phase",))


def test_the_commanded_sites_geometry_is_the_scans(film):
    microscope = opened(film, "ideal")
    scan = microscope.scan()
    assert np.array_equal(scan.height, film.scan().height)
    assert scan.position(Site(2, 5)) == pytest.approx((100e-9, 40e-9), abs=0.0)


def test_settings_that_make_no_sense_are_refused(film):
    with pytest.raises(ConfigError, match="instrument must be one of"):
        opened(film, "perfect")
    with pytest.raises(ConfigError, match=r"light .*>= 0 suns; got -1"):
        opened(film, light=-1.0)
    microscope = opened(film)
    for light in (-0.1, math.nan, math.inf):
        with pytest.raises(ConfigError, match="suns"):
            microscope.light(light)
    with pytest.raises(ConfigError, match="> 0 A"):
        microscope.limit_current(0.0)


def test_faults_are_reported_as_plain_values_through_the_guard(film):
    guard = Guard(opened(film, "contact-severe", light=0.1))
    assert supports(guard, SupportsFaults)
    for column in range(12):
        guard.measure(Site(4, column), TRIANGLE)
    faults = guard.faults()
    assert {f["kind"] for f in faults} == {"contact_lost"}
    assert [f["time_s"] for f in faults] == sorted(f["time_s"] for f in faults)
    assert all(f["detail"]["site"][0] == 4 for f in faults)
    assert unpack(pack({"faults": faults}))["faults"] == faults


def test_clocks():
    clock = SimulatedClock(5.0)
    clock.spend(1.5)
    assert clock.now() == 6.5
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match=">= 0 s"):
            clock.spend(wrong)
    real = RealClock(100.0)
    first = real.now()
    real.spend(1e6)
    assert 100.0 <= first <= real.now() < 1e5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stm", {}, "microscope must be one of .*simulated.*got 'stm'"),
        (
            "simulated",
            {"flim": "tiny"},
            r"no option 'flim' \(closest: 'film'\); its options are: film = ",
        ),
        ("simulated", {"film": "nowhere.h5"}, "preset .* or the path of a saved film"),
        ("replay", {}, "must be given path"),
    ],
)
def test_unknown_names_and_options_are_named(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_microscope(name, options)
