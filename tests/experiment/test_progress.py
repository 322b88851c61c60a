"""Progress in a notebook and on a terminal."""

import sys
import types

import pytest
from flights import film_of, flown, scope_on

from grainscout.experiment import Step, progress_bar
from grainscout.experiment.outcomes import attached, unmeasured_at
from grainscout.records import IVCurve, Outcome, Site, Waveform

SWEEP = Waveform.triangle(1.0, 51, 0.5)
CURVE = IVCurve(voltage=SWEEP.voltage, current=1e-9 * SWEEP.voltage, time=SWEEP.time)


@pytest.fixture
def run():
    scope = scope_on(film_of(1), 1)
    return lambda bar: flown(scope, "random", 1, curves=5, batch=2, observe=bar)


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
