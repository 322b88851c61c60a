"""Hostile peers of the link that speak to it below ZeroMQ's own sockets, and above them."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from grainscout.hardware import Capabilities, SimulatedClock
from grainscout.hardware.remote import messages as wire
from grainscout.records import (
    Budget,
    CostModel,
    IVCurve,
    Problem,
    Scan,
    Site,
    Waveform,
    spawn_streams,
)
from grainscout.records.encoding.codec import generator_from, generator_state, outcome_from


def problem(side: int = 6) -> Problem:
    """A problem of side x side pixels, each a candidate."""
    return Problem(
        scan=Scan(channels={"height": np.arange(side**2.0).reshape(side, side)}, pixel_size=(1, 1)),
        candidates=np.argwhere(np.ones((side, side), bool)),
        waveform=Waveform.triangle(1.0, 5),
        budget=Budget(curves=4),
    )


def reset_body(side: int = 6) -> wire.Body:
    """The body of a reset."""
    return {
        "problem": wire.sent_problem(problem(side)),
        "rng": generator_state(spawn_streams(1).policy_rng()),
    }


def frames(kind: str, session: str, number: int, body: wire.Body) -> list[bytes]:
    """The frames of a message."""
    message = wire.Message(kind=kind, session=session, number=number, body=body)
    return [bytes(f) for f in wire.encode(message)]


class Enemy:
    """An authenticated client without our client's manners."""

    def __init__(self, address: str, keys: Path | None = None) -> None:
        self.context: Any = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.SNDTIMEO, 30_000)
        if keys is not None:
            public, secret = zmq.auth.load_certificate(keys / "client.key_secret")
            self.socket.curve_publickey, self.socket.curve_secretkey = public, secret
            self.socket.curve_serverkey = zmq.auth.load_certificate(keys / "server.key")[0]
        self.socket.connect(address)

    def __enter__(self) -> "Enemy":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close(0)
        self.context.term()

    def send(self, parts: list[bytes]) -> bool:
        """Whether it was sent, waiting 30 s at most while the server is behind."""
        try:
            self.socket.send_multipart(parts)
        except zmq.Again:
            return False
        return True

    def answers(self, wait_s: float = 0.0) -> int:
        """Answers that lie there, or come within `wait_s`; they are thrown away."""
        count = 0
        while self.socket.poll(round(1000 * wait_s)):
            self.socket.recv_multipart()
            count += 1
        return count


def raw_peer(address: str, kind: bytes) -> socket.socket:
    """A TCP connection that has shaken hands as an unencrypted ZeroMQ socket of that kind."""
    host, port = address.removeprefix("tcp://").split(":")
    peer = socket.create_connection((host, int(port)))
    shake_hands(peer, kind)
    return peer


def shake_hands(peer: socket.socket, kind: bytes) -> None:
    """ZMTP 3.0 (RFC 23): the greeting and READY."""
    peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    peer.sendall(b"\x04" + bytes([len(body)]) + body)


def endless(peer: socket.socket, megabytes: int) -> int:
    """Send a message whose last frame never comes; megabytes that the other side took."""
    frame = b"\x03" + struct.pack(">Q", 1_000_000) + bytes(1_000_000)
    sent = 0
    with contextlib.suppress(OSError):
        for sent in range(1, megabytes + 1):  # noqa: B007
            peer.sendall(frame)
    return sent


@contextlib.contextmanager
def hostile_server(behave: Callable[[list[bytes], int], list[list[bytes]]]) -> Iterator[str]:
    """An unencrypted server; behave(request frames, count) gives the replies to one request."""
    context: Any = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    done = threading.Event()

    def serve() -> None:
        count = 0
        while not done.is_set():
            if not router.poll(20):
                continue
            route, *request = router.recv_multipart()
            for reply in behave(request, count):
                router.send_multipart([route, *reply])
            count += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        done.set()
        thread.join()
        router.close(0)
        context.term()


def soon(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Bare:
    """A microscope of 6 x 6 pixels that remembers where it was sent."""

    def __init__(self) -> None:
        self.sites: list[Site] = []
        self.clock, self.cost, self.capabilities = SimulatedClock(), CostModel(), Capabilities()

    def scan(self, channels: object = ()) -> Any:
        return problem().scan

    def measure(self, site: Site, waveform: Waveform) -> Any:
        self.sites.append(site)
        zero = np.zeros(len(waveform))
        return IVCurve(voltage=waveform.voltage, current=zero, time=waveform.time)

    def light(self, suns: float) -> None:
        pass

    def park(self) -> None:
        pass


def understood(frames: list[bytes]) -> None:
    """All that the two ends make of a message's frames."""
    body = wire.decode(frames).body
    for key, make in (("problem", wire.received_problem), ("rng", generator_from)):
        if key in body:
            wire.parsed(key, make, body[key])
    for key, each in (("outcomes", outcome_from), ("proposals", wire.received_proposal)):
        if isinstance(body.get(key), list):
            for entry in body[key]:
                wire.parsed(key, each, entry)
