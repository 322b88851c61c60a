"""The tables of a journal, and how a file is opened."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

from grainscout.records import JournalError

#: "GSJ1": marks the file as ours for SQLite and for `file`.
APPLICATION_ID = 0x47534A31
VERSION = 1

TABLES = """
CREATE TABLE header (key TEXT PRIMARY KEY, value BLOB NOT NULL, digest TEXT NOT NULL);
CREATE TABLE batches (
    batch INTEGER PRIMARY KEY, decision_s REAL NOT NULL);
CREATE TABLE proposals (
    id TEXT PRIMARY KEY, batch INTEGER NOT NULL, position INTEGER NOT NULL,
    row INTEGER NOT NULL, "column" INTEGER NOT NULL, prediction REAL, uncertainty REAL,
    scores TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TABLE outcomes (
    number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, proposal_id TEXT UNIQUE,
    row INTEGER NOT NULL, "column" INTEGER NOT NULL, status TEXT NOT NULL, visit INTEGER NOT NULL,
    started_s REAL NOT NULL, finished_s REAL NOT NULL, message TEXT NOT NULL, curve BLOB,
    digest TEXT NOT NULL);
CREATE TABLE checkpoints (
    kind TEXT PRIMARY KEY, batch INTEGER NOT NULL, state BLOB NOT NULL);
CREATE TABLE events (
    number INTEGER PRIMARY KEY, clock_s REAL NOT NULL, wall TEXT NOT NULL, kind TEXT NOT NULL,
    detail TEXT NOT NULL);
CREATE TABLE requests (
    number INTEGER PRIMARY KEY, wall TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL,
    handled INTEGER NOT NULL DEFAULT 0);
"""


def row_digest(*values: object) -> str:
    """A short checksum of a row's values."""
    parts = [
        hashlib.sha256(v).hexdigest() if isinstance(v, bytes) else v  # blobs enter by their digest
        for v in values
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def connect(path: Path, *, create: bool = False, readonly: bool = False) -> sqlite3.Connection:
    """An open database; JournalError if the file is not a readable journal of this version."""
    if create and path.exists():
        raise JournalError(
            f"journal must be a new file; {path} exists. Resume it, or choose another name"
        )
    if not create and not path.is_file():
        raise JournalError(f"journal must be an existing file; there is none at {path}")
    if not path.parent.is_dir():
        raise JournalError(f"journal's folder must exist; there is none at {path.parent}")
    db = None
    mode = "ro" if readonly else "rwc" if create else "rw"
    try:
        db = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=10.0
        )
        if create:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.executescript(TABLES)
        else:
            _check(db, path)
    except (sqlite3.Error, JournalError) as error:
        if db is not None:
            db.close()
        if isinstance(error, JournalError):
            raise
        raise JournalError(f"journal {path} is not readable: {error}") from error
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is a database, but not a Grainscout journal")
    if version != VERSION:
        raise JournalError(
            f"journal {path} must be of version {VERSION}; got {version}. "
            "Read it with the Grainscout that wrote it"
        )
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise JournalError(f"journal {path} is damaged: {found}")
