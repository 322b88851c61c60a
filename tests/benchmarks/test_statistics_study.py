"""What the study of coverage measures, at a small size: intervals cover, equal policies stay undecided."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

CAMPAIGNS = 400


@pytest.fixture(scope="module")
def study():
    path = Path(__file__).parents[2] / "benchmarks" / "studies" / "statistics_coverage.py"
    spec = importlib.util.spec_from_file_location("statistics_coverage", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chance(share, campaigns=CAMPAIGNS):
    """Three standard errors of a share that is counted in so many campaigns."""
    return 3 * np.sqrt(share * (1 - share) / campaigns)


@pytest.mark.parametrize("films", [8, 20])
def test_intervals_hold_the_known_answer_at_their_nominal_rate(study, films):
    normal = study.synthetic("normal")
    mean = study.interval_coverage(normal, films, CAMPAIGNS, truth=0.0)
    difference = study.difference_coverage(normal, films, CAMPAIGNS)
    assert mean == pytest.approx(0.95, abs=chance(0.95))
    assert difference == pytest.approx(0.95, abs=chance(0.95))


def test_an_interval_does_not_hold_a_wrong_answer(study):
    assert study.interval_coverage(study.synthetic("normal"), 20, 100, truth=1.5) < 0.05


def test_a_policy_against_itself_is_called_different_at_the_nominal_rate(study):
    normal, skewed = study.synthetic("normal"), study.synthetic("exponential")
    two = study.wrong_verdicts(normal, films=8, policies=2, tasks=1, repeats=CAMPAIGNS)
    assert two == pytest.approx(0.05, abs=chance(0.05))
    any_of_ten = study.wrong_verdicts(skewed, films=20, policies=5, tasks=1, repeats=150)
    assert any_of_ten <= 0.05 + chance(0.05, 150)
