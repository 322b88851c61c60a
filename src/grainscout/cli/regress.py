"""Command ``grainscout regress``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from grainscout.cli.console import console, progress
from grainscout.records import ConfigError, GrainscoutError

if TYPE_CHECKING:
    from grainscout.benchmarks.regression import Change, Model
    from grainscout.benchmarks.regression.speed import SpeedChange, SpeedRatio

_OWN_BASELINES = Path("grainscout-baselines")

Models = Annotated[
    list[str] | None,
    Option("--model", "-m", help="Only this model (see --list), or your module:object."),
]
List = Annotated[bool, Option("--list", help="List the models and stop.")]
Update = Annotated[bool, Option("--update", help="Make the present scores the baseline.")]
Baselines = Annotated[
    Path | None,
    Option("--baselines", help="Folder of the baselines. Default: the package's."),
]
Speed = Annotated[
    Path | None,
    Option("--speed", help="Also compare ratios in this pytest --benchmark-json file."),
]
Json = Annotated[bool, Option("--json", help="Print JSON instead of a table.")]


def regress(
    model: Models = None,
    list_: List = False,
    update: Update = False,
    baselines: Baselines = None,
    speed: Speed = None,
    as_json: Json = False,
) -> None:
    """Compare models on fixed films with stored baselines. Exit status 1 if one got worse."""
    from grainscout.benchmarks import regression as suite

    if list_:
        for name, entry in suite.MODELS.items():
            console.print(f"{name:20} {entry.about}")
        return

    def path_of(name: str) -> Path:
        folder = baselines or (suite.BASELINES if name in suite.MODELS else _OWN_BASELINES)
        return folder / (name.replace(":", ".") + ".json")

    models = {name: suite.find_model(name) for name in model or suite.MODELS}
    ratios = (baselines or suite.BASELINES) / "speed.json"
    changes = _scored(models, path_of, update=update)
    speeds, missing = _speeds(speed, ratios, update=update) if speed else ([], [])
    if update:
        for name in models:
            console.print(f"baseline written: {path_of(name)}", soft_wrap=True)
        if speed is not None:
            console.print(f"ratios written: {ratios}", soft_wrap=True)
        return
    outcomes = [c.outcome for c in changes] + [s.outcome for s in speeds]
    worse = outcomes.count("worse")
    _show(changes, speeds, worse, as_json=as_json)
    if missing and not as_json:
        console.print(f"{len(missing)} stored ratios have no benchmark in {speed}")
    if worse:
        raise GrainscoutError(
            f"{worse} of {len(outcomes)} scores got significantly worse. If that is "
            "meant, make it the new baseline with --update"
        )
    if not as_json:
        console.print(f"none of {len(outcomes)} scores got significantly worse")


def _scored(
    models: dict[str, Model], path_of: Callable[[str], Path], *, update: bool
) -> list[Change]:
    """Compare the models with their baselines, or with ``update`` write these."""
    from grainscout.benchmarks import regression as suite

    with progress() as bar:
        ticks = bar.add_task("films", total=len(models) * len(suite.FILM_NAMES))

        def tick(_: str) -> None:
            bar.advance(ticks)

        if not update:
            return list(suite.check(models, path_of, progress=tick))
        for name, scored in models.items():
            suite.update(name, scored, path_of(name), tick)
        return []


def _speeds(
    file: Path, ratios: Path, *, update: bool
) -> tuple[list[SpeedChange], list[SpeedRatio]]:
    """Compare the ratios of speed, and with ``update`` store them; also the missing ones."""
    from grainscout.benchmarks import regression as suite

    if not file.is_file():
        raise ConfigError(f"--speed must be an existing file; there is none at {file}")
    stored = suite.read_ratios(ratios)
    speeds, missing = suite.compare_speed(file, stored)
    if update:
        suite.write_ratios(ratios, stored, speeds)
    return speeds, missing


def _show(changes: list[Change], speeds: list[SpeedChange], worse: int, *, as_json: bool) -> None:
    from grainscout.benchmarks import regression as suite

    if not as_json:
        console.print(suite.changes_table(changes, speeds), markup=True)
        return
    scores, ratios = [c.plain() for c in changes], [s.plain() for s in speeds]
    print(json.dumps({"worse": worse, "changes": scores, "speed": ratios}, indent=1))
