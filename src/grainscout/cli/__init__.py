"""The command line.

Each command is a module that imports its needs when called, so that ``grainscout --help`` is quick.
A user's mistake gives one message and no traceback. Exit status: 0 success, 1 a run or a check
failed, 2 bad usage or configuration.
"""

import typer
from typer import Option

import grainscout
from grainscout.cli import (
    advise,
    bench,
    check,
    control,
    files,
    listing,
    mcp,
    preflight,
    queue,
    regress,
    run,
    serve,
    simulate,
)
from grainscout.cli.console import fail
from grainscout.records import GrainscoutError

app = typer.Typer(
    name="grainscout",
    help="A testbed for self-driving conductive AFM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = Option(False, "--version", help="Print the version.", is_eager=True),
) -> None:
    if version:
        typer.echo(grainscout.__version__)
        raise typer.Exit


app.command("simulate")(simulate.simulate)
app.command("run")(run.run)
app.command("advise")(advise.advise)
app.command("bench")(bench.bench)
app.command("demo")(bench.demo)
app.command("regress")(regress.regress)
app.command("report")(files.report)
app.command("control")(control.control)
app.command("watch")(serve.watch)
app.command("preflight")(preflight.preflight)
app.command("approve")(queue.approve)
app.command("queue")(queue.queue)
app.command("mcp")(mcp.mcp)
app.command("serve")(serve.serve)
app.command("keys")(serve.keys)
app.command("export")(files.export)
app.command("import")(files.import_)
app.command("check-policy")(check.check_policy)
app.command("check-microscope")(check.check_microscope)
app.command("list")(listing.show)


def main() -> None:
    """Entry point of ``grainscout``."""
    try:
        app()
    except GrainscoutError as error:
        fail(str(error), error.exit_status)
    except OSError as error:  # a disk that is full, a folder that may not be written
        fail(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), 1)
    except MemoryError as error:
        fail(f"out of memory: {error or 'the system gave none'}", 1)
    except KeyboardInterrupt:
        fail("interrupted", 130)
