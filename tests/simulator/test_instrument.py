"""The instrument over a film: readings, places, and the memory of the film."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from grainscout.records import ConfigError, Site, Waveform
from grainscout.simulator import Film, FilmSpec
from grainscout.simulator.instrument import (
    FAULT_LADDERS,
    INSTRUMENTS,
    ContactSpec,
    CrashSpec,
    DamageSpec,
    Instrument,
    InstrumentSpec,
    LandingSpec,
    LightSpec,
    WearSpec,
)
from grainscout.simulator.instrument.noise import IDEAL_AMPLIFIER
from grainscout.simulator.transport import stray_current

SEED = np.random.SeedSequence(17)
TRIANGLE = Waveform.triangle()
IDEAL = INSTRUMENTS["ideal"]
LIGHT = 0.1


@pytest.fixture(scope="module")
def film() -> Film:
    made = Film.generate(FilmSpec(rows=36, columns=44), 2)
    # A transport telegraph of the film itself is another matter; it has a test of its own.
    assert not made.truth.parameters["telegraph"].any()
    return made


@pytest.fixture(scope="module")
def good(film) -> Site:
    """A site that conducts well on flat ground."""
    peak = film.property_map(lambda c: c.max(1), TRIANGLE, light=LIGHT)
    row, column = np.unravel_index(int(np.argmax(peak[2:-2, 2:-2])), (32, 40))
    return Site(int(row) + 2, int(column) + 2)


def truth(film: Film, site: Site, state: np.ndarray | None = None) -> np.ndarray:
    return film.curves(np.array([site]), TRIANGLE, light=LIGHT, state=state)[0][0]


def stray(film: Film) -> np.ndarray:
    return stray_current(TRIANGLE, film.spec.transport.globals_)


def with_only(**parts: object) -> InstrumentSpec:
    """An ideal instrument with only these parts on."""
    return replace(IDEAL, **parts)


def test_an_ideal_instrument_reads_the_films_own_current(film, good):
    curve = Instrument(film, IDEAL, SEED, LIGHT).sweep(good, 0, TRIANGLE, 0.0)
    assert np.array_equal(curve.current, truth(film, good))
    assert np.array_equal(curve.voltage, TRIANGLE.voltage)


def test_switching_the_noise_off_leaves_every_other_fault_as_it_was(film):
    loud = FAULT_LADDERS["all-severe"]
    silent = replace(loud, amplifier=IDEAL_AMPLIFIER)
    logs = []
    for spec in (loud, silent):
        instrument = Instrument(film, spec, SEED, LIGHT)
        for i in range(60):
            site = Site(7 * i % 36, 5 * i % 44)
            if not instrument.land(site, 0, 3.0 * i).failure:
                instrument.sweep(site, 0, TRIANGLE, 3.0 * i)
        logs.append((instrument.path, instrument.events, instrument.tip.worn))
    assert logs[0] == logs[1]
    assert {e.kind for e in logs[0][1]} >= {"contact_lost", "approach_failed"}


def test_the_mean_of_noisy_curves_converges_as_one_over_root_n(film, good):
    spec = replace(IDEAL, amplifier=replace(IDEAL_AMPLIFIER, feedback_ohm=1e7))
    instrument = Instrument(film, spec, SEED, LIGHT)
    curves = np.array([instrument.sweep(good, v, TRIANGLE, 0.0).current for v in range(256)])
    errors = [np.sqrt(np.mean((curves[:n].mean(0) - truth(film, good)) ** 2)) for n in (1, 16, 256)]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.25)


def test_saturation_reaches_the_curve_and_the_log(film, good):
    peak = truth(film, good).max()
    spec = replace(IDEAL, amplifier=replace(IDEAL_AMPLIFIER, rail_A=0.5 * peak))
    instrument = Instrument(film, spec, SEED, LIGHT)
    curve = instrument.sweep(good, 0, TRIANGLE, 7.0)
    assert (curve.current[curve.saturated] == 0.5 * peak).all()
    assert np.array_equal(curve.saturated, truth(film, good) >= 0.5 * peak)
    (event,) = instrument.events
    assert (event.kind, event.time_s) == ("saturated", 7.0)
    assert event.detail["samples"] == curve.saturated.sum()


def test_the_samples_temperature_reaches_the_film(film, good):
    warm = Instrument(film, with_only(temperature_K=330.0), SEED, LIGHT)
    expected = film.curves(np.array([good]), TRIANGLE, light=LIGHT, temperature=330.0)[0][0]
    assert np.array_equal(warm.sweep(good, 0, TRIANGLE, 0.0).current, expected)
    assert not np.array_equal(expected, truth(film, good))


@pytest.mark.parametrize("kelvin", [25.0, 49.9, 601.0, -273.0, float("nan"), float("inf"), "warm"])
def test_a_temperature_outside_the_model_is_refused_where_it_is_asked_for(kelvin):
    with pytest.raises(ConfigError, match=r"temperature_K must be 50 \.\. 600 K"):
        with_only(temperature_K=kelvin)


def test_a_pixel_remembers_its_ions_and_relaxes_as_the_model_says(film, good):
    instrument = Instrument(film, with_only(memory=True), SEED, LIGHT)
    first = instrument.sweep(good, 0, TRIANGLE, 0.0).current
    soon = instrument.sweep(good, 1, TRIANGLE, 1.0 + 0.02).current
    late = instrument.sweep(good, 2, TRIANGLE, 1e9).current
    assert np.array_equal(first, truth(film, good))
    _, left = film.curves(np.array([good]), TRIANGLE, light=LIGHT)
    relaxed = film.relax(np.array([good]), left, 1.02 - TRIANGLE.duration, light=LIGHT)
    assert np.array_equal(soon, truth(film, good, relaxed))
    assert np.abs(soon - first).max() > 1e-12
    assert np.abs(late - first).max() < 1e-16


def test_without_memory_a_revisit_is_the_first_visit(film, good):
    instrument = Instrument(film, IDEAL, SEED, LIGHT)
    curves = [instrument.sweep(good, v, TRIANGLE, float(v)).current for v in range(2)]
    assert np.array_equal(*curves)


def test_neighbours_do_not_share_ions(film, good):
    instrument = Instrument(film, with_only(memory=True), SEED, LIGHT)
    instrument.sweep(good, 0, TRIANGLE, 0.0)
    beside = Site(good.row, good.column + 1)
    assert np.array_equal(instrument.sweep(beside, 0, TRIANGLE, 1.0).current, truth(film, beside))


def test_a_lost_contact_leaves_the_wirings_current_and_an_event(film, good):
    contact = ContactSpec(loss_per_s=3.0, return_per_s=3.0, slope_gain=0.0, left=0.0)
    instrument = Instrument(film, with_only(contact=contact), SEED, LIGHT)
    wires, lost = stray(film), 0
    for visit in range(200):
        current = instrument.sweep(good, visit, TRIANGLE, 0.0).current
        gone = current == wires
        lost += int(gone.sum())
        # In contact it is the current of a film that was at rest whenever the contact was lost.
        volts = np.where(gone, 0.0, TRIANGLE.voltage)
        felt = Waveform(voltage=volts, time=TRIANGLE.time)
        expected = film.curves(np.array([good]), felt, light=LIGHT)[0][0]
        within = ~gone & ~np.roll(gone, 1)
        assert np.allclose(current[within], expected[within], rtol=1e-9, atol=1e-20)
    # Stationary from the start: half of the time, +- 0.5/sqrt(independent dwells).
    assert lost / (200 * len(TRIANGLE)) == pytest.approx(0.5, abs=0.06)
    assert {e.kind for e in instrument.events} == {"contact_lost"}
    assert sum(e.detail["samples"] for e in instrument.events) == lost


def test_slope_and_wear_make_contact_worse(film):
    slopes = np.hypot(*np.gradient(film.height, 20e-9))
    steep = Site(*(int(i) for i in np.unravel_index(int(slopes.argmax()), slopes.shape)))
    flat = Site(*(int(i) for i in np.unravel_index(int(slopes.argmin()), slopes.shape)))

    def share(site: Site, worn: float) -> float:
        contact = ContactSpec(loss_per_s=0.3, return_per_s=3.0)
        spec = with_only(contact=contact, wear=WearSpec(life_m=1.0))
        instrument = Instrument(film, spec, SEED, LIGHT)
        instrument.tip.worn = worn
        for visit in range(150):
            instrument.sweep(site, visit, TRIANGLE, 0.0)
        lost = sum(e.detail["samples"] for e in instrument.events)
        return lost / (150 * len(TRIANGLE))

    assert share(steep, 0.0) > 1.2 * share(flat, 0.0)
    assert share(flat, 1.0) > 2.0 * share(flat, 0.0)


def test_contacts_differ_from_one_landing_to_the_next(film, good):
    instrument = Instrument(film, with_only(landing=LandingSpec(ln_sd=0.3)), SEED, LIGHT)
    wires, whole = stray(film), truth(film, good)
    ratios = []
    for visit in range(400):
        current = instrument.sweep(good, visit, TRIANGLE, 0.0).current
        ratios.append(float((current - wires)[125] / (whole - wires)[125]))
    # One factor for the whole curve; lognormal, 400 draws.
    assert np.allclose(current - wires, ratios[-1] * (whole - wires), rtol=1e-6, atol=1e-18)
    assert np.std(np.log(ratios)) == pytest.approx(0.3, rel=0.12)
    assert abs(np.mean(np.log(ratios))) < 0.05


def test_approaches_fail_as_often_as_they_should_and_cost_time(film):
    spec = FAULT_LADDERS["approach-severe"]
    instrument = Instrument(film, spec, SEED, LIGHT)
    landings = [instrument.land(Site(5, 5), v, 0.0) for v in range(1500)]
    failed = [x for x in landings if x.failure]
    assert spec.approach is not None
    assert len(failed) / 1500 == pytest.approx(spec.approach.probability, abs=0.022)  # 3 sigma
    assert {x.seconds for x in failed} == {spec.approach.timeout_s}
    assert len(instrument.events) == len(failed)


def test_a_crash_blunts_the_tip_digs_a_pit_and_leaves_a_scar(film, good):
    crash = CrashSpec(probability=1.0)
    instrument = Instrument(film, with_only(crash=crash, wear=WearSpec()), SEED, LIGHT)
    before = instrument.image(("height",), 0.0)
    radius, worn = instrument.tip.radius, instrument.tip.worn
    assert "crashed" in instrument.land(good, 0, 3.0).failure
    assert [e.kind for e in instrument.events] == ["crash"]
    assert instrument.tip.radius > radius + crash.radius_m
    assert instrument.tip.worn > worn + crash.worn_m
    scarred = instrument.sweep(good, 1, TRIANGLE, 10.0).current - stray(film)
    whole = truth(film, good) - stray(film)
    expected = whole * crash.scar_left * instrument.tip.gain
    assert np.allclose(scarred, expected, rtol=1e-3, atol=1e-16)
    # Beyond the scar the film is whole; the pit shows in the next image, and stays.
    dug = instrument.memory.pits(crash.pit_m)
    # The tip's own shape, a parabola of its (new) apex radius.
    blunt = instrument.memory.scars[0][2]
    beside = dug[good.row, good.column + 1]
    assert beside == pytest.approx(crash.pit_m - (20e-9) ** 2 / (2 * blunt), rel=1e-9, abs=0.0)
    assert dug[good] == crash.pit_m
    assert blunt > radius + 0.99 * crash.radius_m
    reach = np.sqrt(2 * crash.pit_m * instrument.tip.radius)
    rows, columns = np.indices(film.shape)
    far = np.hypot(rows - good.row, columns - good.column) * 20e-9 > reach
    assert (dug[far] == 0).all()
    after = instrument.image(("height",), 20.0)
    assert after.height[good] < before.height[good] + 5e-9


def test_a_high_bias_damages_for_good_and_a_usual_one_does_not(film, good):
    damage = DamageSpec(threshold_V=2.0, width_V=0.1, time_s=0.1, left=0.05)
    instrument = Instrument(film, with_only(damage=damage), SEED, LIGHT)
    whole, wires = truth(film, good) - stray(film), stray(film)
    first = instrument.sweep(good, 0, TRIANGLE, 0.0).current - wires
    # 1 s below 1.5 V: dose < exp(-5)/0.1 s.
    assert np.allclose(first, whole, rtol=0.08, atol=1e-16)
    assert instrument.events == []
    instrument.sweep(good, 1, Waveform.triangle(3.0), 10.0)
    assert [(e.kind, e.time_s) for e in instrument.events] == [("damaged", 10.0)]
    broken = instrument.sweep(good, 2, TRIANGLE, 1e6).current - wires
    assert np.allclose(broken, damage.left * whole, rtol=1e-3, atol=1e-16)
    beside = Site(good.row, good.column + 1)
    spared = instrument.sweep(beside, 0, TRIANGLE, 1e6).current
    assert np.allclose(spared, truth(film, beside), rtol=0.08, atol=1e-14)


def test_the_dose_is_the_integral_of_its_rate():
    damage = DamageSpec(threshold_V=1.0, width_V=0.5, time_s=2.0)
    dose = damage.dose(TRIANGLE.voltage, TRIANGLE.time, 0.25)
    # Integral of exp((3 t - 1)/0.5)/2 over the rising half second, twice.
    exact = 0.25 + 2 * (0.5 / 3.0) / 2.0 * (np.exp(0.5 / 0.5) - np.exp(-1.0 / 0.5))
    assert dose[-1] == pytest.approx(exact, rel=1e-3)
    assert (np.diff(dose) > 0).all()


def test_light_is_followed_with_its_relaxation_time(film):
    instrument = Instrument(film, with_only(light=LightSpec(relaxation_s=10.0)), SEED, 0.0)
    instrument.lamp.switch(0.1, 5.0)
    assert instrument.lamp.at(5.0) == 0.0
    assert instrument.lamp.at(15.0) == pytest.approx(0.1 * (1 - np.exp(-1)))
    instrument.lamp.switch(0.0, 15.0)
    assert instrument.lamp.at(25.0) == pytest.approx(0.1 * (1 - np.exp(-1)) * np.exp(-1))
    times = np.linspace(0.0, 15.0, 3001)
    mean = np.mean([0.0 if t <= 5 else 0.1 * (1 - np.exp((5 - t) / 10)) for t in times])
    assert instrument.lamp.mean(0.0, 15.0) == pytest.approx(mean, rel=1e-3)


def test_ions_at_rest_follow_the_mean_light(film, good):
    """Rates are linear in light: relaxing in many small steps of it is relaxing in its mean."""
    instrument = Instrument(film, with_only(memory=True, light=LightSpec()), SEED, 0.0)
    instrument.sweep(good, 0, TRIANGLE, 0.0)
    instrument.lamp.switch(0.3, 1.02)
    found = instrument.memory.ions(instrument.pixel(good, 1.2), 1.2)
    _, state = film.curves(np.array([good]), TRIANGLE, light=0.0)
    edges = np.linspace(1.0, 1.2, 2001)
    for start, end in itertools.pairwise(edges.tolist()):
        middle = 0.5 * (start + end)
        light = 0.0 if middle < 1.02 else 0.3 * (1 - np.exp((1.02 - middle) / 10.0))
        state = film.relax(np.array([good]), state, end - start, light=light)
    assert found is not None
    assert np.allclose(found, state, rtol=1e-6, atol=1e-12)


def test_the_films_own_telegraph_is_drawn_anew_at_each_visit(film, good):
    noisy = replace(film.spec, transport=replace(film.spec.transport, telegraph=0.2))
    restless = Film.generate(noisy, 2)
    instrument = Instrument(restless, IDEAL, SEED, LIGHT)
    one, two = (instrument.sweep(good, v, TRIANGLE, 0.0).current for v in range(2))
    again = Instrument(restless, IDEAL, SEED, LIGHT).sweep(good, 0, TRIANGLE, 0.0).current
    assert not np.array_equal(one, two)
    assert np.array_equal(one, again)


def test_every_fault_is_among_the_tags_of_its_ladder():
    assert FAULT_LADDERS["none"].tags == ("noise",)
    for name, spec in FAULT_LADDERS.items():
        fault = name.partition("-")[0]
        expected = {"noise"} if fault == "none" else {"noise", fault}
        assert fault == "all" or set(spec.tags) == expected
    assert len(FAULT_LADDERS["all-severe"].tags) == 10
