"""Sizes of a stress test, and what it counts.

A stress test tries something many times and counts what was lost rather than stop at the first loss::

    @nothing_lost
    def test_a_killed_run_goes_on(size: Size) -> list[Tally]:
        for trial in range(times(size, short=25, long=500)):
            ...
        return [Tally(what="...", tried=..., lost=..., note="...")]

`pytest tests/stress --size long --scale 0.1` takes a tenth of the long sizes; the ordinary suite the short ones.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest

Size = Literal["short", "long"]
SCALE = "GRAINSCOUT_STRESS_SCALE"  # in the environment, so that sub-processes know it as well


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What was tried, how often, and how often something was lost."""

    what: str
    tried: int
    lost: int
    note: str = ""


def tally(what: str, tried: int, lost: list[str], note: str = "") -> Tally:
    """A tally of losses in words, the first of which follow the note."""
    words = "; ".join([*filter(None, [note]), *lost[:3]])
    return Tally(what=what, tried=tried, lost=len(lost), note=words)


def nothing_lost(count: Callable[[Size], list[Tally]]) -> Callable[[Size], None]:
    """A stress test of a function that counts: it fails if anything was lost, or nothing tried."""

    @pytest.mark.stress
    @functools.wraps(count)
    def test(size: Size) -> None:
        tallies = count(size)
        for tally in tallies:
            print(f"{tally.what}: {tally.tried:,} tried, {tally.lost} lost. {tally.note}")
        assert tallies
        assert [t for t in tallies if t.lost > 0 or t.tried == 0] == []

    return test


def times(size: Size, *, short: int, long: int) -> int:
    """How often to try: `short`, or `long` times the scale, at least once."""
    return short if size == "short" else max(1, round(long * float(os.environ.get(SCALE, "1"))))
