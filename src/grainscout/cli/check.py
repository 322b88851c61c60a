"""Commands ``grainscout check-policy`` and ``check-microscope``."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from grainscout.cli.console import console
from grainscout.records import CheckResult, ConfigError, GrainscoutError

if TYPE_CHECKING:
    from grainscout.hardware import Microscope
    from grainscout.records import Waveform

Options = Annotated[
    str, Option("--options", help="Options as JSON, such as '{\"seed_points\": 5}'.")
]


def check_policy(
    name: Annotated[
        str, Argument(help="A registered policy, or an experiment file (.toml) with one.")
    ],
    options: Options = "{}",
) -> None:
    """Run the conformance suite on a policy."""
    from grainscout.policies import check_policy as suite
    from grainscout.policies import make_policy

    given = json_options(options)
    if name.endswith(".toml"):
        from grainscout.config import load_run

        spec = load_run(Path(name)).policy
        name, given = spec.name, {**spec.options, **given}
    make_policy(name, given)  # a wrong name or option is bad usage, not a failed check
    _show(name, suite(lambda **more: make_policy(name, {**given, **more})))


def check_microscope(
    name: Annotated[
        str,
        Argument(
            help="A registered microscope, or an experiment file (.toml) with microscope, waveform and limits."
        ),
    ],
    options: Options = "{}",
    waveform: Annotated[
        list[str] | None,
        Option(
            help="Waveform to apply, as in a file: kind=bipolar, peak_V=0.1, samples=101 ... Repeatable."
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        Option(help="A limit, as in a file: voltage_V=0.2, current_A=1e-8 ... Repeatable."),
    ] = None,
    scan: Annotated[
        Path | None, Option(help="Image that its scan must give, of a sample without symmetry.")
    ] = None,
    seconds: Annotated[
        float, Option(help="Longest time of each check beside the microscope's own time-outs [s].")
    ] = 60.0,
) -> None:
    """Run the conformance suite on a microscope.

    A real microscope moves and applies up to 1 V.

    --waveform and --limit override single keys of the file.
    """
    from grainscout.analysis.formats import read_image
    from grainscout.hardware import check_microscope as suite

    factory, applied = _microscope(
        name, json_options(options), _settings("waveform", waveform), _settings("limit", limit)
    )
    image = None if scan is None else read_image(scan)
    _show(name, suite(factory, waveform=applied, scan=image, seconds=seconds))


def _microscope(
    name: str, options: dict[str, Any], waveform: dict[str, Any], limits: dict[str, Any]
) -> tuple[Callable[[], Microscope], Waveform | None]:
    """Factory of the guarded microscope, and its waveform."""
    from grainscout.benchmarks import WaveformSpec, make_environment
    from grainscout.benchmarks.tasks.task import plain
    from grainscout.config import load_run, parse
    from grainscout.hardware import Guard, Limits, make_microscope

    held = parse(Limits, limits, "--limit")
    if not name.endswith(".toml"):
        spec = parse(WaveformSpec, waveform, "--waveform")
        applied = spec.build() if waveform else None
        return lambda: Guard(make_microscope(name, options), held), applied
    if options:
        raise ConfigError("--options must be left out with a file, which has its own")
    settings = load_run(Path(name))
    held = replace(settings.limits, **{key: getattr(held, key) for key in limits})
    task = settings.task
    own = {} if "kind" in waveform else plain(task.waveform)  # another kind has other settings
    spec = parse(WaveformSpec, {**own, **waveform}, "--waveform")
    return lambda: make_environment(task, settings.seed, held).microscope, spec.build()


def _settings(option: str, given: Sequence[str] | None) -> dict[str, Any]:
    """Parse settings given as key=value."""
    table: dict[str, Any] = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not (key.strip() and equals) or key.strip() in table:
            raise ConfigError(f"--{option} must be key=value, each key once; got {text!r}")
        try:
            table[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            table[key.strip()] = value.strip()  # a word, such as bipolar
    return table


def json_options(text: str) -> dict[str, Any]:
    """Parse options given as a JSON object."""
    try:
        options = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--options must be JSON; {error}") from error
    if not isinstance(options, dict):
        raise ConfigError(f"--options must be a JSON object; got {text}")
    return options


def _show(name: str, results: Sequence[CheckResult]) -> None:
    table = Table("check", "", "fault")
    for r in results:
        said = r.message if r.checked else f"not checked: {r.message}"
        state = "ok" if r.checked else "-"
        table.add_row(r.name, state if r.passed else Text("failed", "red"), said)
    console.print(table)
    failed = sum(not r.passed for r in results)
    if failed:
        raise GrainscoutError(f"{name} fails {failed} of {len(results)} checks")
    left = sum(not r.checked for r in results)
    console.print(
        f"{name} passes all {len(results)} checks"
        if not left
        else f"{name} passes all checks that were made; {left} of {len(results)} were not"
    )
