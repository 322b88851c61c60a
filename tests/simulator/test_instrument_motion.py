"""Drift, creep and wear of the tip, and images."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import kstest

from grainscout.records import Site, Waveform
from grainscout.simulator import Film, FilmSpec
from grainscout.simulator.instrument import (
    INSTRUMENTS,
    CreepSpec,
    DriftSpec,
    Instrument,
    MotionSpec,
    WearSpec,
)
from grainscout.simulator.instrument.contact import in_contact, telegraph
from grainscout.simulator.instrument.drift import Creep, DriftPath, mirrored, shifted
from grainscout.simulator.instrument.wear import coating, tip_radius


def near(value: object, rel: float = 1e-9) -> object:
    """Relative closeness only: these are metres and amperes."""
    return pytest.approx(value, rel=rel, abs=0.0)


SEED = np.random.SeedSequence(23)
TRIANGLE = Waveform.triangle()
IDEAL = INSTRUMENTS["ideal"]


@pytest.fixture(scope="module")
def film() -> Film:
    return Film.generate(FilmSpec(rows=36, columns=44), 2)


def test_the_walk_has_its_variance_in_each_axis():
    spec = DriftSpec(walk_m_per_sqrt_s=1e-9, creep_m=0.0, step_s=2.0)
    ends = np.array([DriftPath(spec, np.random.SeedSequence(s)).at(400.0) for s in range(300)])
    assert ends.std(0) == near([20e-9, 20e-9], 0.13)
    assert abs(np.corrcoef(ends.T)[0, 1]) < 0.2


def test_drift_creep_dies_away():
    path = DriftPath(DriftSpec(walk_m_per_sqrt_s=0.0, creep_m=50e-9, creep_s=100.0), SEED)
    length = [float(np.hypot(*path.at(t))) for t in (0.0, 100.0, 1e4)]
    assert length == near([0.0, 50e-9 * (1 - math.exp(-1)), 50e-9])


def test_the_path_does_not_depend_on_the_queries():
    spec = DriftSpec()
    often, once, backwards = (DriftPath(spec, SEED) for _ in range(3))
    times = np.arange(0.0, 3000.0, 7.3)
    all_of_it = [often.at(float(t)) for t in times]
    assert np.array_equal(once.at(float(times[-1])), all_of_it[-1])
    assert np.array_equal([backwards.at(float(t)) for t in times[::-1]][::-1], all_of_it)


def test_a_drifted_measurement_is_of_the_pixel_that_the_log_names(film):
    drift = DriftSpec(walk_m_per_sqrt_s=3e-9, creep_m=100e-9, creep_s=50.0)
    instrument = Instrument(film, replace(IDEAL, drift=drift), SEED)
    path = DriftPath(drift, SEED)
    for visit, seconds in enumerate((0.0, 60.0, 500.0, 3000.0)):
        curve = instrument.sweep(Site(18, 20), visit, TRIANGLE, seconds)
        logged = instrument.path[-1]
        assert logged.time_s == seconds
        assert logged.site == Site(18, 20)
        assert np.allclose(logged.offset, path.at(seconds), rtol=1e-12, atol=0.0)
        expected = np.array([18, 20]) + np.rint(np.array(logged.offset) / 20e-9)
        inside = [mirrored(np.int64(i), n) for i, n in zip(expected, film.shape, strict=True)]
        assert logged.pixel == tuple(inside)
        assert np.array_equal(curve.current, film.curves(np.array([logged.pixel]), TRIANGLE)[0][0])
    assert len({v.pixel for v in instrument.path}) == 4
    assert instrument.path[0].pixel == Site(18, 20)


def test_an_image_is_displaced_line_by_line_as_the_tip_was(film):
    drift = DriftSpec(walk_m_per_sqrt_s=0.0, creep_m=200e-9, creep_s=60.0)
    still = Instrument(film, IDEAL, SEED).image(("height",), 0.0).height
    spec = replace(IDEAL, drift=drift, motion=MotionSpec(line_s=1.0))
    moving = Instrument(film, spec, SEED)
    seen = moving.image(("height",), 0.0).height
    late = moving.image(("height",), 1e5)  # all lines displaced alike, repeat 1
    direction = DriftPath(drift, SEED).at(1e5) / 20e-9
    row = 20
    part = 1 - math.exp(-(row + 0.5) / 60.0)
    at_row, at_column = row + part * direction[0], 25 + part * direction[1]
    r, c = int(at_row), int(at_column)
    corners = still[r : r + 2, c : c + 2]
    wr, wc = at_row - r, at_column - c
    bilinear = np.array([1 - wr, wr]) @ corners @ np.array([1 - wc, wc])
    assert seen[row, 25] == pytest.approx(bilinear, abs=1e-15)
    assert late.metadata["started_s"] == 1e5
    assert late.shape == film.shape


def test_shifting_by_whole_pixels_is_indexing_with_mirrors():
    image = np.arange(12.0).reshape(3, 4)
    moved = shifted(image, np.tile([[1.0, -2.0]], (3, 1)))
    assert np.array_equal(moved, image[[1, 2, 2]][:, [1, 0, 0, 1]])
    assert mirrored(np.arange(-4, 8), 4).tolist() == [3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0]


def test_after_a_move_a_part_arrives_late():
    creep = Creep(CreepSpec(per_decade=0.02, times_s=(1.0, 10.0, 100.0)))
    step = np.array([1e-6, -5e-7])
    creep.move(step, 50.0)
    assert creep.at(50.0) == near(-0.06 * step)
    assert creep.at(60.0) == near(-0.02 * step * (math.exp(-10) + math.exp(-1) + math.exp(-0.1)))
    assert np.abs(creep.at(5000.0)).max() < 1e-20


def test_creep_of_several_moves_adds_up():
    spec = CreepSpec()
    both, first, second = (Creep(spec) for _ in range(3))
    one, two = np.array([1e-6, 0.0]), np.array([-4e-7, 9e-7])
    both.move(one, 1.0)
    both.move(two, 6.0)
    first.move(one, 1.0)
    second.move(two, 6.0)
    assert both.at(9.0) == near(first.at(9.0) + second.at(9.0))


def test_creep_displaces_the_measurement_after_a_long_move(film):
    instrument = Instrument(film, replace(IDEAL, creep=CreepSpec(per_decade=0.05)), SEED)
    instrument.move(np.array([0.0, 600e-9]), 10.0)
    instrument.sweep(Site(5, 30), 0, TRIANGLE, 10.0)
    instrument.sweep(Site(5, 30), 1, TRIANGLE, 2000.0)
    # 3 x 5 % of 600 nm is 90 nm, 4.5 pixels short; in the end it arrives.
    assert instrument.path[0].offset == near((0.0, -90e-9))
    assert instrument.path[0].pixel in (Site(5, 26), Site(5, 25))
    assert instrument.path[1].pixel == Site(5, 30)


def test_the_tip_grows_blunt_as_the_formula_says():
    spec = WearSpec(radius_m=20e-9, radius_gain_m=30e-9, length_m=1e-3)
    assert tip_radius(spec, 0.0) == 20e-9
    assert tip_radius(spec, 1e-3) == near(20e-9 + 30e-9 * (1 - math.exp(-1)))
    assert tip_radius(spec, 1.0) == near(50e-9)
    assert coating(spec, 0.0) == 1.0
    assert coating(spec, 10 * spec.life_m) == near(spec.coating_left)


def test_wear_counts_charge_landings_and_scanned_length(film):
    spec = WearSpec(charge_m_per_C=1e6, landing_m=3e-6)
    instrument = Instrument(film, replace(IDEAL, wear=spec), SEED, 0.1)
    instrument.land(Site(9, 9), 0, 0.0)
    assert instrument.tip.worn == near(3e-6)
    curve = instrument.sweep(Site(9, 9), 0, TRIANGLE, 0.0)
    charge = trapezoid(np.abs(curve.current), curve.time)
    assert instrument.tip.worn - 3e-6 == near(1e6 * charge, 1e-3)
    before = instrument.tip.worn
    instrument.image(("height",), 0.0)
    assert instrument.tip.worn - before == near(2 * 36 * 44 * 20e-9)
    assert instrument.tip.wear == near(instrument.tip.worn / spec.life_m)


def test_the_end_of_the_tips_life_is_logged_once(film):
    spec = WearSpec(life_m=9e-6, landing_m=2e-6)
    instrument = Instrument(film, replace(IDEAL, wear=spec), SEED, 0.1)
    for visit in range(8):
        instrument.land(Site(9, 9), visit, float(visit))
    assert [(e.kind, e.time_s) for e in instrument.events] == [("coating_lost", 4.0)]
    assert instrument.tip.wear == near(16 / 9)


def test_a_worn_tip_has_a_larger_contact_until_its_coating_goes(film):
    spec = WearSpec(radius_m=25e-9, radius_gain_m=20e-9, length_m=1e-3, life_m=1e-1)
    instrument = Instrument(film, replace(IDEAL, wear=spec), SEED, 0.1)
    site = Site(9, 9)
    assert film.parameters_at(np.array([site]))["gsh"] == 0.0
    new = instrument.sweep(site, 0, TRIANGLE, 0.0).current
    instrument.tip.worn = 1e-2
    worn = instrument.sweep(site, 1, TRIANGLE, 0.0).current
    instrument.tip.worn = 1.0
    bare = instrument.sweep(site, 2, TRIANGLE, 0.0).current
    # Differences of curves, so that stray current and offset drop out: areas go as R^(2/3).
    wide = (45.0 / 25.0) ** (2 / 3)
    assert coating(spec, 1e-2) == pytest.approx(1.0, abs=1e-4)
    ratio = np.ptp(worn - new) / np.ptp(new - bare)
    assert ratio == pytest.approx((wide - 1.0) / (1.0 - wide * spec.coating_left), rel=2e-3)


def test_a_worn_tip_sees_the_film_as_a_blunter_one_does(film):
    instrument = Instrument(film, replace(IDEAL, wear=WearSpec(radius_gain_m=60e-9)), SEED)
    fresh = instrument.image(("height",), 0.0)
    instrument.tip.worn = 1.0
    blunt = instrument.image(("height",), 0.0)
    nominal = film.spec.scan.tip_radius_nm
    assert np.array_equal(fresh.height, film.scan(tip_radius_nm=nominal).height)
    expected = film.scan(tip_radius_nm=nominal + 60.0, repeat=1).height
    assert np.allclose(blunt.height, expected, atol=1e-12)


def test_dwell_times_are_exponential():
    rng = np.random.default_rng(8)
    start, switches = telegraph(3000.0, 2.0, 5.0, rng)
    dwells = np.diff(switches)
    # The first full dwell is in the state opposite to the start.
    off = dwells[0::2] if start else dwells[1::2]
    on = dwells[1::2] if start else dwells[0::2]
    assert len(on) > 3000
    assert kstest(on, "expon", args=(0, 1 / 2.0)).pvalue > 0.01
    assert kstest(off, "expon", args=(0, 1 / 5.0)).pvalue > 0.01
    times = np.linspace(0.0, 3000.0, 60001)
    assert in_contact(start, switches, times).mean() == pytest.approx(5 / 7, abs=0.02)


def test_a_contact_that_is_never_lost_stays():
    start, switches = telegraph(100.0, 0.0, 5.0, np.random.default_rng(1))
    assert start
    assert in_contact(start, switches, np.arange(100.0)).all()


def test_the_current_image_is_the_current_at_its_bias(film):
    image = Instrument(film, IDEAL, SEED, 0.1).image(("height", "current"), 0.0)
    dwell = IDEAL.motion.line_s / (2 * 44)
    bias = Waveform.constant(-1.5, dwell)
    for site in (Site(0, 0), Site(35, 2), Site(11, 43)):
        expected = film.curves(np.array([site]), bias, light=0.1)[0][0, -1]
        assert image.channels["current"][site] == near(expected, 1e-9)
    assert image.units == {"height": "m", "current": "A"}
