"""A lock on a journal: one process at a time runs an experiment."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grainscout.records import JournalError

#: Journals locked by this process, whose own second try the operating system would not refuse.
_HELD: set[str] = set()


def lock_file(path: Path) -> Path:
    """The locked file beside a journal. A killed run leaves it."""
    return path.with_name(path.name + "-lock")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the journal at `path` by SQLite's lock on a file beside it. JournalError if another does."""
    beside = lock_file(path)
    key = str(beside.resolve())
    if key in _HELD:
        raise _taken(path)
    while True:
        # Kept open until the end: closing it would release SQLite's lock on the same file.
        try:
            own = os.open(beside, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise JournalError(
                f"journal {path} could not be locked: {error.strerror}: {beside.name}"
            ) from error
        try:
            db = _exclusive(beside, path)
        except JournalError:
            os.close(own)
            raise
        # The holder before may have removed the file on which we have just got the lock.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(own), os.stat(beside)):
                break
        db.close()
        os.close(own)
    _HELD.add(key)
    try:
        yield
    finally:
        _HELD.discard(key)
        # Removed while it is locked, so that nobody can lock a file without a name.
        with suppress(OSError):
            beside.unlink()
        db.close()
        os.close(own)


def is_locked(path: Path) -> bool:
    """True if a process runs the journal at `path` now. The journal itself is not touched."""
    beside = lock_file(path)
    if not beside.is_file():
        return False
    try:
        db = sqlite3.connect(f"{beside.resolve().as_uri()}?mode=ro", uri=True, timeout=0.0)
    except sqlite3.Error:  # the run ended between the two lines
        return False
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return "locked" in str(error)
    finally:
        db.close()
    return False


def _exclusive(beside: Path, path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(beside, isolation_level=None, timeout=0.0)
    try:
        db.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        db.close()
        if "locked" in str(error):
            raise _taken(path) from error
        raise JournalError(f"journal {path} could not be locked: {error}") from error
    return db


def _taken(path: Path) -> JournalError:
    return JournalError(
        f"journal {path} must be run by one process; another is running it now. Wait for it, or "
        f"end it: grainscout control {path} abort"
    )
