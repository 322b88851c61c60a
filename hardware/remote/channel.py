"""Numbered requests to a policy server."""

import time
import uuid
from pathlib import Path
from typing import Any

from grainscout import records
from grainscout.hardware.remote import messages as wire
from grainscout.hardware.remote.keys import load_public, load_secret, zmq_module
from grainscout.hardware.remote.memory import MemoryWatch
from grainscout.records import ConfigError, GrainscoutError, LinkError, PolicyError

_LOOK = 0.1  # s between looks at the memory


class ServerLost(LinkError):
    """The server was silent for too long, or restarted.

    Attributes
    ----------
    forgot : bool
        True if the server lives but does not know this session.
    """

    forgot = False


class Channel:
    """Numbered requests over one DEALER socket, sent until answered."""

    def __init__(
        self,
        address: str,
        keys: Path | None,
        *,
        heartbeat: float,
        lost_after: float,
        timeout: float,
    ) -> None:
        self._zmq = zmq_module()
        self._address = address
        self._curve: tuple[tuple[bytes, bytes], bytes] | None = None
        if keys is not None:
            self._curve = load_secret(keys / "client.key_secret"), load_public(keys / "server.key")
        self._heartbeat, self._lost_after, self._timeout = heartbeat, lost_after, timeout
        self._context = self._zmq.Context()
        self._socket: Any = None
        self._number = 0
        self._kind, self._frames = "", list[Any]()
        self.session = uuid.uuid4().hex

    def _open(self) -> None:
        zmq = self._zmq
        self._hang_up()
        self._socket = self._context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, wire.MAX_FRAME),
            (zmq.RCVHWM, wire.HIGH_WATER),
            (zmq.SNDHWM, wire.HIGH_WATER),
        ):
            self._socket.setsockopt(option, value)
        if self._curve is not None:
            (self._socket.curve_publickey, self._socket.curve_secretkey), server = self._curve
            self._socket.curve_serverkey = server
        try:
            self._socket.connect(self._address)
        except zmq.ZMQError as error:
            raise ConfigError(
                f"address must be like tcp://host:port; got {self._address}: {error}"
            ) from error

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close(0)
        self._socket = None

    def close(self) -> None:
        """Close the socket and its context."""
        if not self._context.closed:
            self._hang_up()
            self._context.term()

    def request(self, kind: str, body: wire.Body) -> wire.Body:
        """Return the answer's body. ServerLost after a silence, LinkError or the policy's own error."""
        self._number += 1
        message = wire.Message(kind=kind, session=self.session, number=self._number, body=body)
        self._kind, self._frames = kind, wire.encode(message)
        return self.finish(self._lost_after)

    def finish(self, patience: float) -> wire.Body:
        """Return the awaited answer, asked again under its old number. Only then is there a connection."""
        if self._context.closed:
            raise LinkError("the connection must be open; it was closed")
        self._open()
        try:
            return self._answer(patience)
        finally:
            self._hang_up()

    def _answer(self, patience: float) -> wire.Body:
        begun = heard = asked = time.monotonic()
        watch = MemoryWatch(wire.MAX_GROWTH)
        sent = self._send(self._frames)
        while True:
            if self._socket.poll(int(1000 * min(self._heartbeat, patience, _LOOK))):
                heard = time.monotonic()
                reply = wire.decode(self._socket.recv_multipart())
                # Another number is the answer to an earlier request, whose copy came late.
                if reply.number == self._number:
                    if reply.kind == "error":
                        raise _error(reply.body)
                    if reply.kind != "pong":
                        return reply.body
                    if not reply.body.get("known"):
                        sent = self._send(self._frames)
            if watch.exceeded():
                raise LinkError(
                    f"the answer to {self._kind!r} must be of less than {wire.MAX_GROWTH} bytes; it is more"
                )
            now = time.monotonic()
            if now - heard > patience:
                raise ServerLost(
                    f"the policy server at {self._address} must answer within {patience:g} s; it has "
                    f"been silent since {self._kind!r} was sent. Is it running, and is this client's "
                    "key allowed there?"
                )
            if now - begun > self._timeout:
                raise LinkError(
                    f"{self._kind!r} must be answered within {self._timeout:g} s; the server is alive "
                    "but not done"
                )
            if now - asked >= self._heartbeat:
                asked = now
                ping = wire.Message(kind="ping", session=self.session, number=self._number)
                sent = self._send(wire.encode(ping) if sent else self._frames)

    def _send(self, frames: list[Any]) -> bool:
        """Tell if the message is on its way. Never blocks, even without a server."""
        try:
            self._socket.send_multipart(frames, flags=self._zmq.NOBLOCK)
        except self._zmq.Again:
            return False
        return True


def _error(body: wire.Body) -> GrainscoutError:
    """Return the server's error with printable text, in its own type if ours."""
    name = str(body.get("error"))
    text = "".join(c if c.isprintable() else " " for c in str(body.get("text"))[:2000])
    if text.startswith("unknown session"):
        lost = ServerLost(text)
        lost.forgot = True
        return lost
    kind = getattr(records, name, None)
    if isinstance(kind, type) and issubclass(kind, GrainscoutError):
        return kind(f"policy server: {text}")
    return PolicyError(f"policy server: {text}")
