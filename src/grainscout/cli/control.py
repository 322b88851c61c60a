"""Command ``grainscout control``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from grainscout.cli.console import console
from grainscout.records import ConfigError, JournalError, Site, one_of

if TYPE_CHECKING:
    from grainscout.journal import Journal


def control(
    journal: Annotated[Path, Argument(help="Journal of a running experiment.")],
    request: Annotated[
        str,
        Argument(
            help="pause, resume, abort, veto, add, attach, retract, exclude, constrain or narrow."
        ),
    ],
    what: Annotated[
        str | None,
        Argument(
            help="retract: proposal id of the curve, or its ROW,COLUMN. exclude: corners, as 0,0,20,40. "
            "constrain: what an image must be, as 'height > 2e-9'. narrow: as curves=40,current_A=1e-9."
        ),
    ] = None,
    id_: Annotated[str | None, Option("--id", help="veto: id of the proposal.")] = None,
    row: Annotated[int | None, Option(help="add: row of the site.")] = None,
    column: Annotated[int | None, Option(help="add: column of the site.")] = None,
    file: Annotated[
        Path | None, Option(help="attach: recording or journal on the same scan.")
    ] = None,
    reason: Annotated[str | None, Option(help="retract: why the curve is not believed.")] = None,
) -> None:
    """Send a request to a running experiment."""
    from grainscout.experiment import REQUESTS, attachable
    from grainscout.experiment.changes import KINDS, Changes
    from grainscout.experiment.outcomes import costs
    from grainscout.experiment.retraction import retraction
    from grainscout.journal import Journal

    one_of("request", request, REQUESTS)
    needed = {
        "veto": ("--id", id_ is not None),
        "add": ("--row and --column", row is not None and column is not None),
        "attach": ("--file", file is not None),
        "retract": ("a curve and --reason", what is not None and bool(reason)),
    }
    for name, (options, given) in needed.items():
        if (request == name) != given:
            raise ConfigError(f"{name}, and nothing else, needs {options}")
    if (what is None) == (request in (*KINDS, "retract")):
        raise ConfigError(f"{', '.join(KINDS)} and retract, and nothing else, need to be told what")
    detail: dict[str, Any] = {}
    with Journal.open(journal) as run:
        turns = [e.kind for e in run.events() if e.kind in ("start", "resume", "end")]
        if turns and turns[-1] == "end" and request not in ("attach", "retract"):
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
        if what is not None and request in KINDS:
            changes, spent = Changes(run.header().problem, None), sum(map(costs, run.outcomes()))
            changes.restore(run.events())
            changes.apply(request, what, 0, spent=spent)  # refused here if it can be
            detail["change"] = what
        if what is not None and reason:
            detail |= {"outcome": _outcome(run, what), "reason": reason}
            before = len(run.batches())
            retraction(run, detail, before)
            if turns and turns[-1] == "end":
                run.record_event("request", asked="retract", **detail, before=before)
                console.print(f"taken out of {journal}: {what}")
                return
        run.request(request, **detail)
    console.print(f"asked: {request}. It is done before the next measurement: {REQUESTS[request]}")


def _outcome(run: Journal, curve: str) -> int:
    """Number of the latest curve of a proposal, or at a ROW,COLUMN."""
    site = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", curve)
    place = tuple(map(int, site.groups())) if site else None
    gone = {r.outcome for r in run.retractions()}
    fits = [
        k
        for k, o in enumerate(run.outcomes())
        if o.curve is not None
        and k not in gone
        and (curve == o.proposal_id if place is None else place == tuple(o.site))
    ]
    if not fits:
        raise ConfigError(f"retract needs the id or ROW,COLUMN of a measured curve; got {curve!r}")
    return fits[-1]
