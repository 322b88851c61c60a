"""Command ``grainscout advise``."""

from pathlib import Path
from typing import Annotated

from rich.table import Table
from typer import Argument, Option

from grainscout.cli.bench import Jobs, open_store, run_cells
from grainscout.cli.console import console, note, notes
from grainscout.cli.files import Channel, PixelNm, given
from grainscout.records import ConfigError, GrainscoutError


def advise(
    file: Annotated[Path, Argument(help="Your image, or your recorded grid of curves.")],
    curves: Annotated[int, Option(help="Largest budget to consider.", min=10)] = 60,
    target: Annotated[str, Option(help="Descriptor to map.")] = "loop_area",
    light: Annotated[float, Option(help="Illumination of the curves [suns].", min=0.0)] = 0.0,
    error: Annotated[
        float | None,
        Option(help="Error of the map that is good enough, over the spread of the target."),
    ] = None,
    film: Annotated[
        str | None, Option(help="Named film whose transport to assume. Default: by your curves.")
    ] = None,
    policy: Annotated[
        list[str] | None, Option("--policy", help="Candidate instead of the usual. Repeatable.")
    ] = None,
    films: Annotated[int, Option(help="Films to race on.", min=2)] = 6,
    channel: Channel = None,
    pixel_nm: PixelNm = None,
    jobs: Jobs = None,
    out: Annotated[Path | None, Option("--out", "-o", help="Folder of the results.")] = None,
) -> None:
    """Say which policy, budget and images suit your sample.

    It draws films like your image, races policies on them, and writes an experiment file. The same
    command resumes.
    """
    from grainscout.benchmarks import PolicySpec, Task
    from grainscout.benchmarks import advice as room
    from grainscout.benchmarks.campaign.tables import read_tables

    if not file.is_file():
        raise ConfigError(f"FILE must be an image or a recorded grid; there is none at {file}")
    wanted = [PolicySpec(name=name) for name in policy or []] or room.CANDIDATES
    with notes.status("looking at the image"):
        plan = room.advice_campaign(
            file,
            Task(target=target, curves=curves, light_suns=light, goals=("mapping",)),
            films=films,
            policies=wanted,
            film=film,
            **given(channel=channel, pixel_nm=pixel_nm),
        )
        seen = room.seen(plan)
    for sentence in plan.tasks[0].microscope.notes():
        note(sentence)
    folder = out or Path("out") / f"advice-{file.stem}"
    with open_store(plan, folder) as store:
        run_cells(plan, store, jobs, None)
        found = room.advise(plan, read_tables(store), error=error)
        failures = store.failures()
    table = Table("policy", "images", "curves", "error of the map", "95 % interval")
    last = found.table[found.table["n"] == found.table["n"].max()].sort_values("error")
    for row in last.itertuples():
        interval = f"{row.low:.2f} to {row.high:.2f}"
        table.add_row(row.policy, row.images, f"{row.n:.0f}", f"{row.error:.2f}", interval)
    experiment = folder / "advice.toml"
    experiment.write_text(found.experiment(folder), encoding="utf-8")
    found.table.to_csv(folder / "errors.csv", index=False)
    expected = found.expected
    console.print(table)
    console.print(
        f"Run {found.policy.title} with {found.task.curves} curves on the {found.images}: expect an "
        f"error of {expected['error']:.2f} ({expected['low']:.2f} to {expected['high']:.2f}), over the "
        f"spread of {target}.\nFilms: {films}, like {file.name}, transport of "
        f"{plan.tasks[0].microscope.film}. {seen}",  # type: ignore[attr-defined]
        soft_wrap=True,
    )
    console.print(f"errors:     {folder / 'errors.csv'}\nexperiment: {experiment}", soft_wrap=True)
    if failures:
        raise GrainscoutError(
            f"{len(failures)} cells failed and count for nothing. The same command tries them again"
        )
