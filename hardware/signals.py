"""Signals that stop a run without interrupting a parking move, and parking that is tried twice."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from grainscout.hardware.protocol import Microscope
from grainscout.records import MicroscopeError

#: SIGHUP comes when a terminal is closed; SIGBREAK is Windows' Ctrl-Break.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
#: Windows' events of a closed console, a log-off and a shutdown, which are no signals.
_CLOSING = (2, 5, 6)
_GRACE = 4.5  # s; Windows ends the process 5 s after such an event


class Interrupts:
    """Turns stop signals, in the main thread, into KeyboardInterrupt, but not while parking."""

    def __init__(self, console: Any = None) -> None:
        self._old: dict[int, Any] = {}
        self._holding = 0
        self._waiting: str | None = None
        self._console = console or _kernel32()
        self._on_close: Any = None
        self._removed = threading.Event()

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
        if self._console is not None:
            self._removed.clear()
            self._on_close = self._console.handler(self._close_event)
            self._console.SetConsoleCtrlHandler(self._on_close, True)

    def remove(self) -> None:
        """Put the former handlers back."""
        while self._old:
            number, old = self._old.popitem()
            signal.signal(number, old)
        if self._on_close is not None:
            self._console.SetConsoleCtrlHandler(self._on_close, False)
            self._on_close = None
        self._removed.set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have the handlers installed meanwhile."""
        mine = not self._old
        self.install()
        try:
            yield
        finally:
            if mine:
                self.remove()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back. One that arrived meanwhile is raised at the end."""
        with self.watched():
            self._holding += 1
            try:
                yield
            finally:
                self._holding -= 1
        if self._waiting is not None and not self._holding:
            name, self._waiting = self._waiting, None
            raise KeyboardInterrupt(name)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._holding:
            self._waiting = name
        else:
            raise KeyboardInterrupt(name)

    def _close_event(self, event: int) -> bool:
        """Answer an event of the console, in a thread of Windows': interrupt, and wait for parking."""
        if event not in _CLOSING:
            return False
        signal.raise_signal(signal.SIGTERM)
        self._removed.wait(_GRACE)
        return True


def _kernel32() -> Any:
    if sys.platform == "win32":
        import ctypes

        library: Any = ctypes.WinDLL("kernel32", use_last_error=True)
        library.handler = ctypes.WINFUNCTYPE(ctypes.c_bool, ctypes.c_uint)
        return library
    else:  # noqa: RET505 - what follows a platform's return counts as unreachable there
        return None


class Parking:
    """Parks a microscope. `write` logs a failure."""

    def __init__(self, microscope: Microscope, write: Callable[[str], None]) -> None:
        self._microscope, self._write = microscope, write
        self._lock = threading.Lock()

    def park(self) -> None:
        """Park. MicroscopeError, with what a person must do, if that fails twice."""
        with self._lock:  # a command that this stops parks, too, from its own thread
            try:
                self._microscope.park()
            except Exception as error:  # noqa: BLE001 - whatever it is, parking is tried again
                try:
                    self._write(f"{type(error).__name__}: {error}; once more")
                finally:  # a log that cannot be written stops no parking
                    self._again()

    def _again(self) -> None:
        try:
            self._microscope.park()
        except Exception as error:
            message = (
                f"PARKING FAILED ({error}): the tip may be in contact and under bias; "
                f"{self._microscope.capabilities.rescue}"
            )
            self._write(message)
            raise MicroscopeError(message) from error
