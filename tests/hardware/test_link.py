"""The remote link between real sockets on this machine, encrypted."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("zmq")

from grainscout.hardware.link import PolicyServer, RemotePolicy, generate_keys
from grainscout.policies import make_policy
from grainscout.policies._protocol import Policy, Predicts, Stateful
from grainscout.records import (
    Budget,
    ConfigError,
    IVCurve,
    LinkError,
    Outcome,
    PolicyError,
    Problem,
    Proposal,
    Scan,
    Site,
    Waveform,
)

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


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return generate_keys(tmp_path_factory.mktemp("link") / "keys", clients=("microscope", "other"))


def a_problem(shape=(6, 5)) -> Problem:
    image = np.arange(float(np.prod(shape))).reshape(shape)
    return Problem(
        scan=Scan(
            channels={"height": image},
            units={"height": "m"},
            pixel_size=(1e-8, 2e-8),
            origin=(1e-6, 0.0),
            angle=0.1,
        ),
        candidates=np.argwhere(np.ones(shape, bool)),
        waveform=Waveform.triangle(1.5, 11),
        budget=Budget(curves=5),
        light=0.5,
    )


def an_outcome(proposal: Proposal | None, k: int = 0) -> Outcome:
    waveform = Waveform.triangle(1.5, 11)
    current = np.full(11, 3e-12 * (k + 1))
    current[2] = np.nan
    site = Site(1, 2) if proposal is None else proposal.site
    curve = IVCurve(voltage=waveform.voltage, current=current, time=waveform.time)
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
    policy.reset(a_problem(), rng=np.random.Generator(np.random.PCG64(4)))
    return run(policy, steps)


def connected(server: PolicyServer, keys, **options) -> RemotePolicy:
    policy = RemotePolicy(server.address, keys=keys / "microscope", **{**QUICK, **options})
    policy.reset(a_problem(), rng=np.random.Generator(np.random.PCG64(4)))
    return policy


def serve(keys, factory=Walker, address="tcp://127.0.0.1:0") -> PolicyServer:
    return PolicyServer(factory, address=address, keys=keys / "server")


def test_a_remote_policy_is_the_policy(keys):
    with serve(keys) as server, connected(server, keys) as policy:
        assert isinstance(policy, Policy)
        assert not isinstance(policy, Predicts)
        assert run(policy, 4) == expected(4)


def test_the_server_sees_the_problem_and_outcomes_as_they_are(keys):
    made = []

    def factory():
        made.append(Walker())
        return made[-1]

    with serve(keys, factory) as server, connected(server, keys) as policy:
        (proposal, _) = policy.ask(2)
        policy.tell([an_outcome(proposal)])
    there, here = made[-1].problem, a_problem()
    np.testing.assert_array_equal(there.scan.height, here.scan.height)
    assert there.scan.units == here.scan.units
    assert there.scan.position(Site(3, 4)) == here.scan.position(Site(3, 4))
    np.testing.assert_array_equal(there.candidates, here.candidates)
    assert there.waveform == here.waveform
    assert (there.budget, there.cost, there.light, there.target) == (
        here.budget,
        here.cost,
        here.light,
        here.target,
    )
    (outcome,) = made[-1].told
    np.testing.assert_array_equal(outcome.curve.current, an_outcome(proposal).curve.current)
    assert (outcome.proposal_id, outcome.site, outcome.finished) == (
        proposal.id,
        proposal.site,
        1.0,
    )


def test_capabilities_are_those_of_the_servers_policy(keys):
    with serve(keys, Model) as server, connected(server, keys) as policy:
        assert isinstance(policy, Predicts)
        assert isinstance(policy, Stateful)
        mean, deviation = policy.predict()
        np.testing.assert_array_equal(mean, np.arange(4.0))
        np.testing.assert_array_equal(deviation, np.ones(4))
        policy.ask()
        state = policy.state()
        assert state["asked"] == 1
        policy.restore({**state, "asked": 7})
        assert policy.ask()[0].id == "8-0"


def test_a_real_policy_from_the_registry(keys):
    local = make_policy("random", {})
    local.reset(a_problem(), rng=np.random.Generator(np.random.PCG64(4)))
    with (
        serve(keys, lambda: make_policy("random", {})) as server,
        connected(server, keys) as policy,
    ):
        for _ in range(3):
            assert [p.site for p in policy.ask(2)] == [p.site for p in local.ask(2)]


def test_errors_of_the_policy_reach_the_client_as_its_own(keys):
    with serve(keys, Failing) as server, connected(server, keys) as policy:
        with pytest.raises(PolicyError, match="RuntimeError: no idea"):
            policy.ask()
        with pytest.raises(PolicyError, match="cannot learn that"):
            policy.tell([an_outcome(None)])


def test_a_long_decision_is_not_a_lost_server(keys):
    lost = []
    with (
        serve(keys, lambda: Walker(slow=1.2)) as server,
        connected(server, keys, lost_after=0.4, on_lost=lambda: lost.append(1)) as policy,
    ):
        assert run(policy, 1) == expected(1)
    assert lost == []


def test_a_decision_that_never_ends_has_a_time_out(keys):
    with (
        serve(keys, lambda: Walker(slow=1.5)) as server,
        connected(server, keys, timeout=0.5) as policy,
        pytest.raises(LinkError, match=r"within 0\.5 s; the server is alive"),
    ):
        policy.ask()


def test_a_restarted_server_goes_on_as_if_nothing_had_happened(keys):
    server = serve(keys)
    address = server.address
    server.__enter__()
    policy = connected(server, keys)
    try:
        seen = run(policy, 2)
        server.stop()
        lost = []
        policy._on_lost = lambda: lost.append("parked")

        def revive() -> None:
            time.sleep(0.8)  # the client has noticed by then
            servers.append(serve(keys, address=address).__enter__())

        servers = []
        thread = threading.Thread(target=revive)
        thread.start()
        seen += run(policy, 2, start=2)
        thread.join()
    finally:
        policy.close()
        servers[0].stop()
    assert seen == expected(4)
    assert lost == ["parked"]


def test_a_restarted_server_that_decides_otherwise_is_refused(keys):
    server = serve(keys).__enter__()
    policy = connected(server, keys)
    run(policy, 1)
    server.stop()

    class Other(Walker):
        def ask(self, n=1):
            return [Proposal(id="x", site=Site(0, 0))] * n

    with (
        policy,
        serve(keys, Other, address=server.address),
        pytest.raises(LinkError, match="proposed before"),
    ):
        policy.ask(2)


def test_patience_ends(keys):
    server = serve(keys).__enter__()
    policy = connected(server, keys, patience=0.6)
    server.stop()
    with policy, pytest.raises(LinkError, match=r"come back within 0\.6 s"):
        policy.ask()


def test_the_fallback_decides_while_the_server_is_lost_and_no_longer(keys):
    server = serve(keys).__enter__()
    spare, lost = Walker(), []
    policy = connected(server, keys, fallback=spare, on_lost=lambda: lost.append(1))
    first = run(policy, 1)
    server.stop()
    alone = run(policy, 2, start=1)
    assert all(p.id.startswith("fallback/") for p in alone)
    # The fallback knows what was measured before, and its own proposals under its own ids.
    assert len(spare.told) == 6
    assert {o.proposal_id for o in spare.told} == {None, "1-0", "1-1"}
    made = []

    def factory():
        made.append(Walker())
        return made[-1]

    with policy, serve(keys, factory, address=server.address):
        end = time.monotonic() + 20  # it is looked for at each ask, for one heartbeat
        while policy.ask(2)[0].id.startswith("fallback/"):
            assert time.monotonic() < end
        # The returned server was told everything: its own round of three, then two of the fallback.
        assert len(made[-1].told) == 9
        assert made[-1].asked == 2
    assert first == expected(1)
    assert lost == [1]


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


def test_lost_answers_and_cut_cables_never_ask_twice(keys):
    # The server hears everything but its answers vanish: the request must be carried out once.
    made = []

    def factory():
        made.append(Walker())
        return made[-1]

    with serve(keys, factory) as server:
        proxy = Proxy(int(server.address.rsplit(":", 1)[1]))
        policy = RemotePolicy(proxy.address, keys=keys / "microscope", **QUICK)
        policy.reset(a_problem(), rng=np.random.Generator(np.random.PCG64(4)))
        seen = run(policy, 1)

        def mend() -> None:
            time.sleep(1.0)
            proxy.swallow = False
            proxy.cut()

        for k in range(1, 3):
            proxy.swallow = True
            thread = threading.Thread(target=mend)
            thread.start()
            seen += run(policy, 1, start=k)
            thread.join()
        policy.close()
        proxy.close()
    assert seen == expected(3)
    assert made[-1].asked == 3
    assert len(made[-1].told) == 9
    assert len(made) == 2  # the sample and one policy: no session was begun again


def test_a_client_that_is_not_allowed_gets_nothing(keys, tmp_path):
    strangers = generate_keys(tmp_path / "strangers")
    # A stranger with the right server key but a key of its own.
    wrong = strangers / "microscope"
    (wrong / "server.key").write_bytes((keys / "microscope" / "server.key").read_bytes())
    with serve(keys) as server:
        with pytest.raises(LinkError, match="key allowed"):
            RemotePolicy(server.address, keys=wrong, **QUICK)
        with pytest.raises(LinkError, match="must answer"):
            RemotePolicy(server.address, **QUICK)  # no encryption at all
        with RemotePolicy(server.address, keys=keys / "other", **QUICK) as friend:
            assert friend.server["policy"] == "Walker"
        assert server.refused == 0  # nothing of a stranger's was even looked at
        assert server.strangers >= 1


def test_another_allowed_client_cannot_take_a_session(keys):
    with serve(keys) as server, connected(server, keys) as policy:
        with RemotePolicy(server.address, keys=keys / "other", **QUICK) as thief:
            thief.reset(a_problem(), rng=np.random.Generator(np.random.PCG64(1)))
            thief._channel.session = policy._channel.session
            with pytest.raises(LinkError, match="belongs to another"):
                thief.ask()
        assert run(policy, 2) == expected(2)


def test_nothing_listens_elsewhere_without_keys():
    for address in (
        "tcp://0.0.0.0:0",
        "tcp://*:0",
        "tcp://192.168.1.5:5571",
        "tcp://127.evil.com:1",
    ):
        with pytest.raises(ConfigError, match="without keys"):
            PolicyServer(Walker, address=address)
        with pytest.raises(ConfigError, match="without keys"):
            RemotePolicy(address)
    with (
        PolicyServer(Walker, address="tcp://127.0.0.1:0") as server,
        RemotePolicy(server.address, **QUICK),
    ):
        pass


def test_an_occupied_address_is_refused(keys):
    with serve(keys) as server, pytest.raises(LinkError, match="free"):
        serve(keys, address=server.address)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_secret_keys_are_the_owners_alone(tmp_path):
    keys = generate_keys(tmp_path / "keys")
    secrets = sorted(keys.rglob("*.key_secret"))
    assert [s.relative_to(keys).as_posix() for s in secrets] == [
        "microscope/client.key_secret",
        "server/server.key_secret",
    ]
    assert all(stat.S_IMODE(s.stat().st_mode) == 0o600 for s in secrets)
    # No secret lies where it does not belong, under any name.
    for path in keys.rglob("*"):
        if path.is_file() and path not in secrets:
            assert b"secret-key" not in path.read_bytes()
    with pytest.raises(ConfigError, match="new or empty"):
        generate_keys(keys)
    secrets[1].chmod(0o644)
    with pytest.raises(ConfigError, match="owner alone"):
        PolicyServer(Walker, address="tcp://127.0.0.1:0", keys=keys / "server")


def test_missing_and_damaged_keys_are_named(keys, tmp_path):
    with pytest.raises(ConfigError, match=r"server\.key_secret"):
        PolicyServer(Walker, address="tcp://127.0.0.1:0", keys=tmp_path)
    with pytest.raises(ConfigError, match="plain names"):
        generate_keys(tmp_path / "new", clients=("../evil",))


def test_another_version_is_found_at_connect(keys):
    # The server is of version 1 and the client of version 2: run it in a process of its own.
    script = (
        "import sys\n"
        "from grainscout.hardware import _link_wire as wire\n"
        "from grainscout.hardware.link import RemotePolicy\n"
        "wire.VERSION = 2\n"
        "RemotePolicy(sys.argv[1], keys=sys.argv[2], lost_after=5.0)\n"
    )
    with serve(keys) as server:
        command = [sys.executable, "-c", script, server.address, str(keys / "microscope")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "link version 2; got 1" in done.stderr
