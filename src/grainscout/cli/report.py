"""grainscout report"""

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
    """Write the report of a run or a campaign as one HTML file without links to the network."""
    from grainscout.benchmarks import (
        Campaign,
        CampaignStore,
        set_up,
        write_results,
        write_run_report,
    )
    from grainscout.config import parse, run_of_journal
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
        settings = run_of_journal(header.config, str(path))
        truth = structure = None
        if settings.task.microscope.kind in ("simulated", "topography", "replay"):
            bench = set_up(settings.task, settings.seed)
            truth = bench.truth(header.problem)
            structure = None if bench.film is None else bench.film.structure
        write_run_report(journal, target, truth, structure)
    console.print(f"report: {target}")
