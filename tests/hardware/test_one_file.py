"""One experiment file on every microscope: only its microscope table differs, and nothing is lost."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from fake_keithley import OVERFLOW
from fake_nanonis import FakeNanonis
from lab import CURVES, FILE, LAB, PEAK, POLICY, SIMULATED, Lab

from grainscout.analysis.formats import write_nsid
from grainscout.benchmarks import make_environment
from grainscout.config import load_run, run_document
from grainscout.experiment import Experiment
from grainscout.hardware import RealClock
from grainscout.journal import Header, Journal, recording_of
from grainscout.policies import make_policy
from grainscout.records import LimitError, MicroscopeError


@pytest.fixture
def lab(tmp_path, monkeypatch):
    rig = Lab(tmp_path, monkeypatch)
    yield rig
    rig.close()


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
    environment = make_environment(settings.task, settings.seed, settings.limits)
    with (
        closing(environment.microscope.microscope),
        settings.open_policy(environment.microscope) as policy,
        environment.microscope,
    ):
        problem = environment.problem()
        header = Header(problem=problem, config=run_document(settings), seed=settings.seed)
        with Journal.create(folder / f"{name}.gsj", header) as journal:
            Experiment(
                environment.microscope,
                policy,
                problem=problem,
                seed=settings.seed,
                journal=journal,
                observe=observe,
                **settings.loop_settings(),
            ).run()
    return environment.microscope


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
    from grainscout.hardware.remote import PolicyServer, generate_keys

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


@pytest.mark.parametrize("seconds", [-3600.0, 1e6])
def test_a_clock_that_jumps_is_named_and_keeps_the_curves(lab, tmp_path, monkeypatch, seconds):
    now, jump = RealClock.now, [0.0]
    monkeypatch.setattr(RealClock, "now", lambda self: now(self) + jump[0])
    sweep = FakeNanonis.do_BiasSpectr_Start

    def late(self, body):
        with Journal.read(tmp_path / "run.gsj") as journal:
            if len(journal.outcomes()) == 3:
                jump[0] = seconds
        return sweep(self, body)

    monkeypatch.setattr(FakeNanonis, "do_BiasSpectr_Start", late)
    text = FILE.replace("curves = 40", "curves = 40\ntotal_s = 100000")
    if seconds > 0:
        with pytest.raises(LimitError, match="total_s"):
            fly(tmp_path, lab.table("nanonis"), text=text)
    else:
        fly(tmp_path, lab.table("nanonis"), text=text)
    outcomes, _ = read(tmp_path)
    assert [o.status for o in outcomes][:3] == ["ok"] * 3
    if seconds < 0:  # that curve cannot be believed; those after it can
        assert [o.status for o in outcomes][3:].count("failed") == 1
        assert "clock ran back" in outcomes[3].message
    assert lab.parked()


@pytest.mark.parametrize("kind", ["nanonis", "asylum"])
def test_a_dry_run_sends_nothing_and_names_the_twin(lab, tmp_path, grainscout, kind):
    path = tmp_path / "run.toml"
    path.write_text(FILE + lab.table(kind))
    status, _, err = grainscout("run", path, "--dry-run")
    assert status == 2
    assert "preflight" in err
    assert (lab.nanonis or lab.igor).log == []
    assert "no limit would be broken" in grainscout("preflight", path, "--film", "tiny")[1]
    assert (lab.nanonis or lab.igor).log == []
