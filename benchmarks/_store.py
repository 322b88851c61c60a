"""The store of a campaign: one SQLite file with a row a cell."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grainscout.records import DataError, PackedState, unpack

APPLICATION_ID = 0x47534331  # "GSC1"
VERSION = 1
_FILMS = "campaign.films"
_WORDS = ("description", "tags")  # change no result

_TABLES = """
CREATE TABLE header (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE cells (
    task TEXT NOT NULL, film INTEGER NOT NULL, policy TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('finished', 'failed')),
    seconds REAL NOT NULL, payload BLOB, error TEXT NOT NULL,
    PRIMARY KEY (task, film, policy));
"""


@dataclass(frozen=True, kw_only=True, order=True)
class CellKey:
    """One run of a campaign: which task, on which film, by which policy."""

    task: str
    film: int
    policy: str


class CampaignStore:
    """Results of a campaign, as they come in.

    identity : plain JSON values that say which campaign this is.  The same campaign with more films goes on
        where it was; a store of another campaign, another version, a foreign or a damaged file raise
        DataError, and are left as they are.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any] | None = None) -> None:
        self.path = Path(path)
        new = not self.path.exists()
        if new and identity is None:
            raise DataError(f"campaign store must be an existing file; there is none at {path}")
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=10.0)
            if new:
                self._create(identity or {})
            self._check(identity)
        except sqlite3.Error as error:
            raise DataError(f"campaign store {path} is not usable: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    @property
    def identity(self) -> dict[str, Any]:
        """What campaign this is, as given when the store was made."""
        (text,) = self._db.execute("SELECT value FROM header WHERE key = 'identity'").fetchone()
        found: dict[str, Any] = json.loads(text)
        return found

    def record(
        self, key: CellKey, status: str, seconds: float, payload: bytes | None, error: str
    ) -> None:
        """Commit one cell, its result packed; a failed one is overwritten when it is tried again."""
        try:
            self._db.execute(
                "INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key.task, key.film, key.policy, status, seconds, payload, error),
            )
        except sqlite3.Error as fault:
            raise DataError(f"campaign store {self.path} could not be written: {fault}") from fault

    def finished(self) -> set[CellKey]:
        """Keys of the finished cells."""
        rows = self._db.execute("SELECT task, film, policy FROM cells WHERE status = 'finished'")
        return {CellKey(task=t, film=f, policy=p) for t, f, p in rows}

    def failures(self) -> dict[CellKey, str]:
        """Traceback of each failed cell."""
        rows = self._db.execute(
            "SELECT task, film, policy, error FROM cells WHERE status = 'failed' ORDER BY 1, 2, 3"
        )
        return {CellKey(task=t, film=f, policy=p): e for t, f, p, e in rows}

    def payloads(
        self, keys: Iterable[CellKey] | None = None
    ) -> Iterator[tuple[CellKey, float, PackedState]]:
        """(key, seconds, result) of the finished cells, or of these, in the order of their keys."""
        for key in sorted(self.finished() if keys is None else keys):
            row = self._db.execute(
                "SELECT seconds, payload FROM cells WHERE task = ? AND film = ? AND policy = ? "
                "AND status = 'finished'",
                (key.task, key.film, key.policy),
            ).fetchone()
            if row is not None:
                yield key, row[0], unpack(row[1])

    def payload(self, key: CellKey) -> PackedState | None:
        """The result of one finished cell, if it is there."""
        row = self._db.execute(
            "SELECT payload FROM cells WHERE task = ? AND film = ? AND policy = ? "
            "AND status = 'finished'",
            (key.task, key.film, key.policy),
        ).fetchone()
        return None if row is None else unpack(row[0])

    def _create(self, identity: dict[str, Any]) -> None:
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_TABLES)
        self._db.execute(
            "INSERT INTO header VALUES ('identity', ?)", (json.dumps(identity, sort_keys=True),)
        )

    def _check(self, identity: dict[str, Any] | None) -> None:
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise DataError(f"{self.path} is not a campaign store of Grainscout")
        if version != VERSION:
            raise DataError(
                f"campaign store {self.path} must be of version {VERSION}; got {version}"
            )
        self._db.execute("PRAGMA synchronous = FULL")
        if identity is not None:
            self._go_on(json.loads(json.dumps(identity)))

    def _go_on(self, wanted: dict[str, Any]) -> None:
        """Take this campaign for the one that was begun; it may have other words and more films."""
        before = self.identity
        if before == wanted:
            return
        apart = dict(_differences(before, wanted))
        begun, now = apart.get(_FILMS, (0, 0))
        if now > begun:
            del apart[_FILMS]
        if apart:
            said = "; ".join(f"{k} was {a!r:.60}, is {b!r:.60}" for k, (a, b) in apart.items())
            raise DataError(
                f"campaign store {self.path} must be of this campaign, or of it with fewer films; got "
                f"another: {said}. Choose another --out, or take the campaign that wrote it"
            )
        self._db.execute(
            "UPDATE header SET value = ? WHERE key = 'identity'",
            (json.dumps(wanted, sort_keys=True),),
        )


def _differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Dotted names of what differs, but for words, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now} - {*_WORDS}):
            inner = f"{name}.{key}" if name else key
            yield from _differences(before.get(key), now.get(key), inner)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for k, (a, b) in enumerate(zip(before, now, strict=True)):
            yield from _differences(a, b, f"{name}[{k}]")
    elif before != now:
        yield name, (before, now)
