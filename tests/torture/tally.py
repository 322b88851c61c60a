"""What every torture check is made of: a size in, tallies out.

A check lives in a file `checks_*.py` beside this one and reads

    @check("kill")
    def kills(size: Size) -> list[Tally]:
        for trial in range(times(size, short=25, long=500)):
            ...
        return [Tally(what="...", tried=..., lost=..., note="...")]

pytest runs every check at its short size (`test_torture.py`); `python tests/torture` runs them at
their long size and prints the table. A check counts what was lost rather than raise at the first loss;
the note of a tally that lost something says what, so that it can be tried again.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Size = Literal["short", "long"]
POLICIES_KEY = "GRAINSCOUT_TORTURE_POLICIES"
SCALE = "GRAINSCOUT_TORTURE_SCALE"  # in the environment, so that sub-processes know it as well


@dataclass(frozen=True, kw_only=True)
class Tally:
    """One line of the table: what was tried, how often, and how often something was lost."""

    what: str
    tried: int
    lost: int
    note: str = ""


Check = Callable[[Size], list[Tally]]
_CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register a check under its name, unique among all of them."""

    def register(function: Check) -> Check:
        if name in _CHECKS:
            raise ValueError(f"the name of a check must be free; got {name!r} twice")
        _CHECKS[name] = function
        return function

    return register


def times(size: Size, *, short: int, long: int) -> int:
    """How often to try: `short`, or `long` times the scale; at least once."""
    return short if size == "short" else max(1, round(long * float(os.environ.get(SCALE, "1"))))


def all_checks() -> dict[str, Check]:
    """Every check of every `checks_*.py` in this folder, by name."""
    for path in sorted(Path(__file__).parent.glob("checks_*.py")):
        importlib.import_module(path.stem)
    return dict(_CHECKS)
