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
    GrainscoutError,
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
MAX_DEPTH = 50  # of a body; ours are 6 deep
MAX_PIXELS = 2048 * 2048  # of a problem's scan
MAX_SESSION = 2_000_000_000  # bytes that a session may hold: a run of 100 000 curves of 251 samples
MAX_GROWTH = 1_500_000_000  # bytes that may lie below a socket before it is closed
HIGH_WATER = 4  # messages that wait below a socket: a request, its copy and signs of life
#: Bytes of memory that one byte of a header may become once it is read.
_HEADER_WEIGHT = 16
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


def decode(frames: Sequence[bytes | memoryview]) -> Message:
    """The message of these frames; LinkError says what is wrong with them."""
    if not frames or len(frames) > MAX_FRAMES or len(frames[0]) > MAX_HEADER:
        raise LinkError(
            f"a message must have 1 to {MAX_FRAMES} frames and a header of at most {MAX_HEADER} bytes; "
            f"got {len(frames)} frames"
        )
    try:
        header = json.loads(bytes(frames[0]).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise LinkError(f"a message must start with a JSON header; got {error}") from error
    if not isinstance(header, dict):
        raise LinkError(f"a header must be a JSON object; got {type(header).__name__}")
    if header.get("v") != VERSION:
        raise OtherVersion(
            f"a message must be of link version {VERSION}; got {header.get('v')!r:.20}. Use the same "
            "Grainscout version on both sides"
        )
    used: set[int] = set()

    def tree(value: object, depth: int = 0) -> object:
        if depth > MAX_DEPTH:
            raise LinkError(f"a body must be nested at most {MAX_DEPTH} deep; got more")
        if isinstance(value, list):
            return [tree(v, depth + 1) for v in value]
        if not isinstance(value, dict):
            return value
        if "__array__" in value:
            return _array(value["__array__"], frames, used)
        return {k: tree(v, depth + 1) for k, v in value.items()}

    kind, session, number = header.get("kind"), header.get("session"), header.get("n")
    body = tree(header.get("body"))
    if not (
        isinstance(kind, str)
        and len(kind) <= 64
        and isinstance(session, str)
        and len(session) <= 64
        and session.isascii()
        and type(number) is int
        and 0 <= number < 2**53
        and isinstance(body, dict)
    ):
        raise LinkError(
            "a message must have a kind, a session, a number and a body; got another form"
        )
    if len(used) != len(frames) - 1:
        raise LinkError(
            f"a message must use each of its {len(frames) - 1} array frames once; got {len(used)}"
        )
    return Message(kind=kind, session=session, number=number, body=body)


def _array(claim: object, frames: Sequence[bytes | memoryview], used: set[int]) -> NDArray[Any]:
    """The claimed array; a frame is claimed once, or one frame would fill any amount of memory."""
    if not (isinstance(claim, list) and len(claim) == 3):
        raise LinkError("an array must be claimed as [frame, dtype, shape]; got another form")
    k, name, shape = claim
    if not (
        type(k) is int
        and 0 <= k < len(frames) - 1
        and k not in used
        and name in _DTYPES
        and isinstance(shape, list)
        and len(shape) <= 8
        and all(type(n) is int and 0 <= n <= MAX_FRAME for n in shape)
    ):
        raise LinkError(
            "an array must have a known dtype and shape, and a frame of its own; got "
            f"{claim!r:.100}"
        )
    used.add(k)
    dtype = np.dtype(name).newbyteorder("<")
    raw = frames[k + 1]
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise LinkError(f"an array of {name} and shape {shape} does not have {len(raw)} bytes")
    try:
        array = np.frombuffer(raw, dtype).reshape(shape)
    except ValueError as error:  # no bytes, and other sizes that overflow
        raise LinkError(f"an array must have a possible shape; got {shape}") from error
    if name == "bool" and (np.frombuffer(raw, np.uint8) > 1).any():
        raise LinkError("a bool array must hold 0 and 1 only")
    return array.astype(np.dtype(name))


def weight(frames: Sequence[bytes | memoryview]) -> int:
    """About how many bytes of memory a message takes once it is decoded, at most."""
    return _HEADER_WEIGHT * len(frames[0]) + sum(map(len, frames[1:]))


def worth_a_line(count: int) -> bool:
    """The first ones and then ever fewer, so that nobody fills a disk with our log."""
    return count <= 10 or count % 10 ** (len(str(count)) - 1) == 0


def error_reply(message: Message, error: Exception) -> Message:
    """What a client is told of an error, in its own type if that is one of ours."""
    kind = type(error).__name__
    text = str(error) if isinstance(error, GrainscoutError) else f"{kind}: {error}"
    name = kind if isinstance(error, GrainscoutError) else "PolicyError"
    return Message(kind="error", number=message.number, body={"error": name, "text": text[:2000]})


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
    """The problem of a body; ValueError for one that is too large to be worked on."""
    pixels = max((np.size(image) for image in body["channels"].values()), default=0)
    if pixels > MAX_PIXELS or len(body["candidates"]) > pixels:
        raise ValueError(
            f"a problem must have at most {MAX_PIXELS} pixels and a candidate for each; got {pixels} "
            f"and {len(body['candidates'])}"
        )
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
    return Outcome(
        site=_site(fields.pop("site")),
        curve=None if curve is None else IVCurve(**curve),
        **fields,
    )


def proposal_body(proposal: Proposal) -> Body:
    """A proposal."""
    return {**vars(proposal), "site": [int(v) for v in proposal.site]}


def _site(pair: Any) -> Site:
    """The site of a pair; ValueError unless it is two whole numbers, for nothing is rounded."""
    row, column = pair
    if type(row) is not int or type(column) is not int:
        raise ValueError(f"a site must be two whole numbers; got {pair!r:.100}")
    return Site(row, column)


def make_proposal(body: Body) -> Proposal:
    """The proposal of a body; ValueError for an id or a site of another form."""
    name = body["id"]
    if not (isinstance(name, str) and len(name) <= 200 and name.isprintable()):
        raise ValueError(f"a proposal's id must be a printable text; got {name!r:.100}")
    scores = {str(k): float(v) for k, v in body["scores"].items()}
    estimate = [None if body[k] is None else float(body[k]) for k in ("prediction", "uncertainty")]
    return Proposal(
        id=name,
        site=_site(body["site"]),
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
