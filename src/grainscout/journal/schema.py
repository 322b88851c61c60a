"""Tables of a journal, and the opening of its file."""

import hashlib
import json
import math
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from grainscout.journal.lock import lock_file
from grainscout.journal.sqlite_pages import PAGE, wal_lost
from grainscout.records import JournalError

#: "GSJ1": marks the file as ours for SQLite and for `file`.
APPLICATION_ID = 0x47534A31
VERSION = 3
#: Errors of SQLite for a damaged file. It names the damaged part, whose name may be no text.
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
_TORN = 2  # most commits that are not acknowledged at any time: a batch and its outcome

#: Table -> its columns; each has one more, ``digest``, the checksum of the others.  A first column
#: that is an INTEGER PRIMARY KEY counts from 0, so that a missing row is noticed.
TABLES: Mapping[str, tuple[str, ...]] = {
    "header": ("key TEXT PRIMARY KEY", "value BLOB NOT NULL"),
    "batches": ("number INTEGER PRIMARY KEY", "decision_s REAL NOT NULL"),
    "proposals": (
        "number INTEGER PRIMARY KEY",
        "id TEXT NOT NULL UNIQUE",
        "batch INTEGER NOT NULL",
        "row INTEGER NOT NULL",
        '"column" INTEGER NOT NULL',
        "prediction REAL",
        "uncertainty REAL",
        "scores TEXT NOT NULL",
    ),
    "outcomes": (
        "number INTEGER PRIMARY KEY",
        "batch INTEGER NOT NULL",
        "proposal_id TEXT UNIQUE",
        "row INTEGER NOT NULL",
        '"column" INTEGER NOT NULL',
        "status TEXT NOT NULL",
        "visit INTEGER NOT NULL",
        "started_s REAL NOT NULL",
        "finished_s REAL NOT NULL",
        "message TEXT NOT NULL",
        "curve BLOB",
    ),
    "checkpoints": ("kind TEXT PRIMARY KEY", "batch INTEGER NOT NULL", "state BLOB NOT NULL"),
    "microscope": (  # its state: number 0 as a whole, each further one a change of the one before
        "number INTEGER PRIMARY KEY",
        "batch INTEGER NOT NULL",
        "change BLOB NOT NULL",
    ),
    "events": (
        "number INTEGER PRIMARY KEY",
        "clock_s REAL NOT NULL",
        "wall TEXT NOT NULL",
        "kind TEXT NOT NULL",
        "detail TEXT NOT NULL",
    ),
    "requests": (
        "number INTEGER PRIMARY KEY",
        "wall TEXT NOT NULL",
        "kind TEXT NOT NULL",
        "detail TEXT NOT NULL",
        "handled INTEGER NOT NULL",
    ),
}


_DEFINITIONS = [
    f"CREATE TABLE {name} ({', '.join(columns)}, digest TEXT NOT NULL)"
    for name, columns in TABLES.items()
]


class Damaged(JournalError):
    """A file that cannot be trusted as it is, though something in it may be right."""


def as_kept(value: object) -> object:
    """A value as SQLite returns it: no NaN, no negative zero, and Unicode text."""
    if isinstance(value, float):
        return None if math.isnan(value) else value + 0.0
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def row_digest(table: str, *values: object) -> str:
    """A short checksum of a row's values, of this table only."""
    parts = [
        hashlib.sha256(v).hexdigest() if isinstance(v, bytes) else v  # blobs enter by their digest
        for v in values
    ]
    return hashlib.sha256(json.dumps([table, *parts]).encode()).hexdigest()[:16]


_STORED: Mapping[str, type | tuple[type, ...]] = {
    "INTEGER": int,
    "REAL": (float, int),
    "TEXT": str,
    "BLOB": bytes,
}


def sound(table: str, values: Sequence[object], digest: object) -> bool:
    """True if a row's checksum is right and its values have their columns' types."""
    return row_digest(table, *values) == digest and all(
        isinstance(value, _STORED[column.split()[1]])
        or (value is None and not column.endswith(("NOT NULL", "PRIMARY KEY")))
        for value, column in zip(values, TABLES[table], strict=True)
    )


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """An existing journal. JournalError if it is not sound. The file stays as it is."""
    if not path.is_file():
        raise JournalError(f"journal must be an existing file; there is none at {path}")
    _recover(path)
    _check_bytes(path)
    # A reader looks first: a writer would fold a foreign -wal into the file when it closes.
    reader = _connect(path, "ro")
    try:
        if schema(reader) != schema_of(*_DEFINITIONS):
            raise Damaged(f"journal {path} must have the tables of a journal and no others")
        found = reader.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise Damaged(f"journal {path} is damaged: {' '.join(found.split())}")
    except UNREADABLE as error:
        reader.close()
        raise Damaged(f"journal {path} is damaged or not readable: {error}") from error
    except Damaged:
        reader.close()
        raise
    if readonly:
        return reader
    reader.close()
    return _connect(path, "rw")


def schema(db: sqlite3.Connection) -> set[tuple[object, ...]]:
    """All definitions of a database, after which reading it runs nothing in it.

    A view, a virtual table or a trigger of a foreign file could run code of SQLite's extensions.
    """
    db.execute("PRAGMA trusted_schema = OFF")
    return set(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


@cache
def schema_of(*definitions: str) -> set[tuple[object, ...]]:
    """`schema` of a database with these definitions."""
    with closing(sqlite3.connect(":memory:")) as db:
        for definition in definitions:
            db.execute(definition)
        return schema(db)


def torn(path: Path) -> int | None:
    """Number of commits of a -wal that cannot be reached, up to two. None if its head is damaged."""
    newest = path.with_name(path.name + "-wal")
    return wal_lost(newest) if newest.is_file() else 0


def create(path: Path) -> sqlite3.Connection:
    """A new database whose first transaction, with the tables in it, is still open."""
    if path.exists():
        raise JournalError(
            f"journal must be a new file; {path} exists. Resume it, or choose another name"
        )
    if not path.parent.is_dir():
        raise JournalError(f"journal's folder must exist; there is none at {path.parent}")
    db = _connect(path, "rwc")
    try:
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.execute("BEGIN IMMEDIATE")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        for definition in _DEFINITIONS:
            db.execute(definition)
    except sqlite3.Error as error:
        db.close()
        raise JournalError(f"journal {path} could not be made: {error}") from error
    return db


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=10.0
        )
    except sqlite3.Error as error:
        raise JournalError(f"journal {path} is not readable: {error}") from error


def _recover(path: Path) -> None:
    """Let SQLite undo a transaction that was killed while the file was made or folded."""
    half = path.with_name(path.name + "-journal")
    if half.is_file() and half.stat().st_size > 0:
        db = _connect(path, "rw")
        with suppress(*UNREADABLE):  # the next reader says what is wrong
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        db.close()


def _check_bytes(path: Path) -> None:
    """JournalError for wrong first bytes: SQLite would make files beside even a foreign one."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise JournalError(f"journal {path} is not readable: {error.strerror}") from error
    if not head:
        raise JournalError(
            f"journal {path} is empty: its run was ended before it began. Delete it and start again"
        )
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise Damaged(f"journal {path} is not readable: it does not begin as a journal does")
    version, application = struct.unpack(">4xI4xI", head[56:72])
    if application != APPLICATION_ID:
        raise Damaged(f"{path} is a database, but not a Grainscout journal")
    if version != VERSION:
        raise Damaged(
            f"journal {path} must be of version {VERSION}; got {version}. "
            "Read it with the Grainscout that wrote it"
        )
    # In this mode SQLite keeps the newest rows in the -wal. The last process folds it in.
    newest = path.with_name(path.name + "-wal")
    if newest.is_file() and newest.stat().st_size > 0:
        lost = torn(path)
        if lost is None or lost > _TORN:
            raise Damaged(
                f"journal {path} is damaged: {lost or 'the'} commits in {newest.name} cannot be reached"
            )
    elif head[18] == 2 and not lock_file(path).exists():
        raise Damaged(
            f"journal {path} must have {newest.name} beside it; it was copied while a run had it open. "
            f"Copy the -wal too. (If another program has folded it in: sqlite3 {path} "
            "'PRAGMA journal_mode = DELETE')"
        )
