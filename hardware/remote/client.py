"""Client of a remote policy server."""

import contextlib
import functools
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from grainscout.hardware.remote import messages as wire
from grainscout.hardware.remote.channel import Channel, ServerLost
from grainscout.hardware.remote.keys import is_loopback
from grainscout.records.arrays import FloatArray
from grainscout.records.encoding.codec import generator_state, outcome_state
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import ConfigError, GrainscoutError, LinkError, PolicyError
from grainscout.records.problem import Outcome, Problem, Proposal
from grainscout.records.scan import Site

_T = TypeVar("_T")
#: Methods that only some policies have.
OPTIONAL = ("predict", "explain", "state", "restore")
_CHUNK = 200  # outcomes in one message


class RemotePolicy:
    """A policy on another machine.

    Every request is numbered and carried out once. A server that was restarted gets everything again
    (reset, then each ask and tell in order), and must propose the same sites. A policy that depends on
    its generator alone therefore continues as if nothing had happened. A scan's metadata is not sent.

    Parameters
    ----------
    address : str
        Address of the PolicyServer, such as ``tcp://gpu.lab:5571``.
    keys : Path or str, optional
        This client's folder from `generate_keys`. Needed unless the server is on this machine.
    fallback : Policy, optional
        Decides while the server is lost. Without one, `ask` and `tell` wait.
    patience : float
        Longest wait for a lost server [s], before LinkError ends the run.
    on_lost : callable, optional
        Called once whenever the server is found lost, before anything else. Pass the microscope's
        ``park``.
    heartbeat, lost_after : float
        The server is asked for a sign of life every `heartbeat` seconds, and is lost after
        `lost_after` seconds without one.
    timeout : float
        Longest decision of a living server [s].

    Attributes
    ----------
    server : dict
        Name, version and offers of the server.
    unsupported : frozenset of str
        Those of predict, explain, state and restore that the server's policy lacks.

    Raises
    ------
    LinkError
        If the server is silent or of another version.
    """

    def __init__(
        self,
        address: str,
        *,
        keys: Path | str | None = None,
        fallback: Any = None,
        patience: float = 3600.0,
        on_lost: Callable[[], None] | None = None,
        heartbeat: float = 1.0,
        lost_after: float = 5.0,
        timeout: float = 600.0,
    ) -> None:
        if keys is None and not is_loopback(address):
            raise ConfigError(
                f"address must be on this machine without keys; got {address}. Pass the client folder "
                "that generate_keys made"
            )
        self._channel = Channel(
            address,
            None if keys is None else Path(keys),
            heartbeat=heartbeat,
            lost_after=lost_after,
            timeout=timeout,
        )
        self._fallback, self._patience, self._on_lost = fallback, patience, on_lost
        self._heartbeat = heartbeat
        self._problem: Problem | None = None
        self._rng: wire.Body = {}
        self._log: list[tuple[str, Any]] = []  # requests to the server, in order
        self._waiting: list[Outcome] = []  # outcomes that it does not know yet
        self._pending: Callable[[wire.Body], None] | None = None  # what awaits an answer
        self._unclaimed: tuple[int, list[Proposal]] | None = (
            None  # an answer to ask(n), not used yet
        )
        self._lost = False
        self._fallback_knows = -1  # how many outcomes the fallback knows; -1 before its reset
        try:
            self.server = self._channel.request("hello", {})
        except GrainscoutError:
            self._channel.close()
            raise
        offers = self.server.get("offers")
        if self.server.get("version") != wire.VERSION or not isinstance(offers, list):
            self._channel.close()
            raise LinkError(
                f"server must speak protocol version {wire.VERSION} and say what it offers; got "
                f"{self.server!r:.200}"
            )
        #: Optional methods that the server's policy lacks; see `records.supports.supports`.
        self.unsupported = frozenset(OPTIONAL) - set(map(str, offers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. The server keeps the session for a while."""
        self._channel.close()

    def reset(self, problem: Problem, *, rng: np.random.Generator) -> None:
        """Begin a new experiment on the server."""
        self._problem, self._rng = problem, generator_state(rng)
        self._log, self._waiting, self._fallback_knows = [], [], -1
        self._pending = self._unclaimed = None
        self._channel.session = uuid.uuid4().hex
        self._patiently(lambda: self._call("reset", self._reset_body(), _nothing))

    def ask(self, n: int = 1) -> list[Proposal]:
        """Return the server's proposals, or the fallback's while the server is lost."""
        self._reset_body()
        if self._fallback is None:
            return self._patiently(lambda: self._ask(n))
        try:
            return self._guarded(lambda: self._ask(n))
        except ServerLost:
            return self._ask_fallback(n)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Send the outcomes, or keep them while the server is lost."""
        self._reset_body()
        self._waiting += outcomes
        if self._fallback is None:
            self._patiently(self._flush)
        elif not self._lost:
            with contextlib.suppress(ServerLost):
                self._guarded(self._flush)

    def _reset_body(self) -> wire.Body:
        if self._problem is None:
            raise PolicyError("a remote policy needs a reset before anything else")
        return {"problem": wire.sent_problem(self._problem), "rng": self._rng}

    def _call(self, kind: str, body: wire.Body, use: Callable[[wire.Body], None]) -> None:
        """Send a request and use its answer, as soon as the server gives it."""
        self._pending = use
        self._settle(self._channel.request(kind, body))

    def _settle(self, answer: wire.Body) -> None:
        use, self._pending = self._pending, None
        if use is not None:
            use(answer)

    def _ask(self, n: int) -> list[Proposal]:
        if self._unclaimed is None or self._unclaimed[0] != n:
            self._flush()
            self._call("ask", {"n": n}, lambda answer: self._asked(n, answer))
        unclaimed, self._unclaimed = self._unclaimed, None
        return unclaimed[1] if unclaimed is not None else []

    def _asked(self, n: int, answer: wire.Body) -> None:
        proposals = _proposals(answer)
        self._log.append(("ask", (n, _names(proposals))))
        self._unclaimed = (n, proposals)

    def _flush(self) -> None:
        while self._waiting:
            part = self._waiting[:_CHUNK]
            self._call("tell", _outcomes(part), functools.partial(self._delivered, part))

    def _delivered(self, part: list[Outcome], _: wire.Body) -> None:
        self._log.append(("tell", part))
        del self._waiting[: len(part)]

    # A server that comes and goes.

    def _guarded(self, action: Callable[[], _T]) -> _T:
        """Run the action on an up-to-date server. ServerLost if it is gone."""
        try:
            if self._lost:
                self._recover()
                self._lost = False
            try:
                return action()
            except ServerLost as error:
                if not error.forgot:
                    raise
                self._catch_up()
                return action()
        except ServerLost:
            if not self._lost:
                self._lost = True
                if self._on_lost is not None:
                    self._on_lost()
            raise

    def _patiently(self, action: Callable[[], _T]) -> _T:
        """Run the action, waiting for a lost server to return."""
        end = time.monotonic() + self._patience
        while True:
            try:
                return self._guarded(action)
            except ServerLost as error:
                if time.monotonic() > end:
                    raise LinkError(
                        f"the server must come back within {self._patience:g} s; {error}"
                    ) from error
                if error.forgot:  # it is there, and restarted again and again
                    time.sleep(self._heartbeat)

    def _recover(self) -> None:
        """Get the lost answer, or send a server that forgot this session everything."""
        if self._pending is not None:
            try:
                self._settle(self._channel.finish(self._heartbeat))
            except ServerLost as error:
                if not error.forgot:
                    raise
                self._catch_up()
        else:
            self._catch_up()

    def _catch_up(self) -> None:
        """Repeat all requests to a server that has forgotten this session."""
        self._pending = None
        self._channel.session = uuid.uuid4().hex
        self._channel.request("reset", self._reset_body())
        for kind, value in self._log:
            if kind == "tell":
                self._channel.request("tell", _outcomes(value))
            elif kind == "restore":
                self._channel.request("restore", {"state": value})
            else:
                n, before = value
                now = _names(_proposals(self._channel.request("ask", {"n": n})))
                if now != before:
                    raise LinkError(
                        "the restarted server must propose what it proposed before; "
                        f"{before} became {now}. Its policy, version or machine has changed"
                    )

    def _ask_fallback(self, n: int) -> list[Proposal]:
        """Return the fallback's proposals, after it got every outcome so far."""
        if self._fallback_knows < 0:
            seed = np.random.SeedSequence([int(self._rng["state"]["state"]), 1])
            self._fallback.reset(self._problem, rng=np.random.Generator(np.random.PCG64(seed)))
            self._fallback_knows = 0
        known = [o for kind, part in self._log if kind == "tell" for o in part] + self._waiting
        fresh = known[self._fallback_knows :]
        if fresh:
            self._fallback.tell([_own_id(o) for o in fresh])
        self._fallback_knows = len(known)
        return [replace(p, id=_PREFIX + p.id) for p in self._fallback.ask(n)]

    # Optional methods; `unsupported` names those that the server's policy lacks.

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the server's model, (n_candidates,) each."""
        pair = self._remote("predict")
        if not (isinstance(pair, list) and len(pair) == 2):
            raise LinkError("a prediction from the other side must be a mean and a deviation")
        return _map("mean", pair[0]), _map("deviation", pair[1])

    def explain(self) -> Mapping[str, FloatArray]:
        """Return the maps that the server's policy shows."""
        return {name: _map(name, value) for name, value in self._mapping("explain").items()}

    def state(self) -> PackedState:
        """Return the state of the server's policy."""
        return self._mapping("state")

    def restore(self, state: PackedState) -> None:
        """Continue from `state` on the server."""
        self._remote("restore", {"state": state})
        self._log = [("restore", state)]

    def _mapping(self, kind: str) -> dict[str, Any]:
        value = self._remote(kind)
        if not isinstance(value, dict) or any(key.startswith("__") for key in value):
            raise LinkError(f"the answer to {kind!r} must be a mapping of plain names")
        return value

    def _remote(self, kind: str, body: wire.Body | None = None) -> Any:
        if kind in self.unsupported:
            raise PolicyError(
                f"the server's policy must have {kind}; it offers {self.server['offers']}"
            )
        answers: list[Any] = []

        def action() -> None:
            self._flush()
            self._call(kind, body or {}, lambda answer: answers.append(answer.get("value")))

        self._patiently(action)
        return answers[-1]


def _map(name: str, value: object) -> FloatArray:
    if not isinstance(value, np.ndarray):
        raise LinkError(f"{name!r:.40} from the other side must be an array of numbers")
    return value.astype(np.float64)


_PREFIX = "fallback/"


def _own_id(outcome: Outcome) -> Outcome:
    """Return the outcome with the fallback's own proposal id, without our prefix."""
    name = outcome.proposal_id
    if name is not None and name.startswith(_PREFIX):
        return replace(outcome, proposal_id=name.removeprefix(_PREFIX))
    return replace(outcome, proposal_id=None)


def _nothing(_: wire.Body) -> None:
    """Ignore an answer that only confirms."""


def _names(proposals: Sequence[Proposal]) -> list[tuple[str, Site]]:
    return [(p.id, p.site) for p in proposals]


def _outcomes(outcomes: Sequence[Outcome]) -> wire.Body:
    return {"outcomes": [outcome_state(o) for o in outcomes]}


def _proposals(answer: wire.Body) -> list[Proposal]:
    listed = answer.get("proposals")
    if not isinstance(listed, list):
        raise LinkError("an answer to 'ask' must list proposals; got none")
    return [wire.parsed("proposal", wire.received_proposal, p) for p in listed]
