"""Records of a journal as rows of its tables, and back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from grainscout.journal.models import Event, Header, Request
from grainscout.records import Outcome, PackedState, Proposal, Site, pack, unpack
from grainscout.records.encoding.codec import (
    curve_from,
    curve_state,
    problem_from,
    problem_state,
    quality_from,
    quality_state,
    understood,
)


def header_values(header: Header) -> dict[str, bytes]:
    """A header as the values of the table of that name."""
    return {
        "problem": pack(problem_state(header.problem)),
        "config": json.dumps(header.config, sort_keys=True).encode(),
        "seed": str(header.seed).encode(),
        "versions": json.dumps(dict(header.versions)).encode(),
        "created": header.created.encode(),
    }


@understood("its header")
def header_from(values: Mapping[str, bytes]) -> Header:
    """The header of the values of its table. DataError if one is missing or damaged."""
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


@understood("a proposal")
def proposal_from(row: Sequence[Any]) -> Proposal:
    """The proposal of a row. DataError if it makes none."""
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
        None if outcome.curve is None else pack(_curve_cell(outcome)),
    )


def _curve_cell(outcome: Outcome) -> PackedState:
    """The curve, and the verdict on it where there is one."""
    state = {} if outcome.curve is None else curve_state(outcome.curve)
    if outcome.quality is not None:
        state["quality"] = quality_state(outcome.quality)
    return state


@understood("an outcome")
def outcome_from(row: Sequence[Any]) -> Outcome:
    """The outcome of a row. DataError if its curve is damaged."""
    _, _, proposal_id, r, c, status, visit, started, finished, message, cell = row
    curve = {} if cell is None else dict(unpack(cell))
    quality = curve.pop("quality", None)
    return Outcome(
        site=Site(r, c),
        status=status,
        curve=curve_from(curve) if curve else None,
        quality=None if quality is None else quality_from(quality),
        proposal_id=proposal_id,
        started=started,
        finished=finished,
        visit=visit,
        message=message,
    )


@understood("an event")
def event_from(row: Sequence[Any]) -> Event:
    """The event of a row. DataError if its detail is none."""
    _, clock, wall, kind, detail = row
    return Event(clock_s=clock, wall=wall, kind=kind, detail=dict(json.loads(detail)))


@understood("a request")
def request_from(row: Sequence[Any]) -> Request:
    """The request of a row. DataError if its detail is none."""
    number, _, kind, detail, _ = row
    return Request(number=number, kind=kind, detail=dict(json.loads(detail)))
