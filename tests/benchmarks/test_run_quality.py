"""Quality of a run's curves: computed for journals of before, shown in the report."""

import re
from dataclasses import replace

import numpy as np
import pytest
from flights import film_of, flown, scope_on

from grainscout.analysis import figures
from grainscout.analysis.curves.quality_of_run import quality_of, recent_share
from grainscout.benchmarks import (
    CellKey,
    MicroscopeSpec,
    PolicySpec,
    Task,
    WaveformSpec,
    write_run_report,
)
from grainscout.benchmarks.campaign.cell import run_cell
from grainscout.journal import Journal
from grainscout.records import Waveform
from grainscout.records.curve import Quality
from grainscout.simulator.instrument import ContactSpec, instrument_spec

SEED = 21
WAVE = Waveform.triangle(1.5, 101, 1.0)


@pytest.fixture(scope="module")
def film():
    return film_of(SEED)


def run(film, loss_per_s, path, curves=30, **settings):
    """Journal of a run on an instrument that loses its contact so often."""
    spec = replace(instrument_spec("quiet"), contact=ContactSpec(loss_per_s=loss_per_s))
    scope, config = scope_on(film, SEED, spec, light=0.1), {"policy": {"name": "sobol"}}
    flown(scope, "sobol", SEED, path, curves=curves, wave=WAVE, config=config, **settings)
    return path


def page_of(path):
    with Journal.read(path) as journal:
        write_run_report(journal, path.with_suffix(".html"))
        return path.with_suffix(".html").read_text(), journal.outcomes()


def test_a_journal_without_verdicts_gets_the_ones_that_the_run_would_have_given(film, tmp_path):
    judged, unjudged = (
        run(film, 0.3, tmp_path / f"{judge}.gsj", judge=judge) for judge in (True, False)
    )
    with Journal.read(judged) as with_, Journal.read(unjudged) as without:
        recorded, later = with_.outcomes(), without.outcomes()
        problem = without.header().problem
    assert all(o.quality is None for o in later)
    found = quality_of(later, problem)
    assert [q.usable for q in found] == [o.usable for o in recorded]
    assert [q.reasons for q in found] == [o.quality.reasons for o in recorded]
    assert 3 < sum(q.usable for q in found) < len(found) - 3


def test_a_recorded_verdict_stays_and_a_run_without_curves_has_none(film, tmp_path):
    with Journal.read(run(film, 0.0, tmp_path / "run.gsj")) as journal:
        outcomes, problem = journal.outcomes(), journal.header().problem
    verdict = Quality(usable=False, reasons=("taken out by hand",), version=1)
    found = quality_of([replace(outcomes[0], quality=verdict), *outcomes[1:]], problem)
    assert found[0] == verdict
    assert all(q.usable for q in found[1:])
    failed = replace(outcomes[0], status="failed", curve=None, quality=None)
    assert quality_of([failed], problem) == [None]
    assert quality_of([], problem) == []


def test_noise_far_above_that_of_the_other_curves_is_seen_over_the_run(film, tmp_path):
    with Journal.read(run(film, 0.0, tmp_path / "run.gsj")) as journal:
        outcomes, problem = journal.outcomes(), journal.header().problem
    curve = outcomes[4].curve
    size = np.abs(curve.current).max()
    loud = np.random.default_rng(0).normal(0.0, size, len(curve))
    outcomes[4] = replace(outcomes[4], curve=replace(curve, current=curve.current + loud))
    found = quality_of(outcomes, problem)
    assert [k for k, q in enumerate(found) if not q.usable] == [4]
    assert "noisy" in found[4].reasons


def test_a_recent_share_is_over_the_latest_twenty_curves():
    usable = np.repeat([True, False, True], 20)
    share = recent_share(usable)
    assert share[19] == 0.0
    assert share[29] == 0.5
    assert share[39] == 1.0
    assert share[-1] == 0.0
    assert recent_share([False]).tolist() == [1.0]


def test_the_report_counts_usable_curves_and_leaves_the_others_out(film, tmp_path, monkeypatch):
    drawn, draw = [], figures.diversity_of_run
    monkeypatch.setattr(figures, "diversity_of_run", lambda v: drawn.append(v) or draw(v))
    page, outcomes = page_of(run(film, 0.3, tmp_path / "run.gsj"))
    usable = sum(o.usable for o in outcomes)
    assert [len(values) for values in drawn[0].values()] == [usable, usable]
    assert "Quality of the curves" in page
    assert f"{usable} of 30 curves are usable" in page
    assert f"{30 - usable} unusable curves are left out." in page
    lost = sum("contact lost" in o.quality.reasons for o in outcomes)
    assert re.search(rf"contact lost</th>\s*<td>{lost}</td>", page)
    assert "Unusable curves and their reasons" in page


def test_the_report_of_a_run_of_spoilt_curves_is_a_page(film, tmp_path):
    page, outcomes = page_of(run(film, 1e4, tmp_path / "run.gsj", curves=60))
    assert not any(o.usable for o in outcomes)
    assert "0 of 20 curves are usable" in page
    assert "Unusable curves and their reasons" in page
    assert "Values and diversity" not in page


def test_the_report_of_sound_curves_shows_no_unusable_ones(film, tmp_path):
    page, _ = page_of(run(film, 0.0, tmp_path / "run.gsj"))
    assert "30 of 30 curves are usable (100%)." in page
    assert "left out" not in page
    assert "Unusable curves" not in page


def test_a_cell_of_a_campaign_looks_twice_and_its_checkpoints_stay_where_they_are():
    faulty = MicroscopeSpec(film="tiny", instrument="contact-severe")
    task = Task(microscope=faulty, waveform=WaveformSpec(samples=51), light_suns=0.1, curves=24)
    cells = {}
    for looks in (0, 1):
        key = CellKey(task="task", film=0, policy="random")
        asked = replace(task, second_look=looks)
        cells[looks] = run_cell(key, asked, PolicySpec(name="random"), seed=5)
    sites = [
        len(set(zip(c["steps"]["row"], c["steps"]["column"], strict=True))) for c in cells.values()
    ]
    assert sites[0] == 24
    assert sites[1] < 24
    assert list(cells[1]["checkpoints"]["n"]) == list(cells[0]["checkpoints"]["n"])
