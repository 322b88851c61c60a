"""Command ``grainscout regress``."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
from typer import Option

from grainscout.cli.console import console, notes
from grainscout.records import ConfigError, GrainscoutError

_OWN_BASELINES = Path("grainscout-baselines")

List = Annotated[bool, Option("--list", help="List the models and stop.")]


def regress(
    model: Annotated[
        list[str] | None,
        Option("--model", "-m", help="Only this model (see --list), or your module:object."),
    ] = None,
    list_: List = False,
    update: Annotated[
        bool, Option("--update", help="Make the present scores the baseline.")
    ] = False,
    baselines: Annotated[
        Path | None, Option("--baselines", help="Folder of the baselines. Default: the package's.")
    ] = None,
    baseline_of: Annotated[
        str | None,
        Option("--baseline-of", help="Compare your one --model with the baseline of this model."),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare models with stored baselines on fixed films.

    The exit status is 1 if a score got worse.
    """
    from grainscout.benchmarks import regression as suite
    from grainscout.experiment import progress_bar

    if list_:
        for name, entry in suite.MODELS.items():
            console.print(f"{name:20} {entry.about}")
        return

    def path_of(name: str) -> Path:
        folder = baselines or (suite.BASELINES if name in suite.MODELS else _OWN_BASELINES)
        return folder / (name.replace(":", ".") + ".json")

    models = {name: suite.find_model(name) for name in model or suite.MODELS}
    if baseline_of is not None:
        if len(models) != 1 or not model or update:
            raise ConfigError("--baseline-of must come with one --model, and without --update")
        suite.find_model(baseline_of)
        models = {baseline_of: models[model[0]]}
    with progress_bar(len(models) * len(suite.FILM_NAMES), "films", console=notes) as bar:
        if not update:
            changes = suite.check(models, path_of, progress=bar)
        for name, scored in models.items() if update else ():
            scores = suite.update(name, scored, path_of(name), bar)
            said = ", ".join(f"{k} {np.mean(v):.4g}" for k, v in scores.items())
            console.print(f"baseline written: {path_of(name)}\n  means: {said}", soft_wrap=True)
    if update:
        return
    outcomes = [c.outcome for c in changes]
    worse = outcomes.count("worse")
    if as_json:  # "speed" is always empty: scripts may still look for it
        plain = [c.plain() for c in changes]
        print(json.dumps({"worse": worse, "changes": plain, "speed": []}, indent=1))
    else:
        console.print(suite.changes_table(changes), markup=True)
    if worse:
        raise GrainscoutError(
            f"{worse} of {len(outcomes)} scores got significantly worse. If that is "
            "meant, make it the new baseline with --update"
        )
    if not as_json:
        console.print(f"none of {len(outcomes)} scores got significantly worse")
