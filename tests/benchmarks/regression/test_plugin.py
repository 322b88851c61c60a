"""The pytest plugin in a project that is not ours, here."""

import subprocess
import sys

from grainscout.benchmarks.regression import FILM_NAMES  # both runs share its films

pytest_plugins = ["pytester"]

PROJECT = """
import numpy as np
import pytest
from grainscout.analysis.curves.archetypes import classify

def kinds(case):
    return classify(case.voltage, case.current)

def test_good(assert_no_regression):
    assert_no_regression(lambda case: {"archetype": kinds(case)}, "kinds.json")

def test_named(assert_no_regression):
    assert_no_regression(lambda case: {"archetype": kinds(case)})
"""

MORE = """
def test_damaged(assert_no_regression):
    assert_no_regression(lambda case: {"archetype": 2 - kinds(case) % 3}, "kinds.json")

def test_no_baseline(assert_no_regression):
    assert_no_regression(lambda case: {"archetype": kinds(case)})

def test_on_each_film(film, truth):
    assert (kinds(film) == truth.archetype).mean() > 0.7
"""


def test_three_lines_are_enough(pytester):
    pytester.makepyfile(test_mine=PROJECT)
    first = pytester.runpytest_inprocess("--grainscout-update", "-p", "no:cacheprovider")
    first.assert_outcomes(passed=2)
    assert (pytester.path / "baselines" / "test_mine-test_named.json").is_file()
    pytester.makepyfile(test_mine=PROJECT + MORE)
    second = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    second.assert_outcomes(passed=2 + len(FILM_NAMES), failed=2)
    second.stdout.fnmatch_lines(
        [
            "*significantly worse*",
            "*archetype_accuracy*worse*",
            "*there is none at*pytest --grainscout-update*test_no_baseline*",
        ]
    )


def test_the_plugin_costs_nothing_where_it_is_not_used():
    code = (
        "import sys, grainscout.pytest_plugin as p; "
        "print([m for m in ('numpy', 'torch', 'grainscout.benchmarks') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
