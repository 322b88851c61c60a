"""What there is to find on a task, at each candidate site; it never reaches a policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from grainscout.analysis.curves.archetypes import classify
from grainscout.analysis.curves.descriptors import describe_target
from grainscout.benchmarks.tasks.ideal import HiddenParts, hidden_parts
from grainscout.records import BoolArray, DataError, FloatArray, IntArray, Problem, Recording

if TYPE_CHECKING:
    from grainscout.simulator import Film

_TILE = 4096
_RARE = 0.05  # share of a recording at either end that counts as extreme


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskTruth:
    """Noiseless truth at the problem's n candidates.

    target : (n,) the descriptor's value in its unit, NaN where it has none (a spot that never turns
        on);  unit : its unit.
    archetype : (n,) uint8 index into `classes`;  classes : their names.  On a recording, whose
        microstructure nobody knows, the classes are the extremes of the target and what lies between.
    wanted : the classes that discovery is about: insulating spots of a film are not, for nothing in
        the image tells of them and every policy meets them by chance.
    mapped : (n,) bool, where the map is scored: conducting sites that have a value.
    boundary_distance, junction_distance : (n,) [m], or None on a recording.
    curve_class : (n,) uint8 as `archetype`, of the noiseless curve instead of the place: in the dark half
        of the hearts do not look like hearts.  None where curves have no classes.
    curves : noiseless currents (k, samples) [A] at k candidates.
    hidden : what the image cannot show of the target at k candidates; None where nobody knows.
    level : where a level set ends, in the target's unit.
    """

    target: FloatArray
    unit: str
    archetype: NDArray[np.uint8]
    classes: tuple[str, ...]
    wanted: tuple[int, ...]
    mapped: BoolArray
    boundary_distance: FloatArray | None = None
    junction_distance: FloatArray | None = None
    curve_class: NDArray[np.uint8] | None = None
    curves: Callable[[IntArray], FloatArray] | None = None
    hidden: Callable[[IntArray], HiddenParts] | None = None
    level: float | None = None


def film_truth(film: Film, problem: Problem, temperature: float) -> TaskTruth:
    """Truth of a film under the problem's waveform and light. Contacts long at rest."""
    from grainscout.simulator.transport import ARCHETYPES

    sites = problem.candidates
    values, classes, unit = [], [], ""

    def curves(index: IntArray) -> FloatArray:
        return film.curves(
            sites[index], problem.waveform, light=problem.light, temperature=temperature
        )[0]

    for at in range(0, len(sites), _TILE):
        current = curves(np.arange(at, min(at + _TILE, len(sites))))
        if film.law.loop_shapes:
            classes.append(classify(problem.waveform.voltage, current))
        found = describe_target(problem, current)
        values.append(np.where(found.valid & ~found.censored, found.value, np.nan))
        unit = found.unit
    rows, columns = sites.T
    target, archetype = np.concatenate(values), film.archetype[rows, columns]
    kinds, seen = range(len(ARCHETYPES)), np.concatenate(classes) if classes else None
    return TaskTruth(
        target=target,
        unit=unit,
        archetype=archetype,
        classes=(*ARCHETYPES, "insulating"),
        wanted=tuple(k for k in kinds if (archetype == k).any()),
        mapped=np.isfinite(target) & (archetype < len(ARCHETYPES)),
        boundary_distance=film.structure.boundary_distance[rows, columns],
        junction_distance=film.structure.junction_distance[rows, columns],
        curve_class=seen if seen is not None and (seen < len(ARCHETYPES)).any() else None,
        curves=curves,
        hidden=partial(hidden_parts, film, problem, temperature),
    )


def unit_of(unit: str, recording: Recording) -> str:
    """Unit of a descriptor of curves that are not currents: theirs stands for the ampere."""
    if recording.unit == "A":
        return unit
    return " ".join(recording.unit if part == "A" else part for part in unit.split(" "))


def recording_truth(recording: Recording, problem: Problem) -> TaskTruth:
    """Truth of a recording: the record itself.  DataError if the target is nowhere defined."""
    scan = problem.scan
    recorded = scan.flat(recording.sites)
    order = np.argsort(recorded)
    at = order[np.searchsorted(recorded, scan.flat(problem.candidates), sorter=order)]
    found = describe_target(problem, recording.current[at], recording.saturated[at])
    target = np.where(found.valid & ~found.censored, found.value, np.nan)
    if not np.isfinite(target).any():
        why = max(set(reasons := found.reasons()), key=reasons.count)
        raise DataError(
            f"target {problem.target!r} is defined for none of the recorded curves: {why}. Choose "
            "another, such as max_current"
        )
    known = np.isfinite(target)
    low, high = np.quantile(target[known], [_RARE, 1 - _RARE])
    archetype = np.where(target <= low, 0, np.where(target >= high, 2, 1)).astype(np.uint8)
    return TaskTruth(
        target=target,
        unit=unit_of(found.unit, recording),
        archetype=archetype,
        classes=("lowest 5 %", "between", "highest 5 %"),
        wanted=(0, 1, 2),
        mapped=known,
        curves=lambda index: recording.current[at[index]],
    )
