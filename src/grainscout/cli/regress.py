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
    Option("--speed", hidden=True, help="Replaced by pytest --benchmark-compare."),
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
    """Compare models with stored baselines on fixed films.

    The exit status is 1 if a score got worse.
    """
    from grainscout.benchmarks import regression as suite

    if list_:
        for name, entry in suite.MODELS.items():
            console.print(f"{name:20} {entry.about}")
        return

    def path_of(name: str) -> Path:
        folder = baselines or (suite.BASELINES if name in suite.MODELS else _OWN_BASELINES)
        return folder / (name.replace(":", ".") + ".json")

    if speed is not None:
        raise ConfigError(
            "--speed was replaced: run pytest benchmarks/speed --benchmark-compare "
            "--benchmark-compare-fail=median:50%"
        )
    models = {name: suite.find_model(name) for name in model or suite.MODELS}
    changes = _scored(models, path_of, update=update)
    if update:
        for name in models:
            console.print(f"baseline written: {path_of(name)}", soft_wrap=True)
        return
    outcomes = [c.outcome for c in changes]
    worse = outcomes.count("worse")
    _show(changes, worse, as_json=as_json)
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
    """Compare the models with their baselines, or update these."""
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


def _show(changes: list[Change], worse: int, *, as_json: bool) -> None:
    from grainscout.benchmarks import regression as suite

    if not as_json:
        console.print(suite.changes_table(changes), markup=True)
        return
    # "speed" is always empty: scripts may still look for it.
    print(
        json.dumps({"worse": worse, "changes": [c.plain() for c in changes], "speed": []}, indent=1)
    )
