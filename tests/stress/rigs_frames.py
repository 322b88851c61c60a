"""Hostile peers of the link that speak to it below ZeroMQ's own sockets, and above them."""

import contextlib
import socket
import struct
import threading
import time

import numpy as np
import zmq
from samples import problem_on

from grainscout.hardware.remote import messages as wire
from grainscout.records import spawn_streams
from grainscout.records.encoding.codec import generator_from, generator_state, outcome_from


def reset_body(side=6):
    """The body of a reset, with a problem of side x side pixels, each a candidate."""
    problem = problem_on(np.arange(side**2.0).reshape(side, side), curves=4)
    rng = generator_state(spawn_streams(1).policy_rng())
    return {"problem": wire.sent_problem(problem), "rng": rng}


def frames(kind, session, number, body):
    """The frames of a message."""
    message = wire.Message(kind=kind, session=session, number=number, body=body)
    return [bytes(f) for f in wire.encode(message)]


class Enemy:
    """An authenticated client without our client's manners."""

    def __init__(self, address, keys=None):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.SNDTIMEO, 30_000)
        if keys is not None:
            public, secret = zmq.auth.load_certificate(keys / "client.key_secret")
            self.socket.curve_publickey, self.socket.curve_secretkey = public, secret
            self.socket.curve_serverkey = zmq.auth.load_certificate(keys / "server.key")[0]
        self.socket.connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close(0)
        self.context.term()

    def send(self, parts):
        """Whether it was sent, waiting 30 s at most while the server is behind."""
        try:
            self.socket.send_multipart(parts)
        except zmq.Again:
            return False
        return True

    def answers(self, wait_s=0.0):
        """Answers that lie there, or come within `wait_s`; they are thrown away."""
        count = 0
        while self.socket.poll(round(1000 * wait_s)):
            self.socket.recv_multipart()
            count += 1
        return count


def raw_peer(address, kind):
    """A TCP connection that has shaken hands as an unencrypted ZeroMQ socket of that kind."""
    host, port = address.removeprefix("tcp://").split(":")
    peer = socket.create_connection((host, int(port)))
    shake_hands(peer, kind)
    return peer


def shake_hands(peer, kind):
    """ZMTP 3.0 (RFC 23): the greeting and READY."""
    peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    peer.sendall(b"\x04" + bytes([len(body)]) + body)


def endless(peer, megabytes):
    """Send so much of a message whose last frame never comes, as far as the other side takes it."""
    frame = b"\x03" + struct.pack(">Q", 1_000_000) + bytes(1_000_000)
    with contextlib.suppress(OSError):
        for _ in range(megabytes):
            peer.sendall(frame)


@contextlib.contextmanager
def hostile_server(behave):
    """An unencrypted server; behave(request frames, count) gives the replies to one request."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    done = threading.Event()

    def serve():
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


def soon(condition, seconds=10.0):
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def understood(frames):
    """All that the two ends make of a message's frames."""
    body = wire.decode(frames).body
    for key, make in (("problem", wire.received_problem), ("rng", generator_from)):
        if key in body:
            wire.parsed(key, make, body[key])
    for key, each in (("outcomes", outcome_from), ("proposals", wire.received_proposal)):
        if isinstance(body.get(key), list):
            for entry in body[key]:
                wire.parsed(key, each, entry)
