"""Nouns as trees of plain values and arrays, and back: for journals and for the remote link.

``x_state`` makes a tree that `pack` and `flatten` store.  ``x_from`` is its inverse.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from grainscout.records.curve import IVCurve, Quality
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import DataError, GrainscoutError
from grainscout.records.problem import Budget, CostModel, Outcome, Problem, Proposal
from grainscout.records.scan import Scan, checked_site
from grainscout.records.waveform import Waveform


@contextmanager
def understood(what: str, error: type[GrainscoutError] = DataError) -> Iterator[None]:
    """Raise `error` where a tree makes no sense: it is of another program, or forged."""
    try:
        yield
    except (
        *(TypeError, ValueError, LookupError, AttributeError),
        *(OverflowError, RecursionError),
    ) as cause:
        raise error(f"{what} cannot be understood: {cause!s:.200}") from cause


def scan_state(scan: Scan) -> PackedState:
    """A scan. Metadata that JSON cannot hold are kept as text."""
    return {**vars(scan), "metadata": json.dumps(dict(scan.metadata), default=str)}


def scan_from(state: PackedState) -> Scan:
    """The scan of a tree."""
    return Scan(
        channels=state["channels"],
        pixel_size=_pair(state["pixel_size"]),
        origin=_pair(state["origin"]),
        angle=state["angle"],
        units=state["units"],
        metadata=json.loads(state["metadata"]),
    )


def problem_state(problem: Problem) -> PackedState:
    """A problem."""
    waveform = problem.waveform
    return {
        "scan": scan_state(problem.scan),
        "candidates": problem.candidates,
        "waveform": {"voltage": waveform.voltage, "time": waveform.time, "kind": waveform.kind},
        "budget": vars(problem.budget),
        "cost": vars(problem.cost),
        "light": problem.light,
        "target": problem.target,
    }


def problem_from(state: PackedState) -> Problem:
    """The problem of a tree."""
    return Problem(
        scan=scan_from(state["scan"]),
        candidates=state["candidates"],
        waveform=Waveform(**state["waveform"]),
        budget=Budget(**state["budget"]),
        cost=CostModel(**state["cost"]),
        light=state["light"],
        target=state["target"],
    )


def curve_state(curve: IVCurve) -> PackedState:
    """A curve. Saturation flags and signals are left out where there are none."""
    state: PackedState = {"voltage": curve.voltage, "current": curve.current, "time": curve.time}
    if curve.saturated.any():
        state["saturated"] = curve.saturated
    if curve.signals:
        state["signals"] = {name: a.astype(np.float32) for name, a in curve.signals.items()}
    return state


def curve_from(state: PackedState) -> IVCurve:
    """The curve of a tree."""
    fields: dict[str, Any] = {"saturated": np.zeros(0, bool), **state}
    return IVCurve(**fields)


def quality_state(quality: Quality) -> PackedState:
    """A verdict on a curve."""
    return {**vars(quality), "reasons": list(quality.reasons)}


def quality_from(state: PackedState) -> Quality:
    """The verdict of a tree."""
    return Quality(
        usable=bool(state["usable"]),
        reasons=tuple(map(str, state["reasons"])),
        score=float(state["score"]),
        version=int(state["version"]),
    )


def outcome_state(outcome: Outcome) -> PackedState:
    """An outcome. A verdict is left out where there is none."""
    state = {**vars(outcome), "site": [int(v) for v in outcome.site]}
    quality = state.pop("quality")
    if outcome.curve is not None:
        state["curve"] = curve_state(outcome.curve)
    return state if quality is None else {**state, "quality": quality_state(quality)}


def outcome_from(state: PackedState) -> Outcome:
    """The outcome of a tree."""
    curve = state["curve"]
    made = {
        "site": checked_site(state["site"]),
        "curve": None if curve is None else curve_from(curve),
        "quality": quality_from(state["quality"]) if "quality" in state else None,
    }
    return Outcome(**{**state, **made})


def proposal_state(proposal: Proposal) -> PackedState:
    """A proposal."""
    return {**vars(proposal), "site": [int(v) for v in proposal.site]}


def proposal_from(state: PackedState) -> Proposal:
    """The proposal of a tree."""
    prediction, uncertainty = (
        None if state[k] is None else float(state[k]) for k in ("prediction", "uncertainty")
    )
    return Proposal(
        id=state["id"],
        site=checked_site(state["site"]),
        prediction=prediction,
        uncertainty=uncertainty,
        scores={str(k): float(v) for k, v in state["scores"].items()},
    )


def generator_state(rng: np.random.Generator) -> PackedState:
    """The state of a generator. TypeError unless it is a PCG64."""
    state = dict(rng.bit_generator.state)
    if state["bit_generator"] != "PCG64":
        raise TypeError(f"the generator must be a PCG64; got {state['bit_generator']}")
    return state


def generator_from(state: PackedState) -> np.random.Generator:
    """A generator that draws what the stored one would have drawn."""
    bits = np.random.PCG64(0)
    bits.state = cast(Any, state)
    return np.random.Generator(bits)


def _pair(values: Sequence[float]) -> tuple[float, float]:
    first, second = values
    return float(first), float(second)
