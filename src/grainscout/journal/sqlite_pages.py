"""An SQLite file and its -wal as bytes, read without SQLite and never written.

The layout is that of https://sqlite.org/fileformat2.html. SQLite refuses a file of which any part is
wrong. Here every page, record and frame is read that can be, and the row's own checksum says
whether it is right.
"""

import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PAGE = 4096  # bytes; every journal is made with pages of this size
_LEAF = 0x0D  # the type of a page of a table's rows
_MAGIC = {0x377F0682: "<u4", 0x377F0683: ">u4"}
_WAL_HEADER, _FRAME_HEADER = 32, 24

#: Types of a field of a record.
Field = int | float | str | bytes | None
_Buffer = bytes | memoryview


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One page in a -wal."""

    page: int  #: Number of the page
    ends: bool  #: True at the end of a commit
    sound: bool  #: True if the running checksum is right up to here
    data: bytes  #: The page


@dataclass(frozen=True, kw_only=True)
class Record:
    """A row of any table: its fields as they are stored."""

    rowid: int
    fields: tuple[Field, ...]


def read_wal(path: Path) -> list[Frame]:
    """Frames of a -wal's newest round, or all, none of them sound, if its header is damaged."""
    raw = path.read_bytes() if path.is_file() else b""
    count = (len(raw) - _WAL_HEADER) // (_FRAME_HEADER + PAGE)
    if count < 1:
        return []
    order, salts, state = _wal_header(raw)
    frames = np.frombuffer(raw, np.uint8, count * (_FRAME_HEADER + PAGE), _WAL_HEADER)
    frames = frames.reshape(count, _FRAME_HEADER + PAGE)
    heads = np.ascontiguousarray(frames[:, :_FRAME_HEADER]).view(">u4")
    summed = np.concatenate([frames[:, :8], frames[:, _FRAME_HEADER:]], axis=1)
    parts = _partial_sums(summed.view(order).astype(np.uint32))
    sound = salts is not None
    found = []
    for head, part, frame in zip(heads.tolist(), parts.tolist(), frames, strict=True):
        if salts is not None and head[2:4] != salts:
            sound = False  # of an earlier round, or, if more of this round follows, damage
            continue
        state = _advance(state, part)
        sound = sound and list(state) == head[4:6]
        data = frame[_FRAME_HEADER:].tobytes()
        found.append(Frame(page=head[0], ends=head[1] != 0, sound=sound, data=data))
    return found


def wal_lost(path: Path) -> int | None:
    """Number of commits of a -wal behind something wrong. None for all."""
    raw = path.read_bytes()
    if raw and (len(raw) < _WAL_HEADER or _wal_header(raw)[1] is None):
        return None
    return sum(f.ends for f in read_wal(path) if not f.sound)


def _wal_header(raw: bytes) -> tuple[str, list[int] | None, tuple[int, int]]:
    """The order of its bytes, the round's two random numbers (None: damaged), and the checksum."""
    magic, _, size, _, *salts, first, second = struct.unpack(">8I", raw[:_WAL_HEADER])
    order = _MAGIC.get(magic, "<u4")
    state = _state(raw[:24], order)
    right = magic in _MAGIC and size == PAGE and state == (first, second)
    return order, salts if right else None, state


# The checksum of a -wal is a linear recurrence over pairs of words modulo 2**32,
# s0 += x0 + s1, s1 += x1 + s0, so that of a whole frame is its words times fixed weights.

_PAIRS = (8 + PAGE) // 8


def _powers() -> tuple[NDArray[np.uint32], list[list[int]]]:
    """Weights (2 results, words) of a frame's words, and the factor of what came before."""
    step = [[1, 1], [1, 2]]  # of (s0, s1) over one pair
    factor = [[1, 0], [0, 1]]
    weights = np.empty((2, _PAIRS, 2), np.uint32)
    for pair in reversed(range(_PAIRS)):
        for out in range(2):
            a, b = factor[out]
            weights[out, pair] = (a + b) % 2**32, b  # x0 enters s0 and, through it, s1
        factor = [
            [sum(factor[i][k] * step[k][j] for k in range(2)) % 2**32 for j in range(2)]
            for i in range(2)
        ]
    return weights.reshape(2, -1), factor


_WEIGHTS, _FACTOR = _powers()


def _partial_sums(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """(frames, 2) contribution of each frame's own words to the running checksum."""
    return np.stack([(words * w).sum(axis=1, dtype=np.uint32) for w in _WEIGHTS], axis=1)


def _advance(state: tuple[int, int], part: Sequence[int]) -> tuple[int, int]:
    (a, b), (c, d) = _FACTOR
    return (
        (a * state[0] + b * state[1] + part[0]) % 2**32,
        (c * state[0] + d * state[1] + part[1]) % 2**32,
    )


def _state(raw: bytes, order: str) -> tuple[int, int]:
    first = second = 0
    for x0, x1 in np.frombuffer(raw, order).reshape(-1, 2).tolist():
        first = (first + x0 + second) % 2**32
        second = (second + x1 + first) % 2**32
    return first, second


@contextmanager
def _mapped(path: Path) -> Iterator[_Buffer]:
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            view = memoryview(whole)
            try:
                yield view
            finally:
                view.release()


def read_records(path: Path) -> Iterator[Record]:
    """Every readable record of file and -wal: some come more than once, damaged ones with wrong fields."""
    frames = read_wal(path.with_name(path.name + "-wal"))
    newest = {f.page: f.data for f in frames if f.sound}
    torn = {f.page: f.data for f in frames if not f.sound}
    with _mapped(path) as main:
        stored = _Stored(main)
        layers: tuple[Mapping[int, _Buffer], ...] = (stored, newest, torn)
        for at in range(1, -(-len(main) // PAGE) + 1):
            yield from _rows(stored[at], 100 if at == 1 else 0, layers)
        for sound in (True, False):
            for frame in frames:
                if frame.sound == sound:
                    after = (newest, stored, torn) if sound else (torn, newest, stored)
                    yield from _rows(frame.data, 100 if frame.page == 1 else 0, after)


class _Stored(Mapping[int, "_Buffer"]):
    """The pages of the file itself, numbered from 1. The last may be cut short."""

    def __init__(self, main: _Buffer) -> None:
        self._main = main

    def __len__(self) -> int:
        return -(-len(self._main) // PAGE)

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, len(self) + 1))

    def __getitem__(self, page: int) -> _Buffer:
        if not 1 <= page <= len(self):
            raise KeyError(page)
        return bytes(self._main[(page - 1) * PAGE : page * PAGE])


def _rows(page: _Buffer, start: int, layers: Sequence[Mapping[int, _Buffer]]) -> Iterator[Record]:
    """The records of one page, if it is a table's leaf, up to one wrong bit in its type."""
    if len(page) < start + 8 or (page[start] ^ _LEAF).bit_count() > 1:
        return
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    for k in range(min(count, (PAGE - 8) // 4)):
        at = start + 8 + 2 * k
        # A damaged cell gives no record, or one whose checksum is wrong.
        with suppress(IndexError, ValueError, KeyError, struct.error, OverflowError):
            yield _record(page, int.from_bytes(page[at : at + 2], "big"), layers)


def _record(page: _Buffer, at: int, layers: Sequence[Mapping[int, _Buffer]]) -> Record:
    size, at = _varint(page, at)
    rowid, at = _varint(page, at)
    if size > 1 << 28:
        raise ValueError(size)
    here = size
    if size > PAGE - 35:
        least = (PAGE - 12) * 32 // 255 - 23
        here = least + (size - least) % (PAGE - 4)
        here = here if here <= PAGE - 35 else least
    pieces = [bytes(page[at : at + here])]
    following = int.from_bytes(page[at + here : at + here + 4], "big")
    missing = size - here
    while missing > 0:
        more = _page(following, layers)
        following = int.from_bytes(more[:4], "big")
        pieces.append(bytes(more[4 : 4 + min(missing, PAGE - 4)]))
        missing -= PAGE - 4
    return Record(rowid=rowid, fields=tuple(_fields(b"".join(pieces))))


def _page(number: int, layers: Sequence[Mapping[int, _Buffer]]) -> _Buffer:
    for layer in layers:
        if number in layer:
            return layer[number]
    raise KeyError(number)


def _fields(payload: bytes) -> Iterator[Field]:
    head, at = _varint(payload, 0)
    body = head
    while at < head:
        kind, at = _varint(payload, at)
        if kind >= 12:
            size = (kind - 12) // 2
            raw = payload[body : body + size]
            if len(raw) != size:
                raise ValueError(kind)
            yield raw.decode() if kind % 2 else raw
        elif kind in (10, 11):
            raise ValueError(kind)
        else:
            size = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]
            raw = payload[body : body + size]
            if kind == 7:
                yield float(struct.unpack(">d", raw)[0])
            elif kind in (0, 8, 9):
                yield None if kind == 0 else kind - 8
            else:
                yield int.from_bytes(raw, "big", signed=True)
        body += size


def _varint(data: _Buffer, at: int) -> tuple[int, int]:
    value = 0
    for k in range(8):
        byte = data[at + k]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + k + 1
    return value << 8 | data[at + 8], at + 9
