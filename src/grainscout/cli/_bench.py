"""grainscout bench"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grainscout.cli._console import console, progress
from grainscout.records import ConfigError, GrainscoutError

if TYPE_CHECKING:
    from grainscout.benchmarks import CellKey


def bench(
    campaign: Annotated[
        str, typer.Argument(help="A campaign by name (see grainscout list) or a TOML file.")
    ] = "quick",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the results; resumes what is there."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="Worker processes; default: all cores.", min=1),
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="The smallest campaign.")] = False,
) -> None:
    """Race policies on films whose truth is known; resumes by itself."""
    from grainscout.benchmarks import CampaignStore, run_campaign, write_results
    from grainscout.config import load_campaign

    name = "smoke" if smoke else campaign
    plan = load_campaign(name)
    folder = out or Path("out") / plan.name
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out must be a folder; {folder} is a file")
    folder.mkdir(parents=True, exist_ok=True)
    with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
        keys = plan.cells()
        done = len(store.finished())
        with progress() as bar:
            task = bar.add_task("cells", total=len(keys), completed=done)

            def tick(key: CellKey, status: str, seconds: float) -> None:
                bar.advance(task)
                if status == "failed":
                    bar.console.print(f"failed: {key.policy} on {key.task}, film {key.film}")

            run_campaign(plan, store, jobs=jobs or os.cpu_count() or 1, progress=tick)
        with console.status("scores, pictures and report"):
            results = write_results(plan, store, folder)
        console.print(results.leaderboard_table())
        for label, path in results.files.items():
            console.print(f"{label + ':':12} {path}")
        failures = store.failures()
        if failures:
            raise GrainscoutError(
                f"{len(failures)} of {len(keys)} cells failed and count for nothing; the report has "
                "their tracebacks. The same command tries them again"
            )
