"""grainscout watch"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grainscout.cli.console import console
from grainscout.records import ConfigError


def watch(
    journal: Annotated[Path, typer.Argument(help="Journal of a running or ended experiment.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this computer only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8642,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="GRAINSCOUT_WATCH_TOKEN", help="What a browser must bring; random if not given."
        ),
    ] = None,
    allow_control: Annotated[
        bool, typer.Option("--allow-control", help="Let the page pause, resume, abort and veto.")
    ] = False,
    maps: Annotated[
        bool, typer.Option("--maps/--no-maps", help="Make the policy's maps, beside the run.")
    ] = True,
) -> None:
    """Show a live page of a run in the browser, on this computer alone unless told otherwise."""
    try:
        from grainscout.watch.command import serve
    except ModuleNotFoundError as error:
        if error.name != "tornado":
            raise
        raise ConfigError(
            "watch must have the package tornado; it is not installed. Install it with: pip install "
            "'grainscout[watch]'"
        ) from error
    serve(
        journal,
        host=host,
        port=port,
        token=token,
        control=allow_control,
        maps=maps,
        say=lambda line: console.print(line, highlight=False, soft_wrap=True),
    )
