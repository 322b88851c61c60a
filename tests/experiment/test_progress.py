"""Progress in a notebook and on a terminal."""

import sys
import types

import pytest

from grainscout.experiment import Experiment, make_problem, progress_bar
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.policies import make_policy
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film


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
    assert "100%" in capsys.readouterr().err


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
