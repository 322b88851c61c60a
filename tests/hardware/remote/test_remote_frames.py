"""Single attacks on the link, one for each hole that was found and closed."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("zmq")

import remote_rig
import rigs_frames as rig

from grainscout.hardware.remote import RemotePolicy, generate_keys
from grainscout.hardware.remote import messages as wire
from grainscout.hardware.remote.memory import resident
from grainscout.records import LinkError, PolicyError

QUICK = {"heartbeat": 0.1, "lost_after": 3.0, "timeout": 10.0}


def test_a_client_that_begins_many_sessions_pushes_out_its_own_only(tmp_path):
    keys = generate_keys(tmp_path / "keys", clients=("microscope", "enemy"))
    slow = threading.Event()

    class Waits(remote_rig.Walker):
        def reset(self, problem, *, rng):
            super().reset(problem, rng=rng)
            if problem.scan.shape != remote_rig.a_problem().scan.shape:
                slow.wait(20)

    with (
        remote_rig.serve(keys, Waits, sessions=4) as server,
        rig.Enemy(server.address, keys / "enemy") as enemy,
        remote_rig.connected(server, keys) as friend,
    ):
        for k in range(40):  # the first one occupies the enemy's worker
            enemy.send(rig.frames("reset", f"enemy{k}", 1, rig.reset_body()))
        try:
            assert remote_rig.run(friend, 2) == remote_rig.expected(2)
        finally:
            slow.set()
        assert len(server._sessions) <= 5


def test_an_answer_that_was_lost_with_its_connection_comes_with_the_next_sign_of_life():
    with remote_rig.serve(factory=lambda: remote_rig.Walker(slow=0.6)) as server:
        proxy = remote_rig.Proxy(int(server.address.rsplit(":", 1)[1]))
        with remote_rig.connected(proxy.address, **QUICK) as policy:
            threading.Timer(0.3, proxy.cut).start()  # while the policy thinks
            assert len(policy.ask(2)) == 2
        proxy.close()


@pytest.mark.parametrize("slow", [0.0, 1.0], ids=["done", "worked on"])
def test_a_late_copy_of_the_first_request_at_a_restarted_server_is_no_beginning(slow):
    """Or the policy would go on from it without what it was told in between."""
    with remote_rig.serve() as first, remote_rig.connected(first, **QUICK) as policy:
        copy = [bytes(frame) for frame in policy._channel._frames]
        seen = remote_rig.run(policy, 2)
        first.stop()

        class Slow(remote_rig.Walker):
            def reset(self, problem, *, rng):
                time.sleep(slow)
                super().reset(problem, rng=rng)

        with (
            remote_rig.serve(None, Slow, first.address) as second,
            rig.Enemy(second.address) as wire_late,
        ):
            wire_late.send(copy)
            assert rig.soon(lambda: any(s.done > 0 or slow for s in second._sessions.values()))
            seen += remote_rig.run(policy, 1, start=2)
    assert seen == remote_rig.expected(3)


def test_a_message_without_end_costs_the_connections_and_no_more(monkeypatch):
    monkeypatch.setattr(wire, "MAX_GROWTH", 60_000_000)
    with remote_rig.serve() as server:
        before = resident()
        peers = [rig.raw_peer(server.address, b"DEALER") for _ in range(2)]
        for peer in peers:
            rig.endless(peer, 400)
        assert rig.soon(lambda: server.relieved > 0)
        assert resident() - before < 400_000_000
        with remote_rig.connected(server, **QUICK) as friend:
            assert remote_rig.run(friend, 2) == remote_rig.expected(2)
        for peer in peers:
            peer.close()


def test_a_server_that_sends_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(wire, "MAX_GROWTH", 60_000_000)
    listener = rig.socket.create_server(("127.0.0.1", 0))

    def flood():
        peer, _ = listener.accept()
        rig.shake_hands(peer, b"ROUTER")
        rig.endless(peer, 3000)
        peer.close()

    thread = threading.Thread(target=flood)
    thread.start()
    before = resident()
    with pytest.raises(LinkError, match="must be of less than"):
        RemotePolicy(f"tcp://127.0.0.1:{listener.getsockname()[1]}", **QUICK)
    assert resident() - before < 400_000_000
    thread.join()
    listener.close()


def test_a_server_that_repeats_old_answers_for_ever_does_not_hold_the_microscope():
    def old(request, count):
        return [rig.frames("pong", "", 0, {})] * 50

    began = time.monotonic()
    with (
        rig.hostile_server(old) as address,
        pytest.raises(LinkError, match="must be answered within"),
    ):
        RemotePolicy(address, heartbeat=0.01, lost_after=5.0, timeout=0.5)
    assert time.monotonic() - began < 5.0


HELLO = {"policy": "x", "offers": ["predict", "state", "explain"], "version": wire.VERSION}


@pytest.mark.parametrize(
    "proposal",
    [
        {"id": "a", "site": [1.9, 0]},
        {"id": "a", "site": ["1", 0]},
        {"id": "a", "site": [True, 0]},
        {"id": "a", "site": [0, 0, 0]},
        {"id": "\x1b[2J", "site": [0, 0]},
        {"id": "a" * 10_000, "site": [0, 0]},
        {"id": 7, "site": [0, 0]},
    ],
)
def test_a_proposal_is_taken_as_it_is_or_not_at_all(proposal):
    def propose(request, count):
        message = wire.decode(request)
        asked = {**proposal, "prediction": None, "uncertainty": None, "scores": {}}
        body = {"hello": HELLO, "ask": {"proposals": [asked]}}.get(message.kind, {})
        return [rig.frames("done", "", message.number, body)]

    with (
        rig.hostile_server(propose) as address,
        remote_rig.connected(address, **QUICK) as policy,
        pytest.raises(LinkError, match="cannot be understood"),
    ):
        policy.ask()


@pytest.mark.parametrize("value", [None, 3, "x", [1, 2], {"a": "b"}, {"~~float__": 1}, {"~~x": 1}])
@pytest.mark.parametrize("kind", ["predict", "explain", "state"])
def test_maps_and_states_of_another_form_are_link_errors(kind, value):
    def answer(request, count):
        message = wire.decode(request)
        body = {"hello": HELLO, "reset": {}}.get(message.kind, {"value": value})
        frames = rig.frames("done", "", message.number, body)
        return [[part.replace(b"~~", b"__") for part in frames]]

    with rig.hostile_server(answer) as address, remote_rig.connected(address, **QUICK) as policy:
        if kind == "state" and value == {"a": "b"}:
            assert policy.state() == value
            return
        with pytest.raises(LinkError):
            getattr(policy, kind)()


@pytest.mark.parametrize("hello", [{}, {"version": wire.VERSION, "offers": 5}, {"version": "1"}])
def test_a_server_must_say_what_it_is(hello):
    def greet(request, count):
        return [rig.frames("hello", "", 1, hello)]

    with rig.hostile_server(greet) as address, pytest.raises(LinkError, match="must speak"):
        RemotePolicy(address, **QUICK)


def test_an_error_from_the_other_side_commands_no_terminal():
    def complain(request, count):
        body = {"error": "PolicyError", "text": "\x1b]0;owned\x07\x1b[2J" + "x" * 10_000}
        return [rig.frames("error", "", 1, body)]

    with rig.hostile_server(complain) as address, pytest.raises(PolicyError) as found:
        RemotePolicy(address, **QUICK)
    assert str(found.value).isprintable()
    assert len(str(found.value)) < 2100


@pytest.mark.parametrize("n", [0, -1, 1.5, None, "1", True, [1]])
def test_a_count_that_is_none_is_refused(n):
    with remote_rig.serve() as server, rig.Enemy(server.address) as enemy:
        enemy.send(rig.frames("reset", "s", 1, rig.reset_body()))
        assert enemy.socket.poll(5000)
        enemy.socket.recv_multipart()
        enemy.send(rig.frames("ask", "s", 2, {"n": n}))
        assert enemy.socket.poll(5000)
        assert wire.decode(enemy.socket.recv_multipart()).kind == "error"
        assert server._sessions["s"].policy.asked == 0


def test_a_problem_too_large_to_be_worked_on_is_refused(monkeypatch):
    monkeypatch.setattr(wire, "MAX_PIXELS", 100)
    wire.received_problem(rig.reset_body(10)["problem"])
    body = rig.reset_body(11)["problem"]
    with pytest.raises(ValueError, match="at most 100 pixels"):
        wire.received_problem(body)
    few = {**rig.reset_body(4)["problem"], "candidates": np.zeros((17, 2), np.int64)}
    with pytest.raises(ValueError, match="a candidate for each"):
        wire.received_problem(few)


def test_bodies_that_are_slow_to_read_keep_no_other_client_waiting(tmp_path):
    keys = generate_keys(tmp_path / "keys", clients=("microscope", "enemy"))
    empty = rig.frames("reset", "s", 1, {})[0]
    nested = b'{"a": [' + b"[[[]]]," * 570_000 + b"0]}"  # 4 MB
    stop = threading.Event()

    def flood(server):
        with rig.Enemy(server.address, keys / "enemy") as enemy:
            enemy.socket.setsockopt(rig.zmq.SNDTIMEO, 100)
            enemy.socket.setsockopt(rig.zmq.SNDHWM, 2)
            while not stop.wait(0.1):
                enemy.send([empty.replace(b'"s"', f'"{time.monotonic_ns()}"'.encode()), nested])

    with remote_rig.serve(keys) as server:
        floods = [threading.Thread(target=flood, args=(server,)) for _ in range(2)]
        for thread in floods:
            thread.start()
        try:
            assert rig.soon(lambda: server.hurried > 0)
            with remote_rig.connected(server, keys, heartbeat=0.5, lost_after=5.0) as friend:
                assert remote_rig.run(friend, 5) == remote_rig.expected(5)
        finally:
            stop.set()
            for thread in floods:
                thread.join()


def test_a_session_has_an_end_to_what_it_may_send(monkeypatch):
    monkeypatch.setattr(wire, "MAX_SESSION", 200_000)
    with (
        remote_rig.serve() as server,
        remote_rig.connected(server, **QUICK) as policy,
        pytest.raises(LinkError, match="at most 200000 bytes"),
    ):
        remote_rig.run(policy, 50)


def test_a_server_under_fire_writes_few_lines(caplog):
    with remote_rig.serve() as server, rig.Enemy(server.address) as enemy:
        for _ in range(500):
            enemy.send([b"nonsense"])
        assert rig.soon(lambda: server.refused == 500)
    assert 10 <= len(caplog.records) < 30


def test_a_reset_that_failed_leaves_no_policy_behind():
    with remote_rig.serve() as server, rig.Enemy(server.address) as enemy:
        for number, kind in enumerate(("reset", "ask"), 1):
            body = {**rig.reset_body(), "n": 1}
            body["rng"] = {"state": "none"}
            enemy.send(rig.frames(kind, "s", number, body))
            assert enemy.socket.poll(5000)
            answer = wire.decode(enemy.socket.recv_multipart())
            assert answer.kind == "error"
        assert "needs a reset" in answer.body["text"]
