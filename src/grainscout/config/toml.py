"""TOML into typed objects."""

from __future__ import annotations

import difflib
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from grainscout.records import ConfigError

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables; ConfigError says where it is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"configuration must be an existing file; there is none at {path}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {path} is not readable: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} must be TOML: {error}") from error


def parse(kind: type[T], table: Mapping[str, Any], source: str) -> T:
    """A `kind` (a dataclass) from a table of plain values.

    Types are strict: a number is not taken for a text, nor a truth value for a number.  ConfigError
    names `source`, the key, what was expected and what was found.
    """
    _check_keys(kind, table, "", source)
    try:
        text = json.dumps(table)
    except TypeError as error:
        raise ConfigError(f"{source}: dates and times are not used here: {error}") from error
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        raise ConfigError("\n".join(_message(e, source) for e in error.errors())) from error


def _message(error: Any, source: str) -> str:
    at = ".".join(str(part) for part in error["loc"])
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Exception):  # one of our own: it says it better
        return f"{source}: {at + ': ' if at else ''}{cause}"
    if error["type"] == "missing":
        return f"{source}: {at} must be given"
    wanted = error["msg"].removeprefix("Input should be ")
    return f"{source}: {at} must be {wanted}; got {error['input']!r}"


def _check_keys(kind: Any, value: Any, at: str, source: str) -> None:
    """Unknown keys are found here rather than by pydantic, so that the nearest known one is named."""
    kind, item = _dataclass_of(kind)
    if kind is None:
        return
    if item:
        for number, entry in enumerate(value if isinstance(value, list) else []):
            _check_keys(kind, entry, f"{at}.{number}", source)
        return
    if not isinstance(value, Mapping):
        return
    hints = typing.get_type_hints(kind)
    known = {f.name for f in fields(kind) if f.init}
    for key, inner in value.items():
        where = f"{at}.{key}".lstrip(".")
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = (
                f"did you mean {near[0]}?" if near else f"the keys are {', '.join(sorted(known))}"
            )
            raise ConfigError(f"{source}: {where} is not a key here; {hint}")
        _check_keys(hints[key], inner, where, source)


def _dataclass_of(hint: Any) -> tuple[Any, bool]:
    """(the dataclass in a type hint or None, whether it is the item of a tuple)."""
    if is_dataclass(hint):
        return hint, False
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return next((found for a in inside if (found := _dataclass_of(a))[0]), (None, False))
    if origin is tuple and inside:
        return _dataclass_of(inside[0])[0], True
    return None, False
