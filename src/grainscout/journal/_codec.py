"""Nouns as packed states and back."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np

from grainscout.records import (
    Budget,
    CostModel,
    IVCurve,
    PackedState,
    Problem,
    Scan,
    Waveform,
)


def scan_state(scan: Scan) -> PackedState:
    """A scan as a packable tree; metadata that JSON cannot hold is kept as its text."""
    return {
        "channels": dict(scan.channels),
        "pixel_size": list(scan.pixel_size),
        "origin": list(scan.origin),
        "angle": scan.angle,
        "units": dict(scan.units),
        "metadata": json.dumps(dict(scan.metadata), default=str),
    }


def scan_from(state: PackedState) -> Scan:
    """The inverse of `scan_state`."""
    return Scan(
        channels=state["channels"],
        pixel_size=_pair(state["pixel_size"]),
        origin=_pair(state["origin"]),
        angle=state["angle"],
        units=state["units"],
        metadata=json.loads(state["metadata"]),
    )


def waveform_state(waveform: Waveform) -> PackedState:
    """A waveform as a packable tree."""
    return {"voltage": waveform.voltage, "time": waveform.time, "kind": waveform.kind}


def waveform_from(state: PackedState) -> Waveform:
    """The inverse of `waveform_state`."""
    return Waveform(**state)


def problem_state(problem: Problem) -> PackedState:
    """A problem as a packable tree."""
    return {
        "scan": scan_state(problem.scan),
        "candidates": problem.candidates,
        "waveform": waveform_state(problem.waveform),
        "budget": vars(problem.budget),
        "cost": vars(problem.cost),
        "light": problem.light,
        "target": problem.target,
    }


def problem_from(state: PackedState) -> Problem:
    """The inverse of `problem_state`."""
    return Problem(
        scan=scan_from(state["scan"]),
        candidates=state["candidates"],
        waveform=waveform_from(state["waveform"]),
        budget=Budget(**state["budget"]),
        cost=CostModel(**state["cost"]),
        light=state["light"],
        target=state["target"],
    )


def curve_state(curve: IVCurve) -> PackedState:
    """A curve as a packable tree; the flags are left out where none is set."""
    state: PackedState = {"voltage": curve.voltage, "current": curve.current, "time": curve.time}
    if curve.saturated.any():
        state["saturated"] = curve.saturated
    return state


def curve_from(state: PackedState) -> IVCurve:
    """The inverse of `curve_state`."""
    return IVCurve(**cast(dict[str, Any], {"saturated": np.zeros(0, bool), **state}))


def _pair(values: list[float]) -> tuple[float, float]:
    first, second = values
    return float(first), float(second)
