"""Verdicts on curves in exported files."""

from dataclasses import replace

import numpy as np
import pytest
from samples import curve_of, problem_on

from grainscout.analysis import formats
from grainscout.journal import Header, Journal, recording_of
from grainscout.records import Outcome, Waveform

WAVE = Waveform.triangle(1.5, 101, 1.0)
SITES = np.array([(r, c) for r in range(4) for c in range(4)])


def curve(lost=False):
    """A smooth curve, with its contact lost for a while."""
    noise = np.random.default_rng(1).normal(0.0, 1e-12, len(WAVE))
    current = 1e-9 * np.sinh(WAVE.voltage) + noise
    if lost:
        current[30:40] = noise[30:40]
    return curve_of(WAVE, current)


def outcome(site, lost=False, visit=0):
    return Outcome(site=site, status="ok", curve=curve(lost), visit=visit, started=float(visit))


@pytest.fixture
def journal(tmp_path):
    """A run of before verdicts: a lost contact, one seen again, one lost twice, one sound."""
    problem = problem_on(np.zeros((4, 4)), SITES, waveform=WAVE, step=(1e-9, 1e-9))
    outcomes = [
        outcome((0, 0), lost=True),
        outcome((0, 1), lost=True),
        outcome((0, 1), visit=1),
        outcome((0, 2), lost=True),
        outcome((0, 2), lost=True, visit=1),
        outcome((0, 3)),
    ]
    path = tmp_path / "run.gsj"
    with Journal.create(path, Header(problem=problem, config={}, seed=0)) as made:
        for k, one in enumerate(outcomes):
            made.record_batch(k, [], 0.0)
            made.record_outcome(k, one)
    with Journal.read(path) as made:
        yield made


def test_a_usable_look_at_a_site_is_exported_before_an_unusable_one(journal):
    data = recording_of(journal)
    assert data.sites.tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]
    assert data.metadata["usable"] == [False, True, False, True]
    assert data.metadata["started_s"] == [0.0, 1.0, 0.0, 0.0]
    assert "contact lost" in data.metadata["quality_reasons"][0]
    assert data.metadata["quality_reasons"][3] == ""
    assert data.metadata["later_visits_left_out"] == 2


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_a_file_keeps_the_verdicts(journal, tmp_path, suffix):
    data = recording_of(journal)
    path = tmp_path / f"out{suffix}"
    {".h5": formats.write_nsid, ".csv": formats.write_csv}[suffix](data, path)
    again = formats.read(path)
    assert "2 of 4 curves are unusable: contact lost" in dict(formats.summary_of(again))["quality"]
    again = again.metadata
    for key in ("usable", "quality_reasons", "quality_score"):
        assert list(again[key]) == list(data.metadata[key])


def test_curves_in_another_unit_are_exported_without_verdicts(journal):
    class InVolts:
        path = journal.path
        header = staticmethod(journal.header)

        @staticmethod
        def outcomes():
            return [
                replace(o, curve=replace(o.curve, current=o.curve.current * 1e9))
                for o in journal.outcomes()
            ]

    assert "usable" not in recording_of(InVolts).metadata
