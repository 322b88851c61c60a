"""The policy's side of the remote link: a server that can only propose sites."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grainscout.hardware import _link_wire as wire
from grainscout.hardware._link_keys import allowed_keys, is_loopback, load_secret, zmq_module
from grainscout.records import ConfigError, GrainscoutError, LinkError

_LOG = logging.getLogger(__name__)
_OPTIONAL = ("predict", "explain", "state", "restore")


@dataclass
class _Session:
    """One client's policy, the last request that it answered and that one's reply."""

    owner: str
    policy: Any = None
    done: int = -1
    reply: list[Any] = field(default_factory=list)
    busy: int | None = None
    route: bytes = b""


class PolicyServer:
    """Serves policies to microscopes over ZeroMQ with CURVE.

    policy_factory : called without arguments for each client's policy; anything with reset, ask and
        tell (and predict, explain, state, restore if it has them).
    address : where to listen; port 0 takes a free one (see ``address`` afterwards).
    keys : the ``server`` folder of `generate_keys`; without it nothing is encrypted, and ConfigError
        refuses any address but this machine's own.
    sessions : how many clients' policies are kept; the one longest silent goes first, and its
        client, should it come back, tells everything again.

    A request is carried out once, however often it arrives: the last reply of a session is kept and
    sent again.  Policies run in one worker thread, so that a long decision does not look like a dead
    server.  A policy's own errors go back to its client.  Use as a context manager, or `serve`.
    """

    def __init__(
        self,
        policy_factory: Callable[[], Any],
        *,
        address: str = "tcp://127.0.0.1:5571",
        keys: Path | str | None = None,
        sessions: int = 16,
    ) -> None:
        zmq = zmq_module()
        if keys is None and not is_loopback(address):
            raise ConfigError(
                f"address must be on this machine (tcp://127.0.0.1:...) without keys; got {address}. Make "
                "keys with generate_keys and pass their server folder"
            )
        self._factory, self._keys = policy_factory, None if keys is None else Path(keys)
        self._limit = sessions
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._jobs: queue.Queue[tuple[str, _Session, wire.Message] | None] = queue.Queue()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.refused = 0  # messages dropped because they were malformed
        self.strangers = 0  # connections refused because their key is not allowed
        sample = policy_factory()
        self._offers = [n for n in _OPTIONAL if callable(getattr(sample, n, None))]
        self._name = type(sample).__name__
        self._zmq, self._context = zmq, zmq.Context()
        self._auth: Any = None
        self._allowed: dict[bytes, str] = {}
        self._encode_key: Callable[[bytes], bytes] = zmq.utils.z85.encode
        self._done_at = f"inproc://done-{uuid.uuid4().hex}"
        self._router = self._context.socket(zmq.ROUTER)
        try:
            self._secure()
            self._router.setsockopt(zmq.LINGER, 0)
            self._router.setsockopt(zmq.MAXMSGSIZE, wire.MAX_FRAME)
            bound = address[:-2] + ":*" if address.endswith(":0") else address
            self._router.bind(bound)
        except zmq.ZMQError as error:
            self._close()
            raise LinkError(f"address must be free to listen at; {address}: {error}") from error
        except GrainscoutError:
            self._close()
            raise
        self.address: str = self._router.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()

    def _secure(self) -> None:
        """CURVE with an allow-list, decided in our own loop (ZeroMQ RFC 27), so without asyncio."""
        if self._keys is None:
            return
        public, secret = load_secret(self._keys / "server.key_secret")
        self._allowed = allowed_keys(self._keys)
        self._auth = self._context.socket(self._zmq.REP)
        self._auth.bind("inproc://zeromq.zap.01")
        self._router.curve_publickey, self._router.curve_secretkey = public, secret
        self._router.curve_server = True

    def _admit(self) -> None:
        """Answer one question whether a client may connect."""
        _, request, _, address, _, mechanism, *credentials = self._auth.recv_multipart()
        key = b""
        if mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32:
            key = self._encode_key(credentials[0])
        verdict = (b"200", b"OK", key) if key in self._allowed else (b"400", b"not allowed", b"")
        if verdict[0] != b"200":
            self.strangers += 1
            _LOG.warning("a stranger's key was refused, from %s", address.decode(errors="replace"))
        self._auth.send_multipart([b"1.0", request, *verdict, b""])

    def __enter__(self) -> Self:
        self._start_worker()
        self._threads.append(threading.Thread(target=self._loop, daemon=True))
        self._threads[-1].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def serve(self) -> None:
        """Serve until `stop` is called in another thread or the process is interrupted."""
        self._start_worker()
        try:
            self._loop()
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop listening and finish the decision in hand."""
        self._stop.set()
        self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._close()

    def _close(self) -> None:
        if self._auth is not None:
            self._auth.close(0)
            self._auth = None
        self._router.close(0)
        self._context.term()

    # Sockets: this thread alone talks to clients.

    def _start_worker(self) -> None:
        self._done = self._context.socket(self._zmq.PULL)
        self._done.bind(self._done_at)
        self._threads.append(threading.Thread(target=self._work, daemon=True))
        self._threads[-1].start()

    def _loop(self) -> None:
        zmq = self._zmq
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._done, zmq.POLLIN)
        if self._auth is not None:
            poller.register(self._auth, zmq.POLLIN)
        try:
            while not self._stop.is_set():
                ready = dict(poller.poll(100))
                if self._auth in ready:
                    self._admit()
                if self._done in ready:
                    self._finished()
                if self._router in ready:
                    self._receive()
        finally:
            self._done.close(0)

    def _receive(self) -> None:
        """Read one message, bounded in frames and bytes, and act on it."""
        parts: list[bytes] = []
        user, size = "", 0
        more = True
        while more:
            frame = self._router.recv(copy=False)
            more = bool(frame.more)
            size += len(frame.buffer)
            if len(parts) <= wire.MAX_FRAMES + 1 and size <= 4 * wire.MAX_FRAME:
                parts.append(bytes(frame.buffer))
            if self._keys is not None:
                user = frame.get("User-Id")
        route, *frames = parts
        try:
            if size > 4 * wire.MAX_FRAME:
                raise LinkError(
                    f"a message must be of at most {4 * wire.MAX_FRAME} bytes; got {size}"
                )
            message = wire.decode(frames)
        except LinkError as error:
            self.refused += 1
            _LOG.warning("message refused: %s", error)
            if isinstance(error, wire.OtherVersion):  # our version in the reply tells the client
                nothing = wire.Message(kind="error")
                self._router.send_multipart([route, *wire.encode(_error(nothing, error))])
            return
        try:
            reply = self._answer(message, route, user)
        except LinkError as error:
            reply = wire.encode(_error(message, error))
        if reply is not None:
            self._router.send_multipart([route, *reply])

    def _answer(self, message: wire.Message, route: bytes, user: str) -> list[Any] | None:
        """The reply that can be given at once, or None."""
        name = message.session
        if message.kind == "hello":
            body = {"policy": self._name, "offers": self._offers, "version": wire.VERSION}
            return wire.encode(wire.Message(kind="hello", number=message.number, body=body))
        session = self._sessions.get(name)
        if session is not None and session.owner != user:
            raise LinkError("the session belongs to another client")
        if message.kind == "ping":
            known = session is not None and message.number in (session.busy, session.done)
            return wire.encode(
                wire.Message(kind="pong", number=message.number, body={"known": known})
            )
        if session is None:
            if message.kind != "reset":
                raise LinkError("unknown session: the server was restarted or has forgotten it")
            session = self._sessions[name] = _Session(owner=user)
            self._forget()
        self._sessions.move_to_end(name)
        session.route = route
        if message.number == session.busy:
            return None
        if message.number == session.done:
            return session.reply
        if session.busy is not None or message.number <= session.done:
            raise LinkError(
                f"requests must come one by one; got {message.number} after {session.done}"
                f"{'' if session.busy is None else f' while {session.busy} is worked on'}"
            )
        session.busy = message.number
        self._jobs.put((name, session, message))
        return None

    def _forget(self) -> None:
        idle = [n for n, s in self._sessions.items() if s.busy is None]
        for name in idle[: max(0, len(self._sessions) - self._limit)]:
            del self._sessions[name]

    def _finished(self) -> None:
        name, number, *reply = self._done.recv_multipart()
        session = self._sessions.get(name.decode())
        if session is None or session.busy != int(number):
            return
        session.busy, session.done, session.reply = None, int(number), reply
        self._router.send_multipart([session.route, *reply])  # dropped if the client is gone

    # Policies: the worker thread alone touches them.

    def _work(self) -> None:
        out = self._context.socket(self._zmq.PUSH)
        out.connect(self._done_at)
        try:
            while (job := self._jobs.get()) is not None:
                name, session, message = job
                try:
                    reply = wire.encode(self._perform(session, message))
                except Exception as error:  # noqa: BLE001 - a policy is foreign code; its client is told
                    if not isinstance(error, GrainscoutError):
                        _LOG.exception("the policy failed on %s", message.kind)
                    reply = wire.encode(_error(message, error))
                if self._stop.is_set():
                    return
                out.send_multipart([name.encode(), str(message.number).encode(), *reply])
        finally:
            out.close(0)

    def _perform(self, session: _Session, message: wire.Message) -> wire.Message:
        body = message.body
        result: wire.Body = {}
        if message.kind == "reset":
            problem = wire.parsed("problem", wire.make_problem, body["problem"])
            rng = wire.parsed("generator", wire.make_rng, body["rng"])
            session.policy = self._factory()
            session.policy.reset(problem, rng=rng)
        elif session.policy is None:
            raise LinkError(f"{message.kind} needs a reset that succeeded before it")
        elif message.kind == "ask":
            n = wire.parsed("count", int, body.get("n"))
            result["proposals"] = [wire.proposal_body(p) for p in session.policy.ask(n)]
        elif message.kind == "tell":
            session.policy.tell(
                [wire.parsed("outcome", wire.make_outcome, o) for o in body["outcomes"]]
            )
        elif message.kind in ("predict", "explain", "state") and message.kind in self._offers:
            value = getattr(session.policy, message.kind)()
            result["value"] = list(value) if message.kind == "predict" else dict(value)
        elif message.kind == "restore" and "restore" in self._offers:
            session.policy.restore(body["state"])
        else:
            raise LinkError(f"the server does not offer {message.kind!r}")
        return wire.Message(kind="done", number=message.number, body=result)


def _error(message: wire.Message, error: Exception) -> wire.Message:
    kind = type(error).__name__
    text = str(error) if isinstance(error, GrainscoutError) else f"{kind}: {error}"
    name = kind if isinstance(error, GrainscoutError) else "PolicyError"
    return wire.Message(
        kind="error", number=message.number, body={"error": name, "text": text[:2000]}
    )
