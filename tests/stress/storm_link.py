"""A policy server that dies, and a wire to it that drops, delays, repeats, falls silent and garbles."""

import json
import threading
import time
from functools import partial

import numpy as np
import zmq
from storm import microscope, one_run
from victim import digest

from grainscout.hardware.remote import PolicyServer, RemotePolicy
from grainscout.journal import Journal
from grainscout.policies import make_policy
from grainscout.records import Budget

#: What happens to a message at a rate; "dies" restarts the server, which has then forgotten all.
LINK = ("drops", "late", "twice", "silent", "dies")
GARBLED = (*LINK, "garbled")
#: Rate of faults up to which a run must go through.  At 30 % of these, 12 % of all messages end or silence
#: the server, and telling it again takes 30.
BEARABLE = 0.1
#: Above it each of a run's requests may take so long, and all 17 together less than what is called a hang.
IMPATIENT_S = 15.0


class Relay(threading.Thread):
    """Between one client and the server, in both directions."""

    def __init__(self, server, policy, rng, kinds):
        super().__init__(daemon=True)
        self.server, self.policy, self.rng, self.kinds = server, policy, rng, kinds
        self.rate = 0.0  # until the client is connected
        self.context = zmq.Context()
        self.front = self.context.socket(zmq.ROUTER)
        self.back = self.context.socket(zmq.DEALER)
        self.address = f"tcp://127.0.0.1:{self.front.bind_to_random_port('tcp://127.0.0.1')}"
        self.back.connect(server.address)
        self.faults, self.closing = 0, threading.Event()
        self.copies = [], []  # of messages there and back, which arrive before the next one

    def run(self):
        poller = zmq.Poller()
        poller.register(self.front, zmq.POLLIN)
        poller.register(self.back, zmq.POLLIN)
        client = b""
        while not self.closing.is_set():
            ready = dict(poller.poll(20))
            if self.front in ready:
                client, *frames = self.front.recv_multipart()
                for passed in self._fate(frames, self.copies[0]):
                    self.back.send_multipart(passed)
            if self.back in ready:
                for passed in self._fate(self.back.recv_multipart(), self.copies[1]):
                    self.front.send_multipart([client, *passed])
        self.server.stop()
        self.context.destroy(0)

    def _fate(self, frames, copies):
        """The messages that come out for one that went in."""
        before = copies[:]
        copies.clear()
        if self.rng.random() >= self.rate:
            return [*before, frames]
        self.faults += 1
        kind = str(self.rng.choice(self.kinds))
        time.sleep({"late": float(self.rng.uniform(0.0, 0.2)), "silent": 1.2}.get(kind, 0.0))
        if kind == "dies":
            address = self.server.address
            self.server.stop()
            self.server = PolicyServer(partial(make_policy, self.policy), address=address)
            self.server.__enter__()
        if kind == "garbled":
            frames = [bytearray(f) for f in frames]
            frame = frames[int(self.rng.integers(len(frames)))]
            if frame:
                frame[int(self.rng.integers(len(frame)))] ^= 1 << int(self.rng.integers(8))
        if kind == "twice":
            copies.append(frames)
        return [*before, *([] if kind in ("drops", "dies") else [frames])]


def ride_link(folder, policy, rate, seed, kinds, curves):
    """A run through the relay; `report.json` says how it ended."""
    runs, wrong, local = [], [], partial(make_policy, policy)

    def remote():
        relay.start()
        patience = 60.0 if rate <= BEARABLE else IMPATIENT_S
        timing = {"patience": patience, "heartbeat": 0.2, "lost_after": 1.0, "timeout": 30.0}
        ends.append(RemotePolicy(relay.address, on_lost=guard.park, **timing))
        relay.rate = rate
        return ends[0]

    for far in (False, True):
        guard, recorder, _ = microscope("reference", 0.0, seed, ())
        path, ends = folder / f"{far}.gsj", []
        if far:
            server = PolicyServer(local, address="tcp://127.0.0.1:0").__enter__()
            relay = Relay(server, policy, np.random.default_rng(seed), kinds)
        chosen, budget = remote if far else local, Budget(curves=curves)
        reason = one_run(path, guard, recorder, chosen, seed, budget, wrong)
        for end in ends:
            end.close()
        with Journal.read(path) as journal:
            runs.append([digest(o) for o in journal.outcomes()])
    relay.closing.set()
    relay.join()
    if "garbled" not in kinds:  # without keys nothing tells a changed message
        # A server that dies faster than it can be told everything ends the run when patience does.
        patient = "must come back within" in reason and rate > BEARABLE
        if runs[1] != (runs[0][: len(runs[1])] if patient else runs[0]):
            wrong.append(f"another trajectory, ended by {reason}")
    if not reason:
        wrong.append("no reason")
    report = {"reason": reason, "wrong": wrong, "failed": relay.faults}
    (folder / "report.json").write_text(json.dumps(report))
