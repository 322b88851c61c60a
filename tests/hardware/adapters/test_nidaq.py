"""The card as a meter and as a lamp, against a fake written from the package's documented calls."""

import sys
import types

import numpy as np
import pytest

from grainscout.hardware.adapters.parts import LAMPS, METERS
from grainscout.records import MicroscopeError, Waveform

CONDUCTANCE = 2e-9  # A/V of the sample


class Card(types.ModuleType):
    """nidaqmx with one card: a sample and an inverting preamplifier of 1 nA/V between ao0 and ai0."""

    class Error(Exception):
        pass

    def __init__(self):
        super().__init__("nidaqmx")
        self.held, self.fault, self.written = {}, "", []
        self.errors = types.SimpleNamespace(Error=Card.Error)
        self.constants = types.SimpleNamespace(AcquisitionType=types.SimpleNamespace(FINITE=1))

    def Task(self):
        return _Task(self)


class _Task:
    def __init__(self, card):
        self.card, self.channel, self.clock = card, "", None
        self.ao_channels = types.SimpleNamespace(add_ao_voltage_chan=self._channel)
        self.ai_channels = types.SimpleNamespace(add_ai_voltage_chan=self._channel)
        self.timing = types.SimpleNamespace(cfg_samp_clk_timing=self._timed)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def _channel(self, name, min_val, max_val):
        self.channel, self.top = name, max_val

    def _timed(self, rate, sample_mode, samps_per_chan, source=""):
        self.clock = (rate, samps_per_chan, source)

    def write(self, values, auto_start):
        values = np.atleast_1d(values)
        assert np.abs(values).max() <= 10
        self.card.held[self.channel] = values[-1]
        if self.clock:
            self.card.written = values

    def start(self):
        if self.card.fault == "reserved":
            raise Card.Error("-50103: the specified resource is reserved")

    def read(self, number_of_samples_per_channel, timeout):
        assert self.clock[2] == "/Dev1/ao/SampleClock"
        out = -self.card.written * CONDUCTANCE / 1e-9
        short = number_of_samples_per_channel // 2 if self.card.fault == "short" else None
        return np.clip(out, -self.top, self.top)[:short].tolist()


@pytest.fixture
def card(monkeypatch):
    module = Card()
    monkeypatch.setitem(sys.modules, "nidaqmx", module)
    return module


@pytest.fixture
def meter(card):
    options = {"output": "Dev1/ao0", "input": "Dev1/ai0", "amperes_per_V": -1e-9, "rail_V": 3.0}
    made = METERS.make("nidaqmx", options)
    yield made
    made.close()


@pytest.mark.parametrize(
    "waveform",
    [
        Waveform.triangle(1.0, 21, 0.1),
        Waveform.bipolar(1.0, 21, 0.1),
        Waveform.constant(0.5, 0.1, 5),
        Waveform(voltage=[0, 1, 0.5, -1.2], time=[0, 0.01, 0.05, 0.06]),
    ],
)
def test_any_waveform_is_given_and_read_at_its_own_times(card, meter, waveform):
    curve = meter.sweep(waveform)
    turn = 1.5 * waveform.slew * np.diff(waveform.time).max() * CONDUCTANCE  # a mean over a corner
    np.testing.assert_allclose(curve.current, CONDUCTANCE * waveform.voltage, atol=turn / 4 + 1e-15)
    inside = np.abs(np.diff(waveform.voltage, 2)) < 1e-9
    slack = 2 * waveform.slew / 50_000 * CONDUCTANCE + 1e-15  # one reading more on a side
    off = np.abs(curve.current - CONDUCTANCE * waveform.voltage)[1:-1][inside]
    assert off.max(initial=0.0) <= slack
    assert card.held["Dev1/ao0"] == 0.0
    steps = np.abs(np.diff(card.written, prepend=0.0 if waveform.voltage[0] == 0 else 0.5))
    back = abs(waveform.voltage[-1]) / np.diff(waveform.time)[-1]
    assert steps.max() <= max(waveform.slew, back) / 50_000 * 1.001


def test_the_rail_and_faults_are_named(card, meter):
    assert meter.sweep(Waveform.triangle(2.0, 21, 0.1)).saturated.sum() == 7
    for fault, words in (("reserved", "resource is reserved"), ("short", "readings; got")):
        card.fault = fault
        with pytest.raises(MicroscopeError, match=words):
            meter.sweep(Waveform.triangle(1.0, 21, 0.1))
        assert card.held["Dev1/ao0"] == 0.0
    card.fault = ""
    for waveform, words in (
        (Waveform.triangle(12.0, 21, 0.1), "can give 10 V"),
        (Waveform.triangle(1.0, 21, 1e-5), "readings a sample"),
    ):
        with pytest.raises(MicroscopeError, match=words):
            meter.sweep(waveform)


def test_a_lamp_follows_its_calibration_and_no_further(card):
    lamp = LAMPS.make("nidaqmx", {"output": "Dev1/ao1", "V_per_sun": 2.0, "most_V": 3.0})
    lamp.set(1.0)
    assert card.held["Dev1/ao1"] == 2.0
    assert lamp.settings()["suns"] == 1.0
    for suns in (1.6, -0.1, float("nan")):
        with pytest.raises(MicroscopeError, match=r"0 to 1\.5 suns"):
            lamp.set(suns)
    lamp.close()
    assert card.held["Dev1/ao1"] == 0.0
