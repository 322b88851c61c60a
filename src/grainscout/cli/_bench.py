"""grainscout bench"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grainscout.cli._console import console, progress
from grainscout.records import ConfigError, GrainscoutError

if TYPE_CHECKING:
    from grainscout.benchmarks import CellKey, PolicySpec


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
) -> None:
    """Race policies on films whose truth is known; resumes by itself."""
    from grainscout.benchmarks import CampaignStore, run_campaign, write_results
    from grainscout.benchmarks._tasks import replay_task, topography_task
    from grainscout.config import load_campaign

    name = "smoke" if smoke else campaign
    plan = load_campaign(name)
    first = plan.tasks[0]
    plan = plan.with_tasks(
        *(replay_task(_file(f), replay_target, first.curves) for f in replay or ()),
        *(topography_task(_file(f), first) for f in topography or ()),
    )
    if peers:
        plan = plan.with_policies(*_peers())
    folder = out or Path("out") / plan.name
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out must be a folder; {folder} is a file")
    folder.mkdir(parents=True, exist_ok=True)
    with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
        keys = plan.cells()
        done = len(store.finished())
        with progress() as bar:
            task = bar.add_task("cells", total=len(keys), completed=done)

            def tick(key: CellKey, status: str, error: str) -> None:
                bar.advance(task)
                if status == "failed":
                    why = error.strip().splitlines()[-1]
                    bar.console.print(
                        f"failed: {key.policy} on {key.task}, film {key.film}: {why}", markup=False
                    )

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


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"--replay and --topography need existing files; there is none at {path}")
    return path


def _peers() -> list[PolicySpec]:
    from grainscout.benchmarks import PolicySpec
    from grainscout.policies._registry import PEERS, peer_names

    found = peer_names()
    absent = [f"{name} ({package})" for name, (_, package) in PEERS.items() if name not in found]
    if absent:
        console.print(f"peers that are not installed: {', '.join(absent)}")
    if not found:
        raise ConfigError("--peers needs a peer: pip install 'grainscout[peers]'")
    return [PolicySpec(name=name) for name in found]
