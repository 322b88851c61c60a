"""Worker processes for cells: each can be ended, so time-outs, deaths and memory stay in its cell."""

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
from grainscout.benchmarks.campaign.jobs import Job, JobResult, receive, send
from grainscout.records import GrainscoutError

T = TypeVar("T")

#: Seconds that a process may take to import everything, on a busy machine or a slow file system.
_START_S = 300.0

_MAIN = "from grainscout.benchmarks.campaign.worker_process import main; main({})"


class _Died(GrainscoutError):
    """The process ended in the middle of a cell."""


class _Overdue(GrainscoutError):
    """The cell took too long. Its process was ended."""


class CellProcess:
    """One process that runs cells, one after another, on one thread."""

    def __init__(self, memory_GiB: float) -> None:
        one = {f"{n}_NUM_THREADS": "1" for n in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
        # What can be imported here can be imported there: plug-ins on a path of the user's own.
        path = os.pathsep.join(p or os.getcwd() for p in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _MAIN.format(memory_GiB)],
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
        """True if it can take a cell."""
        return self._process.poll() is None

    def run(self, text: str, timeout_s: float) -> JobResult:
        """Run one cell. _Overdue if it took longer, _Died if the process ended."""
        with self._using:
            if not self._ready:
                try:
                    self._timed(_START_S, self._receive)
                except _Overdue:
                    raise _Died(f"it did not start within {_START_S:g} s") from None
                self._ready = True
            self.cells += 1
            return self._timed(timeout_s, lambda: self._send(text))

    def end(self) -> None:
        """End it and whatever it has started, and wait for that."""
        if self._ended:  # its number may be another's by now
            return
        self._ended = True
        if sys.platform == "win32":
            self._process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with self._using:  # a reader has seen the end by now
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
                timer.daemon = True  # an interruption must not wait for it
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

    def _send(self, text: str) -> JobResult:
        try:
            send(cast(IO[bytes], self._process.stdin), text.encode())
        except OSError as error:
            raise _Died(str(error)) from error
        status, seconds, wrong = json.loads(self._receive())
        payload = self._receive()
        return JobResult(status=status, seconds=seconds, payload=payload or None, error=wrong)

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


def attempt(text: str) -> JobResult:
    """Run one cell in a process of its own. A killed one is replaced and the cell run again, once."""
    wanted = json.loads(text)["version"]
    if wanted != grainscout.__version__:  # it joined a cluster after all workers were checked
        return _failed(f"the worker must have grainscout {wanted}; it has {grainscout.__version__}")
    job = Job.from_json(text)
    begun = time.perf_counter()
    result = _failed("the campaign is over")
    for _ in range(2):
        process = _take(job)
        if process is None:
            return result
        try:
            result = process.run(text, job.timeout_s)
        except _Overdue:
            why = f"time-out: the cell took longer than {job.timeout_s:g} s and was ended"
            return _failed(why, time.perf_counter() - begun)
        except _Died as error:
            why = f"the worker died twice: killed, out of memory, or a crash in compiled code: {error}"
            result = _failed(why, time.perf_counter() - begun)
            continue
        if result.status != "memory":
            with _lock:
                _idle.setdefault(job.campaign, []).append(process)
            return result
        process.end()
        why = f"{result.error}out of memory: the cell needed more than {job.memory_GiB:g} GiB"
        result = _failed(why, result.seconds)
        if process.cells == 1:
            return result
    return result


def _failed(why: str, seconds: float = 0.0) -> JobResult:
    return JobResult(status="failed", seconds=seconds, error=why)


def _take(job: Job) -> CellProcess | None:
    """Process for the cell alone. None when the campaign is over."""
    with _lock:
        if job.campaign in _over:
            return None
        idle = _idle.get(job.campaign, [])
        while idle:
            process = idle.pop()
            if process.alive:
                return process
            process.end()  # it was killed while it waited, or has waited for long
        process = CellProcess(job.memory_GiB)
        _processes.setdefault(job.campaign, set()).add(process)
        return process


def end_processes(campaign: str) -> None:
    """End the worker processes of a campaign, and start no more for it."""
    with _lock:
        _over.add(campaign)
        _idle.pop(campaign, None)
        ended = _processes.pop(campaign, set())
    for process in ended:
        process.end()
