"""Speed against stored ratios: how long one benchmark takes in units of another of the same run.

Seconds differ between machines; the ratio of two benchmarks of one group in one file hardly does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from grainscout.benchmarks.regression.baseline import BaselineError
from grainscout.records import DataError

#: A ratio has changed in practice if it did by this factor: timings of shared machines wander.
FACTOR = 1.5


@dataclass(frozen=True, kw_only=True)
class SpeedRatio:
    """`benchmark` takes `ratio` times as long as `over`; names as in the file, of one group."""

    group: str
    benchmark: str
    over: str
    ratio: float


@dataclass(frozen=True, kw_only=True)
class SpeedChange:
    """A stored ratio beside the present one.

    ratio : of the fastest rounds, which other work on the machine disturbs least;  low, high : its range
    if either benchmark was at its median instead.
    """

    stored: SpeedRatio
    ratio: float
    low: float
    high: float

    @property
    def outcome(self) -> Literal["unchanged", "worse", "better"]:
        """Worse only if even the favourable end of the range is beyond the factor."""
        if self.low > self.stored.ratio * FACTOR:
            return "worse"
        return "better" if self.high < self.stored.ratio / FACTOR else "unchanged"

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        now = {"now": self.ratio, "range": [self.low, self.high], "outcome": self.outcome}
        return {**vars(self.stored), **now}


def compare_speed(
    file: Path, stored: list[SpeedRatio]
) -> tuple[list[SpeedChange], list[SpeedRatio]]:
    """Changes of the ratios whose two benchmarks are in a pytest-benchmark JSON file, and the others.

    DataError if the file is none, or holds no benchmark of any stored ratio.
    """
    times = _read(file)
    changes, missing = [], []
    for ratio in stored:
        top, bottom = (times.get((ratio.group, name)) for name in (ratio.benchmark, ratio.over))
        if top is None or bottom is None:
            missing.append(ratio)
            continue
        changes.append(
            SpeedChange(
                stored=ratio,
                ratio=top["min"] / bottom["min"],
                low=top["min"] / bottom["median"],
                high=top["median"] / bottom["min"],
            )
        )
    if not changes:
        raise DataError(
            f"{file} must hold both benchmarks of some stored ratio ({_pairs(stored)}); it holds "
            f"{', '.join(name for _, name in times) or 'none'}"
        )
    return changes, missing


def read_ratios(path: Path) -> list[SpeedRatio]:
    """The stored ratios; BaselineError if the file is missing or damaged."""
    try:
        return [
            SpeedRatio(
                group=str(row["group"]),
                benchmark=str(row["benchmark"]),
                over=str(row["over"]),
                ratio=float(row["ratio"]),
            )
            for row in json.loads(path.read_text(encoding="utf-8"))["ratios"]
        ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise BaselineError(f"{path} must hold stored ratios of speed; {error!r}") from error


def write_ratios(path: Path, stored: list[SpeedRatio], changes: list[SpeedChange]) -> None:
    """Write the ratios with the changed ones as they are now."""
    new = {c.stored: replace(c.stored, ratio=float(f"{c.ratio:.3g}")) for c in changes}
    rows = [vars(new.get(ratio, ratio)) for ratio in stored]
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps({"ratios": rows}, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def _read(file: Path) -> dict[tuple[str, str], dict[str, float]]:
    """(group, name) -> times [s]; the group of a benchmark without one is its file's name."""
    try:
        found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
        return {
            (_group(b), str(b["name"])): {k: float(b["stats"][k]) for k in ("min", "median")}
            for b in found
        }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{file} must be a file of pytest --benchmark-json; {error!r}") from error


def _group(benchmark: dict[str, Any]) -> str:
    return str(benchmark["group"] or Path(str(benchmark["fullname"]).partition("::")[0]).stem)


def _pairs(stored: list[SpeedRatio]) -> str:
    return "; ".join(f"{r.benchmark} over {r.over}" for r in stored)
