"""Workers: this process, processes of this machine, or a Dask cluster."""

import logging
import re
import socket
import threading
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any, Protocol

from joblib import Parallel, delayed

from grainscout.benchmarks.campaign.jobs import Job, JobResult
from grainscout.benchmarks.campaign.process_pool import attempt, end_processes
from grainscout.benchmarks.campaign.store import CellKey
from grainscout.benchmarks.campaign.worker_process import run_job
from grainscout.journal import package_versions
from grainscout.records import ConfigError, GrainscoutError

#: Seconds that a scheduler has to answer, and its workers to appear.
_ANSWER_S = 5.0


class Workers(Protocol):
    """Runs cells. `campaign` marks its processes."""

    campaign: str

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[CellKey, JobResult]]:
        """Yield the result of each cell as it ends."""
        ...

    def close(self) -> None:
        """End all cells and their processes, and wait for that."""
        ...


def make_workers(jobs: int, scheduler: str | None) -> Workers:
    """Make the workers of a cluster if it has an address, else of this machine (0: this process)."""
    if jobs < 0:
        raise ConfigError(f"jobs must be at least 0; got {jobs}")
    if scheduler is not None:
        return _Cluster(scheduler)
    return _Machine(jobs) if jobs else _Here()


class _Here:
    """One cell after another in this process, where nothing can end one."""

    campaign = ""

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[CellKey, JobResult]]:
        for job in jobs:
            status, seconds, payload, error = run_job(job)
            status = "finished" if status == "finished" else "failed"  # "memory" is a failure here
            yield job.key, JobResult(status=status, seconds=seconds, payload=payload, error=error)

    def close(self) -> None:
        pass


class _Machine:
    """joblib's threads, each with a worker process of this machine."""

    def __init__(self, jobs: int) -> None:
        self.campaign = uuid.uuid4().hex
        self._jobs = jobs

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[CellKey, JobResult]]:
        pool = Parallel(
            n_jobs=self._jobs,
            backend="threading",
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="2 * n_jobs",  # nobody waits while a result is written
        )
        results = pool(delayed(_attempt)(job) for job in jobs)
        try:
            for result in results:  # noqa: UP028 - "yield from" would close it before the processes
                yield result
        except BaseException:
            self.close()
            with warnings.catch_warnings(action="ignore"):  # that tasks are cancelled, as is meant
                results.close()
            raise

    def close(self) -> None:
        end_processes(self.campaign)


def require_scheduler(address: str) -> None:
    """ConfigError where Dask is not installed, or nothing answers at the address."""
    if find_spec("distributed") is None:
        raise ConfigError("--scheduler needs Dask: pip install 'grainscout[dask]'")
    found = re.fullmatch(r"(tcp|tls)://(?:\[([^]]+)\]|([^:/]+)):(\d{1,5})", address)
    if found is None:
        raise ConfigError(f"scheduler must be an address such as tcp://host:8786; got {address!r}")
    with _answering(address):  # refused at once, where Dask would go on trying
        place = (found[2] or found[3], int(found[4]))
        socket.create_connection(place, timeout=_ANSWER_S).close()


@contextmanager
def _answering(address: str) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError, MemoryError, ValueError) as error:
        raise ConfigError(
            f"scheduler must be a running Dask scheduler; none answers at {address}: "
            f"{error or 'no answer in time'}"
        ) from error


class _Cluster:
    """Threads of a Dask cluster's workers, each with a worker process as on one machine."""

    def __init__(self, address: str) -> None:
        require_scheduler(address)
        from distributed import Client
        from distributed.client import ClosedClientError

        self.campaign = uuid.uuid4().hex
        self._address = address
        with _answering(address):
            self._client = _in_time(
                lambda: Client(address, timeout=_ANSWER_S, set_as_default=False)
            )
        try:
            self._check_workers()
        except BaseException:
            self._client.close()
            raise
        self._pool = self._client.get_executor(pure=False)
        self._lost = (CancelledError, ClosedClientError)
        # Our error reports a lost scheduler. Dask would add its tracebacks.
        names = ("distributed", "distributed.client", "tornado.application")
        logs = [logging.getLogger(name) for name in names]
        self._levels = {log: log.level for log in logs}
        for log in logs:
            log.setLevel(logging.CRITICAL)

    def _check_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=_ANSWER_S)
        except TimeoutError:
            raise ConfigError(
                f"the scheduler at {self._address} must have workers; it has none after "
                f"{_ANSWER_S:g} s. Start some: dask worker {self._address} --nthreads 1"
            ) from None
        here = _computing()
        for worker, found in self._client.run(_computing, on_error="return").items():
            if isinstance(found, BaseException):
                raise ConfigError(
                    f"worker {worker} must have grainscout {here['grainscout']}; it cannot import it: "
                    f"{found}"
                )
            for name, wanted in here.items():
                if found.get(name) != wanted:
                    raise ConfigError(
                        f"worker {worker} must have {name} {wanted}, as this process, for results to "
                        f"be the same; it has {found.get(name, 'none')}"
                    )

    def _width(self) -> int:
        # A client that has lost its scheduler knows of no workers.
        workers = self._client.scheduler_info(n_workers=-1).get("workers", {})
        return max(8, 2 * sum(int(w["nthreads"]) for w in workers.values()))

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[CellKey, JobResult]]:
        try:
            yield from _keep_busy(self._pool, jobs, self._width)
        except self._lost as error:
            raise GrainscoutError(
                f"the scheduler at {self._address} is gone. The finished cells are kept; the same "
                "command goes on with the others"
            ) from error

    def close(self) -> None:
        if self._client.status == "running":
            with suppress(*self._lost, OSError):  # it may be lost at this very moment
                self._pool.shutdown(wait=False)
                self._client.run(end_processes, self.campaign, on_error="ignore")
        self._client.close()
        for log, level in self._levels.items():
            log.setLevel(level)


def _in_time(connect: Callable[[], Any]) -> Any:
    """Call `connect`; TimeoutError after a while: Dask waits for ever for a silent peer."""
    made: Future[Any] = Future()

    def act() -> None:
        try:
            made.set_result(connect())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised by result()
            made.set_exception(error)

    threading.Thread(target=act, daemon=True).start()
    return made.result(timeout=2 * _ANSWER_S)


def _attempt(job: Job) -> tuple[CellKey, JobResult]:
    return job.key, attempt(job.to_json())


def _computing() -> dict[str, str]:
    """Versions that decide about the last bits of a result."""
    return {name: version for name, version in package_versions().items() if name != "python"}


def _keep_busy(
    pool: Executor, jobs: Iterable[Job], width: Callable[[], int]
) -> Iterator[tuple[CellKey, JobResult]]:
    """Keep `width` cells in the pool: a campaign of a million must not be sent at once."""
    waiting: dict[Future[JobResult], CellKey] = {}
    todo = iter(jobs)
    more = True
    while more or waiting:
        for _ in range(width() - len(waiting) if more else 0):
            job = next(todo, None)
            if job is None:
                more = False
                break
            waiting[pool.submit(attempt, job.to_json())] = job.key
        if not waiting:
            return
        done, _ = wait_for(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), _result(future)


def _result(future: Future[JobResult]) -> JobResult:
    fault: Any = future.exception()
    if fault is None:
        return future.result()
    if type(fault).__name__ == "KilledWorker":
        why = f"the worker died again and again: killed, or out of memory: {fault}"
        return JobResult(status="failed", seconds=0.0, error=why)
    raise fault
