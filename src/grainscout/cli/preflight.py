"""Command ``grainscout preflight``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from rich.table import Table
from typer import Argument, Option

from grainscout.cli.console import console, progress
from grainscout.records import GrainscoutError, LimitError


def preflight(
    config: Annotated[Path, Argument(help="Experiment file (TOML).")],
    scan: Annotated[
        Path | None,
        Option("--scan", help="Your own image. The simulated film takes its topography."),
    ] = None,
    film: Annotated[
        str, Option(help="Named film whose transport the simulated film takes.")
    ] = "s26",
) -> None:
    """Rehearse an experiment file on a simulated film: limits, time, travel, wear, expected result."""
    from grainscout.benchmarks import MicroscopeSpec, rehearse
    from grainscout.config import load_run

    settings = load_run(config)
    spec = settings.task.microscope
    if scan is not None:
        spec = MicroscopeSpec(kind="topography", film=film, file=scan.resolve())
    elif not spec.has_truth:
        spec = MicroscopeSpec(film=film)
    task = replace(settings.task, microscope=spec)
    with progress() as bar:
        row = bar.add_task("rehearsal", total=task.curves)
        rehearsal = rehearse(
            task,
            settings.policy,
            settings.seed,
            settings.limits,
            decision_s=settings.decision_s,
            observe=lambda step: bar.advance(row, len(step.outcomes)),
        )
    table = Table(show_header=False)
    for name, value in rehearsal.rows():
        table.add_row(name, value)
    console.print(f"rehearsed on: {spec.kind}, {spec.label}")
    console.print(table)
    if rehearsal.violations:
        raise LimitError("the experiment would break limits:\n" + "\n".join(rehearsal.violations))
    if not rehearsal.reason.startswith(("budget", "the policy")):
        raise GrainscoutError(f"the rehearsal did not end by itself: {rehearsal.reason}")
    console.print("no limit would be broken")
