"""Command ``grainscout bench``."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

from rich.console import Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from typer import Argument, Option

from grainscout.cli.console import console, note, notes
from grainscout.cli.files import Channel, Current, Cycle, PixelNm, Rail, given
from grainscout.records import ConfigError, GrainscoutError

if TYPE_CHECKING:
    from grainscout.benchmarks import Campaign, CampaignStore, CellKey, PolicySpec

Out = Annotated[
    Path | None, Option("--out", "-o", help="Folder of the results. Finished cells in it are kept.")
]
Films = Annotated[
    int | None, Option("--films", help="Films of each task. More than before extend it.", min=1)
]
Jobs = Annotated[
    int | None,
    Option("--jobs", "-j", help="Worker processes. 0 runs in this one. Default: all cores.", min=0),
]
Replay = Annotated[
    list[Path] | None,
    Option("--replay", help="Also race on this recorded grid of curves. Repeatable."),
]
Topography = Annotated[
    list[Path] | None,
    Option("--topography", help="Also race on a film with this AFM image. Repeatable."),
]


def demo(out: Out = None, replay: Replay = None, jobs: Jobs = None) -> None:
    """Race five policies on simulated films and on a recorded grid.

    A leaderboard and a report in a few minutes. The grid comes with the package, or is yours.
    """
    from grainscout.datasets import grid_file

    bench("quick", out=out or Path("out", "demo"), replay=list(replay or [grid_file()]), jobs=jobs)


def bench(
    campaign: Annotated[
        str, Argument(help="A campaign's name (see grainscout list) or TOML file.")
    ] = "quick",
    out: Out = None,
    films: Films = None,
    jobs: Jobs = None,
    scheduler: Annotated[
        str | None,
        Option("--scheduler", help="Run on the Dask cluster at this address, tcp://HOST:PORT."),
    ] = None,
    cell_timeout: Annotated[
        float | None,
        Option("--cell-timeout", help="Longest time of one cell [s]. 0 sets no limit."),
    ] = None,
    replay: Replay = None,
    replay_target: Annotated[
        str, Option("--replay-target", help="Descriptor to learn on recorded grids.")
    ] = "max_current",
    topography: Topography = None,
    channel: Channel = None,
    rail: Rail = None,
    current: Current = None,
    cycle: Cycle = None,
    pixel_nm: PixelNm = None,
    winner_task: Annotated[
        str | None, Option("--winner-task", help="Task of winner.toml. Default: the first.")
    ] = None,
    peers: Annotated[
        bool, Option("--peers", help="Also race the installed optimizers of other packages.")
    ] = False,
    isolate: Annotated[
        bool | None,
        Option("--isolate", help="Run each policy in a process that never holds the film."),
    ] = None,
    controls: Annotated[
        bool,
        Option("--controls", help="Also race each learning policy's twins, and the image alone."),
    ] = False,
    smoke: Annotated[bool, Option("--smoke", help="Run the smallest campaign.")] = False,
    as_json: Annotated[
        bool, Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
) -> None:
    """Race policies on films with known truth.

    The same command resumes.
    """
    from grainscout.benchmarks import write_results
    from grainscout.benchmarks.campaign.scheduler import require_scheduler
    from grainscout.benchmarks.reports.summary import summary
    from grainscout.config import load_campaign

    begun = time.monotonic()
    plan = load_campaign("smoke" if smoke else campaign)
    both = given(channel=channel, pixel_nm=pixel_nm)
    curves = given(rail_A=rail, current=current, cycle=cycle)
    plan = _with_tasks(plan, replay or (), replay_target, topography or (), both, curves)
    if peers or campaign == "peers":
        plan = plan.with_policies(*_peers())
    plan = plan.with_controls() if controls else plan
    changes = given(films=films, cell_timeout_s=cell_timeout, isolate=isolate)
    plan = dataclasses.replace(plan, **changes)
    if winner_task is not None:
        plan.task(winner_task)  # a wrong name is refused before the first cell
    if scheduler is not None and jobs is not None:
        raise ConfigError(
            "--jobs and --scheduler exclude each other: a cluster has its own workers"
        )
    if scheduler is not None:
        require_scheduler(scheduler)
    folder = out or Path("out") / plan.name
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out must be a folder; {folder} is a file")
    with open_store(plan, folder) as store:
        run = run_cells(plan, store, jobs, scheduler)
        with notes.status("scores, pictures and report"):
            results = write_results(plan, store, folder, task=winner_task)
        if as_json:
            seconds = time.monotonic() - begun
            content = summary(plan, store, results, run=run, seconds=seconds)
            print(json.dumps(content, indent=2, allow_nan=False))
        else:
            console.print(results.leaderboard_table())
            for label, path in results.files.items():
                console.print(f"{label + ':':12} {path}")
        if failures := store.failures():
            raise GrainscoutError(
                f"{len(failures)} of {results.progress.planned} cells failed and count for nothing; the "
                "report has their tracebacks. The same command tries them again"
            )


def open_store(plan: Campaign, folder: Path) -> CampaignStore:
    """The campaign's store in a folder; for a campaign that cannot be run none is made."""
    from grainscout.benchmarks import CampaignStore
    from grainscout.benchmarks.campaign.runner import refuse_unfit

    path = folder / "campaign.sqlite"
    if not path.exists():
        refuse_unfit(plan)
    folder.mkdir(parents=True, exist_ok=True)
    return CampaignStore(path, plan.identity())


def run_cells(plan: Campaign, store: CampaignStore, jobs: int | None, scheduler: str | None) -> int:
    """Run the unfinished cells and return their number."""
    from grainscout.benchmarks import run_campaign
    from grainscout.benchmarks.campaign.runner import retire_stale

    with notes.status("results so far"):
        damaged = store.repair()
    if damaged:
        which = ", ".join(f"film {k.film} of {k.task} by {k.policy}"[:80] for k in damaged[:3])
        more = " ..." if len(damaged) > 3 else ""
        note(f"damaged in the store and run again ({len(damaged)}): {which}{more}")
    with notes.status("what made the cells that are there"):
        before = retire_stale(plan, store)
    if before.kept or before.stale:
        whose = ", ".join(sorted({k.policy for k in before.stale}))
        note(
            f"{before.kept} {'cell was' if before.kept == 1 else 'cells were'} there before"
            + (f", {before.unknown} of them made by an unknown version" if before.unknown else "")
            + (
                f"; {len(before.stale)} are stale, as what made them has changed, and run again ({whose})"
                if whose
                else ""
            )
        )
    workers = (os.cpu_count() or 1) if jobs is None else jobs
    try:
        with CampaignDisplay(plan, store) as display:
            shown: dict[str, Any] = {"progress": display.tick, "doing": display.doing}
            run_campaign(plan, store, jobs=workers, scheduler=scheduler, **shown)
    except KeyboardInterrupt:
        note(
            f"interrupted: {len(store.finished())} finished cells are kept in {store.path.parent}; the "
            "same command goes on with the others"
        )
        raise
    return display.run


#: Largest share of the time that the leaderboard may take.
_SHARE = 0.01


class CampaignDisplay:
    """Live leaderboard on a terminal, elsewhere lines of failures.

    ``run`` counts the cells that ended while it was open.
    """

    def __init__(self, campaign: Campaign, store: CampaignStore) -> None:
        self._campaign = campaign
        self._store = store
        self.run = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            speed_estimate_period=1800.0,
        )
        self._task = self._bar.add_task("cells", total=len(campaign.cells()))
        self._new: list[CellKey] = []
        self._due = 0.0
        shown = notes.is_terminal
        self._live = Live(self._bar, console=notes, refresh_per_second=4) if shown else None

    def __enter__(self) -> Self:
        from grainscout.benchmarks.campaign.leaderboard import IncrementalScores

        if self._live is not None:
            self._live.start()
            self._scores = IncrementalScores(self._campaign, self._store)
            self._bar.update(self._task, completed=len(self._scores.finished))
            self._refresh(self._live)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            if kind is None:
                self._refresh(self._live)
            self._live.stop()

    def doing(self, what: str) -> None:
        """Show what is being done."""
        self._bar.update(self._task, description=what)
        if self._live is not None:
            self._live.refresh()

    def tick(self, key: CellKey, status: str, error: str) -> None:
        """Count a cell that has ended."""
        self.run += 1
        if status == "failed":
            why = error.strip().splitlines()[-1]
            note(f"failed: {key.policy} on {key.task}, film {key.film}: {why}")
        else:
            self._new.append(key)
        if self._live is not None:
            self._bar.advance(self._task)
            if time.monotonic() >= self._due:
                self._refresh(self._live)

    def _refresh(self, live: Live) -> None:
        from grainscout.benchmarks.campaign.stopping import plan_next_block

        begun = time.monotonic()
        self._scores.add(self._new)
        self._new = []
        now = plan_next_block(self._campaign, self._scores.table, self._scores.finished)
        if now.over:
            self._bar.update(self._task, total=now.planned - now.saved)
        table = Table("goal", "policy", "score so far", "films", box=None)
        rows = self._scores.rows(now.racing or [p.title for p in self._campaign.policies])
        for goal, policy, score, films in rows:
            table.add_row(goal, policy, f"{score:.2f}", str(films))
        live.update(Group(self._bar, table) if rows else self._bar)
        ended = time.monotonic()
        self._due = ended + (ended - begun) / _SHARE


def _with_tasks(
    plan: Campaign,
    grids: Sequence[Path],
    target: str,
    images: Sequence[Path],
    both: Mapping[str, Any],
    curves: Mapping[str, Any],
) -> Campaign:
    """Add the user's recorded grids and images as tasks."""
    from grainscout.benchmarks.tasks.task import replay_task, topography_task

    for path in (*grids, *images):
        if not path.is_file():
            raise ConfigError(
                f"--replay and --topography need existing files; there is none at {path}"
            )
    for known, files, option in (
        (both, (*grids, *images), "--replay or --topography"),
        (curves, grids, "--replay"),
    ):
        if known and not files:
            names = ", ".join(f"--{k.removesuffix('_A').replace('_', '-')}" for k in known)
            raise ConfigError(f"{names} must come with {option}")
    first = plan.tasks[0]
    made = [
        *(replay_task(file, target, first.curves, **both, **curves) for file in grids),
        *(topography_task(file, first, **both) for file in images),
    ]
    for task in made:
        for sentence in task.microscope.notes():
            note(f"{task.id}: {sentence}")
    return plan.with_tasks(*made)


def _peers() -> list[PolicySpec]:
    """Specify every installed peer and name the others."""
    from grainscout.benchmarks import PolicySpec
    from grainscout.policies.registry import PEERS, peer_names

    installed = peer_names()
    absent = [f"{name} ({package})" for name, package in PEERS.items() if name not in installed]
    if absent:
        note(f"peers that are not installed: {', '.join(absent)}")
    if not installed:
        raise ConfigError(
            "peers must be installed; none is. The extra brings all but AtomAI: "
            "pip install 'grainscout[peers]'"
        )
    return [PolicySpec(name=name) for name in installed]
