"""Servers that are slow, die and come back, cables that are cut, and whole experiments."""

import threading
import time

import pytest
import remote_rig as rig

from grainscout.records import LinkError, Proposal, Site

pytest.importorskip("zmq")


def test_a_long_decision_is_not_a_lost_server(keys):
    lost = []
    with (
        rig.serve(keys, lambda: rig.Walker(slow=1.2)) as server,
        rig.connected(server, keys, lost_after=0.4, on_lost=lambda: lost.append(1)) as policy,
    ):
        assert rig.run(policy, 1) == rig.expected(1)
    assert lost == []


def test_a_decision_that_never_ends_has_a_time_out(keys):
    with (
        rig.serve(keys, lambda: rig.Walker(slow=1.5)) as server,
        rig.connected(server, keys, timeout=0.5) as policy,
        pytest.raises(LinkError, match=r"within 0\.5 s; the server is alive"),
    ):
        policy.ask()


def test_a_restarted_server_goes_on_as_if_nothing_had_happened(keys):
    server = rig.serve(keys)
    address = server.address
    server.__enter__()
    policy = rig.connected(server, keys)
    try:
        seen = rig.run(policy, 2)
        server.stop()
        lost = []
        policy._on_lost = lambda: lost.append("parked")

        def revive() -> None:
            time.sleep(0.8)  # the client has noticed by then
            servers.append(rig.serve(keys, address=address).__enter__())

        servers = []
        thread = threading.Thread(target=revive)
        thread.start()
        seen += rig.run(policy, 2, start=2)
        thread.join()
    finally:
        policy.close()
        servers[0].stop()
    assert seen == rig.expected(4)
    assert lost == ["parked"]


@pytest.mark.parametrize("times", [2, 6])
def test_a_server_that_forgets_during_a_replay_gets_another(keys, times):
    forgets = [times]

    class Forgetful(rig.Walker):
        def tell(self, outcomes):
            super().tell(outcomes)
            if forgets[0]:
                forgets[0] -= 1
                server._sessions.clear()

    lost = []
    with rig.serve(keys, Forgetful) as server, rig.connected(server, keys) as policy:
        policy._on_lost = lambda: lost.append("parked")
        assert rig.run(policy, 4) == rig.expected(4)
    assert forgets == [0]
    assert len(lost) == times // 2  # once it may be told again at once


def test_a_server_that_always_forgets_is_waited_for_no_longer_than_patience(keys):
    class Forgetful(rig.Walker):
        def tell(self, outcomes):
            server._sessions.clear()

    with (
        rig.serve(keys, Forgetful) as server,
        rig.connected(server, keys, patience=0.6) as policy,
        pytest.raises(LinkError, match=r"come back within 0\.6 s.*forgotten"),
    ):
        rig.run(policy, 2)


def test_a_restarted_server_that_decides_otherwise_is_refused(keys):
    server = rig.serve(keys).__enter__()
    policy = rig.connected(server, keys)
    rig.run(policy, 1)
    server.stop()

    class Other(rig.Walker):
        def ask(self, n=1):
            return [Proposal(id="x", site=Site(0, 0))] * n

    with (
        policy,
        rig.serve(keys, Other, address=server.address),
        pytest.raises(LinkError, match="proposed before"),
    ):
        policy.ask(2)


def test_patience_ends(keys):
    server = rig.serve(keys).__enter__()
    policy = rig.connected(server, keys, patience=0.6)
    server.stop()
    with policy, pytest.raises(LinkError, match=r"come back within 0\.6 s"):
        policy.ask()


def test_the_fallback_decides_while_the_server_is_lost_and_no_longer(keys):
    server = rig.serve(keys).__enter__()
    spare, lost = rig.Walker(), []
    policy = rig.connected(server, keys, fallback=spare, on_lost=lambda: lost.append(1))
    first = rig.run(policy, 1)
    server.stop()
    alone = rig.run(policy, 2, start=1)
    assert all(p.id.startswith("fallback/") for p in alone)
    # The fallback knows what was measured before, and its own proposals under its own ids.
    assert len(spare.told) == 6
    assert {o.proposal_id for o in spare.told} == {None, "1-0", "1-1"}
    made, factory = rig.recorded()
    with policy, rig.serve(keys, factory, address=server.address):
        end = time.monotonic() + 20  # it is looked for at each ask, for one heartbeat
        while policy.ask(2)[0].id.startswith("fallback/"):
            assert time.monotonic() < end
        # The returned server was told everything: its own round of three, then two of the fallback.
        assert len(made[-1].told) == 9
        assert made[-1].asked == 2
    assert first == rig.expected(1)
    assert lost == [1]


def test_lost_answers_and_cut_cables_never_ask_twice(keys):
    # The server hears everything but its answers vanish: the request must be carried out once.
    made, factory = rig.recorded()
    with rig.serve(keys, factory) as server:
        proxy = rig.Proxy(int(server.address.rsplit(":", 1)[1]))
        policy = rig.connected(proxy, keys)
        seen = rig.run(policy, 1)

        def reconnect() -> None:
            time.sleep(1.0)
            proxy.swallow = False
            proxy.cut()

        for k in range(1, 3):
            proxy.swallow = True
            thread = threading.Thread(target=reconnect)
            thread.start()
            seen += rig.run(policy, 1, start=k)
            thread.join()
        policy.close()
        proxy.close()
    assert seen == rig.expected(3)
    assert made[-1].asked == 3
    assert len(made[-1].told) == 9
    assert len(made) == 2  # the sample and one policy: no session was begun again
