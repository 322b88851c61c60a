"""The process that runs cells, one after another; its other end is ``_worker.CellProcess``."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import IO

from grainscout.benchmarks.campaign.cell import run_cell
from grainscout.benchmarks.campaign.jobs import Call, receive, send
from grainscout.experiment import one_thread
from grainscout.records import pack

#: Seconds without a call after which the process ends: a cluster's worker may outlive its campaign.
_IDLE_S = 120.0


def run_call(call: Call) -> tuple[str, float, bytes | None, str]:
    """Run one cell: status (finished, failed, memory), seconds, packed result, what was wrong."""
    begun = time.perf_counter()
    try:
        with one_thread():
            payload = pack(run_cell(call.key, call.task, call.policy, call.seed))
    except Exception as error:  # noqa: BLE001 - whatever a policy raises must be recorded, not lost
        # torch has no class of its own for it: "DefaultCPUAllocator: can't allocate memory".
        memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
        status = "memory" if memory else "failed"
        return status, time.perf_counter() - begun, None, traceback.format_exc()
    return "finished", time.perf_counter() - begun, payload, ""


def _limit(memory_GiB: float) -> None:
    """Private memory of this process, as far as the system can bound it (Linux)."""
    if sys.platform != "win32" and memory_GiB > 0:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        size = int(memory_GiB * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (size if hard < 0 else min(size, hard), hard))


def _calls(stream: IO[bytes], calls: queue.SimpleQueue[bytes]) -> None:
    """Hand calls over; when the other end is gone, so is this process, whatever it is at."""
    while (body := receive(stream)) is not None:
        calls.put(body)
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with all that a policy may have started
    os._exit(1)


def main(memory_GiB: float) -> None:
    """Answer calls until there are no more: each with a JSON text and the packed result, if any.

    The standard streams are for messages; what a policy prints goes to the error stream.
    """
    commands, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    _limit(memory_GiB)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_calls, args=(commands, calls), daemon=True).start()
    send(replies, b"ready")
    while True:
        try:
            call = Call.from_json(calls.get(timeout=_IDLE_S).decode())
        except queue.Empty:
            return
        status, seconds, payload, error = run_call(call)
        send(replies, json.dumps([status, seconds, error]).encode())
        send(replies, payload or b"")
