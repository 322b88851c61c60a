"""States and messages as checked bytes: a JSON header and raw arrays, never pickle.

Layout: ``b"GSPK"``, version (1 byte), sha256 of the rest (32 bytes), header length (8 bytes, little
endian), header (UTF-8 JSON), array bytes one after another.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.records.errors import DataError

_MAGIC = b"GSPK\x01"
_DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint32",
    "uint64",
    "float32",
    "float64",
)

#: A JSON-like tree: dict (string keys), list, tuple (comes back as a list), str, int, float, bool,
#: None, numpy scalar (comes back as a Python number) and numpy array.
PackedState = dict[str, Any]


def pack(state: PackedState) -> bytes:
    """Bytes of a tree of plain values and arrays; TypeError names a value that cannot be stored."""
    arrays: list[NDArray[Any]] = []

    def encode(value: object, where: str) -> object:
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value).reshape(value.shape)
            if array.dtype.name not in _DTYPES:
                raise TypeError(f"pack cannot store an array of {array.dtype} at {where}")
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            arrays.append(array)
            return {"__array__": [array.dtype.name, list(array.shape)]}
        if isinstance(value, np.generic):
            return encode(value.item(), where)
        if isinstance(value, float) and not math.isfinite(value):
            return {"__float__": repr(value)}
        if value is None or isinstance(value, (str, int, float, bool)):
            return value
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str) or key.startswith("__"):
                    raise TypeError(
                        f"pack needs string keys without a leading __; got {key!r} at {where}"
                    )
            return {k: encode(v, f"{where}.{k}") for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
        raise TypeError(f"pack cannot store a {type(value).__name__} at {where}")

    header = json.dumps(encode(state, "state"), separators=(",", ":")).encode()
    body = b"".join([len(header).to_bytes(8, "little"), header, *(a.tobytes() for a in arrays)])
    return _MAGIC + hashlib.sha256(body).digest() + body


def unpack(data: bytes) -> PackedState:
    """The tree that `pack` stored; DataError if the bytes are foreign, truncated or changed."""
    if len(data) < 45 or not data.startswith(_MAGIC):
        raise DataError(f"packed state must start with {_MAGIC!r}; got {bytes(data[:5])!r}")
    digest, body = data[5:37], memoryview(data)[37:]
    if hashlib.sha256(body).digest() != digest:
        raise DataError("packed state is damaged: its checksum does not match")
    size = int.from_bytes(body[:8], "little")
    if size > len(body) - 8:
        raise DataError("packed state is damaged: its header is longer than the data")
    at = 8 + size

    def decode(value: object) -> object:
        nonlocal at
        if isinstance(value, list):
            return [decode(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "__float__" in value:
            return float(value["__float__"])
        if "__array__" not in value:
            return {k: decode(v) for k, v in value.items()}
        name, shape = value["__array__"]
        if name not in _DTYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise DataError(f"packed state has an array of type {name!r} and shape {shape!r}")
        dtype = np.dtype(name).newbyteorder("<")
        count = math.prod(shape)
        if count * dtype.itemsize > len(body) - at:
            raise DataError("packed state is damaged: an array is longer than the data")
        array = np.frombuffer(body, dtype, count, at).reshape(shape)
        at += array.nbytes
        return array.astype(np.dtype(name))

    try:
        state = decode(json.loads(bytes(body[8 : 8 + size])))
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"packed state has an unreadable header: {error}") from error
    if not isinstance(state, dict) or at != len(body):
        raise DataError("packed state must be a dictionary with no bytes left over")
    return state
