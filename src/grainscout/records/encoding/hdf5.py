"""Reading of foreign or damaged HDF5 files.

A damaged file can hang or crash the library, so it is read in a process of its own first. That is no
protection otherwise: the process has the rights of its user. A file may also name other files, whose
bytes would come out as its own. Such a file is refused.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from grainscout.records.errors import DataError

#: How long a file may take to be read [s].
PATIENCE = 120.0
#: Errors of h5py on damaged files. It is a SystemError where its own lock gets in the way of an error.
LIBRARY_ERRORS = (OSError, RuntimeError, SystemError)
_DEEPEST = 64  # groups in groups; the library's time grows with the square of it
_MOST_VALUES = 1 << 29  # 4 GB once they are float64


def survived(path: Path | str, read: Callable[[Path], object]) -> None:
    """DataError if read(path), a function of a module, hangs or crashes in another process."""
    place = Path(path).resolve()
    if sys.platform == "linux" and threading.active_count() == 1:
        status = _forked(place, read)
    else:
        status = _started(place, read)
    if status is None:
        raise DataError(
            f"{path}: must be read within {PATIENCE:g} s; got a file on which its library hangs"
        )
    if status != 0:
        raise DataError(
            f"{path}: must be intact; got a file that crashes its library (status {status})"
        )


def refuse_elsewhere(path: Path | str, file: h5py.File) -> None:
    """DataError if a link of the file leads to another one, or its groups are too deep."""

    def fault(name: bytes, link: h5py.h5l.LinkInfo) -> str | None:
        if name.count(b"/") >= _DEEPEST:
            return f"groups of at most {_DEEPEST} levels; got deeper ones"
        own = link.type in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT)
        return None if own else "its own values; got a link to another file"

    # Not `visititems_links`, which takes 20 times as long.
    if found := file.id.links.visit(fault, info=True):
        raise DataError(f"{path}: must hold {found}")


def refuse_foreign_values(path: Path | str, item: h5py.Dataset) -> None:
    """DataError if a dataset takes its values from another file."""
    if item.external or item.is_virtual:
        raise DataError(f"{path}: must hold its own values; {item.name} takes them of another file")


def stored(path: Path | str, item: h5py.Dataset, *, tables: bool = False) -> NDArray[Any]:
    """All values of a dataset of numbers, or of tables of them.

    DataError if the file promises more than it can hold: chunks that were never written take no
    room in a file and any amount of memory. Deflate packs at most 1032 to 1.
    """
    refuse_foreign_values(path, item)
    promised, held = item.size * item.dtype.itemsize, item.id.get_storage_size()
    if item.size > _MOST_VALUES or promised > 1100 * held + 4096:
        raise DataError(
            f"{path}: must hold at most {_MOST_VALUES} values in {item.name}, and as many as are "
            f"written; got {item.size} values in {held} bytes"
        )
    if item.dtype.hasobject or item.dtype.kind not in ("biufV" if tables else "biuf"):
        raise DataError(f"{path}: must hold real numbers in {item.name}; got {item.dtype}")
    values: NDArray[Any] = item[()]
    return values


if sys.platform == "linux":

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
