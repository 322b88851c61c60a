"""Cells in processes of their own, which can be ended: time-outs, deaths and memory stay in the cell."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TypeVar, cast

import grainscout
from grainscout.benchmarks.campaign.jobs import Call, Reply, receive, send
from grainscout.records import GrainscoutError

T = TypeVar("T")

#: Seconds that a process may take to import everything, on a busy machine or a slow file system.
_START_S = 300.0

_CHILD = "from grainscout.benchmarks.campaign.worker_process import main; main({})"


class _Died(GrainscoutError):
    """The process is gone in the middle of a cell."""


class _Overdue(GrainscoutError):
    """The cell took too long; its process was ended."""


class CellProcess:
    """One process that runs cells, one after another, on one thread."""

    def __init__(self, memory_GiB: float) -> None:
        one = {f"{n}_NUM_THREADS": "1" for n in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
        # What can be imported here can be imported there: plug-ins on a path of the user's own.
        path = os.pathsep.join(p or os.getcwd() for p in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD.format(memory_GiB)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **one, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._ready = self._ended = False
        self._using = threading.RLock()
        self.cells = 0

    @property
    def alive(self) -> bool:
        """Whether it can take a cell."""
        return self._process.poll() is None

    def run(self, text: str, timeout_s: float) -> Reply:
        """Run one cell; _Overdue if it took longer, _Died if the process is gone."""
        with self._using:
            if not self._ready:
                try:
                    self._timed(_START_S, self._receive)
                except _Overdue:
                    raise _Died(f"it did not start within {_START_S:g} s") from None
                self._ready = True
            self.cells += 1
            return self._timed(timeout_s, lambda: self._call(text))

    def end(self) -> None:
        """End it now, with whatever it has started; returns when it is gone."""
        if self._ended:  # its number may be another's by now
            return
        self._ended = True
        if sys.platform == "win32":
            self._process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with self._using:  # whoever reads from it has been told by now
            for stream in (self._process.stdin, self._process.stdout):
                with suppress(OSError):  # what was not sent is not missed
                    cast(IO[bytes], stream).close()

    def _timed(self, seconds: float, act: Callable[[], T]) -> T:
        overdue = threading.Event()

        def late() -> None:
            overdue.set()
            self.end()

        timer = threading.Timer(seconds, late) if seconds > 0 else None
        try:
            if timer is not None:
                timer.daemon = (
                    True  # nobody waits for it where an interruption keeps it from its end
                )
                timer.start()
            return act()
        except _Died:
            self.end()
            if overdue.is_set():
                raise _Overdue from None
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _call(self, text: str) -> Reply:
        try:
            send(cast(IO[bytes], self._process.stdin), text.encode())
        except OSError as error:
            raise _Died(str(error)) from error
        status, seconds, wrong = json.loads(self._receive())
        payload = self._receive()
        return Reply(status=status, seconds=seconds, payload=payload or None, error=wrong)

    def _receive(self) -> bytes:
        body = receive(cast(IO[bytes], self._process.stdout))
        if body is None:
            code = self._process.wait()
            how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            raise _Died(f"its process ended with {how}")
        return body


#: All processes of a campaign under this one, those that wait for a cell, and the campaigns that are over.
_processes: dict[str, set[CellProcess]] = {}
_idle: dict[str, list[CellProcess]] = {}
_over: set[str] = set()
_lock = threading.Lock()


def attempt(text: str) -> Reply:
    """Run one cell in a process that no other cell is in, and say what became of it.

    A process that is killed under it, or has no memory left after other cells, is replaced and the
    cell run again, once: a second time the fault is the cell's.
    """
    wanted = json.loads(text)["version"]
    if wanted != grainscout.__version__:  # it joined a cluster after all were asked
        said = f"the worker must have grainscout {wanted}; it has {grainscout.__version__}"
        return Reply(status="failed", seconds=0.0, error=said)
    call = Call.from_json(text)
    begun = time.perf_counter()
    reply = Reply(status="failed", seconds=0.0, error="the campaign is over")
    for _ in range(2):
        process = _take(call)
        if process is None:
            return reply
        try:
            reply = process.run(text, call.timeout_s)
        except _Overdue:
            said = f"time-out: the cell took longer than {call.timeout_s:g} s and was ended"
            return Reply(status="failed", seconds=time.perf_counter() - begun, error=said)
        except _Died as error:
            said = f"the worker died twice: killed, out of memory, or a crash in compiled code: {error}"
            reply = Reply(status="failed", seconds=time.perf_counter() - begun, error=said)
            continue
        if reply.status != "memory":
            with _lock:
                _idle.setdefault(call.campaign, []).append(process)
            return reply
        process.end()
        said = f"{reply.error}out of memory: the cell needed more than {call.memory_GiB:g} GiB"
        reply = dataclasses.replace(reply, status="failed", error=said)
        if process.cells == 1:
            return reply
    return reply


def _take(call: Call) -> CellProcess | None:
    """A process for the call's cell alone; None when the campaign is over."""
    with _lock:
        if call.campaign in _over:
            return None
        idle = _idle.get(call.campaign, [])
        while idle:
            found = idle.pop()
            if found.alive:
                return found
            found.end()  # it was killed while it waited, or has waited for long
        made = CellProcess(call.memory_GiB)
        _processes.setdefault(call.campaign, set()).add(made)
        return made


def end_processes(campaign: str) -> None:
    """End the processes of a campaign that are under this one, and start no more for it."""
    with _lock:
        _over.add(campaign)
        _idle.pop(campaign, None)
        ended = _processes.pop(campaign, set())
    for process in ended:
        process.end()
