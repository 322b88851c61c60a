"""The study of prediction runs, and its scores are what they say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"


@pytest.fixture
def study():
    spec = importlib.util.spec_from_file_location("prediction", STUDIES / "prediction.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_likelihood_is_scipys(study):
    away, spread = np.array([0.3, -2.0, 1.1]), np.array([0.5, 1.0, 2.0])
    expected = -stats.norm(0, spread).logpdf(away).mean()
    assert study.nll(away, spread) == pytest.approx(expected)


def test_it_tells_a_model_that_knows_from_a_constant(study, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["prediction.py", "--smoke"])
    study.main()
    said = capsys.readouterr().out
    assert "dkl better than constant: by error 100%" in said
    assert "of 3 cases" in said
