"""The policy server."""

import functools
import logging
import queue
import threading
import time
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from grainscout.hardware.remote import messages as wire
from grainscout.hardware.remote.keys import allowed_keys, is_loopback, load_secret, zmq_module
from grainscout.hardware.remote.memory import MemoryWatch
from grainscout.hardware.remote.sessions import Allowance, Session, offers, perform
from grainscout.records import ConfigError, GrainscoutError, LinkError

_LOG = logging.getLogger(__name__)
_REBIND = 10.0  # s
_BELOW = 4  # threads of ZeroMQ


_Jobs = queue.Queue[tuple[str, Session, wire.Envelope] | None]


class PolicyServer:
    """Serves policies to microscopes over ZeroMQ with CURVE.

    A request is carried out once, however often it arrives: the last reply of a session is kept and
    sent again. Each client key has a worker thread that reads its requests and runs its policies, so a
    long one neither looks like a dead server nor delays another client. A key that sends more than its
    ``messages.RATE`` is not listened to for a while. A policy's own errors go back to its client. A client
    that makes the server hold more than ``messages.MAX_GROWTH`` costs every client its connection,
    which comes back by itself. Use it as a context manager, or call `serve`.

    Parameters
    ----------
    policy_factory : callable
        Called without arguments for each client's policy.
    address : str
        Address to listen at. Port 0 takes a free one. The attribute ``address`` shows it.
    keys : Path or str, optional
        The ``server`` folder of `generate_keys`. Without it nothing is encrypted, and any address but
        this machine's own is refused.
    sessions : int
        Policies kept for each client key. The one longest silent goes first, and its client, if it
        returns, sends everything again.

    Attributes
    ----------
    refused : int
        Malformed messages.
    strangers : int
        Connections with a key that is not allowed.
    hurried : int
        Messages dropped because their key had sent too much.
    relieved : int
        Times that all connections were closed because memory grew too fast.

    Raises
    ------
    ConfigError
        If `keys` is needed.
    LinkError
        If the address is occupied.
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
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._jobs: dict[str, _Jobs] = {}  # of each client key
        self._allowances: defaultdict[str, Allowance] = defaultdict(Allowance)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._server: threading.Thread | None = None
        self.refused = 0  # messages dropped because they were malformed
        self.strangers = 0  # connections refused because their key is not allowed
        self.hurried = 0  # messages dropped because their key sent too much
        self.relieved = 0  # times that all connections were closed because memory ran away
        sample = policy_factory()
        self._offers = offers(sample)
        self._name = type(sample).__name__
        # Several threads below the sockets: decrypting one client's flood delays no other's handshake.
        self._zmq, self._context = zmq, zmq.Context(io_threads=_BELOW)
        self._auth: Any = None
        self._allowed: dict[bytes, str] = {}
        self._encode_key: Callable[[bytes], bytes] = zmq.utils.z85.encode
        self._done_at = f"inproc://done-{uuid.uuid4().hex}"
        self._keypair: tuple[bytes, bytes] | None = None
        self._router: Any = None
        try:
            self._secure()
            self._listen(address[:-2] + ":*" if address.endswith(":0") else address)
        except zmq.ZMQError as error:
            self._close()
            raise LinkError(f"address must be free to listen at; {address}: {error}") from error
        except GrainscoutError:
            self._close()
            raise
        router: Any = self._router
        self.address: str = router.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        self._watch = MemoryWatch(wire.MAX_GROWTH)

    def _listen(self, address: str) -> None:
        zmq = self._zmq
        self._router = self._context.socket(zmq.ROUTER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, wire.MAX_FRAME),
            (zmq.RCVHWM, wire.HIGH_WATER),
            (zmq.SNDHWM, wire.HIGH_WATER),
        ):
            self._router.setsockopt(option, value)
        if self._keypair is not None:
            self._router.curve_publickey, self._router.curve_secretkey = self._keypair
            self._router.curve_server = True
        self._router.bind(address)

    def _secure(self) -> None:
        """Load the keys and open the socket that admits clients (ZeroMQ RFC 27)."""
        if self._keys is None:
            return
        self._keypair = load_secret(self._keys / "server.key_secret")
        self._allowed = allowed_keys(self._keys)
        self._auth = self._context.socket(self._zmq.REP)
        self._auth.bind("inproc://zeromq.zap.01")

    def _admit(self) -> None:
        """Decide whether one client may connect."""
        _, request, _, address, _, mechanism, *credentials = self._auth.recv_multipart()
        key = b""
        if mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32:
            key = self._encode_key(credentials[0])
        verdict = (b"200", b"OK", key) if key in self._allowed else (b"400", b"not allowed", b"")
        if verdict[0] != b"200":
            self.strangers += 1
            if wire.worth_a_line(self.strangers):
                who = address.decode("ascii", "replace")
                _LOG.warning("a stranger's key was refused, from %s (%d)", who, self.strangers)
        self._auth.send_multipart([b"1.0", request, *verdict, b""])

    def __enter__(self) -> Self:
        self._open_done()
        self._server = threading.Thread(target=self._loop, daemon=True)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def serve(self) -> None:
        """Serve until `stop` is called in another thread or the process is interrupted."""
        self._open_done()
        try:
            self._loop()
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop listening and finish the decision being made."""
        self._stop.set()
        if self._server is not None:
            self._server.join()
        for jobs in self._jobs.values():
            jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._close()

    def _close(self) -> None:
        for socket in (self._auth, self._router):
            if socket is not None:
                socket.close(0)
        self._auth = None
        self._context.term()

    # Sockets: this thread alone talks to clients.

    def _open_done(self) -> None:
        self._done = self._context.socket(self._zmq.PULL)
        self._done.bind(self._done_at)

    def _poller(self) -> Any:
        poller = self._zmq.Poller()
        for socket in (self._router, self._done, self._auth):
            if socket is not None:
                poller.register(socket, self._zmq.POLLIN)
        return poller

    def _loop(self) -> None:
        poller = self._poller()
        try:
            while not self._stop.is_set():
                ready = dict(poller.poll(100))
                if self._watch.exceeded():
                    self._relieve()
                    poller = self._poller()
                    continue
                if self._auth in ready:
                    self._admit()
                if self._done in ready:
                    self._finished()
                if self._router in ready:
                    self._receive()
        finally:
            self._done.close(0)

    def _relieve(self) -> None:
        """Free what lies below the socket. Clients connect and send again by themselves."""
        self.relieved += 1
        _LOG.warning("memory grew by over %d bytes: all connections are closed", wire.MAX_GROWTH)
        self._router.close(0)
        end = time.monotonic() + _REBIND
        while True:  # the port is free a moment after the socket is closed
            try:
                self._listen(self.address)
                break
            except self._zmq.ZMQError as error:
                self._router.close(0)
                if time.monotonic() > end:
                    raise LinkError(f"{self.address} must be free again; {error}") from error
                time.sleep(0.01)
        self._watch.start()  # what has grown and stays is a policy's

    def _receive(self) -> None:
        """Read one message, bounded in frames and bytes, and answer it."""
        parts: list[memoryview] = []
        user, size = "", 0
        more = True
        while more:
            frame = self._router.recv(copy=False)
            more = bool(frame.more)
            size += len(frame.buffer)
            if len(parts) <= wire.MAX_FRAMES + 1 and size <= 4 * wire.MAX_FRAME:
                parts.append(frame.buffer)
            if self._keys is not None:
                user = frame.get("User-Id")
        route, frames = bytes(parts[0]), parts[1:]
        if not self._allowances[user].covers(frames):
            self.hurried += 1
            if wire.worth_a_line(self.hurried):
                _LOG.warning("a client sends too much, %d messages dropped: %s", self.hurried, user)
            return
        try:
            if size > 4 * wire.MAX_FRAME:
                raise LinkError(
                    f"a message must be of at most {4 * wire.MAX_FRAME} bytes; got {size}"
                )
            message = wire.envelope(frames)
        except LinkError as error:
            self.refused += 1
            if wire.worth_a_line(self.refused):
                _LOG.warning("message refused (%d): %s", self.refused, error)
            if isinstance(error, wire.OtherVersion):  # our version in the reply tells the client
                nothing = wire.Message(kind="error")
                self._router.send_multipart([route, *wire.encode(wire.error_reply(nothing, error))])
            return
        try:
            reply = self._answer(message, route, user)
        except LinkError as error:
            reply = wire.encode(wire.error_reply(message, error))
        if reply is not None:
            self._router.send_multipart([route, *reply])

    def _answer(self, message: wire.Envelope, route: bytes, user: str) -> list[Any] | None:
        """Return the reply that can be given at once, or None."""
        name = message.session
        if message.kind == "hello":
            body = {"policy": self._name, "offers": self._offers, "version": wire.VERSION}
            return wire.encode(wire.Message(kind="hello", number=message.number, body=body))
        session = self._sessions.get(name)
        if session is not None and session.owner != user:
            raise LinkError("the session belongs to another client")
        if session is not None:
            session.route = route  # it may have connected anew
            if message.kind == "ping" and message.number == session.done:
                return session.reply  # that was lost on its way
        if message.kind == "ping":
            known = session is not None and message.number == session.busy
            return wire.encode(
                wire.Message(kind="pong", number=message.number, body={"known": known})
            )
        if session is None:
            if message.kind != "reset":
                raise LinkError("unknown session: the server was restarted or has forgotten it")
            self._make_room(user)
            session = self._sessions[name] = Session(owner=user, route=route)
        self._sessions.move_to_end(name)
        if message.number == session.busy:
            return None
        if message.number == session.done:
            return session.reply
        at = session.done if session.busy is None else session.busy
        if message.number < at:
            raise LinkError(f"requests must come one by one; got {message.number} after {at}")
        if at >= 0 and (session.busy is not None or message.number != at + 1):
            # A late copy of an old `reset` made this session at a server that was restarted.
            raise LinkError("unknown session: what came before this request is not known here")
        if session.weight + message.weight > wire.MAX_SESSION:
            raise LinkError(f"a session must send at most {wire.MAX_SESSION} bytes; this is more")
        session.weight += message.weight
        session.busy = message.number
        self._worker(user).put((name, session, message))
        return None

    def _make_room(self, owner: str) -> None:
        """Drop this client's session that was silent longest. Never another's."""
        own = [n for n, s in self._sessions.items() if s.owner == owner]
        idle = [n for n in own if self._sessions[n].busy is None]
        if len(own) < self._limit:
            return
        if not idle:
            raise LinkError(
                f"a client must wait for an answer before it begins another session; all its "
                f"{len(own)} are worked on"
            )
        del self._sessions[idle[0]]

    def _worker(self, owner: str) -> _Jobs:
        """Return the queue of a client's worker, started when first needed."""
        if owner not in self._jobs:
            self._jobs[owner] = queue.Queue()
            work = functools.partial(self._work, self._jobs[owner])
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        return self._jobs[owner]

    def _finished(self) -> None:
        name, number, *reply = self._done.recv_multipart()
        session = self._sessions.get(name.decode())
        if session is None or session.busy != int(number):
            return
        session.busy, session.done, session.reply = None, int(number), reply
        self._router.send_multipart([session.route, *reply])  # dropped if the client is gone

    # Policies: their owner's worker thread alone touches them.

    def _work(self, jobs: _Jobs) -> None:
        out = self._context.socket(self._zmq.PUSH)
        out.connect(self._done_at)
        try:
            while (job := jobs.get()) is not None:
                name, session, message = job
                try:
                    reply = wire.encode(
                        perform(session, message.open(), self._factory, self._offers)
                    )
                except Exception as error:  # noqa: BLE001 - a policy is foreign code; its client gets the error
                    session.failures += 1
                    if not isinstance(error, GrainscoutError) and wire.worth_a_line(
                        session.failures
                    ):
                        _LOG.exception("the policy failed on %s", message.kind)
                    reply = wire.encode(wire.error_reply(message, error))
                if self._stop.is_set():
                    return
                out.send_multipart([name.encode(), str(message.number).encode(), *reply])
        finally:
            out.close(0)
