"""The link under fire: strangers, clients with a key and bad intentions, and servers gone bad."""

import contextlib
import json
import multiprocessing
import os
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rigs_frames as rig
import zmq
from rigs_fuzz import Mutator, refused, siege
from stress import Size, Tally, nothing_lost, tally, times

from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Command, Guard, Limits, SimulatedMicroscope
from grainscout.hardware.remote import PolicyServer, RemotePolicy, generate_keys
from grainscout.hardware.remote import messages as wire
from grainscout.policies import make_policy
from grainscout.records import Budget, GrainscoutError, Outcome, Site, Waveform, spawn_streams
from grainscout.records.encoding.codec import outcome_state
from grainscout.simulator import PRESETS, Film

_MEMORY = 2_000_000_000  # bytes of address space that a besieged server may need more
_QUICK = {"heartbeat": 0.2, "lost_after": 10.0, "timeout": 60.0, "patience": 30.0}


def requests() -> list[list[bytes]]:
    """One good message of each kind."""
    outcome = Outcome(site=Site(1, 2), status="failed", message="x")
    bodies: dict[str, wire.Body] = {
        "hello": {},
        "ping": {},
        "reset": rig.reset_body(),
        "ask": {"n": 2},
        "tell": {"outcomes": [outcome_state(outcome)]},
        "predict": {},
        "explain": {},
        "state": {},
        "restore": {"state": {"a": np.arange(3), "b": [1, {"c": 2.0}]}},
    }
    return [rig.frames(kind, "s", 1, body) for kind, body in bodies.items()]


def _mutated(m: Mutator, goods: list[list[bytes]], session: str = "s") -> list[bytes]:
    """A message changed in its header's tree, its bytes, its frames, or not at all but in its place."""
    frames = list(m.random.choice(goods))
    kind = m.random.randrange(6)
    if kind < 3:
        header = json.loads(frames[0])
        header["session"] = session
        header["n"] = m.random.choice((1, 2, 3, m.random.randrange(2**53)))
        frames[0] = json.dumps(m.tree(header) if kind == 1 else header).encode()
        frames[1] = json.dumps(m.tree(json.loads(frames[1]))).encode() if kind == 2 else frames[1]
    elif kind == 3:
        at = m.random.randrange(len(frames))
        frames[at] = m.raw(frames[at])
    elif kind == 4:
        at = m.random.randrange(len(frames))
        frames[at:at] = m.random.choice(([b""], [frames[at]], [bytes(1000)], [b""] * 5000))
    else:
        frames = [m.random.randbytes(m.random.randrange(64)) for _ in range(m.random.randrange(4))]
    return frames or [b""]


@nothing_lost
def test_malformed_frames_are_refused(size: Size) -> list[Tally]:
    """Frames through the decoder and the makers of problems, outcomes and proposals."""
    goods = requests()
    body: wire.Body = {"id": "a", "site": [0, 1], "prediction": 1.0, "uncertainty": None}
    goods.append(rig.frames("done", "", 1, {"proposals": [{**body, "scores": {"s": 1.0}}]}))

    def one(case: int) -> str:
        return refused(lambda: rig.understood(_mutated(Mutator(("frames", case)), goods)))

    cases = times(size, short=6000, long=1_000_000)
    lost, peak = siege(range(cases), one, memory=500_000_000)
    return [tally("frames decoded", cases, lost, f"at most {peak / 1e6:.0f} MB more memory")]


# A server in a process of its own, so that its memory, its files and its life can be watched.


def _served(keys: Path | None, pipe: Any, other: Any) -> None:
    """Serve until ordered to end; then send what was refused and which files were opened meanwhile."""
    other.close()  # ours is the only end, so that the other's death is noticed
    opened: list[str] = []
    armed = threading.Event()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if not armed.is_set() or event not in ("open", "subprocess.Popen", "os.system"):
            return
        name = str(arguments[0])
        # Its own memory, and the sources of a traceback that goes to the log.
        if name != f"/proc/{os.getpid()}/statm" and not (event == "open" and name.endswith(".py")):
            opened.append(f"{event} {name}")

    sys.addaudithook(watch)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
    with PolicyServer(
        lambda: make_policy("kriging", {}), address="tcp://127.0.0.1:0", keys=keys
    ) as server:
        pipe.send(server.address)
        while (order := pipe.recv()) != "end":
            if order == "arm":
                armed.set()
        armed.clear()
        pipe.send((server.refused, server.strangers, len(server._sessions), opened))


@contextlib.contextmanager
def _server(keys: Path | None) -> Iterator[tuple[str, Callable[[str], Any], Callable[[], bool]]]:
    """(address, a function that gives it an order and returns the answer to "end", whether it lives)."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_served, args=(keys, theirs, ours))
    process.start()
    theirs.close()

    def order(word: str) -> Any:
        ours.send(word)
        return ours.recv() if word == "end" and ours.poll(30) else None

    try:
        yield ours.recv(), order, process.is_alive
    finally:
        with contextlib.suppress(OSError):
            ours.send("end")
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()
        ours.close()


class Run:
    """A friend's experiment through the link, and the same without one."""

    def __init__(self, curves: int = 12) -> None:
        self.film = Film.generate(PRESETS["tiny"], 3)
        self.curves = curves

    def trajectory(self, policy: Any) -> tuple[list[tuple[Site, float]], Guard]:
        """Sites and sums of currents, and the guard that they went through."""
        guard = Guard(SimulatedMicroscope(self.film, seed=spawn_streams(5).instrument), Limits())
        sweep, budget = Waveform.triangle(1.5, 11), Budget(curves=self.curves)
        problem = make_problem(guard, sweep, budget, window=8)
        loop = Experiment(guard, policy, problem=problem, seed=5, decision_seconds=0.1)
        found = loop.run().outcomes
        return [(o.site, float(o.curve.current.sum())) for o in found if o.curve], guard


@nothing_lost
def test_peers_without_a_key_disturb_nobody(size: Size) -> list[Tally]:
    """Frames of peers without an allowed key: not one is answered, nor even looked at."""
    cases = times(size, short=20_000, long=1_000_000)
    goods = requests()
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        keys = generate_keys(Path(folder) / "keys")
        foreign = generate_keys(Path(folder) / "foreign")
        shutil.copy(keys / "microscope" / "server.key", foreign / "microscope" / "server.key")
        with _server(keys / "server") as (address, order, alive):
            run = Run(6)
            with RemotePolicy(address, keys=keys / "microscope", **_QUICK) as friend:
                expected, _ = run.trajectory(friend)
            order("arm")
            # Unencrypted, straight onto the wire, a thousand frames a connection.
            sent, each = 0, 1000
            while sent < cases * 9 // 10:
                m = Mutator(("stranger", sent))
                lost += _knock(m, address, goods, each)
                sent += each
            # Through ZeroMQ: without encryption, and encrypted with a key of their own.
            for own in (None, foreign / "microscope"):
                with rig.Enemy(address, own) as enemy:
                    for k in range((cases - cases * 9 // 10) // 2):
                        with contextlib.suppress(zmq.Again):  # they wait for a handshake in vain
                            frames = _mutated(Mutator(("z", k)), goods)
                            enemy.socket.send_multipart(frames, flags=zmq.NOBLOCK)
                        sent += 1
                    answers = enemy.answers(0.3)
                    if answers:
                        lost.append(f"{answers} answers to {'a foreign' if own else 'no'} key")
            with RemotePolicy(address, keys=keys / "microscope", **_QUICK) as friend:
                if run.trajectory(friend)[0] != expected:
                    lost.append("a friend's run changed")
            if not alive():
                lost.append("the server died")
            wrong, _, _, opened = order("end") or (0, 0, 0, ["no answer"])
            lost += [f"{wrong} of their messages were looked at"] * (wrong > 0) + opened
    return [tally("frames without a key", sent, lost)]


def _knock(m: Mutator, address: str, goods: list[list[bytes]], frames: int) -> list[str]:
    """One unencrypted connection with that many frames; what came back beyond a handshake."""
    host, port = address.removeprefix("tcp://").split(":")
    came = b""
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 5) as peer:
        rig.shake_hands(peer, b"DEALER")
        blob = bytearray()
        for k in range(frames):
            part = goods[k % len(goods)][0] if m.random.random() < 0.5 else m.random.randbytes(20)
            blob += b"\x02" + len(part).to_bytes(8, "big") + part
        peer.settimeout(0.02)
        with contextlib.suppress(OSError):
            peer.sendall(m.raw(bytes(blob)) if m.random.random() < 0.5 else blob)
        with contextlib.suppress(OSError):
            while part := peer.recv(65536):
                came += part
    # After the greeting only commands (flag 4) may come, never a message.
    at, found = 64, []
    while at + 2 <= len(came):
        flags = came[at]
        if not flags & 4:
            found.append(f"an answer {came[at : at + 40]!r}")
            break
        width = 8 if flags & 2 else 1
        at += 1 + width + int.from_bytes(came[at + 1 : at + 1 + width], "big")
    return found


@nothing_lost
def test_a_hostile_client_disturbs_no_other(size: Size) -> list[Tally]:
    """A client with a key does its worst while a friend's run goes on as if nothing were there."""
    cases = times(size, short=1500, long=1_000_000)
    goods, lost, sent, runs = requests(), list[str](), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        keys = generate_keys(Path(folder) / "keys", clients=("microscope", "enemy"))
        with _server(keys / "server") as (address, order, alive):
            run = Run(8)
            expected, _ = run.trajectory(make_policy("kriging", {}))
            with RemotePolicy(address, keys=keys / "microscope", **_QUICK) as friend:
                run.trajectory(friend)  # everything is imported now
            order("arm")
            done = threading.Event()
            arguments = (run, address, keys / "microscope", expected, done, lost)
            friends = threading.Thread(target=_friends, args=arguments)
            friends.start()
            with rig.Enemy(address, keys / "enemy") as enemy:
                while sent < cases and alive():
                    m = Mutator(("hostile", sent))
                    session = f"s{m.random.randrange(50)}"
                    if not enemy.send(_mutated(m, goods, session)):
                        lost.append(f"the server took no more after {sent} messages")
                        break
                    sent += 1
                    if sent % 50 == 0 and sent % 5000 < 4000:  # else it lets answers pile up
                        enemy.answers()
            done.set()
            friends.join()
            if not alive():
                lost.append(f"the server died after {sent} messages")
            answer = order("end") if alive() else None
            wrong, _, sessions, opened = answer or (0, 0, 0, ["no answer"])
            lost += [f"opened: {name}" for name in opened]
            runs = getattr(done, "runs", 0)
            if sessions > 33:
                lost.append(f"{sessions} sessions are kept")
    text = f"{wrong} malformed, {runs} undisturbed runs of a friend meanwhile"
    return [tally("frames with a key", sent, lost, text)]


def _friends(run: Run, address: str, keys: Path, expected: Any, done: Any, lost: list[str]) -> None:
    """One run after another until the enemy has done its worst."""
    done.runs = 0
    while not done.is_set() or done.runs == 0:
        try:
            with RemotePolicy(address, keys=keys, **_QUICK) as friend:
                found, guard = run.trajectory(friend)
        except GrainscoutError as error:
            lost.append(f"a friend's run ended: {error}")
            return
        if found != expected:
            lost.append("a friend's run was changed")
        commands = [c for c in guard.log if c.name == "measure" and c.status == "issued"]
        if len(commands) != run.curves or guard.microscope.bias or guard.microscope.engaged:  # type: ignore[attr-defined]
            lost.append(f"{len(commands)} measurements for {run.curves} curves")
        done.runs += 1


@nothing_lost
def test_a_hostile_server_does_not_harm_the_microscope(size: Size) -> list[Tally]:
    """A server with the right key and bad intentions: it can propose, and no more."""
    cases = times(size, short=500, long=30_000)
    waveform = Waveform.triangle(1.0, 5)
    good = {"id": "a", "site": [2, 3], "prediction": 1.0, "uncertainty": None, "scores": {}}
    hello = {"policy": "x", "offers": ["predict", "explain", "state"], "version": wire.VERSION}
    values = {
        "ask": {"proposals": [good, {**good, "id": "b"}]},
        "predict": {"value": [np.ones(36), np.ones(36)]},
        "explain": {"value": {"map": np.ones((6, 6))}},
        "state": {"value": {"a": np.arange(3)}},
    }
    evil = threading.Event()
    case = 0

    def behave(request: list[bytes], _: int) -> list[list[bytes]]:
        message = wire.decode(request)
        body = hello if message.kind == "hello" else values.get(message.kind, {})
        reply = rig.frames("done", "", message.number, body)
        if not evil.is_set() or message.kind in ("hello", "reset"):
            return [reply]
        m = Mutator(("server", case, message.kind))
        header = json.loads(reply[0])
        kind = m.random.randrange(5)
        if kind < 3:
            return [[reply[0], json.dumps(m.tree(json.loads(reply[1]))).encode(), *reply[2:]]]
        if kind == 3:
            header["kind"] = m.random.choice(("error", "pong", "hello", "done"))
            body = {"error": m.value(), "text": m.value(), "known": m.value()}
            return [[json.dumps(header).encode(), json.dumps(body).encode()]] * m.random.choice(
                (1, 1, 20)
            )
        return [_mutated(m, [reply])]

    lost: list[str] = []
    bare = rig.Bare()
    commands: list[Command] = []
    guard = Guard(bare, Limits(voltage_V=1.0), on_command=commands.append)
    guard.scan()

    def attack(policy: RemotePolicy) -> None:
        policy.reset(rig.problem(), rng=spawn_streams(1).policy_rng())
        evil.set()
        kind = ("ask", "predict", "explain", "state")[case % 4]
        if kind != "ask":
            getattr(policy, kind)()
            return
        for proposal in policy.ask(2):
            guard.measure(proposal.site, waveform)

    with rig.hostile_server(behave) as address:
        policy = RemotePolicy(address, heartbeat=0.02, lost_after=0.05, patience=0.0, timeout=0.3)
        with policy:
            for case in range(cases):
                evil.clear()
                began = time.monotonic()
                found = refused(lambda: attack(policy))
                if found:
                    lost.append(f"case {case}: {found}")
                if time.monotonic() - began > 3.0:
                    lost.append(f"case {case}: took {time.monotonic() - began:.1f} s")
    off = [site for site in bare.sites if not (0 <= site[0] < 6 and 0 <= site[1] < 6)]
    lost += [f"the tip went to {site}" for site in off[:3]]
    text = f"{len(bare.sites)} measured, {len(commands)} commands in all"
    return [tally("replies of a bad server", cases, lost, text)]
