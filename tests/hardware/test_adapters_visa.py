"""The source-meter through pymeasure, against a Keithley 2400 of pyvisa-sim."""

from __future__ import annotations

import time

import _fake_nanonis as fake_nanonis
import numpy as np
import pytest

pytest.importorskip("pyvisa_sim")
pytest.importorskip("pymeasure")

from grainscout.hardware import Guard, Limits, check_microscope
from grainscout.hardware.adapters.nanonis.microscope import NanonisMicroscope
from grainscout.hardware.adapters.visa.keithley_2400 import Keithley2400
from grainscout.hardware.adapters.visa.keithley_2600 import Keithley2600
from grainscout.hardware.adapters.visa.microscope import SourceMeterMicroscope
from grainscout.hardware.adapters.visa.source_meter import SourceMeter
from grainscout.records import ConfigError, MicroscopeError, Site, Waveform

#: A resistor of 10 megaohm: the reading's current is the voltage that was sourced, times 1e-7 A/V.
DEVICE = """
spec: "1.0"
devices:
  meter:
    eom:
      GPIB INSTR: {{q: "\\r\\n", r: "\\n"}}
    error: ERROR
    dialogues:
      - {{q: "*IDN?", r: "{name}"}}
      - {{q: ":FORMAT:ELEMENTS VOLTAGE, CURRENT, RESISTANCE, TIME, STATUS"}}
    properties:
      voltage:
        default: 0.0
        getter: {{q: ":READ?", r: "{reading}"}}
        setter: {{q: ":SOURCE:VOLTAGE {{}}"}}
        specs: {{type: float, min: -210, max: 210}}
      sourced:
        default: 0
        getter: {{q: "OUTPUT?", r: "{{:d}}"}}
        setter: {{q: "OUTPUT {{:d}}"}}
        specs: {{type: int}}
      compliance:
        default: 0.0
        getter: {{q: ":SENSE:CURRENT:PROTECTION?", r: "{{:g}}"}}
        setter: {{q: ":SENSE:CURRENT:PROTECTION {{}}"}}
        specs: {{type: float}}
      nplc:
        default: 1.0
        getter: {{q: ":SENSE:CURRENT:NPLCYCLES?", r: "{{:g}}"}}
        setter: {{q: ":SENSE:CURRENT:NPLCYCLES {{}}"}}
        specs: {{type: float}}
      mode:
        default: VOLT
        getter: {{q: ":SOURCE:FUNCTION?", r: "{{:s}}"}}
        setter: {{q: ":SOURCE:FUNCTION {{}}"}}
        specs: {{type: str}}
resources:
  GPIB0::24::INSTR: {{device: meter}}
"""
#: The same resistor on a 2600, whose language is another.
DEVICE_2600 = """
spec: "1.0"
devices:
  meter:
    eom:
      GPIB INSTR: {{q: "\\r\\n", r: "\\n"}}
    error: ERROR
    dialogues:
      - {{q: "*IDN?", r: "{name}"}}
      - {{q: "smua.source.func=1"}}
    properties:
      voltage:
        default: 0.0
        getter: {{q: "print(smua.measure.i(), smua.source.compliance)", r: "{reading}"}}
        setter: {{q: "smua.source.levelv={{}}"}}
        specs: {{type: float}}
      sourced:
        default: 0
        getter: {{q: "print(smua.source.output)", r: "{{:d}}"}}
        setter: {{q: "smua.source.output={{:d}}"}}
        specs: {{type: int}}
      compliance:
        default: 0.0
        getter: {{q: "print(smua.source.limiti)", r: "{{:g}}"}}
        setter: {{q: "smua.source.limiti={{}}"}}
        specs: {{type: float}}
      nplc:
        default: 1.0
        getter: {{q: "print(smua.measure.nplc)", r: "{{:g}}"}}
        setter: {{q: "smua.measure.nplc={{}}"}}
        specs: {{type: float}}
resources:
  GPIB0::24::INSTR: {{device: meter}}
"""
OHM = "{0:.6E},{0:.6f}E-07,+1.0E+07,+1.0E+00,+2.0E+00"
NAME = "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C32"
SWEEP = Waveform.triangle(0.8, 11, 0.2)


@pytest.fixture
def bench(tmp_path):
    """Opens a source-meter whose readings look as told, and closes it."""
    opened = []

    def open_meter(
        reading: str = OHM, name: str = NAME, *, silent: bool = False, **options
    ) -> SourceMeter:
        path = tmp_path / f"meter{len(opened)}.yaml"
        device = DEVICE.format(reading=reading, name=name)
        if silent:
            device = device.replace('":READ?"', '":NEVER?"').replace("    error: ERROR\n", "")
        path.write_text(device)
        options = {"lag": 50.0, **options}  # the machine of the tests may be slow
        meter = Keithley2400("GPIB0::24::INSTR", visa_library=f"{path}@sim", **options)
        opened.append(meter)
        return meter

    yield open_meter
    for meter in opened:
        meter._meter.adapter.connection.close()
        meter._meter.adapter.manager.close()


def asked(meter: SourceMeter, what: str) -> float:
    return float(meter._meter.ask(what).split(",")[0])


@pytest.mark.parametrize(
    "waveform", [SWEEP, Waveform.bipolar(0.5, 9, 0.2), Waveform.constant(0.3, 0.1)]
)
def test_a_resistor_is_measured_at_any_waveform(bench, waveform):
    curve = bench().sweep(waveform)
    np.testing.assert_array_equal(curve.voltage, waveform.voltage)
    np.testing.assert_allclose(curve.current, waveform.voltage / 1e7, rtol=1e-5, atol=1e-13)
    assert not curve.saturated.any()


def test_times_are_those_of_the_readings(bench):
    curve = bench().sweep(SWEEP)
    late = curve.time - SWEEP.time
    assert (late >= 0).all()
    assert late.max() < 0.2


def test_the_output_is_off_before_and_after(bench):
    meter = bench()
    assert asked(meter, "OUTPUT?") == 0
    meter.sweep(SWEEP)
    assert asked(meter, "OUTPUT?") == 0
    assert asked(meter, ":READ?") == 0.0


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        ("{0:.6E},+9.910000E+37,+1E0,+1E0,+2.0E+00", 2e-6),  # overflow code
        ("{0:.6E},-9.910000E+37,+1E0,+1E0,+2.0E+00", -2e-6),
        ("{0:.6E},+2.000000E-06,+1E0,+1E0,+8.0E+00", 2e-6),  # status: in compliance
        ("{0:.6E},+1.000000E-06,+1E0,+1E0,+1.0E+00", 2e-6),  # status: over range
    ],
)
def test_overflow_and_compliance_are_flags_not_numbers(bench, reading, expected):
    curve = bench(reading, compliance=2e-6).sweep(SWEEP)
    assert curve.saturated.all()
    np.testing.assert_allclose(curve.current, expected)


@pytest.mark.parametrize(
    "reading", ["nonsense", "+1.0E+00", "1,2,3", "{0:.1E},+1E0,+1E0,+1E0,+NAN"]
)
def test_unusable_readings_are_errors_and_the_output_goes_off(bench, reading):
    meter = bench(reading)
    with pytest.raises(MicroscopeError, match=r"reading must|give a reading"):
        meter.sweep(SWEEP)
    assert asked(meter, "OUTPUT?") == 0


def test_a_silent_source_meter_is_an_error_in_time(bench):
    """It takes what it is told and never answers a reading."""
    meter = bench(timeout=0.3, silent=True)
    begun = time.monotonic()
    with pytest.raises(MicroscopeError, match="must give a reading"):
        meter.sweep(SWEEP)
    assert time.monotonic() - begun < 30  # one time-out, not one a sample, on a slow machine, too
    assert asked(meter, "OUTPUT?") == 0


def test_a_sweep_that_cannot_keep_up_is_given_up(bench):
    meter = bench(lag=1e-6)
    with pytest.raises(MicroscopeError, match="late after"):
        meter.sweep(Waveform.triangle(0.8, 101, 1e-3))
    assert asked(meter, "OUTPUT?") == 0


def test_something_else_at_the_address_is_refused(bench):
    with pytest.raises(MicroscopeError, match="Keithley 2400; it says"):
        bench(name="ACME,TOASTER,1,1")
    with pytest.raises(ConfigError, match="nplc"):
        bench(nplc=0.0)


def test_nobody_at_the_address_is_an_error(tmp_path):
    path = tmp_path / "meter.yaml"
    path.write_text(DEVICE.format(reading=OHM, name=NAME))
    with pytest.raises(MicroscopeError, match="GPIB0::5::INSTR"):
        Keithley2400("GPIB0::5::INSTR", visa_library=f"{path}@sim")


def test_with_a_mover_it_conforms_and_limits_reach_the_meter(bench):
    fake = fake_nanonis.FakeNanonis(np.random.default_rng(4).random((5, 6)) * 1e-9, np.ones((5, 6)))
    movers = []

    def make() -> Guard:
        movers.append(NanonisMicroscope(port=fake.port, settle_s=0.0, speed_m_per_s=1e-3))
        return Guard(SourceMeterMicroscope(movers[-1], bench()), Limits())

    try:
        results = check_microscope(make, waveform=SWEEP)
        assert [r for r in results if not r.passed] == []
        guard = Guard(SourceMeterMicroscope(movers[-1], bench()), Limits(current_A=3e-7))
        guard.scan()
        assert asked(guard.microscope._meter, ":SENSE:CURRENT:PROTECTION?") == 3e-7
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


@pytest.fixture
def bench_2600(tmp_path):
    """Opens a Keithley 2600, and closes it."""
    opened = []

    def open_meter(reading: str, **options) -> Keithley2600:
        path = tmp_path / f"meter{len(opened)}.yaml"
        name = "Keithley Instruments Inc., Model 2602B, 1234567, 3.2.1"
        path.write_text(DEVICE_2600.format(reading=reading, name=name))
        options = {"lag": 50.0, **options}
        opened.append(Keithley2600("GPIB0::24::INSTR", visa_library=f"{path}@sim", **options))
        return opened[-1]

    yield open_meter
    for meter in opened:
        meter._meter.adapter.connection.close()
        meter._meter.adapter.manager.close()


def test_a_2600_measures_the_same_resistor_with_a_small_compliance(bench_2600):
    meter = bench_2600("{0:.6f}E-07\\tfalse", compliance=3e-8)
    # pymeasure itself would write 0.000000.
    assert asked(meter, "print(smua.source.limiti)") == 3e-8
    curve = meter.sweep(SWEEP)
    np.testing.assert_allclose(curve.current, SWEEP.voltage / 1e7, rtol=1e-5, atol=1e-13)
    assert not curve.saturated.any()
    assert asked(meter, "print(smua.source.output)") == 0


@pytest.mark.parametrize(
    ("reading", "expected"),
    [("+9.91000E+37\\tfalse", 2e-6), ("-9.91000E+37\\tfalse", -2e-6), ("2e-6\\ttrue", 2e-6)],
)
def test_a_2600_flags_overflow_and_compliance(bench_2600, reading, expected):
    curve = bench_2600(reading, compliance=2e-6).sweep(SWEEP)
    assert curve.saturated.all()
    np.testing.assert_allclose(curve.current, expected)


@pytest.mark.parametrize("reading", ["nonsense", "1.0", "1.0 maybe", "nan true"])
def test_a_2600_with_unusable_readings_is_an_error(bench_2600, reading):
    meter = bench_2600(reading)
    with pytest.raises(MicroscopeError, match=r"reading must|give a reading"):
        meter.sweep(SWEEP)
    assert asked(meter, "print(smua.source.output)") == 0
