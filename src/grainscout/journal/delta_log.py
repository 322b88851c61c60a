"""A growing state as a log of its changes."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from grainscout.records import DataError, PackedState, pack, unpack


@dataclass(frozen=True, kw_only=True, eq=False)
class DeltaLog:
    """A state as a journal holds it: once as a whole, then the change by each outcome."""

    state: PackedState | None = None  #: State that a reader of the journal gets
    rows: int = 0  #: Number of rows that make it
    #: whole, since: Bytes of the whole state and of the changes after it.
    whole: int = 0
    since: int = 0

    def row(self, state: PackedState) -> tuple[int, bytes]:
        """Number and bytes of the next row. Number 0 is the whole, due once the changes are as long as it."""
        blob = pack({} if self.state is None else _change(self.state, state) or {"keys": {}})
        if self.state is None or self.since + len(blob) > self.whole:
            return 0, pack({"value": state})
        return self.rows, blob

    def after(self, number: int, blob: bytes) -> Self:
        """The log with one more row. DataError if it does not fit."""
        entry = unpack(blob)
        if number == 0:
            return type(self)(state=_applied(None, entry), rows=1, whole=len(blob))
        return type(self)(
            state=_applied(self.state, entry),
            rows=number + 1,
            whole=self.whole,
            since=self.since + len(blob),
        )


def _applied(before: PackedState | None, entry: PackedState) -> PackedState:
    try:
        state = _changed(before, entry)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"a change of state must fit the state before it; {error!r:.100}"
        ) from error
    if not isinstance(state, dict):
        raise DataError(f"a state must be a dictionary; got {state!r:.40}")
    return state


def _change(before: Any, after: Any) -> PackedState | None:
    """The change from `before` to `after`, short where arrays gained rows. None if there is none."""
    if isinstance(before, dict) and isinstance(after, dict) and list(before) == list(after):
        entries = {key: _change(before[key], after[key]) for key in after}
        keys = {key: entry for key, entry in entries.items() if entry is not None}
        return {"keys": keys} if keys else None
    if _grown(before, after):
        kept = after[: len(before)]
        one, other = _bits(before), _bits(kept)
        rows = np.arange(0)
        if not np.array_equal(one, other):  # mostly they are, and this is much the faster
            rows = np.flatnonzero((one != other).any(axis=1))
        if len(rows) == 0 and len(after) == len(before):
            return None
        return {"rows": rows, "to": kept[rows], "more": after[len(before) :]}
    return None if pack({"": before}) == pack({"": after}) else {"value": after}


def _grown(before: Any, after: Any) -> bool:
    """True if `after` can be the rows of `before`, some of them changed, and more."""
    return (
        isinstance(before, np.ndarray)
        and isinstance(after, np.ndarray)
        and before.dtype == after.dtype
        and before.ndim > 0
        and before.shape[1:] == after.shape[1:]
        and before.size > 0
        and len(after) >= len(before)
    )


def _bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Rows as bytes (n, bytes): two NaN are equal, 0.0 and -0.0 are not."""
    return np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)


def _changed(before: Any, entry: PackedState) -> Any:
    """A copy of `before` with a change made to it."""
    if "value" in entry:
        return entry["value"]
    if "keys" in entry:
        return before | {key: _changed(before[key], part) for key, part in entry["keys"].items()}
    array = before.copy() if len(entry["rows"]) else before
    array[entry["rows"]] = entry["to"]
    return np.concatenate([array, entry["more"]]) if len(entry["more"]) else array
