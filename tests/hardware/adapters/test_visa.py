"""The source-meters through pymeasure, against those of pyvisa-sim."""

import time

import fake_keithley as keithley
import fake_nanonis
import numpy as np
import pytest

pytest.importorskip("pyvisa_sim")
pytest.importorskip("pymeasure")

from grainscout.hardware import Guard, Limits
from grainscout.hardware.adapters.nanonis.microscope import NanonisMicroscope
from grainscout.hardware.adapters.parts import (
    METERS,
    CompliantMicroscope,
    MicroscopeOfParts,
    open_parts,
)
from grainscout.hardware.adapters.visa.source_meter import SourceMeter, rescue
from grainscout.hardware.conformance import require_conforming
from grainscout.records import ConfigError, MicroscopeError, Site, Waveform

NAMES = {model: f"keithley-{model}" for model in ("2400", "2450", "2600")}
NAMES["b2900"] = "keysight-b2900"
SWEEP = Waveform.triangle(0.8, 11, 0.2)


@pytest.fixture
def meter(tmp_path):
    """Opens a source-meter with a resistor, or with the given readings, and closes it."""
    opened = []

    def open_meter(
        reading="", model="2400", *, name="", silent=False, answers=None, most=3.0, **options
    ) -> SourceMeter:
        path = tmp_path / f"meter{len(opened)}{len(list(tmp_path.iterdir()))}.yaml"
        left = {"answers": answers, "silent": silent, "name": name, "most_amperes": most}
        simulated = keithley.library(path, model, reading=reading, **left)
        where = {"resource": keithley.RESOURCE, "visa_library": simulated}
        options = {
            **where,
            "lag": 50.0,
            "watchdog": False,
            **options,
        }  # the machine of the tests may be slow
        opened.append(METERS.make(NAMES[model], options))
        return opened[-1]

    yield open_meter
    for instrument in opened:
        instrument._meter.adapter.connection.close()
        instrument._meter.adapter.manager.close()


def asked(meter: SourceMeter, what: str, model: str = "2400") -> float:
    return float(meter._meter.ask(keithley.ASK[model][what]).split(",")[0])


@pytest.mark.parametrize(
    "waveform", [SWEEP, Waveform.bipolar(0.5, 9, 0.2), Waveform.constant(0.3, 0.1)]
)
def test_a_resistor_is_measured_at_any_waveform(meter, waveform):
    curve = meter().sweep(waveform)
    np.testing.assert_array_equal(curve.voltage, waveform.voltage)
    np.testing.assert_allclose(curve.current, waveform.voltage / 1e7, rtol=1e-5, atol=1e-13)
    assert not curve.saturated.any()


def test_times_are_those_of_the_readings(meter):
    curve = meter().sweep(SWEEP)
    late = curve.time - SWEEP.time
    assert (late >= 0).all()
    assert late.max() < 0.2


@pytest.mark.parametrize("model", NAMES)
def test_every_family_measures_the_same_resistor_with_a_small_compliance(meter, model):
    instrument = meter(model=model, compliance_A=3e-8)
    # pymeasure itself would write 0.000000 to a 2600.
    assert asked(instrument, "compliance", model) == 3e-8
    curve = instrument.sweep(SWEEP)
    np.testing.assert_allclose(curve.current, SWEEP.voltage / 1e7, rtol=1e-5, atol=1e-13)
    assert not curve.saturated.any()
    assert asked(instrument, "output", model) == 0


@pytest.mark.parametrize(
    ("model", "reading", "expected"),
    [
        ("2400", keithley.OVERFLOW, 2e-6),
        ("2400", "-9.900000E+37,+0.0E+00", -2e-6),
        ("2400", "+2.000000E-06,+8.0E+00", 2e-6),  # status: in compliance
        ("2400", "+1.000000E-06,+1.0E+00", 2e-6),  # status: over range
        ("2450", "-9.900000E+37", -2e-6),
        ("2600", "+9.91000E+37\tfalse", 2e-6),
        ("2600", "-9.91000E+37\tfalse", -2e-6),
        ("2600", "2e-6\ttrue", 2e-6),
    ],
)
def test_overflow_and_compliance_are_flags_not_numbers(meter, model, reading, expected):
    curve = meter(reading, model, compliance_A=2e-6).sweep(SWEEP)
    assert curve.saturated.all()
    np.testing.assert_allclose(curve.current, expected)


@pytest.mark.parametrize(
    ("model", "query"), [("2450", ":SOUR:VOLT:ILIM:TRIP?"), ("b2900", ":SENS:CURR:PROT:TRIP?")]
)
def test_a_trip_is_a_flag(meter, model, query):
    assert meter(model=model, answers={query: "1"}).sweep(SWEEP).saturated.all()


@pytest.mark.parametrize(
    ("model", "reading"),
    [("2400", r) for r in ("nonsense", "+1.0E+00", "1,2,3", "+1E0,+NAN")]
    + [("2600", r) for r in ("nonsense", "1.0", "1.0 maybe", "nan true")]
    + [("2400", keithley.NAN), ("2450", "-9.910000E+37")],  # not measured
)
def test_unusable_readings_are_errors_and_the_output_goes_off(meter, model, reading):
    instrument = meter(reading, model)
    with pytest.raises(MicroscopeError, match=r"reading must|give a reading"):
        instrument.sweep(SWEEP)
    assert asked(instrument, "output", model) == 0


@pytest.mark.parametrize(
    ("model", "left", "words"),
    [
        ("2400", {"answers": {":SENS:FUNC?": '"VOLT:DC"'}}, r"answer CURR to :SENS:FUNC\?"),
        ("2450", {"answers": {"*LANG?": "TSP"}}, r"answer SCPI to \*LANG\?; got 'TSP"),
        (
            "2450",
            {"answers": {":SYST:ERR?": '-113,"Undefined header;1"'}},
            "no error after setting",
        ),
        ("2400", {"name": keithley.NAMES["2450"]}, "must be a Keithley 2400 series.*MODEL 2450"),
        ("2450", {"name": keithley.NAMES["2400"]}, "must be a Keithley 2450.*MODEL 2400"),
        ("2600", {"name": "Keithley Instruments Inc., Model 2651A, 1, 1"}, "must be channel A"),
        ("2600", {"most": 1e-9}, "must take a compliance of 1e-06 A"),
    ],
)
def test_a_meter_left_in_another_state_is_refused_with_its_output_off(meter, model, left, words):
    with pytest.raises(MicroscopeError, match=words):
        meter(model=model, **left)


def test_a_silent_source_meter_is_an_error_in_time(meter):
    """It takes what it is told and never answers a reading."""
    instrument = meter(timeout_s=0.3, silent=True)
    begun = time.monotonic()
    with pytest.raises(MicroscopeError, match="must give a reading"):
        instrument.sweep(SWEEP)
    assert time.monotonic() - begun < 30  # one time-out, not one a sample, on a slow machine, too
    assert asked(instrument, "output") == 0


def test_a_sweep_that_cannot_keep_up_is_given_up(meter):
    instrument = meter(lag=1e-6)
    with pytest.raises(MicroscopeError, match="late after"):
        instrument.sweep(Waveform.triangle(0.8, 101, 1e-3))
    assert asked(instrument, "output") == 0


def test_something_else_at_the_address_is_refused(meter):
    with pytest.raises(MicroscopeError, match="Keithley 2400 series or 6430; it says"):
        meter(name="ACME,TOASTER,1,1")
    with pytest.raises(ConfigError, match="nplc"):
        meter(nplc=0.0)


def test_nobody_at_the_address_is_an_error(tmp_path):
    simulated = keithley.library(tmp_path / "meter.yaml")
    with pytest.raises(MicroscopeError, match="GPIB0::5::INSTR"):
        METERS.make("keithley-2400", {"resource": "GPIB0::5::INSTR", "visa_library": simulated})


def test_one_run_at_a_time_and_another_process_switches_it_off(meter):
    instrument = meter(watchdog=True)
    where = dict(instrument._where)
    with pytest.raises(MicroscopeError, match="one run at a time"):
        METERS.make("keithley-2400", where)
    (job,) = instrument.rescues()
    instrument.close()
    rescue(**job.options)()


def test_with_a_mover_and_a_lamp_it_conforms_and_limits_reach_the_meter(meter):
    fake = fake_nanonis.FakeNanonis(np.random.default_rng(4).random((5, 6)) * 1e-9, np.ones((5, 6)))
    movers = []

    def make() -> Guard:
        movers.append(NanonisMicroscope(**fake_nanonis.QUICK, **fake.ports()))
        return Guard(CompliantMicroscope(movers[-1], meter()), Limits())

    try:
        require_conforming(make, waveform=Waveform.triangle(0.8, 11, 0.5))  # on a slow machine, too
        guard = Guard(
            CompliantMicroscope(movers[-1], meter(), bias_to="tip"), Limits(current_A=3e-7)
        )
        scan = guard.scan()
        assert scan.metadata["settings"]["meter"].endswith("C32")
        assert scan.metadata["settings"]["controller"] == "Deflection"
        assert asked(guard.microscope._meter, "compliance") == 3e-7
        # A staircase jumps: what counts is its step in its rise time, not its mean slope.
        assert guard.capabilities.slew_factor == 1.0
        steep = Guard(guard.microscope, Limits(slew_V_per_s=0.99 * 0.16 / 1e-4), scan=scan)
        assert [v.limit for v in steep.check(Site(2, 3), SWEEP)] == ["slew_V_per_s"]
        fake.log.clear()
        curve = guard.measure(Site(2, 3), SWEEP)
        # The controller's own bias stayed at 0 V, and the tip was moved withdrawn and landed.
        assert {v for n, v in fake.log if n == "Bias.Set"} == {(0.0,)}
        assert fake.pixel() == (2, 3)
        assert "BiasSpectr.Start" not in fake.commands()
        np.testing.assert_array_equal(curve.voltage, SWEEP.voltage)
        np.testing.assert_allclose(curve.current, SWEEP.voltage / 1e7, rtol=1e-5, atol=1e-13)
    finally:
        for mover in movers:
            mover.close()
        fake.close()


def test_a_lamp_set_by_hand_is_recorded_and_nothing_else_agreed_to():
    options = {"mover": "simulated", "mover_options": {"film": "tiny"}}
    lit = open_parts(**options, lamp="hand", lamp_options={"suns": 0.1, "note": "halogen"})
    assert isinstance(lit, MicroscopeOfParts)
    guard = Guard(lit)
    guard.light(0.1)
    with pytest.raises(MicroscopeError, match=r"set by hand to 0\.1 suns"):
        guard.light(0.0)
    lamp = guard.scan().metadata["settings"]["lamp"]
    assert lamp == {"suns": 0.1, "set": "by hand", "note": "halogen"}
