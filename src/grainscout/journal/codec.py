"""Nouns as packed states and as rows of the tables, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from grainscout.journal.models import Event, Header, Request
from grainscout.records import (
    Budget,
    ConfigError,
    CostModel,
    DataError,
    IVCurve,
    Outcome,
    PackedState,
    Problem,
    Proposal,
    Scan,
    Site,
    Waveform,
    pack,
    unpack,
)


@contextmanager
def _understood(what: str) -> Iterator[None]:
    """DataError for rows that are whole and yet make no sense: of another program, or forged."""
    try:
        yield
    except (
        *(ConfigError, DataError, TypeError, ValueError, KeyError, IndexError, AttributeError),
        *(OverflowError, RecursionError),
    ) as error:
        raise DataError(f"{what} cannot be understood: {error!s:.200}") from error


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


def header_values(header: Header) -> dict[str, bytes]:
    """A header as the values of the table of that name."""
    return {
        "problem": pack(problem_state(header.problem)),
        "config": json.dumps(header.config, sort_keys=True).encode(),
        "seed": str(header.seed).encode(),
        "versions": json.dumps(dict(header.versions)).encode(),
        "created": header.created.encode(),
    }


@_understood("its header")
def header_from(values: Mapping[str, bytes]) -> Header:
    """The inverse of `header_values`; DataError if one is missing or damaged."""
    return Header(
        problem=problem_from(unpack(values["problem"])),
        config=json.loads(values["config"]),
        seed=int(values["seed"]),
        versions=json.loads(values["versions"]),
        created=values["created"].decode(),
    )


def proposal_row(proposal: Proposal, number: int, batch: int) -> tuple[object, ...]:
    """A proposal as a row of its table, without the checksum."""
    estimate = (proposal.prediction, proposal.uncertainty)
    return (
        *(number, proposal.id, batch, int(proposal.site[0]), int(proposal.site[1])),
        *(None if v is None else float(v) for v in estimate),
        json.dumps({k: float(v) for k, v in proposal.scores.items()}),
    )


@_understood("a proposal")
def proposal_from(row: Sequence[Any]) -> Proposal:
    """The inverse of `proposal_row`; DataError if it makes none."""
    _, id_, _, r, c, prediction, uncertainty, scores = row
    return Proposal(
        id=id_,
        site=Site(r, c),
        prediction=prediction,
        uncertainty=uncertainty,
        scores=json.loads(scores),
    )


def outcome_row(outcome: Outcome, number: int, batch: int) -> tuple[object, ...]:
    """An outcome as a row of its table, without the checksum."""
    return (
        *(number, batch, outcome.proposal_id, int(outcome.site[0]), int(outcome.site[1])),
        *(outcome.status, int(outcome.visit), float(outcome.started), float(outcome.finished)),
        outcome.message,
        None if outcome.curve is None else pack(curve_state(outcome.curve)),
    )


@_understood("an outcome")
def outcome_from(row: Sequence[Any]) -> Outcome:
    """The inverse of `outcome_row`; DataError if its curve is damaged."""
    _, _, proposal_id, r, c, status, visit, started, finished, message, curve = row
    return Outcome(
        site=Site(r, c),
        status=status,
        curve=None if curve is None else curve_from(unpack(curve)),
        proposal_id=proposal_id,
        started=started,
        finished=finished,
        visit=visit,
        message=message,
    )


@_understood("an event")
def event_from(row: Sequence[Any]) -> Event:
    """An event of its table's row; DataError if its detail is none."""
    _, clock, wall, kind, detail = row
    return Event(clock_s=clock, wall=wall, kind=kind, detail=dict(json.loads(detail)))


@_understood("a request")
def request_from(row: Sequence[Any]) -> Request:
    """A request of its table's row; DataError if its detail is none."""
    number, _, kind, detail, _ = row
    return Request(number=number, kind=kind, detail=dict(json.loads(detail)))


def _pair(values: list[float]) -> tuple[float, float]:
    first, second = values
    return float(first), float(second)
