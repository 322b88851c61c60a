"""How much memory the other side makes this process hold.

ZeroMQ bounds a frame but not a message: a peer that never sends a message's last frame fills the
memory below our sockets, where no limit of theirs reaches (libzmq 4.3).  Closing the socket frees it.
"""

from __future__ import annotations

import functools
import os
import time

import psutil

_LOOK = 0.02  # s between looks: a look costs as much as a small message


def resident() -> int:
    """Bytes of memory in use by this process."""
    return int(_process(os.getpid()).memory_info().rss)


@functools.cache
def _process(pid: int) -> psutil.Process:
    """Of its own for a forked process."""
    return psutil.Process(pid)


class MemoryWatch:
    """Whether memory has grown by more than `limit` bytes since the last `start`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.start()

    def start(self) -> None:
        """Whatever is in use now is not the other side's."""
        self._before, self._looked = resident(), time.monotonic()

    def exceeded(self) -> bool:
        """True once the growth is beyond the limit."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return False
        self._looked = now
        return resident() - self._before > self._limit
