"""Round trips over the encrypted link, against the same work done here."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("zmq")

from grainscout.hardware.remote import PolicyServer, RemotePolicy, generate_keys
from grainscout.records import Budget, IVCurve, Outcome, Problem, Proposal, Scan, Site, Waveform


class Echo:
    """Costs nothing to ask."""

    def reset(self, problem, *, rng):
        self.shape = problem.scan.shape

    def ask(self, n=1):
        return [Proposal(id="e", site=Site(0, 0))]

    def tell(self, outcomes):
        pass


@pytest.fixture
def remote(tmp_path):
    keys = generate_keys(tmp_path / "keys")
    with (
        PolicyServer(Echo, address="tcp://127.0.0.1:0", keys=keys / "server") as server,
        RemotePolicy(server.address, keys=keys / "microscope") as policy,
    ):
        yield policy


def problem() -> Problem:
    image = np.random.default_rng(0).normal(size=(256, 256))  # 512 KB
    return Problem(
        scan=Scan(channels={"height": image}, pixel_size=(1e-8, 1e-8)),
        candidates=np.array([[0, 0]]),
        waveform=Waveform.triangle(),
        budget=Budget(curves=1),
    )


@pytest.mark.benchmark(group="link")
def test_reset_with_an_image_of_512_kb(benchmark, remote):
    given = problem()
    rng = np.random.default_rng(0)
    benchmark(lambda: remote.reset(given, rng=rng))


@pytest.mark.benchmark(group="link")
def test_ask_and_tell_a_curve(benchmark, remote):
    remote.reset(problem(), rng=np.random.default_rng(0))
    waveform = Waveform.triangle()
    curve = IVCurve(voltage=waveform.voltage, current=waveform.voltage * 1e-9, time=waveform.time)

    def turn() -> None:
        (proposal,) = remote.ask()
        remote.tell([Outcome(site=proposal.site, status="ok", curve=curve, proposal_id="e")])

    benchmark(turn)


@pytest.mark.benchmark(group="link")
def test_the_same_turn_without_a_link(benchmark):
    policy = Echo()
    policy.reset(problem(), rng=np.random.default_rng(0))
    benchmark(lambda: policy.tell(policy.ask()))


@pytest.fixture
def bare():
    """A new connection, 512 KB and an answer, through ZeroMQ and CURVE and nothing else."""
    import zmq

    context = zmq.Context()
    server, client = zmq.curve_keypair(), zmq.curve_keypair()
    router = context.socket(zmq.ROUTER)
    router.linger, router.curve_server = 0, True
    router.curve_publickey, router.curve_secretkey = server
    port = router.bind_to_random_port("tcp://127.0.0.1")

    def answer() -> None:
        while (message := router.recv_multipart())[1] != b"end":
            router.send_multipart([message[0], b"ok"])

    def turn(body: bytes) -> None:
        with context.socket(zmq.DEALER) as socket:
            socket.linger = 1000
            socket.curve_publickey, socket.curve_secretkey = client
            socket.curve_serverkey = server[0]
            socket.connect(f"tcp://127.0.0.1:{port}")
            socket.send(body)
            if body != b"end":
                socket.recv()

    thread = threading.Thread(target=answer)
    thread.start()
    yield turn
    turn(b"end")
    thread.join()
    router.close()
    context.term()


@pytest.mark.benchmark(group="link")
def test_512_kb_through_bare_zeromq_and_curve(benchmark, bare):
    body = problem().scan.height.tobytes()
    benchmark(lambda: bare(body))
