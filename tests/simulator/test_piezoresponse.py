"""A second transport family: switching of polarisation, and a third party's."""

from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from grainscout.analysis.curves.switching import coercive_voltage
from grainscout.benchmarks import Campaign, CampaignStore, PolicySpec, find_task, run_campaign
from grainscout.benchmarks.campaign.tables import read_tables
from grainscout.benchmarks.tasks.microscopes import Simulated
from grainscout.benchmarks.tasks.waveforms import Switching
from grainscout.hardware.simulated import open_simulated
from grainscout.records import ConfigError, Site, Waveform
from grainscout.simulator import Film, TransportSpec, preset
from grainscout.simulator.transport import Family, IVResult, Parameter, piezoresponse

TINY = preset("tiny+piezoresponse")


def contact(kind, **changed):
    values = {name: p.archetypes[kind] for name, p in piezoresponse.PARAMETERS.items()}
    return {name: np.array([float(v)]) for name, v in (values | changed).items()}


@pytest.mark.parametrize("kind", range(3))
def test_responses_are_those_of_a_stiff_solver(kind):
    volts = np.array([0.0, -0.7, 0.75, -0.8, 0.9, 0.9, 0.2])  # ramps that switch to and fro
    p, wave = contact(kind), Waveform(voltage=volts, time=np.arange(7) / 10.0)
    d, va, vi, t0, k, tq, _ = (float(v[0]) for v in p.values())

    def rates(t, y):
        v = np.interp(t, wave.time, wave.voltage)
        rate = np.exp(-va / max(abs(v - vi), 1e-9)) / t0
        return [(np.sign(v - vi) - y[0]) * rate, (v - y[1]) / tq]

    ends = {"t_eval": wave.time, "rtol": 1e-9, "atol": 1e-11, "max_step": 1e-3}
    y = solve_ivp(rates, (0.0, 0.6), [0.0, 0.0], method="LSODA", **ends).y
    expected = 1e-12 * (d * y[0] + k * (wave.voltage - y[1]))  # a picometre is a picoampere
    assert ((abs(y[0]) > 0.2) & (abs(y[0]) < 0.9)).any()
    np.testing.assert_allclose(piezoresponse.curves(p, wave).current[0], expected, atol=1e-20)


@pytest.mark.parametrize("temperature", [298.0, 340.0])
def test_merzs_law_says_which_pulse_switches_half(temperature):
    p, width = contact(2), 0.02
    half = p["Va"] * 298.0 / temperature / np.log(width / (p["t0"] * np.log(2.0))) + p["Vi"]
    pulse, poled = Waveform.constant(float(half[0]), width), np.array([[-1.0, 0.0]])
    end = piezoresponse.curves(p, pulse, temperature=temperature, state=poled).state
    assert end[0, 0] == pytest.approx(0.0, abs=1e-12)
    # At rest the imprint alone switches: back, and within its own time.
    time = p["t0"] * np.exp(p["Va"] * 298.0 / temperature / p["Vi"])
    after = piezoresponse.relax(end, p, np.log(2.0) * time, temperature=temperature)
    assert after[0, 0] == pytest.approx(-0.5, abs=1e-12)


def test_a_loop_read_at_rest_crosses_zero_where_its_pulses_add_up_to_half():
    p, wave, level = contact(0, k=0.0, Vi=0.21), Switching(steps=60), 1.5 * np.arange(1, 61) / 60
    crossed = []
    for imprint in (0.21, -0.21):
        dose = np.cumsum(wave.width_s / p["t0"] * np.exp(-p["Va"] / np.abs(level - imprint)))
        crossed.append(np.interp(np.log(2.0), dose, level))
    volts, current = wave.build().voltage, piezoresponse.curves(p, wave.build()).current
    assert coercive_voltage(volts, current)[0] == pytest.approx(np.mean(crossed), abs=0.01)
    assert np.isnan(coercive_voltage(volts, np.abs(current)))


def test_parameters_follow_the_microstructure_of_the_film_of_that_seed():
    bare = {"composition": 0.0, "boundary_spread": 0.0, "hidden": 0.0}
    film = Film.generate(replace(TINY, transport=replace(TINY.transport, **bare)), 3)
    currents = Film.generate(preset("tiny"), 3)
    np.testing.assert_array_equal(film.scan().height, currents.scan().height)
    np.testing.assert_array_equal(film.archetype_weights, currents.archetype_weights)
    conducts = film.archetype < 3
    weights, ends = film.archetype_weights[conducts, :3], piezoresponse.PARAMETERS["Va"].archetypes
    np.testing.assert_allclose(film.parameters["Va"][conducts], np.exp(weights @ np.log(ends)))


def test_a_contact_remembers_how_it_was_poled(tmp_path):
    Film.generate(TINY, 3).save(tmp_path / "film.h5")
    assert Film.load(tmp_path / "film.h5").spec == TINY
    scope = open_simulated(film=str(tmp_path / "film.h5"), instrument="quiet")
    film, read = scope.instrument.film, Waveform.constant(0.05, samples=20)
    site = Site(*np.argwhere(film.archetype == 0)[50].tolist())
    for sign in (1.0, -1.0):
        scope.measure(site, Waveform.constant(sign * 1.5))
        response = scope.measure(site, read).current.mean()
        assert response * sign > 1e-11
    assert (film.law.stray(read, film.spec.transport.globals_) == 0).all()


def test_unchanged_policies_are_raced_on_it(tmp_path):
    task = replace(
        find_task("piezoresponse/coercive_voltage"),
        microscope=Simulated(film="tiny+piezoresponse", instrument="quiet"),
        curves=8,
    )
    names = ("random", "dkl", "structure-only", "map")
    policies = tuple(PolicySpec(name=n) for n in names)
    plan = Campaign(name="piezoresponse", tasks=(task,), policies=policies, films=1)
    with CampaignStore(tmp_path / "c.sqlite", plan.identity()) as store:
        run_campaign(plan, store, jobs=0)
        tables = read_tables(store)
    assert set(tables.steps["policy"]) == set(names)
    assert tables.steps["ok"].all()
    assert np.isfinite(tables.maps["nrmse"]).all()


def ohmic():
    """A third party's family: a resistor without memory."""

    def curves(parameters, waveform, **_):
        slope = np.asarray(parameters["A"]) * parameters["g"]
        state = np.zeros((len(slope), 2))
        return IVResult(current_nA=np.multiply.outer(slope, waveform.voltage), state=state)

    limits = {"limits": (0, 10), "draw": (0, 1), "blend": "linear"}
    return Family(
        parameters={
            "g": Parameter(unit="nA/V", archetypes=(1.0, 2.0, 3.0), **limits),
            "A": piezoresponse.PARAMETERS["A"],
        },
        curves=curves,
        rest=lambda parameters: np.zeros((len(parameters["g"]), 2)),
        relax=lambda state, *_, **__: state,
        stray=lambda waveform, _: np.zeros(len(waveform)),
    )


def test_a_third_partys_family_comes_in_through_its_entry_point(monkeypatch):
    point = EntryPoint("ohmic", f"{__name__}:ohmic", "grainscout.transport")
    monkeypatch.setattr("grainscout.records.registry.entry_points", lambda group: [point])
    scope = open_simulated(film="tiny+ohmic", instrument="ideal", seed=2)
    film = scope.instrument.film
    curve = scope.measure(Site(20, 20), Waveform.triangle(samples=51))
    share = film.archetype_weights[20, 20, :3]
    slope = film.parameters["A"][20, 20] * (share / share.sum() @ [1.0, 2.0, 3.0])
    expected = 1e-9 * slope * curve.voltage
    np.testing.assert_allclose(curve.current, expected, atol=1e-12)
    with pytest.raises(ConfigError, match=r"must be one of current, ohmic, piezoresponse"):
        preset("tiny+ohm")
    with pytest.raises(ConfigError, match=r"boundary_contrast must be left out of family 'ohmic'"):
        TransportSpec(family="ohmic", boundary_contrast=0.5)
