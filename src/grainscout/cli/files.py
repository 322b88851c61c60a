"""Commands ``grainscout report``, ``export`` and ``import``: what a file holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table
from typer import Argument, Option

from grainscout.cli.console import console
from grainscout.records import ConfigError, DataError, GrainscoutError

if TYPE_CHECKING:
    from grainscout.analysis.formats import Recording
    from grainscout.records import Scan

Channel = Annotated[
    str | None, Option("--channel", help="Image that is the topography, or that policies see.")
]
PixelNm = Annotated[
    float | None, Option("--pixel-nm", help="Pixel size instead of the file's [nm].")
]
HeightUnit = Annotated[
    str | None, Option(help="Unit of the topography where the file says none, such as nm.")
]
CropPx = Annotated[
    tuple[int, int, int, int] | None,
    Option(help="Part to use: first row, first column, rows, columns."),
]
Rail = Annotated[float | None, Option("--rail", help="Full scale of the current amplifier [A].")]
Current = Annotated[str | None, Option("--current", help="Channel that holds the curves.")]
Cycle = Annotated[
    int | None, Option("--cycle", help="Sweep to take, from 0, where each site has several.")
]
Force = Annotated[bool, Option("--force", help="Overwrite an existing file.")]


def given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def refuse_existing(path: Path, force: bool, error: type[GrainscoutError] = DataError) -> None:
    """`error` for an existing file, unless it may be overwritten."""
    if path.exists() and not force:
        raise error(f"{path} exists and is not overwritten. Choose another name, or --force")


def report(
    paths: Annotated[
        list[Path], Argument(help="Journal of a run, or folder of a campaign. Two are compared.")
    ],
    out: Annotated[Path | None, Option("--out", "-o", help="The HTML file to write.")] = None,
    svg: Annotated[bool, Option("--svg", help="Figures as SVG, to enlarge or edit.")] = False,
) -> None:
    """Write the report of a run or a campaign, or compare two.

    It is one HTML file that loads nothing from a network.
    """
    from grainscout.benchmarks.reports.page import svg_figures

    for path in paths:
        if not path.exists():
            raise DataError(
                f"report needs a journal or a campaign's folder; there is nothing at {path}"
            )
    folders = [path.is_dir() for path in paths]
    if len(paths) > 2 or len(set(folders)) > 1:
        raise ConfigError("report takes one run or campaign, or two of a kind to compare")
    with svg_figures(svg), ExitStack() as opened:
        (_report_campaigns if folders[0] else _report_runs)(paths, out, opened)


def _report_campaigns(paths: Sequence[Path], out: Path | None, opened: ExitStack) -> None:
    from grainscout.benchmarks import Campaign, CampaignStore, write_results
    from grainscout.benchmarks.reports.comparison import write_campaign_comparison
    from grainscout.config import parse

    stores = [opened.enter_context(CampaignStore(p / "campaign.sqlite")) for p in paths]
    plans = [parse(Campaign, s.identity["campaign"], str(s.path)) for s in stores]
    if len(paths) == 1:
        results = write_results(plans[0], stores[0], paths[0], report=out)
        console.print(f"report: {results.files['report']}")
        return
    target = out or paths[1] / "comparison.html"
    console.print(write_campaign_comparison(target, plans, stores), soft_wrap=True)
    console.print(f"report: {target}")


def _report_runs(paths: Sequence[Path], out: Path | None, opened: ExitStack) -> None:
    from grainscout.benchmarks import make_environment, write_run_report
    from grainscout.benchmarks.reports.comparison import write_run_comparison
    from grainscout.config import RunConfig, parse
    from grainscout.journal import Journal

    journals = [opened.enter_context(Journal.read(path)) for path in paths]
    known = []
    for journal in journals:
        header = journal.header()
        settings = parse(RunConfig, header.config, str(journal.path))
        truth = structure = None
        if settings.task.microscope.has_truth:
            environment = make_environment(settings.task, settings.seed)
            truth = environment.truth(header.problem)
            structure = None if environment.film is None else environment.film.structure
        known.append((truth, structure))
    target = out or paths[-1].with_suffix(".html" if len(paths) == 1 else ".comparison.html")
    if len(paths) == 1:
        write_run_report(journals[0], target, *known[0])
    else:
        verdict = write_run_comparison(target, journals, [truth for truth, _ in known])
        console.print(verdict, soft_wrap=True)
    console.print(f"report: {target}")


def export(
    journal: Annotated[Path, Argument(help="A run's journal.")],
    out: Annotated[Path, Argument(help="File to write: .h5 (NSID), .csv, or .gwy (images only).")],
    force: Force = False,
    salvage: Annotated[
        bool,
        Option(
            "--salvage",
            help="Recover every outcome of a damaged journal whose checksum is right. The journal "
            "and its -wal file are only read.",
        ),
    ] = False,
) -> None:
    """Write a run's scan and curves to a file.

    Other programs and replay read it.
    """
    from grainscout.journal import Journal, recording_of

    if salvage:
        _salvage(journal, out, force)
        return
    with Journal.read(journal) as run:
        data = recording_of(run)
    _write(data, out, force)
    left = data.metadata["later_visits_left_out"]
    console.print(
        f"{len(data)} curves: {out}"
        + _unusable(data)
        + (f"; {left} other visits stay in the journal" if left else "")
    )


def _unusable(data: Recording) -> str:
    """Count the curves that were judged unusable, in words."""
    count = sum(not usable for usable in data.metadata.get("usable", ()))
    return f", {count} of them unusable" if count else ""


def _salvage(journal: Path, out: Path, force: bool) -> None:
    from grainscout.journal import salvage, salvaged_recordings

    if not journal.is_file():
        raise DataError(f"journal must be an existing file; there is none at {journal}")
    content = salvage(journal)
    try:
        recordings = salvaged_recordings(content)
    except DataError as error:
        raise DataError(f"{journal}: {error}") from error
    for visit, data in enumerate(recordings):
        path = out if visit == 0 else out.with_name(f"{out.stem}-visit{visit + 1}{out.suffix}")
        _write(data, path, force)
        console.print(f"{len(data)} curves: {path}")
    curves = sum(map(len, recordings))
    console.print(
        f"{len(content.outcomes)} outcomes are sound, {len(content.outcomes) - curves} of them failures "
        "without a curve"
    )
    if content.lost:
        console.print(f"{len(content.lost)} lost, by number: {', '.join(map(str, content.lost))}")
    for proposal in content.unanswered:
        console.print(
            f"lost or never measured: proposal {proposal.id} at row {proposal.site[0]}, column "
            f"{proposal.site[1]}"
        )
    if content.header is None:
        console.print("the scan is lost: sites are given in pixels of 1 nm")


def import_(
    file: Annotated[
        Path, Argument(help="An .ibw, .gwy, .sxm, .3ds, .dat, .h5 (NSID), .csv or text file.")
    ],
    out: Annotated[
        Path | None, Argument(help="File to write. Without it the content is only described.")
    ] = None,
    rail: Rail = None,
    channel: Channel = None,
    current: Current = None,
    cycle: Cycle = None,
    pixel_nm: PixelNm = None,
    height_unit: HeightUnit = None,
    crop_px: CropPx = None,
    picture: Annotated[
        Path | None, Option(help="Picture to write (.png): image, recorded positions and curves.")
    ] = None,
    force: Force = False,
) -> None:
    """Describe a microscope's file, draw it, and convert it."""
    from grainscout.analysis.formats import read, summary_of

    data = read(
        file,
        rail=rail,
        channel=channel,
        current=current,
        cycle=cycle,
        pixel_nm=pixel_nm,
        height_unit=height_unit,
        crop_px=crop_px,
    )
    table = Table(show_header=False, box=None, pad_edge=False)
    for topic, text in summary_of(data):
        table.add_row(topic, text)
    console.print(table)
    if picture is not None:
        from grainscout.analysis.figures import file_overview

        refuse_existing(picture, force)
        file_overview(data, title=file.name).savefig(picture)
        console.print(f"picture: {picture}")
    if out is not None:
        _write(data, out, force)
        console.print(f"written: {out}")


def _write(data: Scan | Recording, out: Path, force: bool) -> None:
    from grainscout.analysis.formats import Recording, write_csv, write_gwy, write_nsid

    if isinstance(data, Recording) and out.suffix == ".gwy":
        raise DataError(f"{out}: .gwy holds images only, and these are curves; write .h5 or .csv")
    writers: dict[str, Callable[..., None]] = {
        ".h5": write_nsid,
        ".csv": write_csv,
        ".gwy": write_gwy,
    }
    if out.suffix not in writers:
        raise ConfigError(f"out must end in {', '.join(writers)}; got {out.name!r}")
    refuse_existing(out, force)
    writers[out.suffix](data, out, overwrite=force)
