"""A Zurich amplifier as a meter, against a fake written from zhinst-toolkit's calls and documented nodes."""

import math
import sys
import types

import numpy as np
import pytest

from grainscout.hardware.adapters.parts import METERS
from grainscout.hardware.adapters.zurich import rescue
from grainscout.records import MicroscopeError, Waveform

CONDUCTANCE = 2e-7  # A/V
SWEEP = Waveform.bipolar(0.6, 13, 0.3)


class Node:
    """A node of the tree: read with (), written with (value), as the toolkit does it."""

    def __init__(self, server, path=""):
        self.server, self.path = server, path

    def __getattr__(self, name):
        return Node(self.server, f"{self.path}/{name}")

    def __getitem__(self, index):
        return Node(self.server, f"{self.path}/{index}")

    def __call__(self, value=None, *, enum=True):
        if self.server.fault == "lost":
            raise RuntimeError("ZIAPIServerException: connection lost")
        if value is not None:
            self.server.set(self.path, value)
            return None
        return self.server.get(self.path)


class Server(types.ModuleType):
    """zhinst.toolkit with one MFLI, whose current input is on a resistor at auxiliary output 1."""

    def __init__(self):
        super().__init__("zhinst.toolkit")
        self.values = {"/currins/0/range": 1e-7, "/auxouts/1/offset": 0.7, "/oscs/0/freq": 1e5}
        self.fault, self.stamp, self.serials = "", 0, []

    def Session(self, host, port):
        device = lambda serial: self.serials.append(serial) or Node(self)  # noqa: E731
        return types.SimpleNamespace(connect_device=device)

    def set(self, path, value):
        if path.endswith("rate"):
            value = 13_400.0 / 2 ** round(math.log2(13_400.0 / value))  # as the server rounds it
        if not (self.fault == "limited" and path.endswith("offset")):
            self.values[path] = value

    def get(self, path):
        if not path.endswith("sample"):
            return self.values[path]
        assert (self.values["/demods/0/adcselect"], self.values["/oscs/0/freq"]) == (1, 0.0)
        self.stamp += self.fault != "stale"
        volts = (
            self.values["/auxouts/1/offset"] if self.values["/auxouts/1/outputselect"] == -1 else 0
        )
        current = np.clip(
            math.sqrt(2) * CONDUCTANCE * volts, -math.sqrt(2) * 1e-7, math.sqrt(2) * 1e-7
        )
        return {"timestamp": np.array([self.stamp]), "x": np.array([current])}


@pytest.fixture
def server(monkeypatch):
    made = Server()
    monkeypatch.setitem(sys.modules, "zhinst", types.ModuleType("zhinst"))
    monkeypatch.setitem(sys.modules, "zhinst.toolkit", made)
    return made


@pytest.fixture
def meter(server):
    made = METERS.make("zurich", {"device": "dev5000", "output": 1, "settle_s": 1e-3, "lag": 50.0})
    yield made
    server.fault = ""
    made.close()


def test_a_resistor_is_measured_and_the_output_is_zero_before_and_after(server, meter):
    assert server.values["/auxouts/1/offset"] == 0.0  # not what was left there
    curve = meter.sweep(SWEEP)
    ideal = np.clip(CONDUCTANCE * SWEEP.voltage, -1e-7, 1e-7)
    np.testing.assert_allclose(curve.current, ideal, rtol=1e-6, atol=1e-15)
    np.testing.assert_array_equal(curve.saturated, np.abs(curve.current) >= 0.99e-7)
    assert curve.saturated.any()
    assert server.values["/auxouts/1/offset"] == 0.0
    assert meter.settings()["range_A"] == 1e-7


@pytest.mark.parametrize(
    ("fault", "words"),
    [("lost", "connection lost"), ("stale", "new sample"), ("limited", r"must take 0\.2 at")],
)
def test_faults_are_named(server, meter, fault, words):
    server.fault = fault
    with pytest.raises(MicroscopeError, match=words):
        meter.sweep(SWEEP)


def test_more_than_the_output_gives_is_refused_and_another_process_sets_zero(server, meter):
    with pytest.raises(MicroscopeError, match="can give 10 V"):
        meter.sweep(Waveform.triangle(11.0, 5, 1.0))
    (job,) = meter.rescues()
    server.values["/auxouts/1/offset"] = 0.4
    rescue(**job.options)()
    assert server.values["/auxouts/1/offset"] == 0.0
    assert server.serials == ["dev5000"] * 2
