"""States and messages as checked bytes: a JSON header and raw arrays, never pickle.

A tree of plain values and arrays becomes plain JSON (`flatten`), in which each array is
``{"__array__": [dtype, shape]}`` and a float that is not finite is ``{"__float__": text}``.  The
arrays' own bytes follow in the order of the tree.

Layout of packed bytes: ``b"GSPK"``, version (1 byte), sha256 of the rest (32 bytes), header length
(8 bytes, little endian), header (UTF-8 JSON), array bytes one after another.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.records.errors import DataError

_MAGIC = b"GSPK\x01"
_DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("uint32", "uint64", "float32", "float64"),
)
_NOT_FINITE = {repr(value): value for value in (math.nan, math.inf, -math.inf)}

#: A JSON-like tree: dict (string keys), list, tuple (comes back as a list), str, int, float, bool,
#: None, numpy scalar (comes back as a Python number) and numpy array.
PackedState = dict[str, Any]

_Buffer = bytes | memoryview


def flatten(value: object, where: str = "state") -> tuple[object, list[NDArray[Any]]]:
    """A tree as JSON values, and its arrays. TypeError names where one cannot be stored."""
    arrays: list[NDArray[Any]] = []

    def plain(value: object, where: str) -> object:
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value).reshape(value.shape)
            if array.dtype.name not in _DTYPES:
                raise TypeError(f"pack cannot store an array of {array.dtype} at {where}")
            arrays.append(array.astype(array.dtype.newbyteorder("<"), copy=False))
            return {"__array__": [array.dtype.name, list(array.shape)]}
        if isinstance(value, np.generic):
            return plain(value.item(), where)
        if isinstance(value, float) and not math.isfinite(value):
            return {"__float__": repr(value)}
        if value is None or isinstance(value, (str, int, float, bool)):
            return value
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str) or key.startswith("__"):
                    raise TypeError(
                        f"pack needs string keys without a leading __; got {key!r} at {where}"
                    )
            return {k: plain(v, f"{where}.{k}") for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
        raise TypeError(f"pack cannot store a {type(value).__name__} at {where}")

    return plain(value, where), arrays


def restore(plain: object, take: Callable[[int], _Buffer], depth: int = 10_000) -> Any:
    """The tree that `flatten` made plain. DataError for anything that it cannot have made.

    `take` gives the bytes of the next array, so many as asked for, and raises DataError if there
    are none. `depth` is the deepest nesting that is read.
    """
    if depth < 0:
        raise DataError("packed values must not be nested so deep")
    if isinstance(plain, list):
        return [restore(v, take, depth - 1) for v in plain]
    if not isinstance(plain, dict):
        return plain
    if "__float__" in plain:
        text = plain["__float__"]
        if not isinstance(text, str) or text not in _NOT_FINITE:
            raise DataError(
                f"a float that is not finite must be nan, inf or -inf; got {text!r:.40}"
            )
        return _NOT_FINITE[text]
    if "__array__" in plain:
        return _array(plain["__array__"], take)
    return {k: restore(v, take, depth - 1) for k, v in plain.items()}


def _array(given: object, take: Callable[[int], _Buffer]) -> NDArray[Any]:
    name, shape = given if isinstance(given, list) and len(given) == 2 else (None, None)
    if not (
        name in _DTYPES
        and isinstance(shape, list)
        and len(shape) <= 32
        and all(type(n) is int and n >= 0 for n in shape)
    ):
        raise DataError(f"an array must have a known dtype and shape; got {given!r:.100}")
    dtype, count = np.dtype(name).newbyteorder("<"), math.prod(shape)
    raw = take(count * dtype.itemsize)
    if name == "bool" and (np.frombuffer(raw, np.uint8) > 1).any():
        raise DataError("a bool array must hold 0 and 1 only")
    try:
        array = np.frombuffer(raw, dtype, count).reshape(shape)
    except (ValueError, OverflowError) as error:  # no bytes, and other sizes that overflow
        raise DataError(f"an array must have a possible shape; got {shape!r:.100}") from error
    return array.astype(np.dtype(name))


def pack(state: PackedState) -> bytes:
    """Bytes of a tree of plain values and arrays. TypeError names a value that cannot be stored."""
    plain, arrays = flatten(state)
    header = json.dumps(plain, separators=(",", ":")).encode()
    body = b"".join([len(header).to_bytes(8, "little"), header, *(a.tobytes() for a in arrays)])
    return _MAGIC + hashlib.sha256(body).digest() + body


def unpack(data: bytes) -> PackedState:
    """The tree that `pack` stored. DataError if the bytes are foreign, truncated or changed."""
    if len(data) < 45 or not data.startswith(_MAGIC):
        raise DataError(f"packed state must start with {_MAGIC!r}; got {bytes(data[:5])!r}")
    digest, body = data[5:37], memoryview(data)[37:]
    if hashlib.sha256(body).digest() != digest:
        raise DataError("packed state is damaged: its checksum does not match")
    size = int.from_bytes(body[:8], "little")
    if size > len(body) - 8:
        raise DataError("packed state is damaged: its header is longer than the data")
    at = 8 + size

    def take(count: int) -> memoryview:
        nonlocal at
        if count > len(body) - at:
            raise DataError("packed state is damaged: an array is longer than the data")
        at += count
        return body[at - count : at]

    try:
        state = restore(json.loads(bytes(body[8 : 8 + size])), take)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"packed state has an unreadable header: {error}") from error
    if not isinstance(state, dict) or at != len(body):
        raise DataError("packed state must be a dictionary with no bytes left over")
    return state
