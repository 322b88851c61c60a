"""Messages of the remote link: one JSON header and raw array frames, every size checked.

A message is ``[header, array, array, ...]``.  The header is a JSON object with the protocol's version,
a kind, a session, a request number and a body; an array in the body is ``{"__array__": [frame, dtype,
shape]}``.  Nothing that arrives is executed or un-pickled, and nothing is allocated that the sender
has not sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from grainscout.records import (
    Budget,
    CostModel,
    IVCurve,
    LinkError,
    Outcome,
    Problem,
    Proposal,
    Scan,
    Site,
    Waveform,
)

_T = TypeVar("_T")

VERSION = 1
MAX_HEADER = 4_000_000  # bytes
MAX_FRAME = 64_000_000  # bytes; a 2048 x 2048 image of float64 is 34 MB
MAX_FRAMES = 4096
_DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint32",
    "uint64",
    "float32",
    "float64",
)

#: A JSON-like tree with numpy arrays in it.
Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Message:
    """kind : what is asked or answered;  session, number : which request of whom."""

    kind: str
    session: str = ""
    number: int = 0
    body: Body = field(default_factory=dict)


class OtherVersion(LinkError):
    """The other side speaks another version of the link."""


def encode(message: Message) -> list[bytes | memoryview]:
    """The frames of a message; LinkError names a value that cannot be sent."""
    arrays: list[NDArray[Any]] = []

    def plain(value: object, where: str) -> object:
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value).reshape(value.shape)
            if array.dtype.name not in _DTYPES:
                raise LinkError(
                    f"an array to be sent must be of plain numbers; got {array.dtype} at {where}"
                )
            arrays.append(array.astype(array.dtype.newbyteorder("<"), copy=False))
            return {"__array__": [len(arrays) - 1, array.dtype.name, list(array.shape)]}
        if isinstance(value, np.generic):
            return plain(value.item(), where)
        if value is None or isinstance(value, (str, int, float, bool)):
            return value
        if isinstance(value, Mapping):
            return {str(k): plain(v, f"{where}.{k}") for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
        raise LinkError(f"a value to be sent must be plain; got {type(value).__name__} at {where}")

    body = plain(message.body, "body")
    header = json.dumps(
        {
            "v": VERSION,
            "kind": message.kind,
            "session": message.session,
            "n": message.number,
            "body": body,
        }
    ).encode()
    if len(header) > MAX_HEADER or len(arrays) >= MAX_FRAMES:
        raise LinkError(
            f"a message must have a header of at most {MAX_HEADER} bytes and {MAX_FRAMES} frames; got "
            f"{len(header)} bytes and {len(arrays)} frames"
        )
    for array in arrays:
        if array.nbytes > MAX_FRAME:
            raise LinkError(f"an array must be of at most {MAX_FRAME} bytes; got {array.nbytes}")
    return [header, *(a.reshape(-1).view(np.uint8).data for a in arrays)]


def decode(frames: Sequence[bytes]) -> Message:
    """The message of these frames; LinkError says what is wrong with them."""
    if not frames or len(frames) > MAX_FRAMES or len(frames[0]) > MAX_HEADER:
        raise LinkError(
            f"a message must have 1 to {MAX_FRAMES} frames and a header of at most {MAX_HEADER} bytes; "
            f"got {len(frames)} frames"
        )
    try:
        header = json.loads(frames[0])
    except (ValueError, RecursionError) as error:
        raise LinkError(f"a message must start with a JSON header; got {error}") from error
    if not isinstance(header, dict):
        raise LinkError(f"a header must be a JSON object; got {type(header).__name__}")
    if header.get("v") != VERSION:
        raise OtherVersion(
            f"a message must be of link version {VERSION}; got {header.get('v')!r:.20}. Use the same "
            "Grainscout version on both sides"
        )
    used = 0

    def tree(value: object) -> object:
        nonlocal used
        if isinstance(value, list):
            return [tree(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "__array__" in value:
            used += 1
            return _array(value["__array__"], frames)
        return {k: tree(v) for k, v in value.items()}

    kind, session, number = header.get("kind"), header.get("session"), header.get("n")
    body = tree(header.get("body"))
    if not (
        isinstance(kind, str)
        and isinstance(session, str)
        and len(session) <= 64
        and type(number) is int
        and 0 <= number < 2**53
        and isinstance(body, dict)
    ):
        raise LinkError(
            "a message must have a kind, a session, a number and a body; got another form"
        )
    if used != len(frames) - 1:
        raise LinkError(
            f"a message must use each of its {len(frames) - 1} array frames once; got {used}"
        )
    return Message(kind=kind, session=session, number=number, body=body)


def _array(claim: object, frames: Sequence[bytes]) -> NDArray[Any]:
    if not (isinstance(claim, list) and len(claim) == 3):
        raise LinkError("an array must be claimed as [frame, dtype, shape]; got another form")
    k, name, shape = claim
    if not (
        type(k) is int
        and 0 <= k < len(frames) - 1
        and name in _DTYPES
        and isinstance(shape, list)
        and len(shape) <= 8
        and all(type(n) is int and n >= 0 for n in shape)
    ):
        raise LinkError(f"an array must have a known frame, dtype and shape; got {claim!r:.100}")
    dtype = np.dtype(name).newbyteorder("<")
    raw = frames[k + 1]
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise LinkError(f"an array of {name} and shape {shape} does not have {len(raw)} bytes")
    array = np.frombuffer(raw, dtype).reshape(shape)
    if name == "bool" and (np.frombuffer(raw, np.uint8) > 1).any():
        raise LinkError("a bool array must hold 0 and 1 only")
    return array.astype(np.dtype(name))


def parsed(what: str, make: Callable[[Any], _T], body: Any) -> _T:
    """make(body), with whatever a wrong body does to it as a LinkError."""
    try:
        return make(body)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise LinkError(f"a {what} from the other side is malformed: {error}") from error


def problem_body(problem: Problem) -> Body:
    """All of a problem but its scan's metadata, which stays with the microscope."""
    scan = problem.scan
    return {
        "channels": dict(scan.channels),
        "units": dict(scan.units),
        "pixel_size": scan.pixel_size,
        "origin": scan.origin,
        "angle": scan.angle,
        "candidates": problem.candidates,
        "waveform": _waveform_body(problem.waveform),
        "budget": vars(problem.budget),
        "cost": vars(problem.cost),
        "light": problem.light,
        "target": problem.target,
    }


def make_problem(body: Body) -> Problem:
    """The problem of a body."""
    return Problem(
        scan=Scan(
            channels=body["channels"],
            units=body["units"],
            pixel_size=tuple(body["pixel_size"]),
            origin=tuple(body["origin"]),
            angle=float(body["angle"]),
        ),
        candidates=body["candidates"],
        waveform=Waveform(**body["waveform"]),
        budget=Budget(**body["budget"]),
        cost=CostModel(**body["cost"]),
        light=float(body["light"]),
        target=str(body["target"]),
    )


def _waveform_body(waveform: Waveform) -> Body:
    return {"voltage": waveform.voltage, "time": waveform.time, "kind": waveform.kind}


def outcome_body(outcome: Outcome) -> Body:
    """An outcome; its curve is four arrays."""
    body = {k: v for k, v in vars(outcome).items() if k not in ("curve", "site")}
    curve = outcome.curve
    names = ("voltage", "current", "time", "saturated")
    return {
        **body,
        "site": [int(v) for v in outcome.site],
        "curve": None if curve is None else {n: getattr(curve, n) for n in names},
    }


def make_outcome(body: Body) -> Outcome:
    """The outcome of a body."""
    fields = dict(body)
    curve = fields.pop("curve")
    row, column = fields.pop("site")
    return Outcome(
        site=Site(int(row), int(column)),
        curve=None if curve is None else IVCurve(**curve),
        **fields,
    )


def proposal_body(proposal: Proposal) -> Body:
    """A proposal."""
    return {**vars(proposal), "site": [int(v) for v in proposal.site]}


def make_proposal(body: Body) -> Proposal:
    """The proposal of a body."""
    row, column = body["site"]
    scores = {str(k): float(v) for k, v in body["scores"].items()}
    estimate = [None if body[k] is None else float(body[k]) for k in ("prediction", "uncertainty")]
    return Proposal(
        id=str(body["id"]),
        site=Site(int(row), int(column)),
        prediction=estimate[0],
        uncertainty=estimate[1],
        scores=scores,
    )


def rng_body(rng: np.random.Generator) -> Body:
    """A generator's state, so that the other side draws what this one would have drawn."""
    state: Any = rng.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise LinkError(f"the generator must be a PCG64; got {state['bit_generator']}")
    inner = {k: str(v) for k, v in state["state"].items()}
    return {"state": inner, "has_uint32": state["has_uint32"], "uinteger": state["uinteger"]}


def make_rng(body: Body) -> np.random.Generator:
    """The generator of a body."""
    bits = np.random.PCG64(0)
    inner = body["state"]
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": int(inner["state"]), "inc": int(inner["inc"])},
        "has_uint32": int(body["has_uint32"]),
        "uinteger": int(body["uinteger"]),
    }
    return np.random.Generator(bits)
