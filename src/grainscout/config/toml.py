"""TOML into typed objects."""

import difflib
import json
import re
import tomllib
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from grainscout.benchmarks.tasks.kinds import Kinds
from grainscout.records import ConfigError, closest, regular

T = TypeVar("T")

_LARGEST = 1_000_000
#: A key of more parts than any of ours has; tomllib takes a minute for 40 000.
_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){32}""")
#: Old key -> key: units are written as ``_A``, ``_V`` and ``_V_per_s``.
RENAMED = {
    "rate_V_s": "rate_V_per_s",
    "rail_a": "rail_A",
    "step_v": "step_V",
    "compliance_a": "compliance_A",
}
#: Third parties name the options of policies and of microscopes of these other kinds themselves.
_OWN_KINDS = (
    "aecroscopy",
    "aespm",
    "batch",
    "person",
    "nanonis",
    "replay",
    "simulated",
    "source-meter",
)


def read_toml(path: Path) -> dict[str, Any]:
    """Read the tables of a file.

    Raises
    ------
    ConfigError
        If it is missing, is not TOML, or has a key that was renamed.
    """
    try:
        text = regular(path, ConfigError).read_text(encoding="utf-8")
        if len(text) > _LARGEST or _LONG_KEY.search(text):
            raise ConfigError(
                f"{path} must be a configuration of at most {_LARGEST} characters, with keys of at most "
                "32 parts; got more"
            )
        table = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(
            f"configuration must be an existing file; there is none at {path}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {path} is not readable: {error}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} must be TOML: {error}") from error
    if "\\u0000" in json.dumps(table, default=str):  # which no file's name may hold
        raise ConfigError(f"{path} must hold no character NUL")
    _with_new_keys(table, str(path))
    return table


def parse(kind: type[T], table: Mapping[str, Any], source: str) -> T:
    """Make a dataclass from a table of plain values.

    Types are strict: a number is no text, and a truth value is no number. Renamed keys are
    understood, for journals and stores of before.

    Parameters
    ----------
    kind : type
        Dataclass to make.
    table : mapping
        Its settings.
    source : str
        File or option that an error names.

    Raises
    ------
    ConfigError
        Names the source, the key, what was expected and what was found.
    """
    wrong: list[str] = []  # every unknown key, told together with what pydantic finds
    checked = _checked(kind, _with_new_keys(table), "", source, wrong)
    try:
        text = json.dumps(checked)
    except TypeError as error:
        raise ConfigError(f"{source}: dates and times are not used here: {error}") from error
    try:
        made = TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        raise ConfigError(
            "\n".join([*wrong, *(_message(e, source) for e in error.errors())])
        ) from error
    if wrong:
        raise ConfigError("\n".join(wrong))
    return made


def _with_new_keys(value: Any, refuse: str = "", at: str = "") -> Any:
    """Replace renamed keys. With the name of a file to refuse them in, ConfigError instead."""
    if isinstance(value, list):
        return [_with_new_keys(v, refuse, f"{at}.{k}") for k, v in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    table = {}
    for key, inner in value.items():
        where = f"{at}.{key}".lstrip(".")
        new = RENAMED.get(key, key)
        if refuse and new != key:
            raise ConfigError(f"{refuse}: {where} is now written {new}")
        inside = str(value.get("kind", "simulated"))
        foreign = key == "options" and ("name" in value or inside not in _OWN_KINDS)
        table[new] = inner if foreign else _with_new_keys(inner, refuse, where)
    return table


def _message(error: Any, source: str) -> str:
    # pydantic names the kind of a microscope or waveform in <>, which is no key.
    at = ".".join(str(part) for part in error["loc"] if not str(part).startswith("<"))
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Exception):  # one of our own: it says it better
        return f"{source}: {at + ': ' if at else ''}{cause}"
    if error["type"] == "missing":
        return f"{source}: {at} must be given"
    wanted = error["msg"].removeprefix("Input should be ")
    return f"{source}: {at} must be {wanted}; got {error['input']!r}"


def _checked(kind: Any, value: Any, at: str, source: str, wrong: list[str]) -> Any:
    """Leave out unknown keys here, noted in `wrong`, so that the nearest known one is named."""
    kind, item = _dataclass_of(kind)
    if kind is None:
        return value
    if item:
        if not isinstance(value, list):
            return value
        return [_checked(kind, v, f"{at}.{k}", source, wrong) for k, v in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if issubclass(kind, Kinds):
        kind, value = _kind_of(kind, value, at, source)
    hints = typing.get_type_hints(kind)
    known = {f.name for f in fields(kind) if f.init}
    table = {}
    for key, inner in value.items():
        where = f"{at}.{key}".lstrip(".")
        if key not in known:
            wrong.append(f"{source}: {where} {_unknown(kind, key, known)}")
            continue
        table[key] = _checked(hints[key], inner, where, source, wrong)
    return table


def _kind_of(
    family: type[Kinds], value: Mapping[str, Any], at: str, source: str
) -> tuple[type[Kinds], Mapping[str, Any]]:
    """The class of the kind that a table names, and the settings in it that this kind uses."""
    kind = value.get("kind", family.default_kind)
    try:
        chosen = family.class_of(kind)
    except ConfigError:
        names = ", ".join(map(repr, family.classes()))
        where = f"{at}.kind".lstrip(".")
        raise ConfigError(
            f"{source}: {where} must be one of {names}; got {kind!r}{closest(str(kind), family.classes())}"
        ) from None
    foreign = value.keys() - chosen.settings().keys()
    idle = {k for k in foreign if k in family.shared or (k in family.empty and not value[k])}
    return chosen, {k: v for k, v in value.items() if k not in idle}


def _unknown(kind: Any, key: str, known: Collection[str]) -> str:
    if issubclass(kind, Kinds):
        return str(kind.foreign(key))
    for name, hint in typing.get_type_hints(kind).items():
        inside = _dataclass_of(hint)[0]
        if name in known and is_dataclass(inside) and key in {f.name for f in fields(inside)}:
            return f"is not a key here; it is one of [{name}]"
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(sorted(known))}"
    return f"is not a key here; {hint}"


def _dataclass_of(hint: Any) -> tuple[Any, bool]:
    """(the dataclass or family in a type hint or None, True if it is the item of a tuple)."""
    if is_dataclass(hint) or (isinstance(hint, type) and issubclass(hint, Kinds)):
        return hint, False
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return next((found for a in inside if (found := _dataclass_of(a))[0]), (None, False))
    if origin is tuple and inside:
        return _dataclass_of(inside[0])[0], True
    return None, False
