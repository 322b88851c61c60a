"""Round trips over the encrypted link, against the same work done here."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("zmq")

from grainscout.hardware.link import PolicyServer, RemotePolicy, generate_keys
from grainscout.records import (
    Budget,
    IVCurve,
    Outcome,
    Problem,
    Proposal,
    Scan,
    Site,
    Waveform,
)


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
