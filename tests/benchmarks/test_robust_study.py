"""The study of robust likelihoods runs, and spoilt curves bend no map on a small film."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

STUDY = Path(__file__).parents[2] / "benchmarks" / "studies" / "robust.py"


@pytest.fixture(scope="module")
def table():
    spec = importlib.util.spec_from_file_location("study_robust", STUDY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(["--smoke"])["nrmse"].sort_index()


def test_severe_contact_faults_cost_under_fifteen_percent_of_the_noiseless_map(table):
    severe = table["contact-severe", True]
    assert severe["student-t"] < 1.15 * severe["noiseless"]


def test_student_t_noise_withstands_curves_that_no_gate_left_out(table):
    severe = table["contact-severe", False]
    assert severe["student-t"] < severe["normal"]
