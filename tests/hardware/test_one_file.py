"""One experiment file on every microscope: only its microscope table differs, and nothing is lost."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from grainscout.analysis.formats import write_nsid
from grainscout.benchmarks import set_up
from grainscout.config import load_run, run_document
from grainscout.experiment import Experiment
from grainscout.hardware import _aecroscopy
from grainscout.journal import Header, Journal, recording_of
from grainscout.policies import make_policy
from grainscout.records import LimitError, MicroscopeError
from grainscout.simulator import PRESETS, Film

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
LAB = ["nanonis", "source-meter", "asylum", "aecroscopy", "aespm"]
HEIGHT = Film.generate(PRESETS["tiny"], 3).scan().height[:24, :20].astype(np.float32).astype(float)
PEAK = (1e-9 + 0.02 * (HEIGHT - HEIGHT.min())).astype(np.float32).astype(float)


def sibling(name: str):
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake_nanonis, fake_igor = sibling("_fake_nanonis"), sibling("_fake_igor")

METER = """
spec: "1.0"
devices:
  meter:
    eom:
      GPIB INSTR: {q: "\\r\\n", r: "\\n"}
    error: ERROR
    dialogues:
      - {q: "*IDN?", r: "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C32"}
      - {q: ":FORMAT:ELEMENTS VOLTAGE, CURRENT, RESISTANCE, TIME, STATUS"}
    properties:
      voltage:
        default: 0.0
        getter: {q: ":READ?", r: "READING"}
        setter: {q: ":SOURCE:VOLTAGE {}"}
        specs: {type: float, min: -210, max: 210}
      sourced: {default: 0, getter: {q: "OUTPUT?", r: "{:d}"}, setter: {q: "OUTPUT {:d}"}, specs: {type: int}}
      compliance: {default: 0.0, getter: {q: ":SENSE:CURRENT:PROTECTION?", r: "{:g}"}, setter: {q: ":SENSE:CURRENT:PROTECTION {}"}, specs: {type: float}}
      nplc: {default: 1.0, getter: {q: ":SENSE:CURRENT:NPLCYCLES?", r: "{:g}"}, setter: {q: ":SENSE:CURRENT:NPLCYCLES {}"}, specs: {type: float}}
      mode: {default: VOLT, getter: {q: ":SOURCE:FUNCTION?", r: "{:s}"}, setter: {q: ":SOURCE:FUNCTION {}"}, specs: {type: str}}
resources:
  GPIB0::24::INSTR: {device: meter}
"""
RESISTOR = "{0:.6E},{0:.6f}E-07,+1.0E+07,+1.0E+00,+2.0E+00"
OVERFLOW = "{0:.6E},+9.910000E+37,+1E0,+1E0,+2.0E+00"


class Lab:
    """The fakes of one test: a microscope table for each, and whether its tip is up at 0 V."""

    def __init__(self, tmp_path, monkeypatch):
        self.tmp_path, self.monkeypatch = tmp_path, monkeypatch
        self.nanonis = self.igor = None
        self.reading = RESISTOR

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
        self.nanonis = fake_nanonis.FakeNanonis(HEIGHT, PEAK, angle=20.0)
        return f"port = {self.nanonis.port}, settle_s = 0.0, timeout_s = 0.5, speed_m_per_s = 1e-3"

    def _nanonis(self) -> str:
        return f'[task.microscope]\nkind = "nanonis"\noptions = {{ {self._options()} }}\n'

    def _source_meter(self) -> str:
        pytest.importorskip("pyvisa_sim", reason="pyvisa-sim is not installed")
        pytest.importorskip("pymeasure", reason="pymeasure is not installed")
        path = self.tmp_path / "meter.yaml"
        path.write_text(METER.replace("READING", self.reading))
        options = (
            f'resource = "GPIB0::24::INSTR", visa_library = "{path}@sim", mover = "nanonis", '
            f"mover_options = {{ {self._options()} }}"
        )
        return f'[task.microscope]\nkind = "source-meter"\noptions = {{ {options} }}\n'

    def _asylum(self, kind: str = "aecroscopy") -> str:
        folder = self.tmp_path / "saved"
        folder.mkdir()
        self.igor = fake_igor.FakeIgor(folder, HEIGHT, PEAK, angle=20.0)
        self.monkeypatch.setattr(_aecroscopy, "CypherIgor", lambda: fake_igor.DirectIgor(self.igor))
        options = (
            f'folder = "{folder}", shape = "triangle", settle_s = 0.0, timeout_s = 0.5, '
            "speed_m_per_s = 1e-3, scan_timeout_s = 1.0"
        )
        return f'[task.microscope]\nkind = "{kind}"\noptions = {{ {options} }}\n'

    def _aecroscopy(self) -> str:
        if importlib.util.find_spec("aecroscopywave") is None:
            pytest.skip("aecroscopywave is not installed (it needs Python 3.12 or newer)")
        real = _aecroscopy.CypherIgor
        table = self._asylum()
        self.monkeypatch.setattr(_aecroscopy, "CypherIgor", real)
        for name, module in self.igor.com_modules().items():
            self.monkeypatch.setitem(sys.modules, name, module)
        for name in [n for n in sys.modules if n.startswith("aecroscopywave")]:
            self.monkeypatch.delitem(sys.modules, name)
        return table

    def _aespm(self) -> str:
        module = pytest.importorskip(
            "aespm", reason="aespm is not installed (numpy < 2)"
        ).experiment
        table = self._asylum("aespm")
        commands = self.tmp_path / "ToIgor.arcmd"
        self.monkeypatch.setattr(module, "_command_buffer", str(commands))
        self.monkeypatch.setattr(module, "_read_out_buffer", str(self.tmp_path / "readout.txt"))
        self.monkeypatch.setattr(module, "Popen", self.igor.popen(commands))
        self.monkeypatch.setattr(module, "time", types.SimpleNamespace(sleep=lambda _: None))
        return table


@pytest.fixture
def lab(tmp_path, monkeypatch):
    fakes = Lab(tmp_path, monkeypatch)
    yield fakes
    fakes.close()


@contextlib.contextmanager
def closing(microscope):
    try:
        yield
    finally:
        if hasattr(microscope, "close"):
            microscope.close()


def fly(folder: Path, table: str, *, text: str = FILE, name: str = "run", observe=None):
    """What ``grainscout run`` does: the journal, and the microscope that was used."""
    path = folder / f"{name}.toml"
    path.write_text(text + table)
    settings = load_run(path)
    bench = set_up(settings.task, settings.seed, settings.limits)
    problem = bench.problem()
    header = Header(problem=problem, config=run_document(settings), seed=settings.seed)
    with (
        closing(bench.microscope.microscope),
        settings.open_policy(bench.microscope) as policy,
        Journal.create(folder / f"{name}.gsj", header) as journal,
        bench.microscope,
    ):
        Experiment(
            bench.microscope,
            policy,
            problem=problem,
            seed=settings.seed,
            journal=journal,
            observe=observe,
            **settings.loop_settings(),
        ).run()
    return bench.microscope


def read(folder: Path, name: str = "run"):
    """Outcomes and the reason of the end."""
    with Journal.read(folder / f"{name}.gsj") as journal:
        return journal.outcomes(), journal.events()[-1].detail["reason"]


def assert_complete(folder: Path, guard, name: str = "run") -> list:
    outcomes, reason = read(folder, name)
    assert reason == f"budget: {CURVES} curves"
    assert [o.status for o in outcomes] == ["ok"] * CURVES
    assert all(np.isfinite(o.curve.current).all() for o in outcomes)
    assert guard.log[-1].name == "park"
    assert not [c for c in guard.log if c.status in ("failed", "refused")]
    return outcomes


@pytest.mark.parametrize("kind", LAB)
def test_it_runs_on_every_microscope_of_a_lab(lab, tmp_path, kind):
    guard = fly(tmp_path, lab.table(kind))
    outcomes = assert_complete(tmp_path, guard)
    assert lab.parked()
    # The policy learnt from this sample: what was measured is what lies at the pixel that it named.
    for o in outcomes:
        known = 1e-7 if kind == "source-meter" else PEAK[o.site]
        top = known if kind in ("nanonis",) else 0.8 * known
        assert np.abs(o.curve.current).max() == pytest.approx(top, rel=1e-5)


def test_it_runs_on_the_simulator_on_its_recording_and_through_the_link(tmp_path):
    pytest.importorskip("zmq", reason="pyzmq is not installed")
    from grainscout.hardware.link import PolicyServer, generate_keys

    guard = fly(tmp_path, SIMULATED)
    first = assert_complete(tmp_path, guard)

    # The same film recorded on a grid of sites is replayed: another microscope table.
    everywhere = FILE.replace("curves = 10", "curves = 49").replace("curves = 40", "curves = 60")
    everywhere = everywhere.replace('name = "kriging"', 'name = "grid"').replace(
        'options = { seed_points = 4, seed_design = "random" }', ""
    )
    fly(tmp_path, SIMULATED, text=everywhere, name="grid")
    with Journal.read(tmp_path / "grid.gsj") as journal:
        recording = recording_of(journal)
    write_nsid(recording, tmp_path / "grid.h5")
    guard = fly(tmp_path, '[task.microscope]\nkind = "replay"\nfile = "grid.h5"\n', name="replayed")
    outcomes = assert_complete(tmp_path, guard, "replayed")
    for o in outcomes:
        np.testing.assert_array_equal(o.curve.current, recording.curve(o.site).current)

    # And with the policy behind the encrypted link: bit for bit what it does here.
    keys = generate_keys(tmp_path / "keys")
    with PolicyServer(
        lambda: make_policy("kriging", POLICY), address="tcp://127.0.0.1:0", keys=keys / "server"
    ) as server:
        link = f'\n[link]\naddress = "{server.address}"\nkeys = "keys/microscope"\n'
        guard = fly(tmp_path, SIMULATED + link, name="remote")
    remote = assert_complete(tmp_path, guard, "remote")
    assert [o.site for o in remote] == [o.site for o in first]
    for one, other in zip(first, remote, strict=True):
        np.testing.assert_array_equal(one.curve.current, other.curve.current)


def test_it_runs_on_the_real_recorded_grid(tmp_path, shared_data):
    """Its sweep is its own, so the waveform line says "recorded"; all else is the same file."""
    grid = shared_data / "mit_scifidatasets" / "NanonisReader_STS_grid_lockin.3ds"
    line = next(ln for ln in FILE.splitlines() if ln.startswith("waveform"))
    text = FILE.replace(line, 'waveform = { kind = "recorded" }').replace("dwell_s = 1.0", "")
    guard = fly(tmp_path, f'[task.microscope]\nkind = "replay"\nfile = "{grid}"\n', text=text)
    outcomes, reason = read(tmp_path)
    assert reason == f"budget: {CURVES} curves"
    assert {o.status for o in outcomes} <= {"ok", "saturated"}
    assert guard.log[-1].name == "park"


def after(count: int, then):
    """An observer that breaks something once `count` batches are done."""

    def observe(step):
        if step.number == count - 1:
            then()

    return observe


FAULTS = [
    ("nanonis", "drop", "closed the connection"),
    ("nanonis", "The tip has crashed", "The tip has crashed"),
    ("nanonis", "silent", "in time"),
    ("source-meter", "stuck", "half a pixel"),
    ("asylum", "stuck", "half a pixel"),
    ("asylum", "no file", "nothing new"),
    ("asylum", "partial", "truncated"),
    ("asylum", "half sweep", "it took|samples in one piece"),
    ("asylum", "error", "RPC server"),
]


@pytest.mark.parametrize(("kind", "fault", "message"), FAULTS)
def test_a_fault_in_the_middle_of_a_run_ends_it_parked_with_everything_kept(
    lab, tmp_path, kind, fault, message
):
    table = lab.table(kind)

    def strike():
        if lab.igor is not None:
            lab.igor.faults.add(fault)
        else:
            command = "FolMe.XYPosSet" if fault == "stuck" else "FolMe.XYPosGet"
            lab.nanonis.faults[command] = fault

    with pytest.raises(MicroscopeError, match=message):
        fly(tmp_path, table, observe=after(4, strike))
    outcomes, reason = read(tmp_path)
    assert [o.status for o in outcomes[:4]] == ["ok"] * 4
    assert all(o.status == "failed" and o.message for o in outcomes[4:])
    assert "MicroscopeError" in reason
    if fault != "error":  # nothing can be sent to an Igor that is gone
        assert lab.parked()


def test_lost_samples_are_kept_as_lost_and_the_run_goes_on(lab, tmp_path):
    table = lab.table("asylum")
    fly(tmp_path, table, observe=after(4, lambda: lab.igor.faults.add("lost samples")))
    outcomes, reason = read(tmp_path)
    assert reason == f"budget: {CURVES} curves"
    lost = [int(np.isnan(o.curve.current).sum()) for o in outcomes]
    assert lost[:4] == [0] * 4
    assert min(lost[4:]) > 0
    assert lab.parked()


def test_overflow_codes_are_flagged_outcomes_never_numbers(lab, tmp_path):
    lab.reading = OVERFLOW
    fly(tmp_path, lab.table("source-meter"))
    outcomes, _ = read(tmp_path)
    assert [o.status for o in outcomes] == ["saturated"] * CURVES
    assert max(np.abs(o.curve.current).max() for o in outcomes) == 1e-6


@pytest.mark.parametrize("kind", LAB)
def test_a_waveform_beyond_a_limit_moves_nothing(lab, tmp_path, kind):
    table = lab.table(kind)
    text = FILE.replace("voltage_V = 1.0", "voltage_V = 0.5")
    with pytest.raises(LimitError, match="voltage_V"):
        fly(tmp_path, table, text=text)
    assert lab.parked()
    told = [n for n, _ in lab.nanonis.log] if lab.nanonis is not None else lab.igor.log
    assert not [n for n in told if "XYPosSet" in n or "SetRamp" in n or "WriteValue" in n]


def test_a_clock_that_jumps_back_is_named_and_keeps_what_was_measured(lab, tmp_path, monkeypatch):
    from grainscout.hardware import RealClock

    now, jump = RealClock.now, [0.0]
    monkeypatch.setattr(RealClock, "now", lambda self: now(self) + jump[0])
    table = lab.table("nanonis")
    real = fake_nanonis.FakeNanonis.do_BiasSpectr_Start

    def late(self, body):
        jump[0] -= 3600.0 if len(read(tmp_path)[0]) >= 3 else 0.0
        return real(self, body)

    def read(folder):
        with Journal.read(folder / "run.gsj") as journal:
            return journal.outcomes(), None

    monkeypatch.setattr(fake_nanonis.FakeNanonis, "do_BiasSpectr_Start", late)
    with pytest.raises(MicroscopeError, match="clock ran back"):
        fly(tmp_path, table)
    outcomes, _ = read(tmp_path)
    assert [o.status for o in outcomes][:3] == ["ok"] * 3
    assert lab.parked()
