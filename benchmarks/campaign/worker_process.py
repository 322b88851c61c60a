"""Worker process that runs cells, one after another, for ``process_pool.CellProcess``."""

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import IO

from grainscout.benchmarks.campaign.cell import film_anchors, run_cell
from grainscout.benchmarks.campaign.jobs import Job, receive, send
from grainscout.benchmarks.campaign.made_by import module_of
from grainscout.benchmarks.campaign.process_state import process_state_restored
from grainscout.experiment import one_thread
from grainscout.records import PackedState, pack

#: Seconds without a job after which the process ends: a cluster's worker may outlive its campaign.
_IDLE_S = 120.0


def run_job(job: Job) -> tuple[str, float, bytes | None, str]:
    """Run one cell: status (finished, failed, memory), seconds, packed result, traceback."""
    begun = time.perf_counter()
    try:
        with one_thread(), process_state_restored() as altered:
            result = _result(job)
        if altered and job.policy and not module_of(job.policy.name).startswith("grainscout."):
            result["altered"] = altered
        payload = pack(result)
    except Exception as error:  # noqa: BLE001 - whatever a policy raises must be recorded, not lost
        # torch has no class of its own for it: "DefaultCPUAllocator: can't allocate memory".
        memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
        status = "memory" if memory else "failed"
        return status, time.perf_counter() - begun, None, traceback.format_exc()
    return "finished", time.perf_counter() - begun, payload, ""


def _result(job: Job) -> PackedState:
    if job.policy is None:
        return {"anchors": json.dumps(film_anchors(job.key, job.task, job.seed))}
    return run_cell(job.key, job.task, job.policy, job.seed, job.anchors, isolate=job.isolate)


def _limit(memory_GiB: float) -> None:
    """Private memory of this process, as far as the system can bound it (Linux)."""
    if sys.platform != "win32" and memory_GiB > 0:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        size = int(memory_GiB * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (size if hard < 0 else min(size, hard), hard))


def _receive_jobs(stream: IO[bytes], jobs: queue.SimpleQueue[bytes]) -> None:
    """Queue the jobs. End this process when the other end is gone."""
    while (body := receive(stream)) is not None:
        jobs.put(body)
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with all that a policy may have started
    os._exit(1)


def main(memory_GiB: float) -> None:
    """Run jobs; answer each with a JSON text and the packed result. Prints go to the error stream."""
    commands, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    _limit(memory_GiB)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive_jobs, args=(commands, jobs), daemon=True).start()
    send(replies, b"ready")
    while True:
        try:
            job = Job.from_json(jobs.get(timeout=_IDLE_S).decode())
        except queue.Empty:
            return
        status, seconds, payload, error = run_job(job)
        send(replies, json.dumps([status, seconds, error]).encode())
        send(replies, payload or b"")
