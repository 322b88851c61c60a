"""Multi-segment (MLS) sweeps of Nanonis: voltages and times of each sample."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.units import split_name
from grainscout.records import FloatArray

_COLUMNS = ("Segment Start", "Segment End", "Settling", "Integration", "Steps")
#: Time of a sample where no file says it [s].
ASSUMED_STEP = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """The table of segments: start and end [V], seconds a sample, and samples (n,)."""

    start: FloatArray
    end: FloatArray
    seconds: FloatArray
    steps: tuple[int, ...]

    @classmethod
    def of(cls, asked: Asked, header: Mapping[str, str]) -> Segments | None:
        """The table in a header; None if it has none."""
        key = next((k for k in header if k.startswith("Segment Start")), None)
        if key is None:
            return None
        names = [split_name(part)[0].strip() for part in key.split(",")]
        rows = [r.split(",") for r in re.split(r"[;\n]", header[key]) if r.strip()]
        if not rows or any(len(r) < len(_COLUMNS) or len(r) > len(names) for r in rows):
            raise asked.fault(f"have a table of segments: {key}", repr(header[key][:60]))
        table = {
            name: np.array([asked.number(name, row[i]) for row in rows])
            for i, name in enumerate(names[: len(rows[0])])
        }
        missing = [name for name in _COLUMNS if name not in table]
        if missing:
            raise asked.fault(f"have {', '.join(missing)} in its segments", key)
        steps = table["Steps"]
        if (
            not all(np.isfinite(table[c]).all() for c in _COLUMNS)
            or not ((steps == np.round(steps)) & (steps >= 1) & (steps < 1e7)).all()
        ):
            raise asked.fault("have finite segments of 1 or more steps", repr(header[key][:60]))
        return cls(
            start=table["Segment Start"],
            end=table["Segment End"],
            seconds=table["Settling"] + table["Integration"],
            steps=tuple(int(s) for s in steps),
        )

    def samples(self, asked: Asked, points: int) -> list[tuple[int, int]]:
        """Segment of each sample and its number within; a shared voltage may be recorded once."""
        joins = [
            i + 1
            for i, (a, b) in enumerate(pairwise(zip(self.start, self.end, strict=True)))
            if math.isclose(a[1], b[0], abs_tol=1e-9)
        ]
        whole = [(k, i) for k, n in enumerate(self.steps) for i in range(n)]
        once = [(k, i) for k, i in whole if not (i == 0 and k in joins)]
        for choice in (once, whole):
            if len(choice) == points:
                return choice
        raise asked.fault(
            f"have {len(once)} or {len(whole)} points, as its segments (MLS) say", f"{points}"
        )


def voltage_of(asked: Asked, segments: Segments, points: int) -> FloatArray:
    """(points,) voltages [V] of one forward sweep."""
    axes = [
        np.linspace(a, b, n)
        for a, b, n in zip(segments.start, segments.end, segments.steps, strict=True)
    ]
    return np.array([axes[k][i] for k, i in segments.samples(asked, points)])


def time_of(
    asked: Asked,
    segments: Segments | None,
    points: int,
    step: float,
    backward: Sequence[bool] = (False,),
) -> FloatArray:
    """Times [s] of all samples from the first one on."""
    if segments is None:
        if not (math.isfinite(step) and step > 0):
            asked.note("the time of a sample is not recorded: 1 ms is assumed")
            step = ASSUMED_STEP
        return np.arange(points * len(backward), dtype=np.float64) * step
    forward = np.array([segments.seconds[k] for k, _ in segments.samples(asked, points)])
    if not (forward > 0).all():
        asked.note("the time of a sample is not recorded in all segments: 1 ms is assumed there")
        forward = np.where(forward > 0, forward, ASSUMED_STEP)
    each = np.concatenate([forward[::-1] if back else forward for back in backward])
    return np.concatenate([[0.0], np.cumsum(each[1:])])
