"""Page of the command line, from the Typer application."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer
from typer.main import get_command

from grainscout.cli import app

_WORDS = {str: "text", int: "whole number", float: "number", Path: "path", bool: "flag"}


def commands() -> dict[str, Any]:
    """Command of each name, in the order of ``--help``."""
    found: dict[str, Any] = dict(get_command(app).commands)  # type: ignore[attr-defined]
    return found


def options(name: str) -> set[str]:
    """All spellings of a command's options, ``--help`` included."""
    spelt = {o for p in commands()[name].params for o in (*p.opts, *p.secondary_opts)}
    return {o for o in spelt if o.startswith("-")} | {"--help", "-h"}


def page() -> str:
    """The reference as MyST Markdown."""
    lines = [
        "# Command line",
        "",
        "Made from the program itself when this manual is built. `grainscout COMMAND --help` says the",
        "same in the terminal. Exit status: 0 success, 1 a run or a check failed, 2 bad usage or",
        "configuration; a mistake is one message that says what was expected and what was found.",
        "",
    ]
    for name, command in commands().items():
        lines += _section(name, command)
    return "\n".join(lines) + "\n"


def _section(name: str, command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if not p.opts[0].startswith("-")]
    flags = [p for p in command.params if p.opts[0].startswith("-") and p.name != "help"]
    kinds = _kinds(name)
    words = [f"<{p.name}>" if p.required else f"[{p.name}]" for p in arguments]
    yield f"(grainscout-{name})="
    yield f"## grainscout {name}"
    yield ""
    yield inspect.cleandoc(command.help or "")
    yield ""
    yield "```text"
    yield " ".join(["grainscout", name, *words, *(["[options]"] if flags else [])])
    yield "```"
    yield ""
    if command.params:
        yield "| | value | what it does | default |"
        yield "|---|---|---|---|"
    for p in [*arguments, *flags]:
        spelt = ", ".join(f"`{o}`" for o in sorted(p.opts, key=len, reverse=True))
        default = "required" if p.required else _default(p.default)
        help_ = (p.help or "").replace("|", "\\|").replace("'", "’")
        yield f"| {spelt} | {kinds.get(p.name, '')} | {help_} | {default} |"
    yield ""


def _default(value: Any) -> str:
    if value is None or value is False or value == []:
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _kinds(name: str) -> dict[str, str]:
    """Kind of value of each parameter."""
    callback = next(c.callback for c in app.registered_commands if c.name == name)
    if callback is None:
        raise typer.BadParameter(f"the command {name} has no function")
    return {k: _kind(v) for k, v in get_type_hints(callback, include_extras=True).items()}


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _kind(next(a for a in get_args(annotation) if a is not type(None)))
    if get_origin(annotation) is list:
        return f"{_kind(get_args(annotation)[0])}, repeatable"
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return " \\| ".join(f"`{m.value}`" for m in annotation)
    return _WORDS.get(annotation, getattr(annotation, "__name__", ""))
