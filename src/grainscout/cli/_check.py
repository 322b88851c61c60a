"""grainscout check-policy | check-microscope"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

import typer
from rich.table import Table

from grainscout.cli._console import console
from grainscout.records import ConfigError, GrainscoutError

Options = Annotated[
    str, typer.Option("--options", help="Options as JSON, such as '{\"seed_points\": 5}'.")
]


class _Result(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def passed(self) -> bool: ...
    @property
    def message(self) -> str: ...


def check_policy(
    name: Annotated[str, typer.Argument(help="A registered policy.")], options: Options = "{}"
) -> None:
    """Run the public conformance suite on a policy."""
    from grainscout.policies import check_policy as suite
    from grainscout.policies import make_policy

    given = json_options(options)
    make_policy(name, given)  # a wrong name or option is bad usage, not a failed check
    _show(name, suite(lambda **more: make_policy(name, {**given, **more})))


def check_microscope(
    name: Annotated[str, typer.Argument(help="A registered microscope.")], options: Options = "{}"
) -> None:
    """Run the public conformance suite on a microscope; a real one moves and applies up to 1 V."""
    from grainscout.hardware import Guard, make_microscope
    from grainscout.hardware import check_microscope as suite

    given = json_options(options)
    _show(name, suite(lambda: Guard(make_microscope(name, given))))


def json_options(text: str) -> dict[str, Any]:
    """Options given as JSON; ConfigError if they are not."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--options must be JSON; {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"--options must be a JSON object; got {text}")
    return found


def _show(name: str, results: Sequence[_Result]) -> None:
    table = Table("check", "", "what was wrong")
    for r in results:
        table.add_row(r.name, "ok" if r.passed else "[red]failed[/]", r.message)
    console.print(table)
    failed = sum(not r.passed for r in results)
    if failed:
        raise GrainscoutError(f"{name} fails {failed} of {len(results)} checks")
    console.print(f"{name} passes all {len(results)} checks")
