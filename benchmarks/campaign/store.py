"""The store of a campaign: one SQLite file with a row a cell."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from grainscout.journal.schema import UNREADABLE, as_kept, row_digest, schema, schema_of
from grainscout.records import DataError, PackedState, regular, unpack

APPLICATION_ID = 0x47534331  # "GSC1"
VERSION = 2
_LISTS = {"campaign.tasks": "task", "campaign.policies": "policy"}
_WORDS = ("description", "tags")  # change no result

#: ``digest`` is the checksum of a row's other values, but for the payload, which has its own.  No further
#: constraints: with one, SQLite takes a single damaged row for a damaged file.
_TABLES = (
    "CREATE TABLE header (key TEXT PRIMARY KEY, value TEXT, digest TEXT)",
    "CREATE TABLE cells (task TEXT, film INTEGER, policy TEXT, status TEXT, seconds REAL, payload BLOB, "
    "error TEXT, digest TEXT, PRIMARY KEY (task, film, policy))",
)
_INDEX = "sqlite_autoindex_cells_1"
_COLUMNS = "task, film, policy, status, seconds, error, digest"


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
        self.path = regular(path)
        new = not self.path.exists()
        if new and identity is None:
            raise DataError(f"campaign store must be an existing file; there is none at {path}")
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=10.0)
        except sqlite3.Error as error:
            raise DataError(f"campaign store {path} is not usable: {error}") from error
        # Damaged text must not hide the row that it is in; its checksum tells.
        self._db.text_factory = lambda text: text.decode("utf-8", "replace")
        try:
            if new or (identity is not None and not schema(self._db)):
                self._create(identity or {})
            self._check(identity)
        except BaseException as error:
            self._db.close()
            if isinstance(error, UNREADABLE):
                raise DataError(f"campaign store {path} is not usable: {error}") from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @property
    def identity(self) -> dict[str, Any]:
        """What campaign this is, as given when the store was made."""
        rows = self._sound(
            "header", "SELECT key, value, digest FROM header NOT INDEXED WHERE key = 'identity'"
        )
        if not rows:
            raise self._damaged("it does not say which campaign it is of")
        found: dict[str, Any] = json.loads(rows[0][1])
        return found

    def record(
        self,
        key: CellKey,
        status: str,
        seconds: float,
        payload: bytes | None,
        error: str,
        made: str = "",
    ) -> None:
        """Commit one cell, its result packed. A failed one is overwritten when it is tried again.

        `made` is the digest of what made a finished one, which the column of errors holds.
        """
        error = error or made
        cell = (key.task, int(key.film), key.policy, status, float(seconds), error)
        columns = [as_kept(value) for value in cell]
        try:
            self._db.execute(
                "INSERT OR REPLACE INTO cells (task, film, policy, status, seconds, error, payload, digest) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*columns, payload, row_digest("cells", *columns)),
            )
        except UNREADABLE as fault:
            raise DataError(f"campaign store {self.path} could not be written: {fault}") from fault

    def finished(self) -> set[CellKey]:
        """Keys of the finished cells."""
        return {_key(row) for row in self._cells("status = 'finished'")}

    def failures(self) -> dict[CellKey, str]:
        """Traceback of each failed cell."""
        return {_key(row): row[5] for row in self._cells("status = 'failed' ORDER BY 1, 2, 3")}

    def made(self) -> dict[CellKey, str]:
        """Digest of what made each finished cell, empty for those of stores of before."""
        return {_key(row): row[5] for row in self._cells("status = 'finished'")}

    def retire(self, keys: Iterable[CellKey]) -> None:
        """Keep the cells in the file and show them no more: something else would make them now."""
        for key in keys:
            values = (key.task, key.film, key.policy)
            where = "task = ? AND film = ? AND policy = ?"
            for row in self._cells(where, *values):
                columns = [*row[:3], "stale", *row[4:6]]
                self._db.execute(
                    f"UPDATE cells SET status = 'stale', digest = ? WHERE {where}",
                    (row_digest("cells", *columns), *values),
                )

    def note(self, name: str, value: Any) -> None:
        """Keep a value that JSON can hold under a name, such as the anchors of a film."""
        self._head(name, json.dumps(value))

    def noted(self, name: str) -> Any:
        """The value of that name, or None."""
        rows = self._sound("header", "SELECT key, value, digest FROM header WHERE key = ?", name)
        return json.loads(rows[0][1]) if rows else None

    def repair(self) -> list[CellKey]:
        """Forget the cells whose rows are damaged, and say which. Run again, they come out the same."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            # A row whose entry in the index is damaged could not be deleted otherwise.
            self._db.execute("PRAGMA writable_schema = ON")
            try:
                damaged = self._unsound()
                for row in damaged:
                    self._db.execute("DELETE FROM cells WHERE rowid = ?", (row,))
                if damaged or self._keys("NOT INDEXED") != self._keys(f"INDEXED BY {_INDEX}"):
                    self._db.execute("REINDEX")
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._db.execute("PRAGMA writable_schema = OFF")
        except UNREADABLE as error:
            raise self._damaged(str(error)) from error
        return list(damaged.values())

    mend = repair  # the earlier name

    def payloads(
        self, keys: Iterable[CellKey] | None = None
    ) -> Iterator[tuple[CellKey, float, PackedState]]:
        """(key, seconds, result) of the finished cells, or of these, in the order of their keys."""
        for key in sorted(self.finished() if keys is None else keys):
            found = self._cell(key)
            if found is not None:
                yield key, *found

    def payload(self, key: CellKey) -> PackedState | None:
        """The result of one finished cell, if it is there."""
        found = self._cell(key)
        return None if found is None else found[1]

    def _unsound(self) -> dict[int, CellKey]:
        """Rows that cannot be believed, and the cells that they say they are."""
        found = {}
        for (row,) in self._rows("SELECT rowid FROM cells NOT INDEXED"):
            columns = self._rows(f"SELECT {_COLUMNS}, payload FROM cells WHERE rowid = ?", row)
            if not columns:
                raise self._damaged(f"its row {row} cannot be found")
            if not _is_sound(*columns[0]):
                found[row] = _key(columns[0])
        return found

    def _keys(self, how: str) -> set[tuple[Any, ...]]:
        return set(self._rows(f"SELECT rowid, task, film, policy FROM cells {how}"))

    def _cell(self, key: CellKey) -> tuple[float, PackedState] | None:
        """Seconds and result of a finished cell, if it is there."""
        this = "task = ? AND film = ? AND policy = ? AND status = 'finished'"
        values = (key.task, key.film, key.policy)
        rows = self._rows(f"SELECT {_COLUMNS}, payload FROM cells WHERE {this}", *values)
        if not rows:
            if self._rows(f"SELECT 1 FROM cells NOT INDEXED WHERE {this}", *values):
                raise self._damaged(f"{key} is in its table and not in its index")
            return None
        *columns, blob = rows[0]
        self._believe("cells", *columns)
        try:
            return columns[4], unpack(blob)
        except (DataError, TypeError) as error:  # TypeError: no bytes at all
            raise self._damaged(f"{key}: {error}") from error

    def _cells(self, where: str, *values: object) -> list[tuple[Any, ...]]:
        return self._sound("cells", f"SELECT {_COLUMNS} FROM cells WHERE {where}", *values)

    def _sound(self, table: str, query: str, *values: object) -> list[tuple[Any, ...]]:
        rows = self._rows(query, *values)
        for row in rows:
            self._believe(table, *row)
        return rows

    def _believe(self, table: str, *row: object) -> None:
        """DataError if the last value of a row is not the checksum of the others."""
        *columns, digest = row
        if row_digest(table, *columns) != digest:
            raise self._damaged(f"the checksum of a row of its {table} does not match")

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except UNREADABLE as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> DataError:
        if "locked" in what:
            return DataError(f"campaign store {self.path} is in use by another process: {what}")
        return DataError(
            f"campaign store {self.path} is damaged: {what}. Go on with the campaign: it runs damaged cells "
            "again; if it refuses too, take the store from a backup, or choose another --out"
        )

    def _create(self, identity: dict[str, Any]) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("BEGIN IMMEDIATE")  # a kill leaves a whole store, or an empty one
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        for table in _TABLES:
            self._db.execute(table)
        self._identify(identity)
        self._db.execute("COMMIT")

    def _check(self, identity: dict[str, Any] | None) -> None:
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise DataError(f"{self.path} is not a campaign store of Grainscout")
        if version != VERSION:
            raise DataError(
                f"campaign store {self.path} must be of version {VERSION}; got {version}. Read it with the "
                "Grainscout that made it, or choose another --out"
            )
        if schema(self._db) != schema_of(*_TABLES):
            raise DataError(f"campaign store {self.path} must have its own tables and no others")
        sound = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if sound != "ok":
            raise self._damaged(" ".join(sound.split()))
        self._db.execute("PRAGMA synchronous = FULL")
        if identity is not None:
            self._go_on(json.loads(json.dumps(identity)))

    def _go_on(self, wanted: dict[str, Any]) -> None:
        """Take this campaign for the one that was begun. It may have other words and more films."""
        before = self.identity
        if before == wanted:
            return
        if apart := list(_differences(before, wanted)):
            raise DataError(
                f"campaign store {self.path} must be of this campaign, or of it with fewer films; got "
                f"another: {'; '.join(apart)}. Choose another --out, or take the campaign that wrote it"
            )
        self._identify(wanted)

    def _identify(self, identity: dict[str, Any]) -> None:
        self._head("identity", json.dumps(identity, sort_keys=True))

    def _head(self, *columns: str) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO header VALUES (?, ?, ?)",
            (*columns, row_digest("header", *columns)),
        )


def _key(row: tuple[Any, ...]) -> CellKey:
    return CellKey(task=row[0], film=row[1], policy=row[2])


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs, but for words and more films than before; tasks and policies by their names."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now} - {*_WORDS}):
            inner = f"{name}.{key}" if name else key
            yield from _differences(before.get(key), now.get(key), inner)
    elif name in _LISTS:
        noun = _LISTS[name]
        had, has = ({_row_name(row): row for row in rows} for rows in (before, now))
        yield from (f"{noun} {row!r} is not there any more" for row in had if row not in has)
        yield from (f"{noun} {row!r} is new" for row in has if row not in had)
        for row in [row for row in had if row in has]:
            yield from _differences(had[row], has[row], f"{noun} {row!r}")
    elif before != now and not (name == "campaign.films" and now > before):
        yield f"{name} was {before!r:.60}, is {now!r:.60}"


def _row_name(row: dict[str, Any]) -> str:
    """Name of a task or title of a policy."""
    return row.get("id") or row["label"] or f"{row['name']} {row.get('twin', '')}".strip()


def _is_sound(*row: Any) -> bool:
    """Whether a row, its columns and then its payload, can be believed."""
    *columns, digest, payload = row
    if row_digest("cells", *columns) != digest:
        return False
    try:
        if columns[3] == "finished":
            unpack(payload)
    except (DataError, TypeError):
        return False
    return True
