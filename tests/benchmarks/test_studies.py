"""Studies at a small size: their scores are what they say, intervals cover, models differ from a constant."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"
CAMPAIGNS = 400


def study(name):
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def chance(share, campaigns=CAMPAIGNS):
    """Three standard errors of a share that is counted in so many campaigns."""
    return 3 * np.sqrt(share * (1 - share) / campaigns)


def test_likelihood_is_scipys():
    away, spread = np.array([0.3, -2.0, 1.1]), np.array([0.5, 1.0, 2.0])
    expected = -stats.norm(0, spread).logpdf(away).mean()
    assert study("prediction").nll(away, spread) == pytest.approx(expected)


def test_a_model_that_knows_differs_from_a_constant(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["prediction.py", "--smoke"])
    study("prediction").main()
    printed = capsys.readouterr().out
    assert "dkl better than constant: by error 100%" in printed
    assert "of 3 cases" in printed


def test_severe_faults_spoil_archetypes(capsys):
    study("descriptor_faults").main(["--smoke"])
    printed = capsys.readouterr().out.splitlines()
    rows = {line.split("|")[1].strip(): line for line in printed if line.startswith("| ")}
    quiet, severe = (float(rows[r].split("|")[2]) for r in ("none", "all-severe"))
    assert quiet > 0.75 > severe


@pytest.mark.parametrize("films", [8, 20])
def test_intervals_hold_the_known_answer_at_their_nominal_rate(films):
    coverage = study("statistics_coverage")
    normal = coverage.synthetic("normal")
    mean = coverage.interval_coverage(normal, films, CAMPAIGNS, truth=0.0)
    difference = coverage.difference_coverage(normal, films, CAMPAIGNS)
    assert mean == pytest.approx(0.95, abs=chance(0.95))
    assert difference == pytest.approx(0.95, abs=chance(0.95))
    assert coverage.interval_coverage(normal, 20, 100, truth=1.5) < 0.05


def test_a_policy_against_itself_differs_at_the_nominal_rate():
    coverage = study("statistics_coverage")
    normal, skewed = coverage.synthetic("normal"), coverage.synthetic("exponential")
    two = coverage.wrong_verdicts(normal, films=8, policies=2, tasks=1, repeats=CAMPAIGNS)
    assert two == pytest.approx(0.05, abs=chance(0.05))
    any_of_ten = coverage.wrong_verdicts(skewed, films=20, policies=5, tasks=1, repeats=150)
    assert any_of_ten <= 0.05 + chance(0.05, 150)
