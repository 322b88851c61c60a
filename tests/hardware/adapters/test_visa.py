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
from grainscout.hardware.adapters.visa.keithley_2400 import Keithley2400
from grainscout.hardware.adapters.visa.keithley_2600 import Keithley2600
from grainscout.hardware.adapters.visa.microscope import SourceMeterMicroscope
from grainscout.hardware.adapters.visa.source_meter import SourceMeter
from grainscout.hardware.conformance import require_conforming
from grainscout.records import ConfigError, MicroscopeError, Site, Waveform

METERS = {"2400": Keithley2400, "2600": Keithley2600}
SWEEP = Waveform.triangle(0.8, 11, 0.2)


@pytest.fixture
def meter(tmp_path):
    """Opens a source-meter with a resistor, or with the given readings, and closes it."""
    opened = []

    def open_meter(reading="", model="2400", *, name="", silent=False, **options) -> SourceMeter:
        path = tmp_path / f"meter{len(opened)}.yaml"
        simulated = keithley.library(path, model, reading=reading, name=name, silent=silent)
        options = {"lag": 50.0, **options}  # the machine of the tests may be slow
        opened.append(METERS[model](keithley.RESOURCE, visa_library=simulated, **options))
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


def test_the_output_is_off_before_and_after(meter):
    instrument = meter()
    assert asked(instrument, "output") == 0
    instrument.sweep(SWEEP)
    assert asked(instrument, "output") == 0
    assert asked(instrument, "reading") == 0.0


def test_a_2600_measures_the_same_resistor_with_a_small_compliance(meter):
    instrument = meter(model="2600", compliance=3e-8)
    # pymeasure itself would write 0.000000.
    assert asked(instrument, "compliance", "2600") == 3e-8
    curve = instrument.sweep(SWEEP)
    np.testing.assert_allclose(curve.current, SWEEP.voltage / 1e7, rtol=1e-5, atol=1e-13)
    assert not curve.saturated.any()
    assert asked(instrument, "output", "2600") == 0


@pytest.mark.parametrize(
    ("model", "reading", "expected"),
    [
        ("2400", keithley.OVERFLOW, 2e-6),
        ("2400", "{0:.6E},-9.910000E+37,+1E0,+1E0,+2.0E+00", -2e-6),
        ("2400", "{0:.6E},+2.000000E-06,+1E0,+1E0,+8.0E+00", 2e-6),  # status: in compliance
        ("2400", "{0:.6E},+1.000000E-06,+1E0,+1E0,+1.0E+00", 2e-6),  # status: over range
        ("2600", "+9.91000E+37\tfalse", 2e-6),
        ("2600", "-9.91000E+37\tfalse", -2e-6),
        ("2600", "2e-6\ttrue", 2e-6),
    ],
)
def test_overflow_and_compliance_are_flags_not_numbers(meter, model, reading, expected):
    curve = meter(reading, model, compliance=2e-6).sweep(SWEEP)
    assert curve.saturated.all()
    np.testing.assert_allclose(curve.current, expected)


@pytest.mark.parametrize(
    ("model", "reading"),
    [("2400", r) for r in ("nonsense", "+1.0E+00", "1,2,3", "{0:.1E},+1E0,+1E0,+1E0,+NAN")]
    + [("2600", r) for r in ("nonsense", "1.0", "1.0 maybe", "nan true")],
)
def test_unusable_readings_are_errors_and_the_output_goes_off(meter, model, reading):
    instrument = meter(reading, model)
    with pytest.raises(MicroscopeError, match=r"reading must|give a reading"):
        instrument.sweep(SWEEP)
    assert asked(instrument, "output", model) == 0


def test_a_silent_source_meter_is_an_error_in_time(meter):
    """It takes what it is told and never answers a reading."""
    instrument = meter(timeout=0.3, silent=True)
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
    with pytest.raises(MicroscopeError, match="Keithley 2400; it says"):
        meter(name="ACME,TOASTER,1,1")
    with pytest.raises(ConfigError, match="nplc"):
        meter(nplc=0.0)


def test_nobody_at_the_address_is_an_error(tmp_path):
    simulated = keithley.library(tmp_path / "meter.yaml")
    with pytest.raises(MicroscopeError, match="GPIB0::5::INSTR"):
        Keithley2400("GPIB0::5::INSTR", visa_library=simulated)


def test_with_a_mover_it_conforms_and_limits_reach_the_meter(meter):
    fake = fake_nanonis.FakeNanonis(np.random.default_rng(4).random((5, 6)) * 1e-9, np.ones((5, 6)))
    movers = []

    def make() -> Guard:
        movers.append(NanonisMicroscope(port=fake.port, settle_s=0.0, speed_m_per_s=1e-3))
        return Guard(SourceMeterMicroscope(movers[-1], meter()), Limits())

    try:
        require_conforming(make, waveform=SWEEP)
        guard = Guard(SourceMeterMicroscope(movers[-1], meter()), Limits(current_A=3e-7))
        guard.scan()
        assert asked(guard.microscope._meter, "compliance") == 3e-7
        # The controller's steeper ramps are those of its own sweeps.
        assert movers[-1].capabilities.slew_factor > guard.capabilities.slew_factor == 1.0
        fake.log.clear()
        guard.measure(Site(2, 3), SWEEP)
        # The controller's own bias stayed at 0 V, and the tip was moved withdrawn and landed.
        assert {v for n, v in fake.log if n == "Bias.Set"} == {(0.0,)}
        assert fake.pixel() == (2, 3)
        assert "BiasSpectr.Start" not in fake.commands()
    finally:
        for mover in movers:
            mover.close()
        fake.close()
