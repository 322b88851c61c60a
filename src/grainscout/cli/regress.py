"""grainscout regress"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grainscout.cli.console import console, progress
from grainscout.records import ConfigError, GrainscoutError

if TYPE_CHECKING:
    from grainscout.benchmarks.regression.speed import SpeedChange

_OWN_BASELINES = Path("grainscout-baselines")


def regress(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Only this model (--list), or your module:object."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the models and stop.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Make the present scores the baseline.")
    ] = False,
    baselines: Annotated[
        Path | None,
        typer.Option("--baselines", help="Folder of the baselines; default: the package's."),
    ] = None,
    speed: Annotated[
        Path | None,
        typer.Option("--speed", help="Also compare ratios in this pytest --benchmark-json file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score models on fixed films against stored baselines; exit status 1 if any got worse."""
    from grainscout.benchmarks import regression as suite

    if list_:
        for name, entry in suite.MODELS.items():
            console.print(f"[bold]{name:20}[/] {entry.about}")
        return

    def path_of(name: str) -> Path:
        folder = baselines or (suite.BASELINES if name in suite.MODELS else _OWN_BASELINES)
        return folder / (name.replace(":", ".") + ".json")

    models = {name: suite.find_model(name) for name in model or suite.MODELS}
    ratios = (baselines or suite.BASELINES) / "speed.json"
    with progress() as bar:
        ticks = bar.add_task("films", total=len(models) * len(suite.FILM_NAMES))

        def tick(_: str) -> None:
            bar.advance(ticks)

        if update:
            for name, scored in models.items():
                suite.update(name, scored, path_of(name), tick)
            changes = []
        else:
            changes = suite.check(models, path_of, progress=tick)
    speeds: list[SpeedChange] = []
    if speed is not None:
        if not speed.is_file():
            raise ConfigError(f"--speed must be an existing file; there is none at {speed}")
        stored = suite.read_ratios(ratios)
        speeds, missing = suite.compare_speed(speed, stored)
        if update:
            suite.write_ratios(ratios, stored, speeds)
    if update:
        for name in models:
            console.print(f"baseline written: {path_of(name)}", soft_wrap=True)
        if speed is not None:
            console.print(f"ratios written: {ratios}", soft_wrap=True)
        return
    outcomes = [c.outcome for c in changes] + [s.outcome for s in speeds]
    worse = outcomes.count("worse")
    if as_json:
        content = {
            "worse": worse,
            "changes": [c.plain() for c in changes],
            "speed": [s.plain() for s in speeds],
        }
        print(json.dumps(content, indent=1))
    else:
        console.print(suite.changes_table(changes, speeds))
        if speed is not None and missing:
            console.print(f"{len(missing)} stored ratios have no benchmark in {speed}")
    if worse:
        raise GrainscoutError(
            f"{worse} of {len(outcomes)} scores got significantly worse. If that is "
            "meant, make it the new baseline with --update"
        )
    if not as_json:
        console.print(f"none of {len(outcomes)} scores got significantly worse")
