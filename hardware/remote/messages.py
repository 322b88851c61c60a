"""Messages between a remote policy and its server. Every size is checked.

A message is ``[header, body, array, array, ...]``. The header is a small JSON object with the protocol's
version, a kind, a session and a request number. The body is a JSON tree as
`grainscout.records.encoding.packing` flattens it, and the frames behind it are its arrays in order. A
server reads headers itself and leaves bodies to the worker of their client, so that a body which is slow
to read keeps nobody else waiting. Nothing that arrives is executed or un-pickled, and nothing is
allocated that the sender has not sent.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from grainscout.records import DataError, GrainscoutError, LinkError, Problem, Proposal
from grainscout.records.encoding.codec import problem_from, problem_state, proposal_from, understood
from grainscout.records.encoding.packing import flatten, restore

_T = TypeVar("_T")

VERSION = 3
MAX_HEADER = 4_000  # bytes; it has no array and no list
MAX_BODY = 4_000_000  # bytes without its arrays
MAX_FRAME = 64_000_000  # bytes; a 2048 x 2048 image of float64 is 34 MB
MAX_FRAMES = 4096
MAX_DEPTH = 50  # of a body; ours are 6 deep
MAX_PIXELS = 2048 * 2048  # of a problem's scan
MAX_SESSION = 2_000_000_000  # bytes that a session may hold: a run of 100 000 curves of 251 samples
MAX_GROWTH = 1_500_000_000  # bytes that may lie below a socket before it is closed
#: What a client key may send: bytes at once, bytes a second, and the price of any message [bytes].
BURST, RATE, MESSAGE = 10_000_000, 1_000_000, 1_000
HIGH_WATER = 4  # messages that wait below a socket: a request, its copy and signs of life
#: Bytes of memory that one byte of a body may become once it is read.
_BODY_WEIGHT = 16

#: A JSON-like tree with numpy arrays in it.
Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Message:
    """A request or its answer: kind, session, number and body."""

    kind: str
    session: str = ""
    number: int = 0
    body: Body = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Envelope:
    """A message whose body was not read."""

    kind: str
    session: str
    number: int
    frames: Sequence[bytes | memoryview]  #: The body and its arrays

    def open(self) -> Message:
        """Read the body. LinkError for a malformed one."""
        body = _body(self.frames)
        return Message(kind=self.kind, session=self.session, number=self.number, body=body)

    @property
    def weight(self) -> int:
        """Estimate of the message's largest memory [bytes]."""
        return _BODY_WEIGHT * len(self.frames[0]) + sum(map(len, self.frames[1:]))


class OtherVersion(LinkError):
    """The other side speaks another version of the protocol."""


def encode(message: Message) -> list[bytes | memoryview]:
    """Return the frames of a message. LinkError names a value that cannot be sent."""
    try:
        body, arrays = flatten(message.body, "body")
    except TypeError as error:
        raise LinkError(f"a message must hold plain values and arrays; {error}") from error
    header = {"v": VERSION, "kind": message.kind, "session": message.session, "n": message.number}
    frames = [json.dumps(header).encode(), json.dumps(body).encode()]
    if len(frames[1]) > MAX_BODY or len(arrays) > MAX_FRAMES - 2:
        raise LinkError(
            f"a message must have a body of at most {MAX_BODY} bytes and {MAX_FRAMES} frames; got "
            f"{len(frames[1])} bytes and {len(arrays) + 2} frames"
        )
    for array in arrays:
        if array.nbytes > MAX_FRAME:
            raise LinkError(f"an array must be of at most {MAX_FRAME} bytes; got {array.nbytes}")
    return [*frames, *(a.reshape(-1).view(np.uint8).data for a in arrays)]


def decode(frames: Sequence[bytes | memoryview]) -> Message:
    """Return the message of these frames. LinkError for a malformed one."""
    return envelope(frames).open()


def envelope(frames: Sequence[bytes | memoryview]) -> Envelope:
    """Read the header of a message. LinkError for a malformed one."""
    if not frames or len(frames) > MAX_FRAMES or len(frames[0]) > MAX_HEADER:
        raise LinkError(
            f"a message must have 1 to {MAX_FRAMES} frames and a header of at most {MAX_HEADER} bytes; "
            f"got {len(frames)} frames"
        )
    header = _json("header", frames[0])
    if header.get("v") != VERSION:
        raise OtherVersion(
            f"a message must be of protocol version {VERSION}; got {header.get('v')!r:.20}. Use the same "
            "Grainscout version on both sides"
        )
    kind, session, number = header.get("kind"), header.get("session"), header.get("n")
    if not (
        isinstance(kind, str)
        and len(kind) <= 64
        and isinstance(session, str)
        and len(session) <= 64
        and session.isascii()
        and type(number) is int
        and 0 <= number < 2**53
        and len(frames) >= 2
        and len(frames[1]) <= MAX_BODY
    ):
        raise LinkError(
            "a message must have a kind, a session, a number and a body of at most "
            f"{MAX_BODY} bytes; got another form"
        )
    return Envelope(kind=kind, session=session, number=number, frames=frames[1:])


def _json(what: str, frame: bytes | memoryview) -> Body:
    try:
        value = json.loads(bytes(frame).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise LinkError(f"a message's {what} must be JSON; got {error}") from error
    if not isinstance(value, dict):
        raise LinkError(f"a message's {what} must be a JSON object; got {type(value).__name__}")
    return value


def _body(frames: Sequence[bytes | memoryview]) -> Body:
    """The body of the frames behind the header."""
    left = list(frames[:0:-1])

    def take(count: int) -> bytes | memoryview:
        """Return the next frame. Each is used once, so that none fills memory twice."""
        if not left or len(left[-1]) != count:
            raise DataError(f"an array must have a frame of {count} bytes of its own")
        return left.pop()

    try:
        body = restore(_json("body", frames[0]), take, MAX_DEPTH)
    except DataError as error:
        raise LinkError(f"a message must have a sound body; {error}") from error
    if left:
        raise LinkError(f"a message must use each of its frames; {len(left)} are left")
    if not isinstance(body, dict):
        raise LinkError("a message's body must be a mapping; got an array")
    return body


def worth_a_line(count: int) -> bool:
    """Tell if an event is logged: the first ten, then ever fewer."""
    return count <= 10 or count % 10 ** (len(str(count)) - 1) == 0


def error_reply(message: Message | Envelope, error: Exception) -> Message:
    """Make the reply for an error, in its own type if it is one of ours."""
    kind = type(error).__name__
    text = str(error) if isinstance(error, GrainscoutError) else f"{kind}: {error}"
    name = kind if isinstance(error, GrainscoutError) else "PolicyError"
    return Message(kind="error", number=message.number, body={"error": name, "text": text[:2000]})


def parsed(what: str, make: Callable[[Any], _T], body: Any) -> _T:
    """Return make(body). A malformed body is a LinkError."""
    with understood(f"a {what} from the other side", LinkError):
        return make(body)


def sent_problem(problem: Problem) -> Body:
    """Return a problem's body without the scan's metadata."""
    body = problem_state(problem)
    body["scan"]["metadata"] = "{}"
    return body


def received_problem(body: Body) -> Problem:
    """Return the problem of a body. ValueError for a too large one."""
    images = body["scan"]["channels"].values()
    pixels = max((np.size(image) for image in images), default=0)
    if pixels > MAX_PIXELS or len(body["candidates"]) > pixels:
        raise ValueError(
            f"a problem must have at most {MAX_PIXELS} pixels and a candidate for each; got {pixels} "
            f"and {len(body['candidates'])}"
        )
    return problem_from(body)


def received_proposal(body: Body) -> Proposal:
    """Return the proposal of a body. ValueError for an unprintable id."""
    name = body["id"]
    if not (isinstance(name, str) and len(name) <= 200 and name.isprintable()):
        raise ValueError(f"a proposal's id must be a printable text; got {name!r:.100}")
    return proposal_from(body)
