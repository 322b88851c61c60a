"""Command ``grainscout report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from grainscout.cli.console import console
from grainscout.records import DataError


def report(
    path: Annotated[Path, Argument(help="Journal of a run, or folder of a campaign.")],
    out: Annotated[Path | None, Option("--out", "-o", help="The HTML file to write.")] = None,
) -> None:
    """Write the report of a run or a campaign.

    It is one HTML file that loads nothing from a network.
    """
    from grainscout.benchmarks import (
        Campaign,
        CampaignStore,
        make_environment,
        write_results,
        write_run_report,
    )
    from grainscout.config import RunConfig, parse
    from grainscout.journal import Journal

    if path.is_dir():
        with CampaignStore(path / "campaign.sqlite") as store:
            plan = parse(Campaign, store.identity["campaign"], str(store.path))
            results = write_results(plan, store, path, report=out)
            console.print(f"report: {results.files['report']}")
        return
    if not path.exists():
        raise DataError(
            f"report needs a journal or a campaign's folder; there is nothing at {path}"
        )
    target = out or path.with_suffix(".html")
    with Journal.read(path) as journal:
        header = journal.header()
        settings = parse(RunConfig, header.config, str(path))
        truth = structure = None
        if settings.task.microscope.has_truth:
            environment = make_environment(settings.task, settings.seed)
            truth = environment.truth(header.problem)
            structure = None if environment.film is None else environment.film.structure
        write_run_report(journal, target, truth, structure)
    console.print(f"report: {target}")
