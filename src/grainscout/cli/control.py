"""grainscout control"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grainscout.cli.console import console
from grainscout.records import ConfigError, JournalError, Site


def control(
    journal: Annotated[Path, typer.Argument(help="Journal of a running experiment.")],
    request: Annotated[str, typer.Argument(help="pause, resume, abort, veto, add or attach.")],
    id_: Annotated[str | None, typer.Option("--id", help="veto: the proposal's id.")] = None,
    row: Annotated[int | None, typer.Option(help="add: row of the site.")] = None,
    column: Annotated[int | None, typer.Option(help="add: column of the site.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="attach: a recording or journal on the same scan.")
    ] = None,
) -> None:
    """Pause, resume, abort, veto a proposal, or add a point by hand, while a run is going."""
    from grainscout.experiment import REQUESTS, attachable
    from grainscout.journal import Journal

    if request not in REQUESTS:
        raise ConfigError(f"request must be one of {', '.join(REQUESTS)}; got {request!r}")
    if (request == "veto") != (id_ is not None):
        raise ConfigError("veto, and nothing else, needs --id")
    if (request == "add") != (row is not None and column is not None):
        raise ConfigError("add, and nothing else, needs --row and --column")
    if (request == "attach") != (file is not None):
        raise ConfigError("attach, and nothing else, needs --file")
    detail: dict[str, str | int] = {}
    with Journal.open(journal) as run:
        course = [e.kind for e in run.events() if e.kind in ("start", "resume", "end")]
        if course and course[-1] == "end" and request != "attach":
            raise JournalError(f"{journal} is of a run that has ended; resume it first")
        if id_ is not None:
            if id_ not in {p.id for p in run.proposals()}:
                raise ConfigError(f"--id must be a proposal of this run; got {id_!r}")
            detail["id"] = id_
        if row is not None and column is not None:
            if not run.header().problem.scan.contains(Site(row, column)):
                raise ConfigError(f"the site must lie on the scan; got row {row}, column {column}")
            detail |= {"row": row, "column": column}
        if file is not None:
            attachable(file, run.header().problem)
            detail["file"] = str(file.resolve())
        run.request(request, **detail)
    console.print(f"asked: {request}. It is done before the next measurement: {REQUESTS[request]}")
