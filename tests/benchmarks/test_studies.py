"""Studies at a small size: their scores are what they say, models differ from a constant."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"


def study(name):
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


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
