"""Command ``grainscout preflight``."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, cast

from rich.table import Table
from typer import Argument, Option

from grainscout.cli.console import console, notes
from grainscout.cli.files import Channel, PixelNm, given
from grainscout.records import ConfigError, GrainscoutError, LimitError


def preflight(
    config: Annotated[Path, Argument(help="Experiment file (TOML).")],
    scan: Annotated[
        Path | None,
        Option("--scan", help="Your own image. The simulated film takes its topography."),
    ] = None,
    channel: Channel = None,
    pixel_nm: PixelNm = None,
    film: Annotated[
        str, Option(help="Named film whose transport the simulated film takes.")
    ] = "s26",
) -> None:
    """Rehearse an experiment file on a simulated film.

    It shows limits, time, travel, wear and the expected result.
    """
    from grainscout.benchmarks import MicroscopeSpec, rehearse
    from grainscout.config import load_run
    from grainscout.experiment import progress_bar

    settings = load_run(config)
    spec = settings.task.microscope
    paper = spec.on_paper()
    if paper is None and not spec.has_truth:
        console.print(
            f"note: {spec.kind} says nothing of itself: its slew, cost and waveforms are not checked"
        )
    if settings.link is not None:
        # What cannot be reached now cannot be reached in the night either.
        with settings.open_policy(cast(Any, SimpleNamespace(park=None))) as remote:
            console.print(
                f"policy server: {settings.link.address} answers, {cast(Any, remote).server['policy']}"
            )
    if scan is not None:
        image = given(channel=channel, pixel_nm=pixel_nm)
        spec = MicroscopeSpec(kind="topography", film=film, file=scan.resolve(), **image)
    elif channel is not None or pixel_nm is not None:
        raise ConfigError("--channel and --pixel-nm must come with --scan")
    elif not spec.has_truth:
        spec = MicroscopeSpec(film=film)
    for sentence in spec.notes():
        console.print(f"note: {sentence}")
    task = replace(settings.task, microscope=spec)
    with progress_bar(task.curves, "rehearsal", console=notes) as bar:
        rehearsal = rehearse(
            task,
            settings.policy,
            settings.seed,
            settings.limits,
            decision_s=settings.decision_s,
            judge=settings.judge,
            max_spoilt=settings.max_spoilt,
            drift=settings.drift,
            paper=paper,
            observe=bar,
        )
    table = Table(show_header=False)
    for name, value in rehearsal.rows():
        table.add_row(name, value)
    console.print(f"rehearsed on: {spec.kind}, {spec.label}")
    console.print(table)
    if rehearsal.violations:
        raise LimitError("the experiment would break limits:\n" + "\n".join(rehearsal.violations))
    if not rehearsal.reason.startswith(("budget", "the policy", "settled")):
        raise GrainscoutError(f"the rehearsal did not end by itself: {rehearsal.reason}")
    console.print("no limit would be broken")
