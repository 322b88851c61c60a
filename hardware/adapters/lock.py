"""A lock for each instrument, so that two runs cannot use it at once."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from grainscout.records import MicroscopeError


class InstrumentLock:
    """A lock file that the system frees when its process ends. `what` names the instrument."""

    def __init__(self, what: str) -> None:
        self._what = what
        name = hashlib.sha256(what.encode()).hexdigest()[:16]
        self._path = Path(tempfile.gettempdir()) / f"grainscout-{name}.lock"
        self._file: int | None = None

    def take(self) -> None:
        """Take the lock, once or again. MicroscopeError if another run has it."""
        if self._file is not None:
            return
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            file = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise MicroscopeError(f"the lock of {self._what} must open; {error}") from error
        try:
            _lock(file)
        except OSError as error:
            os.close(file)
            raise MicroscopeError(
                f"{self._what} must be used by one run at a time; another one has it. End that run, "
                f"or its process (the lock is {self._path})"
            ) from error
        self._file = file

    def give(self) -> None:
        """Give the lock back, once or again."""
        if self._file is not None:
            os.close(self._file)
        self._file = None


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
