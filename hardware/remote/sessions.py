"""Sessions of a policy server, and the requests that it carries out for them."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from grainscout.hardware.remote import messages as wire
from grainscout.records import LinkError
from grainscout.records.encoding.codec import generator_from, outcome_from, proposal_state


@dataclass
class Session:
    """One client's policy, the last answered request and its reply."""

    owner: str
    policy: Any = None
    candidates: int = 0  # of the policy's problem
    weight: int = 0  # bytes that it was sent
    failures: int = 0
    done: int = -1
    reply: list[Any] = field(default_factory=list)
    busy: int | None = None
    route: bytes = b""


class Allowance:
    """Bytes that a client key may send: a store of them that fills again with time."""

    def __init__(self) -> None:
        self._left, self._at = float(wire.BURST), time.monotonic()

    def covers(self, frames: Sequence[bytes | memoryview]) -> bool:
        """Take a message out of it. False if it is used up. A body costs more than arrays."""
        now = time.monotonic()
        self._left = min(wire.BURST, self._left + wire.RATE * (now - self._at))
        self._at = now
        price = wire.MESSAGE + sum(map(len, frames[:2])) + sum(map(len, frames[2:])) / 100
        if price > self._left:
            return False
        self._left -= price
        return True


def offers(policy: object) -> list[str]:
    """List the optional methods that a policy has."""
    lacking = getattr(policy, "unsupported", ())
    return [n for n in _OPTIONAL if callable(getattr(policy, n, None)) and n not in lacking]


def perform(
    session: Session, message: wire.Message, factory: Callable[[], Any], offered: Collection[str]
) -> wire.Message:
    """Carry out a request with the session's policy."""
    kind, result = message.kind, None
    if kind == "reset":
        _reset(session, message.body, factory)
    elif session.policy is None:
        raise LinkError(f"{kind} needs a reset that succeeded before it")
    elif kind in _ALWAYS or kind in offered:
        result = (_ALWAYS | _OPTIONAL)[kind](session, message.body)
    else:
        raise LinkError(f"the server does not offer {kind!r}")
    return wire.Message(kind="done", number=message.number, body=result or {})


def _reset(session: Session, body: wire.Body, factory: Callable[[], Any]) -> None:
    problem = wire.parsed("problem", wire.received_problem, body.get("problem"))
    rng = wire.parsed("generator", generator_from, body.get("rng"))
    session.candidates = len(problem.candidates)
    policy = factory()
    policy.reset(problem, rng=rng)
    session.policy = policy


def _ask(session: Session, body: wire.Body) -> wire.Body:
    n = body.get("n")
    if type(n) is not int or n < 1:
        raise LinkError(f"ask must be for one or more proposals; got {n!r:.20}")
    asked = session.policy.ask(min(n, session.candidates))  # there are no more of them
    return {"proposals": [proposal_state(p) for p in asked]}


def _tell(session: Session, body: wire.Body) -> None:
    listed = wire.parsed("list of outcomes", list, body.get("outcomes"))
    session.policy.tell([wire.parsed("outcome", outcome_from, o) for o in listed])


def _restore(session: Session, body: wire.Body) -> None:
    session.policy.restore(wire.parsed("state", dict, body.get("state")))


_Action = Callable[[Session, wire.Body], wire.Body | None]
_ALWAYS: dict[str, _Action] = {"ask": _ask, "tell": _tell}
#: Optional method of a policy -> how a request for it is carried out.
_OPTIONAL: dict[str, _Action] = {
    "predict": lambda session, _: {"value": list(session.policy.predict())},
    "explain": lambda session, _: {"value": dict(session.policy.explain())},
    "state": lambda session, _: {"value": dict(session.policy.state())},
    "restore": _restore,
}
