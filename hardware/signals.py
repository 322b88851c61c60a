"""Signals that stop a run without interrupting a parking move."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: SIGBREAK is Windows' Ctrl-Break, the one that a supervisor there can send.
_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")


class Interrupts:
    """Turns stop signals into KeyboardInterrupt, but not while parking.

    Only the main thread receives signals in Python, so nothing is installed in others. A handler that
    another package installed for SIGTERM or SIGBREAK is left alone.
    """

    def __init__(self) -> None:
        self._old: dict[int, Any] = {}
        self._holding = 0
        self._waiting: str | None = None

    def install(self) -> None:
        """Install the handlers."""
        if threading.current_thread() is not threading.main_thread() or self._old:
            return
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is None:
                continue
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                self._old[int(number)] = signal.signal(number, self._receive)

    def remove(self) -> None:
        """Put the former handlers back."""
        while self._old:
            number, old = self._old.popitem()
            signal.signal(number, old)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back. One that arrived meanwhile is raised at the end."""
        mine = not self._old
        self.install()
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            if mine:
                self.remove()
        if self._waiting is not None and not self._holding:
            name, self._waiting = self._waiting, None
            raise KeyboardInterrupt(name)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._holding:
            self._waiting = name
        else:
            raise KeyboardInterrupt(name)
