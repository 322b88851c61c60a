"""Growth of this process's memory by what the other side sends.

ZeroMQ bounds a frame but not a message. A peer that never sends a message's last frame fills the memory
below our sockets, where none of their limits applies (libzmq 4.3). Closing the socket frees it.
"""

import functools
import os
import time

import psutil

_LOOK = 0.02  # s between looks: a look costs as much as a small message


def resident() -> int:
    """Return the memory in use by this process [bytes]."""
    return int(_process(os.getpid()).memory_info().rss)


@functools.cache
def _process(pid: int) -> psutil.Process:
    """Look a process up. A forked one has its own."""
    return psutil.Process(pid)


class MemoryWatch:
    """Detects growth of memory by more than `limit` bytes since `start`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.start()

    def start(self) -> None:
        """Take the memory in use now as the reference."""
        self._before, self._looked = resident(), time.monotonic()

    def exceeded(self) -> bool:
        """Tell if the growth is beyond the limit."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return False
        self._looked = now
        return resident() - self._before > self._limit
