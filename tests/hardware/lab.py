"""A laboratory of fakes: one microscope table for each back end, all over one sample."""

import importlib.util
import json

import fake_keithley as keithley
import numpy as np
import pytest
from fake_igor import FakeIgor, install
from fake_nanonis import QUICK, FakeNanonis

from grainscout.simulator import PRESETS, Film

ASYLUM = {"aecroscopy": "aecroscopywave", "aespm": "aespm"}
CURVES = 10
POLICY = {"seed_points": 4, "seed_design": "random"}
FILE = """
seed = 5
decision_s = 0.0
max_failures = 2

[policy]
name = "kriging"
options = { seed_points = 4, seed_design = "random" }

[limits]
voltage_V = 1.0
slew_V_per_s = 100.0
dwell_s = 1.0
curves = 40
current_A = 1e-6

[task]
target = "max_current"
curves = 10
window_px = 3
waveform = { kind = "triangle", peak_V = 0.8, samples = 21, duration_s = 0.1 }

"""
SIMULATED = '[task.microscope]\nkind = "simulated"\nfilm = "tiny"\ninstrument = "quiet"\n'
#: The Asylum packages take part where they are installed (adapters/test_asylum.py says where not).
LAB = ["nanonis", "source-meter", "asylum"]
LAB += [n for n, p in ASYLUM.items() if importlib.util.find_spec(p)]
HEIGHT = Film.generate(PRESETS["tiny"], 3).scan().height[:24, :20].astype(np.float32).astype(float)
PEAK = (1e-9 + 0.02 * (HEIGHT - HEIGHT.min())).astype(np.float32).astype(float)


class Lab:
    """The fakes of one test: a microscope table for each, and whether its tip is up at 0 V."""

    def __init__(self, tmp_path, monkeypatch):
        self.tmp_path, self.monkeypatch = tmp_path, monkeypatch
        self.nanonis = self.igor = None
        self.reading = ""  # of the source-meter; of a resistor

    def table(self, kind: str) -> str:
        return getattr(self, "_" + kind.replace("-", "_"))()

    def parked(self) -> bool:
        fakes = [f for f in (self.nanonis, self.igor) if f is not None]
        return bool(fakes) and not any(f.landed or f.bias != 0.0 for f in fakes)

    def close(self):
        if self.nanonis is not None:
            self.nanonis.close()
        if self.igor is not None:
            self.igor.hang.set()

    def _options(self) -> str:
        pytest.importorskip("nanonis_spm", reason="nanonis-spm is not installed")
        self.nanonis = FakeNanonis(HEIGHT, PEAK, angle=20.0)
        options = {**QUICK, **self.nanonis.ports(), "timeout_s": 0.5}
        return ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())

    def _nanonis(self) -> str:
        return f'[task.microscope]\nkind = "nanonis"\noptions = {{ {self._options()} }}\n'

    def _source_meter(self) -> str:
        pytest.importorskip("pyvisa_sim", reason="pyvisa-sim is not installed")
        pytest.importorskip("pymeasure", reason="pymeasure is not installed")
        simulated = keithley.library(self.tmp_path / "meter.yaml", reading=self.reading)
        options = (
            f'resource = "{keithley.RESOURCE}", visa_library = "{simulated}", lag = 50.0, watchdog = false, rise_s = 2e-3, mover = "nanonis", '
            f"mover_options = {{ {self._options()} }}"
        )
        return f'[task.microscope]\nkind = "source-meter"\noptions = {{ {options} }}\n'

    def _asylum(self, kind: str = "direct") -> str:
        folder = self.tmp_path / "saved"
        folder.mkdir()
        self.igor = FakeIgor(folder, HEIGHT, PEAK, angle=20.0)
        install(kind, self.igor, self.tmp_path, self.monkeypatch)
        options = (
            f'folder = "{folder}", shape = "triangle", settle_s = 0.0, stable_s = 0.005, arrival_s = 0.2, timeout_s = 0.5, '
            "speed_m_per_s = 1e-3, scan_timeout_s = 1.0"
        )
        name = "aecroscopy" if kind == "direct" else kind
        return f'[task.microscope]\nkind = "{name}"\noptions = {{ {options} }}\n'

    def _aecroscopy(self) -> str:
        return self._asylum("aecroscopy")

    def _aespm(self) -> str:
        return self._asylum("aespm")
