"""Opening a long journal against reading all of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from grainscout.journal import Journal, salvage

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "stress"))
from load import big_journal

CURVES = 10_000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("journal") / "big.gsj"
    big_journal(made, CURVES)
    return made


@pytest.mark.benchmark(group="a journal of 10 000 curves")
def test_open(benchmark, path):
    """Open, header, how far it is, and the last outcomes: what a resume or a page needs first."""

    def go():
        with Journal.read(path) as journal:
            journal.header()
            return journal.outcomes(journal.count() - 10)

    assert len(benchmark(go)) == 10


@pytest.mark.benchmark(group="a journal of 10 000 curves")
def test_read_all(benchmark, path):
    def go():
        with Journal.read(path) as journal:
            return journal.outcomes()

    assert len(benchmark.pedantic(go, rounds=2)) == CURVES


@pytest.mark.benchmark(group="a journal of 10 000 curves")
def test_salvage(benchmark, path):
    assert len(benchmark.pedantic(lambda: salvage(path), rounds=1).outcomes) == CURVES
