"""Worker process that runs cells, one after another, and puts back what a policy altered in it."""

import json
import os
import queue
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

import numpy as np

from grainscout.benchmarks.campaign.cell import film_anchors, run_cell
from grainscout.benchmarks.campaign.jobs import Job, receive, send
from grainscout.benchmarks.campaign.made_by import module_of
from grainscout.experiment import one_thread
from grainscout.records import PackedState, pack


def _fill(place: Any, values: Any) -> None:
    place.clear()
    place.update(values) if hasattr(place, "update") else place.extend(values)


def _filter(values: Any) -> None:
    warnings.resetwarnings()
    cast(list[Any], warnings.filters).extend(values)


#: Name -> how it is read, and how it is set.
_STATE: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "numpy's error handling": (np.geterr, lambda v: np.seterr(**v)),
    "numpy's global generator": (np.random.get_state, np.random.set_state),
    "python's global generator": (random.getstate, random.setstate),
    "warning filters": (lambda: list(warnings.filters), _filter),
    "environment variables": (lambda: dict(os.environ), lambda v: _fill(os.environ, v)),
    "import path": (lambda: list(sys.path), lambda v: _fill(sys.path, v)),
    "working directory": (os.getcwd, os.chdir),
}
#: Of torch, once it is loaded: name of the reader and of the writer.
_TORCH = {
    "torch's threads": ("get_num_threads", "set_num_threads"),
    "torch's default dtype": ("get_default_dtype", "set_default_dtype"),
    "torch's gradient mode": ("is_grad_enabled", "set_grad_enabled"),
    "torch's determinism": ("are_deterministic_algorithms_enabled", "use_deterministic_algorithms"),
    "torch's global generator": ("get_rng_state", "set_rng_state"),
}


@contextmanager
def process_state_restored() -> Iterator[list[str]]:
    """Put the state back at the end. The list then holds the names of what had been altered."""
    altered: list[str] = []
    before = {name: read() for name, (read, _) in _parts().items()}
    try:
        yield altered
    finally:
        for name, (read, restore) in _parts().items():
            now = None
            with suppress(OSError):  # the working directory may be gone
                now = read()
            if name in before and not _same(before[name], now):
                altered.append(name)
                restore(before[name])


def _parts() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    torch = sys.modules.get("torch")
    if torch is None:
        return _STATE
    return _STATE | {k: (getattr(torch, r), getattr(torch, w)) for k, (r, w) in _TORCH.items()}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(np.array_equal(one, other)) if hasattr(one, "shape") else bool(one == other)


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
