"""Numbered requests to a policy server: sent again until answered, carried out once."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from grainscout import records
from grainscout.hardware import _link_wire as wire
from grainscout.hardware._link_keys import load_public, load_secret, zmq_module
from grainscout.records import ConfigError, GrainscoutError, LinkError, PolicyError


class ServerLost(LinkError):
    """The server was silent for too long."""


class ServerForgot(LinkError):
    """The server lives but does not know this session: it was restarted."""


class Channel:
    """Numbered requests over one DEALER socket, sent again until they are answered."""

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
        self._address, self._keys = address, keys
        self._heartbeat, self._lost_after, self._timeout = heartbeat, lost_after, timeout
        self._context = self._zmq.Context()
        self._socket: Any = None
        self._number = 0
        self._kind, self._frames = "", list[Any]()
        self.session = uuid.uuid4().hex
        self._open()

    def _open(self) -> None:
        zmq = self._zmq
        if self._socket is not None:
            self._socket.close(0)
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_FRAME)
        if self._keys is not None:
            public, secret = load_secret(self._keys / "client.key_secret")
            self._socket.curve_publickey, self._socket.curve_secretkey = public, secret
            self._socket.curve_serverkey = load_public(self._keys / "server.key")
        try:
            self._socket.connect(self._address)
        except zmq.ZMQError as error:
            raise ConfigError(
                f"address must be like tcp://host:port; got {self._address}: {error}"
            ) from error

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None
            self._context.term()

    def request(self, kind: str, body: wire.Body) -> wire.Body:
        """The answer's body; ServerLost after a silence, LinkError or the policy's own error."""
        self._number += 1
        message = wire.Message(kind=kind, session=self.session, number=self._number, body=body)
        self._kind, self._frames = kind, wire.encode(message)
        return self.finish(self._lost_after)

    def finish(self, patience: float) -> wire.Body:
        """The answer to the last request, sent again under its old number: it is done only once."""
        if self._socket is None:
            raise LinkError("the link must be open; it was closed")
        begun = heard = asked = time.monotonic()
        sent = self._send(self._frames)
        while True:
            if self._socket.poll(int(1000 * min(self._heartbeat, patience))):
                heard = time.monotonic()
                reply = wire.decode(self._socket.recv_multipart())
                if reply.number != self._number:
                    continue  # the answer to an earlier request, whose copy came late
                if reply.kind == "error":
                    raise _error(reply.body)
                if reply.kind != "pong":
                    return reply.body
                if not reply.body.get("known"):
                    sent = self._send(self._frames)
            now = time.monotonic()
            if now - heard > patience:
                self._open()  # so that nothing queued in the old socket arrives later
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
        """Whether the message is on its way; never blocks, not even where no server is connected."""
        try:
            self._socket.send_multipart(frames, flags=self._zmq.NOBLOCK)
        except self._zmq.Again:
            return False
        return True


def _error(body: wire.Body) -> GrainscoutError:
    """The server's error, in its own type if that is one of ours."""
    name, text = str(body.get("error")), str(body.get("text"))
    if text.startswith("unknown session"):
        return ServerForgot(text)
    kind = getattr(records, name, None) if name in records.__all__ else None
    if isinstance(kind, type) and issubclass(kind, GrainscoutError):
        return kind(f"policy server: {text}")
    return PolicyError(f"policy server: {text}")
