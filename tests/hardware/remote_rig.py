"""Policies with memory, messages, and a cable that can be cut, for the tests of remote policies."""

import contextlib
import socket
import threading
import time

import numpy as np
from samples import curve_of, problem_on

from grainscout.hardware.remote import PolicyServer, RemotePolicy
from grainscout.policies.protocol import Policy
from grainscout.records import Outcome, PolicyError, Problem, Proposal, Scan, Site, Waveform

QUICK = {"heartbeat": 0.1, "lost_after": 0.5, "timeout": 10.0}


class Walker:
    """Draws sites at random and remembers what it was told: order and repetition matter to it."""

    instances = 0

    def __init__(self, *, slow: float = 0.0) -> None:
        self.slow, self.asked, self.told = slow, 0, []
        type(self).instances += 1

    def reset(self, problem, *, rng):
        self.problem, self.rng = problem, rng

    def ask(self, n=1):
        time.sleep(self.slow)
        self.asked += 1
        # Depends on the generator and on everything told so far.
        total = sum(np.nansum(o.curve.current) for o in self.told if o.curve is not None)
        rows, columns = self.problem.scan.shape
        draws = self.rng.integers(0, rows * columns, n)
        return [
            Proposal(
                id=f"{self.asked}-{i}",
                site=Site(
                    *map(int, divmod((int(d) + round(total * 1e12)) % (rows * columns), columns))
                ),
                prediction=1.5,
                scores={"asked": float(self.asked)},
            )
            for i, d in enumerate(draws)
        ]

    def tell(self, outcomes):
        self.told += outcomes


class Failing(Walker):
    def ask(self, n=1):
        raise RuntimeError("no idea")

    def tell(self, outcomes):
        raise PolicyError("cannot learn that")


class Model(Walker):
    def predict(self):
        return np.arange(4.0), np.ones(4)

    def state(self):
        return {"asked": self.asked, "big": np.arange(3)}

    def restore(self, state):
        self.asked = state["asked"]


def generator() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(4))


def recorded():
    """A list, and a factory of policies that adds each to it."""
    made = []

    def factory():
        made.append(Walker())
        return made[-1]

    return made, factory


def a_problem(shape=(6, 5)) -> Problem:
    image = np.arange(float(np.prod(shape))).reshape(shape)
    place = {"pixel_size": (1e-8, 2e-8), "origin": (1e-6, 0.0), "angle": 0.1}
    scan = Scan(channels={"height": image}, units={"height": "m"}, **place)
    return problem_on(scan, waveform=Waveform.triangle(1.5, 11), curves=5, light=0.5)


def an_outcome(proposal: Proposal | None, k: int = 0) -> Outcome:
    waveform = Waveform.triangle(1.5, 11)
    current = np.full(11, 3e-12 * (k + 1))
    current[2] = np.nan
    site = Site(1, 2) if proposal is None else proposal.site
    curve = curve_of(waveform, current)
    name = None if proposal is None else proposal.id
    return Outcome(site=site, status="ok", curve=curve, proposal_id=name, finished=1.0 + k)


def run(policy: Policy, steps: int, *, start: int = 0, between=None) -> list[Proposal]:
    seen = []
    for k in range(start, start + steps):
        proposals = policy.ask(2)
        seen += proposals
        if between is not None:
            between(k)
        policy.tell([an_outcome(p, k) for p in proposals] + [an_outcome(None, k)])
    return seen


def expected(steps: int) -> list[Proposal]:
    policy = Walker()
    policy.reset(a_problem(), rng=generator())
    return run(policy, steps)


def connected(server, keys=None, **options) -> RemotePolicy:
    """A policy at a server or an address, reset; without keys it is not encrypted."""
    address = getattr(server, "address", server)
    keys = None if keys is None else keys / "microscope"
    policy = RemotePolicy(address, keys=keys, **{**QUICK, **options})
    policy.reset(a_problem(), rng=generator())
    return policy


def serve(keys=None, factory=Walker, address="tcp://127.0.0.1:0", **options) -> PolicyServer:
    keys = None if keys is None else keys / "server"
    return PolicyServer(factory, address=address, keys=keys, **options)


class Proxy:
    """A TCP relay that can cut every connection and swallow what the server answers."""

    def __init__(self, port: int) -> None:
        self.port_out, self.swallow, self.pairs = port, False, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port_out))
            self.pairs += [client, server]
            for a, b, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._relay, args=(a, b, answers), daemon=True).start()

    def _relay(self, source, target, answers):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not (answers and self.swallow):
                    target.sendall(data)
        target.close()

    def cut(self):
        pairs, self.pairs = self.pairs, []
        for s in pairs:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def close(self):
        self.open = False
        self.listener.close()
        self.cut()
