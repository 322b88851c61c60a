"""What an operator narrows during a run: where it may measure, how much, and within which limits."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from grainscout.hardware.limits import Limits
from grainscout.hardware.protocol import Microscope, SupportsCheck
from grainscout.journal import Event
from grainscout.records import BoolArray, Budget, ConfigError, Problem, Site
from grainscout.records.supports import supports

#: Requests of this module. Their detail is one text, `change`.
KINDS = ("exclude", "constrain", "narrow")
#: Message of a site that is not measured because it is excluded.
EXCLUDED = "excluded by hand"
_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {"<": operator.lt, ">": operator.gt}
_BUDGET = tuple(item.name for item in fields(Budget))


class Changes:
    """Changes of a run so far. Without a microscope its limits are left as they are."""

    def __init__(self, problem: Problem, microscope: Microscope | None) -> None:
        self._problem, self._microscope = problem, microscope
        #: (n,) candidates that must not be measured any more.
        self.excluded: BoolArray = np.zeros(len(problem.candidates), bool)
        self.budget = problem.budget  #: Of the run now
        self._regions: list[tuple[int, BoolArray]] = []  # batch from which on, candidates

    def apply(self, kind: str, text: str, before: int, *, spent: int = 0) -> None:
        """Carry out a request. Policies know of it before batch `before`.

        ConfigError for a text that cannot be read, a wider budget or limit, and a change that leaves
        nothing to measure, such as a budget of no more than the `spent` curves.
        """
        if kind == "narrow":
            self._narrow(text, spent)
            return
        region = region_of(kind, text, self._problem)
        if not region.any():
            raise ConfigError(
                f"{kind} must concern a candidate site; {text!r} leaves all as they are"
            )
        if (self.excluded | region).all():
            raise ConfigError(f"{kind} must leave a site to measure; {text!r} leaves none")
        self.excluded = self.excluded | region
        self._regions.append((before, region))

    def restore(self, events: Iterable[Event]) -> None:
        """Take the changes of a journal."""
        for event in events:
            detail = event.detail
            if detail.get("asked") in KINDS and "refused" not in detail:
                self.apply(str(detail["asked"]), str(detail["change"]), int(detail["before"]))

    def forbids(self, site: Site, curves: int) -> str:
        """Why a proposal is not measured after so many curves, or nothing."""
        if inside(site, self.excluded, self._problem):
            return EXCLUDED
        most = self.budget.curves
        narrowed = most != self._problem.budget.curves
        return "beyond the narrowed budget" if narrowed and most and curves >= most else ""

    def until(self, batch: int) -> BoolArray:
        """Candidates that were excluded before a batch (n,)."""
        regions = [region for before, region in self._regions if before <= batch]
        return np.asarray(np.any([np.zeros_like(self.excluded), *regions], axis=0))

    def _narrow(self, text: str, spent: int) -> None:
        given = _settings(text)
        budget, scope = self.budget, self._microscope
        for name in given.keys() & set(_BUDGET):
            now = getattr(budget, name)
            if now is not None and given[name] > now:
                raise ConfigError(f"{name} must be at most {now:g}, as now; got {given[name]:g}")
            value: Any = given[name]
            if name == "curves" and not (value.is_integer() and value > spent):
                raise ConfigError(
                    f"curves must be a whole number above the {spent} of now; got {value:g}. To end "
                    "the run, abort it"
                )
            budget = replace(budget, **{name: int(value) if name == "curves" else value})
        limits: dict[str, Any] = {k: v for k, v in given.items() if k not in _BUDGET}
        if limits and scope is not None and not supports(scope, SupportsCheck):
            raise ConfigError("limits need a guard; this microscope has none")
        if limits and scope is not None and supports(scope, SupportsCheck):
            narrower = replace(scope.limits, **limits)
            scope.limits.require_within(narrower)
            broken = narrower.of_waveform(self._problem.waveform)
            if broken := [*broken, *narrower.of_light(self._problem.light)]:
                raise ConfigError(f"the run's own curves would be refused: {broken[0]}")
            scope.narrow(narrower)
        self.budget = budget


def inside(site: Site, excluded: BoolArray, problem: Problem) -> bool:
    """Tell if a site is one of the excluded candidates."""
    index = int(problem.index_of([site])[0])
    return index >= 0 and bool(excluded[index])


def region_of(kind: str, text: str, problem: Problem) -> BoolArray:
    """Candidates (n,) that ``exclude`` (corners of a rectangle) or ``constrain`` (a condition) takes away."""
    if kind == "exclude":
        corners = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*", text)
        if not corners:
            raise ConfigError(
                f"exclude needs two corners, row,column,row,column, such as 0,0,20,40; got {text!r:.80}"
            )
        low, high = np.sort(np.array(corners.groups(), int).reshape(2, 2), axis=0)
        if (high >= problem.scan.shape).any():
            rows, columns = problem.scan.shape
            raise ConfigError(
                f"corners must be at most {rows - 1},{columns - 1}, the last of the scan; got {text!r}"
            )
        sites = problem.candidates
        return np.asarray(((sites >= low) & (sites <= high)).all(axis=1))
    parts = re.fullmatch(r"\s*(.+?)\s*([<>])\s*(\S+)\s*", text)
    names = list(problem.scan.channels)
    if not parts or parts[1] not in names:
        raise ConfigError(
            f"constrain needs an image ({', '.join(names)}), < or >, and a value in its unit, such as "
            f"height > 2e-9; got {text!r:.80}"
        )
    image = problem.scan.channel(parts[1])[tuple(problem.candidates.T)]
    return np.asarray(~_SIGNS[parts[2]](image, _number(parts[3])))


def _settings(text: str) -> dict[str, float]:
    names = [*_BUDGET, *(i.name for i in fields(Limits) if i.name not in ("frame_m", "total_s"))]
    given: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or name not in names or name in given:
            raise ConfigError(
                f"narrow needs name=value with {', '.join(dict.fromkeys(names))}, such as curves=40; "
                f"got {part!r:.80}"
            )
        given[name] = _number(value)
    return given


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ConfigError(f"a value must be a finite number; got {text!r:.80}")
    return value
