"""The link under fire: strangers, clients with a key and bad intentions, and servers gone bad."""

import contextlib
import json
import multiprocessing
import os
import resource
import shutil
import sys
import threading
import time
from functools import partial
from unittest.mock import Mock

import numpy as np
import psutil
import rigs_frames as rig
import zmq
from bare import BareMicroscope
from rigs_fuzz import Mutator, refused, siege
from samples import problem_on

from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Guard, Limits, SimulatedMicroscope
from grainscout.hardware.remote import PolicyServer, RemotePolicy, generate_keys
from grainscout.hardware.remote import messages as wire
from grainscout.policies import make_policy
from grainscout.records import Budget, GrainscoutError, Outcome, Site, Waveform, spawn_streams
from grainscout.records.encoding.codec import outcome_state
from grainscout.simulator import PRESETS, Film

_MEMORY = 2_000_000_000  # bytes of address space that a besieged server may need more
_QUICK = {"heartbeat": 0.2, "lost_after": 10.0, "timeout": 60.0, "patience": 30.0}


def requests():
    """One good message of each kind."""
    outcome = Outcome(site=Site(1, 2), status="failed", message="x")
    bodies = {
        "reset": rig.reset_body(),
        "ask": {"n": 2},
        "tell": {"outcomes": [outcome_state(outcome)]},
        "restore": {"state": {"a": np.arange(3), "b": [1, {"c": 2.0}]}},
    } | {kind: {} for kind in ("hello", "ping", "predict", "explain", "state")}
    return [rig.frames(kind, "s", 1, body) for kind, body in bodies.items()]


def _mutated(m, goods, session="s"):
    """A message changed in its header's tree, its bytes, its frames, or not at all but in its place."""
    frames = list(m.random.choice(goods))
    kind, at = m.random.randrange(6), m.random.randrange(len(frames))
    if kind < 3:
        header = json.loads(frames[0])
        header["session"] = session
        header["n"] = m.random.choice((1, 2, 3, m.random.randrange(2**53)))
        frames[0] = json.dumps(m.tree(header) if kind == 1 else header).encode()
        frames[1] = json.dumps(m.tree(json.loads(frames[1]))).encode() if kind == 2 else frames[1]
    elif kind == 3:
        frames[at] = m.raw(frames[at])
    elif kind == 4:
        frames[at:at] = m.random.choice(([b""], [frames[at]], [bytes(1000)], [b""] * 5000))
    else:
        frames = [m.random.randbytes(m.random.randrange(64)) for _ in range(m.random.randrange(4))]
    return frames or [b""]


def test_malformed_frames_are_refused(tally, times):
    proposal = {"id": "a", "site": [0, 1], "prediction": 1.0, "uncertainty": None}
    answer = rig.frames("done", "", 1, {"proposals": [{**proposal, "scores": {"s": 1.0}}]})
    goods = [*requests(), answer]

    def one(case):
        return refused(lambda: rig.understood(_mutated(Mutator(("frames", case)), goods)))

    cases = times(short=6000, long=1_000_000)
    lost, peak = siege(range(cases), one, memory=500_000_000)
    tally("frames decoded", *lost, tried=cases, note=f"at most {peak / 1e6:.0f} MB more memory")


# A server in a process of its own, so that its memory, its files and its life can be watched.


def _served(keys, pipe, other):
    """Serve until ordered to end; then send what was refused and which files were opened meanwhile."""
    other.close()  # ours is the only end, so that the other's death is noticed
    opened, armed = [], threading.Event()

    def watch(event, arguments):
        if not armed.is_set() or event not in ("open", "subprocess.Popen", "os.system"):
            return
        name = str(arguments[0])
        # Its own memory, and the sources of a traceback that goes to the log.
        if name != f"/proc/{os.getpid()}/statm" and not (event == "open" and name.endswith(".py")):
            opened.append(f"{event} {name}")

    sys.addaudithook(watch)
    most = psutil.Process().memory_info().vms + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    policy = partial(make_policy, "kriging")
    with PolicyServer(policy, address="tcp://127.0.0.1:0", keys=keys) as server:
        pipe.send(server.address)
        pipe.recv()
        armed.set()
        pipe.recv()
        armed.clear()
        pipe.send((server.refused, server.strangers, len(server._sessions), opened))


class Besieged:
    """Such a server, its keys, and an allowed client's run through it, before anything happens and meanwhile."""

    def __init__(self, folder, curves, clients):
        self.keys = generate_keys(folder / "keys", clients=clients)
        self.film, self.curves = Film.generate(PRESETS["tiny"], 3), curves
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(
            target=_served, args=(self.keys / "server", theirs, self.pipe)
        )
        self.process.start()
        theirs.close()

    def __enter__(self):
        self.address = self.pipe.recv()
        self.expected, _ = self.run()  # everything is imported now
        self.pipe.send("arm")
        return self

    def run(self):
        """Sites and sums of currents of a friend's experiment, and the guard that they went through."""
        guard = Guard(SimulatedMicroscope(self.film, seed=spawn_streams(5).instrument), Limits())
        sweep, budget = Waveform.triangle(1.5, 11), Budget(curves=self.curves)
        problem = make_problem(guard, sweep, budget, window=8)
        settings = {"problem": problem, "seed": 5, "decision_seconds": 0.1}
        with RemotePolicy(self.address, keys=self.keys / "microscope", **_QUICK) as friend:
            found = Experiment(guard, friend, **settings).run().outcomes
        return [(o.site, float(o.curve.current.sum())) for o in found if o.curve], guard

    def end(self):
        """How many messages it refused, strangers and sessions it had, and the files that it opened."""
        assert self.process.is_alive()
        self.pipe.send("end")
        assert self.pipe.poll(30)
        return self.pipe.recv()

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()
        self.pipe.close()


def test_peers_without_a_key_disturb_nobody(tally, times, scratch):
    cases, each, goods = times(short=20_000, long=1_000_000), 1000, requests()
    with Besieged(scratch, 6, ("microscope",)) as server:
        foreign = generate_keys(scratch / "foreign") / "microscope"
        shutil.copy(server.keys / "microscope" / "server.key", foreign / "server.key")
        # Unencrypted, straight onto the wire, a thousand frames a connection.
        for sent in range(0, cases * 9 // 10, each):
            lost = _knock(Mutator(("stranger", sent)), server.address, goods, each)
            tally("frames without a key", lost, tried=each)
        # Through ZeroMQ: without encryption, and encrypted with a key of their own.
        for own in (None, foreign):
            with rig.Enemy(server.address, own) as enemy:
                for k in range(cases // 20):
                    with contextlib.suppress(zmq.Again):  # they wait for a handshake in vain
                        frames = _mutated(Mutator(("z", k)), goods)
                        enemy.socket.send_multipart(frames, flags=zmq.NOBLOCK)
                tally("frames without an allowed key", tried=cases // 20)
                assert enemy.answers(0.3) == 0
        assert server.run()[0] == server.expected
        refused_, _, _, opened = server.end()
        assert (refused_, opened) == (0, [])


def _knock(m, address, goods, frames):
    """One unencrypted connection with that many frames; what came back beyond a handshake."""
    came = b""
    with contextlib.suppress(OSError), rig.raw_peer(address, b"DEALER") as peer:
        blob = bytearray()
        for k in range(frames):
            part = goods[k % len(goods)][0] if m.random.random() < 0.5 else m.random.randbytes(20)
            blob += b"\x02" + len(part).to_bytes(8, "big") + part
        peer.settimeout(0.02)
        with contextlib.suppress(OSError):
            peer.sendall(m.raw(bytes(blob)) if m.random.random() < 0.5 else blob)
        while part := peer.recv(65536):
            came += part
    # After the greeting only commands (flag 4) may come, never a message.
    at = 64
    while at + 2 <= len(came):
        if not came[at] & 4:
            return f"an answer {came[at : at + 40]!r}"
        width = 8 if came[at] & 2 else 1
        at += 1 + width + int.from_bytes(came[at + 1 : at + 1 + width], "big")
    return ""


def test_a_hostile_client_disturbs_no_other(tally, times, scratch):
    cases, goods, done = times(short=1500, long=1_000_000), requests(), threading.Event()
    with Besieged(scratch, 8, ("microscope", "enemy")) as server:
        friends = threading.Thread(target=_friends, args=(server, done, tally))
        friends.start()
        with rig.Enemy(server.address, server.keys / "enemy") as enemy:
            for sent in range(cases):
                m = Mutator(("hostile", sent))
                session = f"s{m.random.randrange(50)}"
                taken = enemy.send(_mutated(m, goods, session))
                tally("frames with a key", "" if taken else "the server took no more")
                if not taken:
                    break
                if sent % 50 == 49 and sent % 5000 < 4000:  # else it lets answers pile up
                    enemy.answers()
        done.set()
        friends.join()
        _, _, sessions, opened = server.end()
        assert opened == []
        assert sessions <= 33


def _friends(server, done, tally):
    """One run after another until the enemy has done its worst."""
    while not done.is_set() or not tally.tried["runs of a friend"]:
        try:
            found, guard = server.run()
        except GrainscoutError as error:
            tally("runs of a friend", f"ended: {error}")
            return
        commands = [c for c in guard.log if c.name == "measure" and c.status == "issued"]
        parked = not (guard.microscope.bias or guard.microscope.engaged)
        same = found == server.expected and len(commands) == server.curves and parked
        tally("runs of a friend", "" if same else f"changed, {len(commands)} measurements")


def test_a_hostile_server_does_not_harm_the_microscope(tally, times):
    waveform, evil, case = Waveform.triangle(1.0, 5), threading.Event(), 0
    good = {"id": "a", "site": [2, 3], "prediction": 1.0, "uncertainty": None, "scores": {}}
    values = {
        "hello": {
            "policy": "x",
            "offers": ["predict", "explain", "state"],
            "version": wire.VERSION,
        },
        "ask": {"proposals": [good, {**good, "id": "b"}]},
        "predict": {"value": [np.ones(20), np.ones(20)]},
        "explain": {"value": {"map": np.ones((4, 5))}},
        "state": {"value": {"a": np.arange(3)}},
    }

    def behave(request, _):
        message = wire.decode(request)
        reply = rig.frames("done", "", message.number, values.get(message.kind, {}))
        if not evil.is_set() or message.kind in ("hello", "reset"):
            return [reply]
        m = Mutator(("server", case, message.kind))
        header, kind = json.loads(reply[0]), m.random.randrange(5)
        if kind < 3:
            return [[reply[0], json.dumps(m.tree(json.loads(reply[1]))).encode(), *reply[2:]]]
        if kind == 3:
            header["kind"] = m.random.choice(("error", "pong", "hello", "done"))
            body = {"error": m.value(), "text": m.value(), "known": m.value()}
            parts = [json.dumps(part).encode() for part in (header, body)]
            return [parts] * m.random.choice((1, 1, 20))
        return [_mutated(m, [reply])]

    bare = BareMicroscope()
    bare.measure = Mock(wraps=bare.measure)
    guard = Guard(bare, Limits(voltage_V=1.0))
    problem = problem_on(guard.scan())

    def attack(policy):
        policy.reset(problem, rng=spawn_streams(1).policy_rng())
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
            for case in range(times(short=500, long=30_000)):
                evil.clear()
                began = time.monotonic()
                lost, seconds = refused(lambda: attack(policy)), time.monotonic() - began
                late = f"took {seconds:.1f} s" if seconds > 3.0 else ""
                tally("replies of a bad server", lost and f"case {case}: {lost}", late)
    went = [call.args[0] for call in bare.measure.call_args_list]
    assert went
    assert all(problem.scan.contains(site) for site in went)
