"""Sizes of a stress test, and what it counts.

A stress test tries something many times and counts what was lost rather than stop at the first loss::

    def test_a_killed_run_goes_on(tally, times):
        for trial in range(times(short=25, long=500)):
            ...
            tally("runs killed", lost)  # one more of them, and "" or what was lost in words

`pytest tests/stress --size long --scale 0.1` takes a tenth of the long sizes; the ordinary suite the short ones.
"""

import os
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest


class Tally:
    """What was tried, how often, and what was lost: the test fails after any loss, and without a trial."""

    def __init__(self):
        self.tried, self.lost, self.notes = Counter(), defaultdict(list), {}

    def __call__(self, what, *lost, tried=1, note=""):
        self.tried[what] += tried
        self.lost[what] += filter(None, lost)
        self.notes[what] = note

    def check(self):
        for what, tried in self.tried.items():
            lost = self.lost[what]
            print(
                f"{what}: {tried:,} tried, {len(lost)} lost. {'; '.join([self.notes[what], *lost[:3]])}"
            )
        assert self.tried
        assert all(self.tried.values())
        assert not any(self.lost.values())


@pytest.fixture
def tally():
    return Tally()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    yield
    if "tally" in item.funcargs:
        item.funcargs["tally"].check()


def pytest_itemcollected(item):
    if "tally" in item.fixturenames:
        item.add_marker("stress")


@pytest.fixture
def size(request):
    return request.config.getoption("--size")


@pytest.fixture
def times(request, size):
    """How often to try: `short`, or `long` times the scale, at least once."""
    scale = request.config.getoption("--scale")
    return lambda *, short, long: short if size == "short" else max(1, round(long * scale))


@pytest.fixture
def scratch():
    """A folder that is gone at the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def in_memory():
    """The same in memory, where there is some."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as folder:
        yield Path(folder)
