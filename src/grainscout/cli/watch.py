"""Command ``grainscout watch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from grainscout.cli.console import console
from grainscout.records import ConfigError


def watch(
    journal: Annotated[Path, Argument(help="Journal of a running or ended experiment.")],
    host: Annotated[
        str, Option(help="Address to listen on. Beyond this computer only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port. 0 takes a free one.")] = 8642,
    token: Annotated[
        str | None,
        Option(
            envvar="GRAINSCOUT_WATCH_TOKEN",
            help="Token that a browser must send. Random if not given.",
        ),
    ] = None,
    allow_control: Annotated[
        bool, Option("--allow-control", help="Let the page pause, resume, abort and veto.")
    ] = False,
    maps: Annotated[
        bool,
        Option("--maps/--no-maps", help="Show the policy's maps, computed in another process."),
    ] = True,
) -> None:
    """Serve a live page of a run."""
    try:
        from grainscout.watch.command import serve
    except ModuleNotFoundError as error:
        if error.name != "tornado":
            raise
        raise ConfigError(
            "watch needs the package tornado, which is not installed. Install it from the checkout: "
            "pip install -e '.[watch]'"
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
