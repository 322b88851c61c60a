"""Reading in a process of its own first, for a library that a damaged file can hang or crash."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from grainscout.analysis.formats._files import fault

#: How long a file may take to be read [s].
PATIENCE = 120.0


def survived(path: Path | str, read: Callable[[Path], object]) -> None:
    """DataError if read(path) hangs or crashes; what it returns or raises is not looked at.

    read : a function of a module, so that another interpreter can import it.  The process is forked
        where that is safe: on POSIX, with one thread.
    """
    place = Path(path).resolve()
    if sys.platform != "win32" and threading.active_count() == 1:
        status = _forked(place, read)
    else:
        status = _started(place, read)
    if status is None:
        raise fault(path, f"be read within {PATIENCE:g} s", "a file on which its library hangs")
    if status != 0:
        raise fault(path, "be intact", f"a file that crashes its library (status {status})")


if sys.platform != "win32":

    def _forked(path: Path, read: Callable[[Path], object]) -> int | None:
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            try:
                read(path)
            finally:
                os._exit(0)  # whatever was raised, the parent will see it itself
        end, pause = time.monotonic() + PATIENCE, 0.0005
        try:
            while time.monotonic() < end:
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    child = 0
                    return os.waitstatus_to_exitcode(status)
                time.sleep(pause)
                pause = min(2 * pause, 0.05)
        finally:
            if child:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        return None


def _started(path: Path, read: Callable[[Path], object]) -> int | None:
    code = (
        "import contextlib, importlib, pathlib, sys\n"
        "with contextlib.suppress(Exception):\n"
        "    getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(pathlib.Path(sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", code, read.__module__, read.__qualname__, str(path)]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode
    return None
