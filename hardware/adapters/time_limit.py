"""Calls into a vendor's package with a time-out."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from grainscout.records import MicroscopeError

_Job = tuple[Callable[[], Any], "queue.Queue[tuple[Any, BaseException | None]]"]


#: Windows hands an interrupt over only between two waits [s].
_SLICE = 0.25


class Worker:
    """One thread that makes all calls of an instrument, in order.

    COM objects belong to the thread that made them, and a hung Igor does not answer. Once a call is
    late nothing more is sent, because it would be carried out after it was given up. `what` names
    the other side in errors.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._jobs: queue.Queue[_Job] = queue.Queue()
        self._stuck = False
        threading.Thread(target=self._run, daemon=True, name=what).start()

    def call(self, function: Callable[[], Any], timeout: float) -> Any:
        """Return the function's result or raise its error. MicroscopeError after `timeout` [s]."""
        if self._stuck:
            raise MicroscopeError(
                f"{self._what} must answer before it is asked again; an earlier call hangs. Look at "
                "its screen, then start anew"
            )
        answer: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()
        self._jobs.put((function, answer))
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            try:
                value, error = answer.get(timeout=max(0.0, min(left, _SLICE)))
                break
            except queue.Empty:
                if left > _SLICE:
                    continue
                self._stuck = True
                raise MicroscopeError(
                    f"{self._what} must answer within {timeout:g} s; it did not"
                ) from None
        if error is not None:
            raise error
        return value

    def _run(self) -> None:
        while True:
            function, answer = self._jobs.get()
            try:
                answer.put((function(), None))
            except BaseException as error:  # noqa: BLE001  it is raised again in the caller's thread
                answer.put((None, error))
