"""grainscout bench"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grainscout.cli.campaign_display import Race
from grainscout.cli.console import console, notes
from grainscout.records import ConfigError, GrainscoutError

if TYPE_CHECKING:
    from grainscout.benchmarks import PolicySpec


def bench(
    campaign: Annotated[
        str, typer.Argument(help="A campaign by name (see grainscout list) or a TOML file.")
    ] = "quick",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the results; resumes what is there."),
    ] = None,
    films: Annotated[
        int | None,
        typer.Option(
            "--films", help="Films of each task; more than before go on where it was.", min=1
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", help="Worker processes; 0 is none, to debug. Default: all cores.", min=0
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler", help="Run on the Dask cluster at this address, tcp://HOST:PORT."
        ),
    ] = None,
    cell_timeout: Annotated[
        float | None,
        typer.Option("--cell-timeout", help="Seconds that one cell may take; 0 is no bound."),
    ] = None,
    replay: Annotated[
        list[Path] | None,
        typer.Option("--replay", help="Also race on this recorded grid of curves; repeatable."),
    ] = None,
    replay_target: Annotated[
        str, typer.Option("--replay-target", help="Descriptor to learn on recorded grids.")
    ] = "max_current",
    topography: Annotated[
        list[Path] | None,
        typer.Option("--topography", help="Also race on a film with this AFM image; repeatable."),
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Also race the peers whose packages are installed.")
    ] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="The smallest campaign.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
) -> None:
    """Race policies on films whose truth is known; resumes by itself."""
    from grainscout.benchmarks import CampaignStore, run_campaign, write_results
    from grainscout.benchmarks.reports.summary import summary
    from grainscout.benchmarks.tasks.task import replay_task, topography_task
    from grainscout.config import load_campaign

    begun = time.monotonic()
    name = "smoke" if smoke else campaign
    plan = load_campaign(name)
    first = plan.tasks[0]
    plan = plan.with_tasks(
        *(replay_task(_file(f), replay_target, first.curves) for f in replay or ()),
        *(topography_task(_file(f), first) for f in topography or ()),
    )
    if peers:
        plan = plan.with_policies(*_peers())
    if films is not None:
        plan = dataclasses.replace(plan, films=films)
    if cell_timeout is not None:
        plan = dataclasses.replace(plan, cell_timeout_s=cell_timeout)
    if scheduler is not None and jobs is not None:
        raise ConfigError(
            "--jobs and --scheduler exclude each other: a cluster has its own workers"
        )
    folder = out or Path("out") / plan.name
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out must be a folder; {folder} is a file")
    folder.mkdir(parents=True, exist_ok=True)
    with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
        with notes.status("results so far"):
            mended = store.mend()
        if mended:
            which = ", ".join(f"film {k.film} of {k.task} by {k.policy}"[:80] for k in mended[:3])
            notes.print(
                f"damaged in the store and run again ({len(mended)}): {which}"
                + (" ..." if len(mended) > 3 else ""),
                markup=False,
                soft_wrap=True,
            )
        try:
            with Race(plan, store) as race:
                run_campaign(
                    plan,
                    store,
                    jobs=(os.cpu_count() or 1) if jobs is None else jobs,
                    scheduler=scheduler,
                    progress=race.tick,
                )
        except KeyboardInterrupt:
            notes.print(
                f"interrupted: {len(store.finished())} finished cells are kept in {folder}; the same "
                "command goes on with the others",
                markup=False,
                soft_wrap=True,
            )
            raise
        with notes.status("scores, pictures and report"):
            results = write_results(plan, store, folder)
        if as_json:
            seconds = time.monotonic() - begun
            said = summary(plan, store, results, run=race.run, seconds=seconds)
            print(json.dumps(said, indent=2, allow_nan=False))
        else:
            console.print(results.leaderboard_table())
            for label, path in results.files.items():
                console.print(f"{label + ':':12} {path}")
        failures = store.failures()
        if failures:
            raise GrainscoutError(
                f"{len(failures)} of {results.course.planned} cells failed and count for nothing; the "
                "report has their tracebacks. The same command tries them again"
            )


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"--replay and --topography need existing files; there is none at {path}")
    return path


def _peers() -> list[PolicySpec]:
    from grainscout.benchmarks import PolicySpec
    from grainscout.policies.registry import PEERS, peer_names

    found = peer_names()
    absent = [f"{name} ({package})" for name, package in PEERS.items() if name not in found]
    if absent:
        notes.print(f"peers that are not installed: {', '.join(absent)}")
    if not found:
        raise ConfigError("--peers needs a peer: pip install 'grainscout[peers]'")
    return [PolicySpec(name=name) for name in found]
