"""Progress in a notebook and on a terminal."""

import sys
import types

import pytest

from grainscout.experiment import Experiment, Step, make_problem, progress_bar
from grainscout.experiment.outcomes import attached, unmeasured_at
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.policies import make_policy
from grainscout.records import Budget, IVCurve, Outcome, Site, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film

SWEEP = Waveform.triangle(1.0, 51, 0.5)
CURVE = IVCurve(voltage=SWEEP.voltage, current=1e-9 * SWEEP.voltage, time=SWEEP.time)


@pytest.fixture
def run():
    def running(bar):
        seed = spawn_streams(1)
        scope = Guard(
            SimulatedMicroscope(
                Film.generate(PRESETS["tiny"], seed.film), "quiet", seed=seed.instrument
            )
        )
        problem = make_problem(scope, Waveform.triangle(1.5, 31), Budget(curves=5))
        return Experiment(
            scope, make_policy("random"), problem=problem, seed=1, batch=2, observe=bar
        ).run()

    return running


def test_a_terminal_ends_with_the_whole_bar(run, capsys):
    with progress_bar(5) as bar:
        run(bar)
    assert "5/5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("total", "ends"),
    [(10, ["5/10", "5/10", "9/10", "12/12"]), (None, ["5/?", "5/?", "9/?", "12/?"])],
)
def test_the_bar_counts_what_the_budget_counts_and_ends_full(capsys, total, ends):
    def measured(count):
        return [Outcome(site=Site(0, i), status="ok", curve=CURVE) for i in range(count)]

    turns = [
        [*measured(1), attached(Site(1, 1), CURVE, visit=0, at=0.0)],
        [unmeasured_at(Site(2, 2), "a-1", visit=0, at=0.0)],
        measured(4),
        measured(3),  # two of them by hand
    ]
    for k, end in enumerate(ends):
        with progress_bar(total, done=4) as bar:
            for outcomes in turns[: k + 1]:
                bar(Step(number=0, proposals=[], outcomes=outcomes, decision_s=0.0))
        assert end in capsys.readouterr().err


def test_a_notebook_has_one_output_that_is_updated(run, monkeypatch):
    shown = []
    handle = types.SimpleNamespace(update=shown.append)
    made = types.SimpleNamespace(
        HTML=str, display=lambda html, display_id: shown.append(html) or handle
    )
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython.display", made)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    with progress_bar(5) as bar:
        run(bar)
    assert [text.rpartition("> ")[2] for text in shown] == [
        f"{k} of 5 curves" for k in (0, 2, 4, 5)
    ]
