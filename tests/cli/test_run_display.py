"""Progress of ``grainscout run``, and the sites that a window leaves."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from rich.progress import Progress

from grainscout.analysis.formats import Recording, write_nsid
from grainscout.cli import main
from grainscout.cli.run import RunDisplay
from grainscout.experiment import Step
from grainscout.experiment.outcomes import attached, unmeasured_at
from grainscout.records import IVCurve, Outcome, Scan, Site, Waveform

SWEEP = Waveform.triangle(1.0, 51, 0.5)
CURVE = IVCurve(voltage=SWEEP.voltage, current=1e-9 * SWEEP.voltage, time=SWEEP.time)


def measured(count: int) -> list[Outcome]:
    return [Outcome(site=Site(0, i), status="ok", curve=CURVE) for i in range(count)]


def test_the_bar_counts_what_the_budget_counts_and_ends_full():
    with Progress(disable=True) as bar:
        display = RunDisplay(bar)
        display.begin(10, measured(4))
        turns = [
            [*measured(1), attached(Site(1, 1), CURVE, visit=0, at=0.0)],
            [unmeasured_at(Site(2, 2), "a-1", visit=0, at=0.0)],
            measured(4),
            measured(3),  # two of them by hand
        ]
        seen = []
        for number, outcomes in enumerate(turns):
            display.observe(Step(number=number, proposals=[], outcomes=outcomes, decision_s=0.0))
            seen.append((bar.tasks[0].completed, bar.tasks[0].total))
    assert seen == [(5, 10), (5, 10), (9, 10), (12, 12)]


def test_without_a_budget_of_curves_the_bar_has_no_end():
    with Progress(disable=True) as bar:
        display = RunDisplay(bar)
        display.begin(None, [])
        display.observe(Step(number=0, proposals=[], outcomes=measured(3), decision_s=0.0))
        assert (bar.tasks[0].completed, bar.tasks[0].total) == (3, None)


@pytest.mark.parametrize(("window", "offered"), [(1, None), (4, "49 of 100 recorded sites")])
def test_a_replay_says_how_many_of_its_sites_a_window_leaves(
    tmp_path, monkeypatch, capsys, window, offered
):
    sites = np.argwhere(np.ones((10, 10), bool))
    scan = Scan(channels={"height": np.arange(100.0).reshape(10, 10)}, pixel_size=(1e-8, 1e-8))
    current = (1 + np.arange(100.0))[:, None] * 1e-12 * SWEEP.voltage
    write_nsid(
        Recording(scan=scan, sites=sites, waveform=SWEEP, current=current), tmp_path / "g.h5"
    )
    (tmp_path / "run.toml").write_text(
        f"[task]\ncurves = 3\nwindow_px = {window}\n"
        'target = "max_current"\nmicroscope = { kind = "replay", file = "g.h5" }\n'
        'waveform = { kind = "recorded" }\n[policy]\nname = "random"\n'
    )
    for more in ([], ["--dry-run"]):
        monkeypatch.setattr(sys, "argv", ["grainscout", "run", str(tmp_path / "run.toml"), *more])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        said = " ".join(capsys.readouterr().out.split())
        assert ("recorded sites" in said) == (offered is not None)
        assert offered is None or f"{offered} can be measured with window_px = 4" in said
