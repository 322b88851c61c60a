"""Metadata as JSON: trees of plain values, with arrays inside or beside the text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.records import DataError

_KINDS = "biuf"
#: Names that are read; numpy makes a type, or a SyntaxError, of much else.
_NUMBERS = frozenset(
    ["bool", "float16", "float32", "float64", "longdouble", "float128"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


def to_json(tree: Mapping[str, Any], arrays: list[NDArray[Any]] | None = None) -> str:
    """JSON of `tree`; arrays are written out, or appended to `arrays` and referred to."""

    def encode(value: object, where: str) -> object:
        if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
            if arrays is None:
                return {"__array__": value.dtype.name, "values": value.tolist()}
            arrays.append(value)
            return {"__array__": len(arrays) - 1}
        if isinstance(value, np.generic):
            return encode(value.item(), where)
        if value is None or isinstance(value, (str, int, float, bool)):
            return value
        if isinstance(value, Mapping):
            return {str(k): encode(v, f"{where}.{k}") for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
        raise DataError(
            f"{where} must be text, a number, a list, a dictionary or an array of numbers to be "
            f"exported; got {type(value).__name__}"
        )

    return json.dumps(encode(tree, "metadata"), ensure_ascii=True)


def from_json(text: str, arrays: Sequence[NDArray[Any]] = ()) -> dict[str, Any]:
    """The tree that `to_json` wrote; ValueError if the text is not such a tree."""

    def decode(value: object) -> object:
        if isinstance(value, list):
            return [decode(v) for v in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("__array__")
        if isinstance(kind, str):
            if kind not in _NUMBERS:
                raise ValueError(f"metadata must hold arrays of numbers; got {kind!r:.40}")
            return np.array(value["values"], dtype=kind)
        if isinstance(kind, int):
            return arrays[kind]
        return {k: decode(v) for k, v in value.items()}

    tree = decode(json.loads(text))
    if not isinstance(tree, dict):
        raise ValueError(f"metadata must be a dictionary; got {type(tree).__name__}")
    return tree
